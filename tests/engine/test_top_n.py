"""Top rows over changes, against sorting; windows that close, late rows, restored state."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laminar._native.orderedrows import OrderedRows
from laminar.engine.nodes import Properties, TopN
from laminar.errors import PgError
from laminar.sql.plan import Column
from laminar.types import INT8, TEXT, TIMESTAMP, PgType
from tests.engine.operator_nodes import Rows, Run, change, emit, rows_of, source

LONG, STRING = PgType(INT8), PgType(TEXT)
TYPES = [STRING, LONG, LONG]

row = st.tuples(
    st.sampled_from([None, "", "a", "a key that is rather long"]),
    st.none() | st.integers(-2, 3),
    st.integers(0, 2),
)


@st.composite
def histories(draw: st.DrawFn, deletes: bool) -> list[Rows]:
    live: list[Any] = []
    history = []
    for _ in range(draw(st.integers(1, 5))):
        epoch: list[tuple[Any, int]] = []
        for _ in range(draw(st.integers(0, 12))):
            if deletes and live and draw(st.booleans()):
                epoch.append((live.pop(draw(st.integers(0, len(live) - 1))), -1))
            else:
                new, weight = draw(row), draw(st.integers(1, 2))
                live.extend([new] * weight)
                epoch.append((new, weight))
        history.append(draw(st.permutations(epoch)))
    return history


def top(
    rank: str,
    limit: int | None,
    offset: int,
    *,
    numbered: bool,
    append_only: bool,
    keys: tuple[int, ...] = (1,),
) -> TopN:
    """By the first column, ordered by the second, descending."""
    below = source(TYPES, append_only=append_only)
    number = Column(9, "rank", LONG) if numbered else None
    columns = (*below.properties.columns, *([number] if number else []))
    return TopN(1, below, keys, ((2, True),), rank, limit, offset, number, Properties(columns))  # type: ignore[arg-type]


def order(value: int | None) -> tuple[bool, int]:
    """Descending, nulls first."""
    return (value is not None, -(value or 0))


def expected(rows: Counter[Any], node: TopN, view: Counter[Any]) -> None:
    """Holds ``view`` against every partition's rows; ties may be broken in any way."""
    parts: dict[Any, list[Any]] = {}
    for r, weight in rows.items():
        parts.setdefault(r[0] if node.keys else None, []).extend([r] * weight)
    shown: dict[Any, list[Any]] = {}
    for r, weight in view.items():
        shown.setdefault(r[0] if node.keys else None, []).extend([r] * weight)
    for key, part in parts.items():
        part.sort(key=lambda r: order(r[1]))
        ranked = []
        for n, r in enumerate(part):
            before = [x for x in part if order(x[1]) < order(r[1])]
            ranks = {"row_number": n, "rank": len(before), "dense_rank": len({x[1] for x in before})}
            if (node.limit is None or ranks[node.rank] < node.limit) and n >= node.offset:
                ranked.append((r[1], ranks[node.rank] + 1))
        got = sorted(shown.pop(key, []), key=lambda r: order(r[1]))
        assert [r[1] for r in got] == [v for v, _ in ranked]
        if node.number is not None:
            assert sorted(r[3] for r in got) == sorted(n for _, n in ranked)
        assert not Counter(r[:3] for r in got) - Counter(part)
    assert not shown


@settings(max_examples=150)
@given(
    st.booleans().flatmap(lambda d: st.tuples(st.just(d), histories(d))),
    st.sampled_from(["row_number", "rank", "dense_rank"]),
    st.none() | st.integers(0, 4),
    st.integers(0, 2),
    st.booleans(),
    st.sampled_from([(1,), ()]),
    st.integers(0, 4),
)
def test_top_rows_equal_sorting(
    case: tuple[bool, list[Rows]],
    rank: str,
    limit: int | None,
    offset: int,
    numbered: bool,
    keys: tuple[int, ...],
    restart: int,
) -> None:
    deletes, history = case
    node = top(rank, limit, offset, numbered=numbered, append_only=not deletes, keys=keys)
    run, segments = Run(node), []
    rows: Counter[Any] = Counter()
    view: Counter[Any] = Counter()
    for n, epoch in enumerate(history):
        for r, weight in epoch:
            rows[r] += weight
        cut = len(epoch) // 2
        parts = [(0, change(TYPES, part)) for part in (epoch[:cut], epoch[cut:]) if part]
        view.update(rows_of(run.step(*parts)))
        view = Counter({r: w for r, w in view.items() if w})
        assert all(w > 0 for w in view.values())
        expected(Counter({r: w for r, w in rows.items() if w}), node, view)
        segments += run.checkpoint()
        if n == restart:
            run = Run(node, segments)


