"""Joins of every kind over changes, against nested loops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from laminar.sql.plan import Call, ColumnRef, Expr, Function
from laminar.types import BOOL, FLOAT8, INT8, TEXT, PgType
from tests.engine.operator_nodes import Run, change, joining, rows_of, source

LONG, STRING, FLOAT = PgType(INT8), PgType(TEXT), PgType(FLOAT8)
LEFT, RIGHT = [LONG, STRING, LONG], [STRING, LONG]

left_row = st.tuples(
    st.none() | st.integers(0, 3),
    st.sampled_from([None, "", "a", "a key that is rather long"]),
    st.integers(0, 2),
)
right_row = st.tuples(
    st.sampled_from([None, "", "a", "a key that is rather long"]), st.none() | st.integers(0, 3)
)
Rows = list[tuple[tuple[Any, ...], int]]


@st.composite
def histories(draw: st.DrawFn, deletes: bool) -> list[list[tuple[int, Rows]]]:
    live: tuple[list[Any], list[Any]] = ([], [])
    history = []
    for _ in range(draw(st.integers(1, 4))):
        epoch: tuple[Rows, Rows] = ([], [])
        for _ in range(draw(st.integers(0, 14))):
            port = draw(st.integers(0, 1))
            if deletes and live[port] and draw(st.booleans()):
                gone = live[port].pop(draw(st.integers(0, len(live[port]) - 1)))
                epoch[port].append((gone, -1))
            else:
                new = draw(right_row if port else left_row)
                weight = draw(st.integers(1, 2))
                live[port].extend([new] * weight)
                epoch[port].append((new, weight))
        batches: list[tuple[int, Rows]] = []
        for port in (0, 1):
            rows = draw(st.permutations(epoch[port]))
            cut = draw(st.integers(0, len(rows)))
            batches += [(port, part) for part in (rows[:cut], rows[cut:]) if part]
        history.append(draw(st.permutations(batches)))
    return history


def nested_loops(
    kind: str,
    left: Counter[Any],
    right: Counter[Any],
    keys: list[tuple[int, int, bool]],
    residual: Callable[[Any, Any], bool],
) -> dict[Any, int]:
    def matches(a: Any, b: Any) -> bool:
        return all(a[i] == b[j] and (a[i] is not None or safe) for i, j, safe in keys) and residual(a, b)

    live = [(a, w) for a, w in left.items() if w], [(b, w) for b, w in right.items() if w]
    out: Counter[Any] = Counter()
    for a, wa in live[0]:
        found = [(b, wb) for b, wb in live[1] if matches(a, b)]
        if kind in ("semi", "anti"):
            out[a] += wa if bool(found) == (kind == "semi") else 0
            continue
        for b, wb in found:
            out[a + b] += wa * wb
        if not found and kind in ("left", "full"):
            out[(*a, *[None] * len(RIGHT))] += wa
    if kind in ("right", "full"):
        for b, wb in live[1]:
            if not any(matches(a, b) for a, _ in live[0]):
                out[(*[None] * len(LEFT), *b)] += wb
    return {row: w for row, w in out.items() if w}


KINDS = st.sampled_from(["inner", "left", "right", "full", "semi", "anti"])
KEYS = st.sampled_from(
    [
        [(0, 1, False)],
        [(1, 0, False)],
        [(1, 0, True)],
        [(0, 1, True), (1, 0, False)],
        [],
    ]
)


def less(left: Any, right: Any) -> bool:
    return right[1] is not None and left[2] < right[1]


LESS = Call(
    Function(66, "int4lt", "int8lt", True, "i"), (ColumnRef(3, LONG), ColumnRef(12, LONG)), PgType(BOOL)
)
CONDITIONS = st.sampled_from([(None, lambda a, b: True), (LESS, less)])


@settings(max_examples=600, deadline=None)
@given(
    st.booleans().flatmap(lambda d: st.tuples(st.just(d), histories(d))), KINDS, KEYS, CONDITIONS, st.data()
)
def test_join_equals_nested_loops(
    case: tuple[bool, list[list[tuple[int, Rows]]]],
    kind: Any,
    keys: list[tuple[int, int, bool]],
    condition: tuple[Expr | None, Callable[[Any, Any], bool]],
    data: st.DataObject,
) -> None:
    deletes, history = case
    residual, holds = condition
    types = RIGHT
    if kind in ("semi", "anti") and keys and residual is None and data.draw(st.booleans()):
        # only the keys of the right side matter, and the planner leaves nothing else of it
        types, kept = [RIGHT[j] for _, j, _ in keys], [j for _, j, _ in keys]
        keys = [(i, n, safe) for n, (i, _, safe) in enumerate(keys)]
        history = [
            [(p, [(tuple(row[j] for j in kept), w) for row, w in rows] if p else rows) for p, rows in epoch]
            for epoch in history
        ]
    left, right = source(LEFT, append_only=not deletes), source(types, 11, append_only=not deletes)
    safe = tuple(n for n, k in enumerate(keys) if k[2])
    options = {"null_safe": safe, "residual": residual, "kind": kind}
    node = joining(left, right, [1 + k[0] for k in keys], [11 + k[1] for k in keys], **options)
    run, segments = Run(node), []
    sides: tuple[Counter[Any], Counter[Any]] = (Counter(), Counter())
    view: Counter[Any] = Counter()
    for epoch in history:
        for port, rows in epoch:
            for row, weight in rows:
                sides[port][row] += weight
        out = run.step(*((p, change(types if p else LEFT, rows)) for p, rows in epoch))
        view.update(rows_of(out))
        assert {row: w for row, w in view.items() if w} == nested_loops(kind, *sides, keys, holds)
        if node.properties.append_only:
            assert all(c.weights is None or (c.weights > 0).all() for c in out)
        if data.draw(st.booleans()):
            segments += run.checkpoint()
            if data.draw(st.booleans()):
                run = Run(node, segments)
    assert run.operator.stats()["entries"] <= sum(len(+side) for side in sides) or not deletes


def test_deleting_one_of_many_rows_of_a_key() -> None:
    left, right = source([LONG, LONG]), source([LONG], 11)
    run = Run(joining(left, right, [1], [11]))
    run.step((0, change([LONG, LONG], [((1, i), 1) for i in range(1000)])))
    run.step((0, change([LONG, LONG], [((1, i), -1) for i in range(0, 1000, 2)])))
    out = rows_of(run.step((1, change([LONG], [((1,), 1)]))))
    assert out == {(1, i, 1): 1 for i in range(1, 1000, 2)}
    assert run.operator.stats()["entries"] == 501


def test_only_key_columns_keep_a_watermark() -> None:
    left, right = source([LONG, LONG]), source([LONG, LONG], 11)
    run = Run(joining(left, right, [1], [11]))
    run.step(watermarks=[{1: 5, 2: 9}, {11: 3, 12: 8}])
    assert run.watermarks.by_column == {1: 3, 11: 3}
    run.step(watermarks=[{1: 5}, {}])
    assert run.watermarks.by_column == {}


def test_results_come_in_bounded_batches() -> None:
    left, right = source([LONG, LONG], append_only=True), source([LONG, FLOAT], 11, append_only=True)
    run = Run(joining(left, right, [1], [11]))
    run.step((0, change([LONG, LONG], [((1, i), 1) for i in range(500)])))
    out = run.step((1, change([LONG, FLOAT], [((1, float(i)), 1) for i in range(400)])))
    assert sum(map(len, out)) == 200_000
    assert max(map(len, out)) <= 65536


def test_rows_taken_back_and_put_in_again_meet_nobody() -> None:
    left, right = source([LONG, LONG]), source([LONG], 11)
    run = Run(joining(left, right, [], []))
    run.step((0, change([LONG, LONG], [((i, i), 1) for i in range(1000)])), (1, change([LONG], [((1,), 1)])))
    out = run.step((1, change([LONG], [((1,), -1), ((2,), 1), ((1,), 1), ((2,), -1)])))
    assert sum(map(len, out)) == 0
