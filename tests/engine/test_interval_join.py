"""Joins with bounded times against a Python model: who is late, what is kept, what comes out."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from laminar.engine.change import END_OF_TIME, NO_WATERMARK
from laminar.engine.nodes import TimeBound
from laminar.sql.plan import BoolOp, Call, ColumnRef, Const, Function
from laminar.types import BOOL, INT8, INTERVAL, TIMESTAMP, PgType
from tests.engine.operator_nodes import Run, change, joining, rows_of, source

LONG, TIME = PgType(INT8), PgType(TIMESTAMP)
SIDE = [LONG, TIME, LONG, LONG]  # key, time, number, row watermark
EPOCH = datetime(1970, 1, 1)
Key, Row = int | None, tuple[Any, ...]


def at(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)


def number(value: Any) -> int | None:
    return (value - EPOCH) // timedelta(microseconds=1) if isinstance(value, datetime) else value


def plus(column: int, span: int) -> Call:
    function = Function(2032, "timestamp_pl_interval", "timestamp_pl_interval", True, "i")
    interval = Const(bytes(8) + span.to_bytes(8, "little", signed=True), PgType(INTERVAL))
    return Call(function, (ColumnRef(column, TIME), interval), TIME)


def compare(symbol: str, a: Any, b: Any) -> Call:
    return Call(Function(0, symbol, symbol, True, "i"), (a, b), PgType(BOOL))


def within(low: int, high: int) -> BoolOp:
    """left - right between low and high."""
    left = ColumnRef(2, TIME)
    parts = compare("timestamp_ge", left, plus(12, low)), compare("timestamp_le", left, plus(12, high))
    return BoolOp("and", parts)


class Stream:
    """One side's rows, a little out of order, some much too late, and its watermark."""

    def __init__(self, r: random.Random, delay: int) -> None:
        self.r = r
        self.delay = delay
        self.watermark = NO_WATERMARK
        self.clock = 1000
        self.number = 0
        self.live: list[Row] = []

    def rows(self, deletes: bool) -> list[tuple[Row, int, int]]:
        """(row, weight, watermark before it)"""
        out = []
        for _ in range(self.r.randint(0, 8)):
            if deletes and self.live and self.r.random() < 0.3:
                row = self.live.pop(self.r.randrange(len(self.live)))
                out.append((row, -1, self.watermark))
                continue
            self.clock += self.r.choice([0, 0, 10, 20])
            time = (
                None
                if self.r.random() < 0.05
                else self.clock - self.r.choice([0, 0, 10, 20, 30, 50, 60, 80, 200])
            )
            self.number += 1
            row = (self.r.choice([None, 1, 1, 2]), time, self.number)
            self.live.append(row)
            out.append((row, 1, self.watermark))
            if time is not None:
                self.watermark = max(self.watermark, time - self.delay)
        return out


def expected(kind: str, sides: tuple[Counter[Row], Counter[Row]], low: int, high: int) -> Counter[Row]:
    def matches(a: Row, b: Row) -> bool:
        return a[0] is not None and a[0] == b[0] and None not in (a[1], b[1]) and low <= a[1] - b[1] <= high

    left, right = ([row for row, w in side.items() for _ in range(w)] for side in sides)
    out: Counter[Row] = Counter()
    for a in left:
        found = [b for b in right if matches(a, b)]
        if kind in ("semi", "anti"):
            out[a] += bool(found) == (kind == "semi")
            continue
        out.update(a + b for b in found)
        if not found and kind in ("left", "full"):
            out[(*a, None, None, None)] += 1
    if kind in ("right", "full"):
        out.update((None, None, None, *b) for b in right if not any(matches(a, b) for a in left))
    return +out