def test_rows_beyond_need_are_not_kept() -> None:
    run = Run(top("row_number", 2, 0, numbered=False, append_only=True))
    run.step((0, change(TYPES, [(("a", n, 0), 1) for n in range(100)])))
    assert run.operator.stats()["entries"] == 2
    assert rows_of(run.step((0, change(TYPES, [(("a", 50, 0), 1)])))) == {}
    assert rows_of(run.step((0, change(TYPES, [(("a", 500, 0), 1)])))) == {("a", 500, 0): 1, ("a", 98, 0): -1}


TIME = PgType(TIMESTAMP)
WINDOWED = [TIME, LONG, LONG]  # window_end, value, row watermark


def windowed(mode: str, lateness: int | None, *, closes: bool, hidden: bool = True) -> TopN:
    below = source(WINDOWED, append_only=True, row_watermark=3 if hidden else None)
    columns = below.properties.columns[:2]
    properties, clause = Properties(columns), emit(mode, lateness)
    return TopN(1, below, (1,), ((2, True),), "row_number", 2, 0, None, properties, 1, clause, closes)


def step(run: Run, rows: list[tuple[int, int, int]], watermark: int) -> dict[Any, int]:
    changes = [(0, change(WINDOWED, [(r, 1) for r in rows]))] if rows else []
    out = rows_of(run.step(*changes, watermarks=[{1: watermark}]))
    origin, unit = datetime(1970, 1, 1), timedelta(microseconds=1)
    return {((end - origin) // unit, value): weight for (end, value), weight in out.items()}


def test_a_window_appears_once_when_it_closes() -> None:
    run = Run(windowed("close", 5, closes=True))
    assert step(run, [(10, 1, 0), (10, 3, 0), (10, 2, 0), (20, 7, 0)], 14) == {}
    assert run.operator.stats()["entries"] == 3
    assert step(run, [(10, 4, 14), (10, 9, 15)], 15) == {(10, 4): 1, (10, 3): 1}  # the 9 is late
    assert run.operator.stats() | {"dropped_late": 1, "entries": 1} == run.operator.stats()
    assert run.watermarks.by_column == {1: 10}
    again = Run(windowed("close", 5, closes=True), run.checkpoint())
    assert step(again, [], 100) == {(20, 7): 1}
    assert again.operator.stats()["entries"] == 0


def test_a_window_is_corrected_until_the_lateness_is_over() -> None:
    run = Run(windowed("watermark", 5, closes=True))
    assert step(run, [(10, 1, 0), (10, 3, 0)], 9) == {}
    assert step(run, [(10, 2, 9)], 10) == {(10, 3): 1, (10, 2): 1}
    assert step(run, [(10, 4, 12)], 12) == {(10, 4): 1, (10, 2): -1}
    assert step(run, [(20, 4, 14)], 14) == {}
    assert step(run, [(10, 9, 15)], 20) == {(20, 4): 1}
    assert run.operator.stats()["dropped_late"] == 1


def test_without_row_watermarks_the_last_barrier_judges() -> None:
    run = Run(windowed("update", 0, closes=False, hidden=False))
    assert step(run, [(10, 1, 0)], 10) == {(10, 1): 1}
    assert run.operator.stats()["entries"] == 0
    run = Run(windowed("update", 0, closes=False, hidden=False), run.checkpoint())
    assert step(run, [(10, 5, 0), (11, 6, 0)], 10) == {(11, 6): 1}
    assert run.operator.stats()["dropped_late"] == 1


def test_damaged_entries_are_refused() -> None:
    for key, value in ((b"\xff\xff\xff\xffgarbage", b"12345678"), (b"\0\0\0\0\0\0\0\0\0", b"1")):
        entries = pa.RecordBatch.from_arrays([pa.array([key]), pa.array([value])], names=["key", "value"])
        with pytest.raises(PgError, match="damaged"):
            OrderedRows().restore(entries)
