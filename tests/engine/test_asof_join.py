"""ASOF joins over changes against a search through all rows."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from laminar.engine.nodes import AsofJoin, Properties
from laminar.types import INT8, TEXT, PgType
from tests.engine.operator_nodes import Run, change, columns, rows_of, source
from tests.engine.test_hash_join import Rows

LONG, STRING = PgType(INT8), PgType(TEXT)
SIDE = [STRING, LONG, LONG]  # key, time, number
KEY = 2
row = st.tuples(
    st.sampled_from([None, "", "a", "a", "a\0b"]), st.none() | st.integers(-4, 8), st.integers(0, 2)
)


@st.composite
def histories(draw: st.DrawFn) -> list[list[tuple[int, Rows]]]:
    live: tuple[list[Any], list[Any]] = ([], [])
    history = []
    for _ in range(draw(st.integers(1, 5))):
        epoch: tuple[Rows, Rows] = ([], [])
        for _ in range(draw(st.integers(0, 12))):
            port = draw(st.integers(0, 1))
            if live[port] and draw(st.booleans()):
                gone = live[port].pop(draw(st.integers(0, len(live[port]) - 1)))
                epoch[port].append((gone, -1))
            else:
                new = draw(row)
                live[port].append(new)
                epoch[port].append((new, 1))
        history.append([(port, draw(st.permutations(epoch[port]))) for port in (1, 0) if epoch[port]])
    return history


def searched(
    left: Counter[Any], right: Counter[Any], comparison: str, padded: bool, keyed: bool
) -> Counter[Any]:
    holds = {
        ">=": lambda a, b: a >= b, ">": lambda a, b: a > b, "<=": lambda a, b: a <= b, "<": lambda a, b: a < b
    }[comparison]  # fmt: skip
    out: Counter[Any] = Counter()
    for a, weight in left.items():
        found = [
            b
            for b in right.elements()
            if None not in (a[1], b[1])
            and (not keyed or (a[0] is not None and a[0] == b[0]))
            and holds(a[1], b[1])
        ]
        nearest = max if comparison in (">=", ">") else min
        if found:
            out[a + nearest(found, key=lambda b: (b[1], b[KEY], b[0] is None, b[0] or ""))] += weight
        elif padded:
            out[(*a, None, None, None)] += weight
    return Counter({r: w for r, w in out.items() if w})


@settings(max_examples=300, deadline=None)
@given(histories(), st.sampled_from([">=", ">", "<=", "<"]), st.booleans(), st.booleans(), st.data())
def test_asof_join_equals_a_search(
    history: list[list[tuple[int, Rows]]], comparison: Any, padded: bool, keyed: bool, data: st.DataObject
) -> None:
    left, right = source(SIDE), source(SIDE, 11)
    # the stream key settles ties: here the number, then the text
    sides = [
        Properties(p.properties.columns, key=(first + 2, first)) for p, first in ((left, 1), (right, 11))
    ]
    inputs = [type(left)(p.id, 1, p.attnums, s) for p, s in zip((left, right), sides, strict=True)]
    keys = ((1,), (11,)) if keyed else ((), ())
    properties = Properties(columns(SIDE) + columns(SIDE, 11))
    node = AsofJoin(1, inputs[0], inputs[1], *keys, 2, 12, comparison, padded, properties)
    run, segments = Run(node), []
    state: tuple[Counter[Any], Counter[Any]] = (Counter(), Counter())
    view: Counter[Any] = Counter()
    for epoch in history:
        for port, rows in epoch:
            for r, weight in rows:
                state[port][r] += weight
        view.update(rows_of(run.step(*((p, change(SIDE, rows)) for p, rows in epoch))))
        found = Counter({r: w for r, w in view.items() if w})
        assert found == searched(*(+s for s in state), comparison, padded, keyed)
        if data.draw(st.booleans()):
            segments += run.checkpoint()
            if data.draw(st.booleans()):
                run = Run(node, segments)


def test_a_change_costs_what_it_changes() -> None:
    left, right = source(SIDE), source(SIDE, 11)
    properties = Properties(columns(SIDE) + columns(SIDE, 11))
    run = Run(AsofJoin(1, left, right, (1,), (11,), 2, 12, ">=", False, properties))
    history = [(("a", i, 0), 1) for i in range(0, 20_000, 2)]
    run.step((0, change(SIDE, history)), (1, change(SIDE, history)))
    out = run.step((1, change(SIDE, [(("a", 10_001, 5), 1), (("a", 500, 7), 1), (("a", 500, 0), -1)])))
    assert rows_of(out) == {("a", 500, 0, "a", 500, 0): -1, ("a", 500, 0, "a", 500, 7): 1}