@pytest.mark.parametrize("kind", ["inner", "left", "right", "full", "semi", "anti"])
@pytest.mark.parametrize("seed", range(25))
def test_interval_join_equals_its_model(seed: int, kind: Any) -> None:
    r = random.Random(seed)
    low, high = sorted((r.choice([-50, -10, 0, 10]), r.choice([-20, 0, 10, 60])))
    lateness = r.choice([0, 0, 20])
    deletes = r.random() < 0.5
    spans = max(0, -low) + lateness, max(0, high) + lateness
    left = source(SIDE, append_only=not deletes, row_watermark=4)
    right = source(SIDE, 11, append_only=not deletes, row_watermark=14)
    bound = TimeBound(2, 12, low, high, lateness)
    node = joining(left, right, [1], [11], residual=within(low, high), kind=kind, bound=bound)
    run, segments = Run(node), []
    streams = Stream(r, r.choice([0, 20])), Stream(r, r.choice([0, 20]))
    accepted: tuple[Counter[Row], Counter[Row]] = (Counter(), Counter())
    view: Counter[Row] = Counter()
    late, width = 0, 3 if kind in ("semi", "anti") else 6
    for _ in range(60):
        changes = []
        for port, stream in enumerate(streams):
            rows = stream.rows(deletes)
            for row, weight, mark in rows:
                if row[1] is not None and mark != NO_WATERMARK and mark > row[1] + spans[port]:
                    late += 1
                else:
                    accepted[port][row] += weight
            batch = [((k, None if t is None else at(t), n, m), w) for (k, t, n), w, m in rows]
            changes.append((port, change(SIDE, batch)))
        r.shuffle(changes)
        out = run.step(*changes, watermarks=[{2: streams[0].watermark}, {12: streams[1].watermark}])
        for row, weight in rows_of(out).items():
            assert len(row) == width
            micros = [
                v if not isinstance(v, datetime) else (v - EPOCH) // timedelta(microseconds=1) for v in row
            ]
            view[tuple(micros)] += weight
        assert Counter({row: w for row, w in view.items() if w}) == expected(kind, accepted, low, high)
        if r.random() < 0.3:
            segments += run.checkpoint()
            if r.random() < 0.5:
                late -= run.operator.stats()["dropped_late"]
                run = Run(node, segments)
    assert run.operator.stats()["dropped_late"] == late
    run.step(watermarks=[{2: END_OF_TIME}, {12: END_OF_TIME}])
    if not deletes and kind == "inner":
        assert run.operator.stats()["entries"] == 0


def test_state_is_bounded_by_the_interval() -> None:
    left = source(SIDE, append_only=True, row_watermark=4)
    right = source(SIDE, 11, append_only=True, row_watermark=14)
    bound = TimeBound(2, 12, -10, 10)
    run = Run(joining(left, right, [1], [11], residual=within(-10, 10), bound=bound))
    for i in range(200):
        rows = [((k, at(i * 100 + k), k, NO_WATERMARK), 1) for k in range(100)]
        mark = i * 100 + 99
        run.step((0, change(SIDE, rows)), (1, change(SIDE, rows)), watermarks=[{2: mark}, {12: mark}])
        assert run.operator.stats()["entries"] <= 400
        assert run.watermarks.by_column == {2: mark - 20, 12: mark - 20}


def test_a_side_waits_for_the_other_sides_watermark() -> None:
    left = source(SIDE, append_only=True, row_watermark=4)
    right = source(SIDE, 11, append_only=True, row_watermark=14)
    bound = TimeBound(2, 12, 0, 10)
    run = Run(joining(left, right, [1], [11], residual=within(0, 10), bound=bound))
    run.step((0, change(SIDE, [((1, at(100), 7, NO_WATERMARK), 1)])), watermarks=[{2: 10_000}, {}])
    assert run.operator.stats()["entries"] == 1
    run.step(watermarks=[{2: 10_000}, {12: 110}])
    assert run.operator.stats()["entries"] == 1
    run.step(watermarks=[{2: 10_000}, {12: 111}])
    assert run.operator.stats()["entries"] == 0
