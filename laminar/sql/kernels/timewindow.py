"""Bounds of TUMBLE windows (SQL.md, Windows): aligned to the Unix epoch plus an offset.

Windows of months follow the calendar in UTC; days are 24 hours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from laminar._native.timewindow import tumble_start as _fixed_start
from laminar._native.timewindow import window_end as _fixed_end
from laminar.errors import INVALID_PARAMETER_VALUE, PgError
from laminar.sql.kernels.registry import kernel
from laminar.types import TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY

_DAY = 86_400_000_000
_TIMES = (pa.timestamp("us"), pa.timestamp("us", tz="UTC"))


def microseconds(times: pa.Array) -> pa.Array:
    """Timestamps, dates or bigint milliseconds as int64 microseconds since 1970 (nulls kept)."""
    if pa.types.is_timestamp(times.type):
        return times.view(pa.int64())
    if pa.types.is_date32(times.type):
        days = times.view(pa.int32()).cast(pa.int64())
        return pc.multiply_checked(days, _DAY)
    return pc.multiply_checked(times, 1000)


def _interval(scalar: pa.Scalar) -> tuple[int, int]:
    """Months, and days with the rest as microseconds."""
    value = scalar.as_py()
    months = int.from_bytes(value[:4], "little", signed=True)
    days = int.from_bytes(value[4:8], "little", signed=True)
    return months, days * _DAY + int.from_bytes(value[8:], "little", signed=True)


def _values(array: pa.Array) -> npt.NDArray[np.int64]:
    """The int64 values, nulls as whatever is stored."""
    return np.frombuffer(array.buffers()[1], np.int64)[array.offset : array.offset + len(array)]


def _result(values: npt.NDArray[np.int64], like: pa.Array, zoned: bool) -> pa.Array:
    """A timestamp array with ``like``'s nulls."""
    array = pa.Array.from_buffers(_TIMES[zoned], len(values), [None, pa.py_buffer(values)])
    if like.null_count:
        array = pc.if_else(like.is_valid(), array, pa.scalar(None, array.type))
    return array


@kernel("laminar_tumble_start")
def tumble_start(_env: Any, times: pa.Array, size: pa.Scalar, offset: pa.Scalar) -> pa.Array:
    """Start of the window that each time lies in; timestamptz stays timestamptz, the rest are timestamps."""
    months, span = _interval(size)
    if (months and span) or months < 0 or span < 0 or not (months or span):
        raise PgError(
            INVALID_PARAMETER_VALUE, "window size must be positive and not mix months with other units"
        )
    micros = microseconds(times)
    zoned = pa.types.is_timestamp(times.type) and times.type.tz is not None
    shift = offset.as_py()
    if months:
        values = _calendar_start(_values(micros), months, shift)
    else:
        values = _fixed_start(_values(micros), span, shift % span)
    return _result(values, micros, zoned)


@kernel("laminar_window_end")
def window_end(_env: Any, start: pa.Array, size: pa.Scalar) -> pa.Array:
    """``start`` plus the window's size; infinities stay."""
    months, span = _interval(size)
    values = _values(start)
    if not months:
        return _result(_fixed_end(values, span), start, start.type.tz is not None)
    ends = _months_later(values, months)
    wrapped = (values > 0) & (ends < values)
    infinite = (values == TIMESTAMP_INFINITY) | (values == TIMESTAMP_NEG_INFINITY)
    ends = np.where(infinite, values, np.where(wrapped, TIMESTAMP_INFINITY, ends))
    return _result(ends, start, start.type.tz is not None)


def _calendar_start(values: npt.NDArray[np.int64], months: int, shift: int) -> npt.NDArray[np.int64]:
    shifted = (values - shift).astype("datetime64[us]")
    month = shifted.astype("datetime64[M]").astype(np.int64)
    start = (month - month % months).astype("datetime64[M]").astype("datetime64[us]").astype(np.int64)
    infinite = (values == TIMESTAMP_INFINITY) | (values == TIMESTAMP_NEG_INFINITY)
    return np.where(infinite, values, start + shift)


def _months_later(values: npt.NDArray[np.int64], months: int) -> npt.NDArray[np.int64]:
    """Later by whole months: starts of windows are firsts of a month plus the offset."""
    times = values.astype("datetime64[us]")
    month = times.astype("datetime64[M]")
    rest = times - month.astype("datetime64[us]")
    later: npt.NDArray[np.int64] = ((month + months).astype("datetime64[us]") + rest).astype(np.int64)
    return later
