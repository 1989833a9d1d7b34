"""Folded aggregates over changes, against a model that computes every group from its rows."""

from __future__ import annotations

import datetime
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laminar.engine.nodes import GroupFold, Input, Properties
from laminar.sql.adhoc.hyperloglog import KEPT
from laminar.sql.plan import Aggregate, Function, Routine
from laminar.sql.stream.reduction import foldable
from laminar.types import BOOL, DATE, INT4, INT8, TEXT, PgType
from tests.engine.operator_nodes import Run, change, columns, ref, rows_of, source

LONG, INT, STRING, FLAG, DAY = PgType(INT8), PgType(INT4), PgType(TEXT), PgType(BOOL), PgType(DATE)
TYPES = [STRING, INT, FLAG]
#: raises for 13 after it has spoilt its state, and in finish() for a sum of 7
SUM = """
def create_state():
    return [0]
def accumulate(state, x):
    state[0] += x or 0
    if x == 13:
        raise ValueError('unlucky')
    return state
def retract(state, x):
    state[0] -= x or 0
    return state
def finish(state):
    if state[0] == 7:
        raise ValueError('seven')
    return state[0]
"""


def python(body: str, *args: Any, filter: Any = None, result: PgType = LONG) -> Aggregate:
    routine = Routine("python", body, (), tuple(a.type for a in args), aggregate=True)
    return Aggregate(Function(90000, "f", "routine 90000", False, "i", routine), args, result, filter=filter)


def folding(below: Input, keys: tuple[int, ...], *aggregates: Aggregate) -> GroupFold:
    by_id = {c.id: c for c in below.properties.columns}
    results = columns([a.type for a in aggregates], 1000)
    properties = Properties((*(by_id[k] for k in keys), *results), key=keys)
    return GroupFold(1, below, keys, aggregates, properties)


def of_group(rows: list[tuple[Any, ...]]) -> tuple[int, int] | None:
    every = [r[1] or 0 for r in rows]
    some = [r[1] or 0 for r in rows if r[2]]
    if 13 in every or sum(every) == 7 or sum(some) == 7:
        return None
    return sum(every), sum(some)


def model(rows: Counter[tuple[Any, ...]], keyed: bool) -> Counter[tuple[Any, ...]]:
    groups: dict[Any, list[tuple[Any, ...]]] = {} if keyed else {(): []}
    for row in rows.elements():
        groups.setdefault(row[0] if keyed else (), []).append(row)
    found = {key: of_group(members) for key, members in groups.items()}
    return Counter((key, *values) if keyed else values for key, values in found.items() if values is not None)


ROWS = st.tuples(
    st.sampled_from(["a", "b", None]),
    st.sampled_from([None, 0, 1, 3, 4, 13]),
    st.sampled_from([True, False, None]),
)
EPOCHS = st.lists(st.lists(st.tuples(st.booleans(), ROWS), max_size=8), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(EPOCHS, st.booleans(), st.integers(0, 5))
def test_python_aggregates(epochs: list[Any], keyed: bool, restart: int) -> None:
    below = source(TYPES)
    args = ref(below, 2)
    node = folding(below, (1,) if keyed else (), python(SUM, args), python(SUM, args, filter=ref(below, 3)))
    run, entries = Run(node), []
    rows: Counter[tuple[Any, ...]] = Counter()
    shown: Counter[tuple[Any, ...]] = Counter()
    for number, epoch in enumerate(epochs):
        changes = []
        for deletes, row in epoch:
            if deletes and not rows[row]:
                continue
            weight = -1 if deletes else 1
            rows[row] += weight
            changes.append((row, weight))
        shown.update(rows_of(run.step((0, change(TYPES, changes)))))
        assert +shown == model(+rows, keyed) and not -shown
        entries += run.checkpoint()
        if number == restart:
            run = Run(node, entries)


def test_values_that_python_lacks_hold_the_result_back() -> None:
    below = source([DAY])
    latest = """
def create_state(): return None
def accumulate(s, d): return max(s or d, d)
def retract(s, d): return s
"""
    run = Run(folding(below, (), python(latest, ref(below, 1), result=DAY)))
    forever, day = 2**31 - 1, 20000
    run.step()
    run.step((0, change([DAY], [((day,), 1)])))
    assert not +rows_of(run.step((0, change([DAY], [((forever,), 1)]))))
    found = rows_of(run.step((0, change([DAY], [((forever,), -1)]))))
    assert found == {(datetime.date(2024, 10, 4),): 1}


def test_a_state_that_cannot_be_kept_is_an_error_of_its_group() -> None:
    below = source([INT])
    body = "def create_state(): return 0\ndef accumulate(s, x): return (lambda: 0) if x == 1 and not s else 5"
    run = Run(folding(below, (), python(body, ref(below, 1))))
    assert rows_of(run.step()) == {(0,): 1}
    assert rows_of(run.step((0, change([INT], [((1,), 1)])))) == {(0,): -1}
    (message,) = run.operator.errors()  # type: ignore[attr-defined]
    assert message.startswith("function f: ")
    assert rows_of(run.step((0, change([INT], [((2,), 1)])))) == {(5,): 1}


@pytest.mark.parametrize("append_only", [True, False])
def test_what_is_folded(append_only: bool) -> None:
    below = source(TYPES, append_only=append_only)
    forgetful = SUM.replace("def retract", "def other")
    assert foldable(python(SUM, ref(below, 2)), append_only)
    assert foldable(python(forgetful, ref(below, 2)), append_only) == append_only
    counting = Aggregate(
        Function(10021, "approx_count_distinct", "approx_count_distinct(any)", False, "i"),
        (ref(below, 1),),
        LONG,
    )
    assert foldable(counting, append_only) == append_only


def test_sketches_keep_a_bounded_state() -> None:
    below = source([STRING, INT], append_only=True)
    function = Function(10021, "approx_count_distinct", "approx_count_distinct(any)", False, "i")
    node = folding(below, (1,), Aggregate(function, (ref(below, 2),), LONG))
    run = Run(node)
    n, sizes, shown = 3 * KEPT, [], Counter[tuple[Any, ...]]()
    for start in range(0, n, KEPT):
        rows = [(("a", i), 1) for i in range(start, start + KEPT)] * 2 + [(("b", 1), 1), (("b", None), 1)]
        shown.update(rows_of(run.step((0, change([STRING, INT], rows)))))
        sizes.append(run.operator.stats()["state_bytes"])
    (a, one), (b, many) = sorted((k[0], k[1]) for k in +shown)
    assert (a, one, b) == ("a", one, "b") and many == 1
    assert abs(one - n) < 0.03 * n
    assert sizes[-1] <= sizes[1] + 1000
