"""Windows made of slices give what copying each row into its windows gives, epoch by epoch."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from laminar.engine.change import Change
from laminar.engine.nodes import GroupAggregate, Hop, Properties, Slices
from laminar.sql.plan import Column, ColumnRef
from laminar.types import BOOL, FLOAT8, INT4, INT8, TEXT, TIMESTAMP, PgType, numeric
from tests.engine.operator_nodes import Run, change, emit, grouping, rows_of, source
from tests.engine.test_group_aggregate import all_aggregates

LONG, TIME, STRING = PgType(INT8), PgType(TIMESTAMP), PgType(TEXT)
#: those of test_group_aggregate's rows, then a time and the row's watermark
TYPES = [STRING, LONG, PgType(INT4), PgType(FLOAT8), STRING, PgType(BOOL), numeric(10, 2), TIME, LONG]
EPOCH = datetime(1970, 1, 1)
START, END = 20, 21


def nodes(
    r: random.Random, keys: tuple[int, ...], append_only: bool, judged: bool
) -> tuple[tuple[Hop, GroupAggregate], tuple[Hop, GroupAggregate]]:
    """The same windows without and with slices."""
    kind = r.choice(["hop", "hop", "cumulate"])
    step = r.randint(1, 6)
    size = step * r.randint(1, 5) if kind == "cumulate" else r.randint(1, 20)
    below = source(TYPES, append_only=append_only, row_watermark=9 if judged else None)
    bounds = (Column(START, "window_start", TIME), Column(END, "window_end", TIME))
    properties = Properties(
        (*below.properties.columns, *bounds), append_only=append_only, row_watermark=9 if judged else None
    )
    hop = Hop(1, below, ColumnRef(8, TIME), kind, step, size, r.randint(-9, 9), properties)  # type: ignore[arg-type]
    mode = r.choice(["update", "update", "close", "watermark"])
    lateness = r.choice([None, 0, 3]) if mode == "update" else r.choice([0, 3])
    options: dict[str, Any] = {}
    if END in keys and (mode != "update" or lateness is not None):
        options = {"window_end": END, "emit": emit(mode, lateness), "closes": mode != "update"}
    plain = grouping(hop, keys, all_aggregates(hop), **options)  # type: ignore[arg-type]
    start, end = (c if c in keys else None for c in (START, END))
    slices = Slices(start, end, hop.kind, step, size, hop.offset)
    return (hop, plain), (replace(hop, sliced=True), replace(plain, slices=slices))


def draw(r: random.Random, clock: int) -> tuple[Any, ...]:
    second = clock + r.choice([0, 1, 2, -1, -5, -15, -40])
    time = r.choice([EPOCH + timedelta(microseconds=second)] * 12 + [None])
    return (
        r.choice(["", "a", "b", None, "long enough to leave the slot"]),
        r.choice([None, 2**63 - 1, -(2**63), r.randint(-3, 3)]),
        r.choice([None, 2**31 - 1, r.randint(-3, 3)]),
        r.choice([None, 0.0, -0.0, math.inf, math.nan, 1e-310, 0.1, 1e300, -1e300, r.random()]),
        r.choice([None, "", "aaaaaaaa", "aaaaaaaab", "z"]),
        r.choice([None, True, False]),
        r.choice([None, r.randint(-99999999, 99999999)]),
        time,
        clock - r.choice([30, 10, 3, 0]),
    )


class Both:
    """A Hop and the aggregation above it."""

    def __init__(self, hop: Hop, grouped: GroupAggregate, restored: Any = ()) -> None:
        self.hop, self.grouped = Run(hop), Run(grouped, restored)

    def step(self, batches: list[Change], watermark: int) -> Any:
        inputs = [(0, out) for batch in batches for out in self.hop.operator.process(0, batch)]
        return rows_of(self.grouped.step(*inputs, watermarks=[{END: watermark}]))


@pytest.mark.parametrize("append_only", [True, False])
@pytest.mark.parametrize("judged", [True, False])
@pytest.mark.parametrize("keys", [(1, START, END), (2, START, END), (1, END), (2, START), (END,)], ids=str)
def test_slices_are_windows(keys: tuple[int, ...], judged: bool, append_only: bool) -> None:
    for seed in range(25):
        r = random.Random(f"{keys} {judged} {append_only} {seed}")
        copied, sliced = nodes(r, keys, append_only, judged)
        a, b = Both(*copied), Both(*sliced)
        live: list[tuple[Any, ...]] = []
        clock = 0
        for _ in range(6):
            clock += r.randint(0, 12)
            batches = []
            for _ in range(r.randint(0, 3)):
                rows = [(draw(r, clock), 1) for _ in range(r.randint(1, 12))]
                live += [row for row, _ in rows]
                if not append_only and r.random() < 0.6:
                    gone = [live.pop(r.randrange(len(live))) for _ in range(r.randint(1, len(live)) // 2)]
                    rows += [(row, -1) for row in gone]
                    r.shuffle(rows)
                batches.append(change(TYPES, rows))
            mark = clock - 10
            assert b.step(batches, mark) == a.step(batches, mark), seed
            stats = [run.grouped.operator.stats() for run in (a, b)]
            assert [s["dropped_late"] for s in stats] == [stats[0]["dropped_late"]] * 2
            assert stats[0]["entries"] == stats[1]["entries"]
        saved = b.grouped.checkpoint()
        assert Both(*sliced, restored=saved).step([], clock + 100) == a.step([], clock + 100)


def test_a_row_is_grouped_once() -> None:
    """Late for its first window only, a row comes once per window; else once."""
    r = random.Random(1)
    _, (hop, grouped) = nodes(r, (2, START, END), True, True)
    hop = replace(hop, kind="hop", step=2, size=10, offset=0)
    slices = Slices(START, END, "hop", 2, 10, 0)
    grouped = replace(grouped, slices=slices, window_end=END, emit=emit("close", 0), closes=True)
    both = Both(hop, grouped)
    row = ("a", 7, 1, 1.0, "", True, 1, EPOCH + timedelta(microseconds=5), -1)
    late = (*row[:-1], 9)  # windows that end at 6 and 8 are over
    both.step([change(TYPES, [(row, 1), (late, 1)])], 0)
    assert both.grouped.operator.stats()["dropped_late"] == 2
    both.step([], 100)
    assert both.grouped.operator.stats()["rows_out"] == 5


def test_an_infinite_time_is_a_window_of_its_own() -> None:
    _, (hop, grouped) = nodes(random.Random(2), (2, START, END), True, False)
    grouped = replace(grouped, window_end=None, emit=None, closes=False)
    types = [*TYPES[:7], LONG, LONG]
    rows = [(("a", 1, 1, 1.0, "", True, 1, bound, 0), 1) for bound in (2**63 - 1, -(2**63))]
    raw = change(types, rows).batch
    batch = raw.set_column(7, "7", raw.column(7).view(TIME.storage))
    (only,) = Run(hop).operator.process(0, Change(batch, None))
    (out,) = list(Run(grouped).step((0, only)))
    bounds = [out.batch.column(i).view("int64").to_pylist() for i in (1, 2)]
    assert sorted(bounds[0]) == sorted(bounds[1]) == [-(2**63), 2**63 - 1]
