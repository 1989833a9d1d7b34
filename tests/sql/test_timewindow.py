"""Window bounds held against a model in plain integers and the calendar."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laminar._native.timewindow import tumble_start
from laminar.sql.evaluator import Env, compile
from laminar.sql.plan import Column, ColumnRef, TimeWindow, Values
from laminar.sql.stream.timewindow import tumble_bounds
from laminar.types import DATE, INT8, TIMESTAMP, TIMESTAMPTZ, PgType

LIMIT = 200_000 * 365 * 86_400_000_000
INFINITY = (1 << 63) - 1


@given(
    st.lists(st.one_of(st.integers(-LIMIT, LIMIT), st.sampled_from([INFINITY, -INFINITY - 1, 0, -1]))),
    st.integers(1, 10**14),
    st.integers(0, 10**14),
)
def test_native_kernel_is_floor_division(times: list[int], size: int, offset: int) -> None:
    offset %= size
    got = tumble_start(np.array(times, np.int64), size, offset)
    want = [t if abs(t) >= INFINITY else (t - offset) // size * size + offset for t in times]
    assert got.tolist() == want


def bounds(values: pa.Array, type_: PgType, span: tuple[int, int, int], offset: int = 0) -> tuple[list, list]:
    zoned = type_.oid == TIMESTAMPTZ
    bound = PgType(TIMESTAMPTZ if zoned else TIMESTAMP)
    column = Column(1, "t", type_)
    window = TimeWindow(
        "tumble",
        Values((), (column,)),
        ColumnRef(1, type_),
        (span,),
        (Column(2, "window_start", bound), Column(3, "window_end", bound)),
        offset,
    )
    batch = pa.RecordBatch.from_arrays([values], ["0"])
    start, end = compile(tumble_bounds(window), [1])(batch, Env())
    assert start.type == end.type == bound.storage
    return start.to_pylist(), end.to_pylist()


UTC = dt.UTC


def test_types_of_time() -> None:
    moment = dt.datetime(2013, 7, 4, 13, 37, 11)
    hour, later = dt.datetime(2013, 7, 4, 13), dt.datetime(2013, 7, 4, 14)
    span = (0, 0, 3_600_000_000)
    plain = pa.array([moment, None], pa.timestamp("us"))
    assert bounds(plain, PgType(TIMESTAMP), span) == ([hour, None], [later, None])
    zoned = pa.array([moment.replace(tzinfo=UTC)], pa.timestamp("us", tz="UTC"))
    assert bounds(zoned, PgType(TIMESTAMPTZ), span) == (
        [hour.replace(tzinfo=UTC)],
        [later.replace(tzinfo=UTC)],
    )
    millis = pa.array([int(moment.replace(tzinfo=UTC).timestamp() * 1000)])
    assert bounds(millis, PgType(INT8), span) == ([hour], [later])
    days = pa.array([moment.date()])
    week = bounds(days, PgType(DATE), (0, 7, 0))
    assert week == ([dt.datetime(2013, 7, 4)], [dt.datetime(2013, 7, 11)])  # 1970-01-01 was a Thursday too


@pytest.mark.parametrize("months", [1, 3, 12])
def test_months_follow_the_calendar(months: int) -> None:
    moments = [dt.datetime(1969, 12, 31, 23), dt.datetime(2024, 2, 29), dt.datetime(2024, 12, 31, 1)]
    starts, ends = bounds(pa.array(moments, pa.timestamp("us")), PgType(TIMESTAMP), (months, 0, 0))
    for moment, start, end in zip(moments, starts, ends, strict=True):
        number = (moment.year * 12 + moment.month - 1) // months * months
        assert start == dt.datetime(number // 12, number % 12 + 1, 1)
        after = number + months
        assert end == dt.datetime(after // 12, after % 12 + 1, 1)


def test_offset_and_sliced_input() -> None:
    values = pa.array([None, 1_000, 61_000, None], pa.timestamp("us")).slice(1, 3)
    starts, _ = bounds(values, PgType(TIMESTAMP), (0, 0, 60_000), offset=500)
    epoch = dt.datetime(1970, 1, 1)
    assert starts == [epoch + dt.timedelta(microseconds=500), epoch + dt.timedelta(microseconds=60_500), None]
