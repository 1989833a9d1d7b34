"""Sort keys: values whose bytes or numbers order and equate as PostgreSQL's type does."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laminar.errors import not_supported
from laminar.types import BPCHAR, FLOAT4, FLOAT8, INTERVAL, NUMERIC, PgType

_DAY: Final = 86_400_000_000


def sort_key_storage(type_: PgType) -> pa.DataType:
    """The Arrow type of :func:`sort_key` for a type."""
    if not type_.needs_sort_key or type_.oid in (FLOAT4, FLOAT8, BPCHAR):
        return type_.storage
    return pa.binary(16) if type_.oid == INTERVAL else pa.binary()


def sort_key(array: pa.Array, type_: PgType) -> pa.Array:
    """Equal, and ordered by Arrow, exactly where PostgreSQL finds the values so; nulls stay null.

    Floats: -0 becomes 0 and all NaN one, the greatest (Arrow sorts NaN last). numeric: the
    stored bytes without the display scale. interval: 128-bit microseconds, months of 30
    days, offset binary, big-endian. bpchar: text without trailing blanks.
    """
    if not type_.needs_sort_key:
        return array
    if type_.oid in (FLOAT4, FLOAT8):
        return _float_key(array)
    if type_.oid == BPCHAR:
        return pc.ascii_rtrim(array, characters=" ")
    if type_.oid == NUMERIC:
        return pc.binary_slice(array, 0, -2)
    if type_.oid == INTERVAL:
        return _interval_key(array)
    raise not_supported("sorting and grouping by this type is not supported yet")


def _float_key(array: pa.Array) -> pa.Array:
    zero = pa.scalar(0.0, array.type)
    nan = pa.scalar(float("nan"), array.type)
    result = pc.if_else(pc.equal(array, zero), zero, array)
    is_nan = pc.is_nan(array)
    return pc.if_else(is_nan, nan, result) if pc.any(is_nan).as_py() else result


def _interval_key(array: pa.Array) -> pa.Array:
    """Exact in 128 bits: days * 86400e6 + microseconds never overflows them."""
    n = len(array)
    raw = (
        np.frombuffer(array.buffers()[1], dtype=_INTERVAL, count=n + array.offset)[array.offset :]
        if n
        else None
    )
    if raw is None:
        return pa.nulls(0, pa.binary(16))
    days = raw["months"].astype(np.int64) * 30 + raw["days"]
    # days * day + micros = high * 2^64 + low, by halves of 32 bits
    low_part = (days & 0xFFFFFFFF).astype(np.uint64) * np.uint64(_DAY)
    high = (days >> 32) * np.int64(_DAY)
    low = low_part + ((high & 0xFFFFFFFF).astype(np.uint64) << np.uint64(32))
    top = (high >> 32) + (low < low_part)
    micros = raw["micros"].astype(np.int64)
    total = low + micros.view(np.uint64)
    top = top + (micros >> 63) + (total < low)
    out = np.empty(n, dtype=[("top", ">u8"), ("low", ">u8")])
    out["top"] = top.astype(np.int64).view(np.uint64) ^ np.uint64(1 << 63)
    out["low"] = total
    validity: Any = array.buffers()[0]
    result = pa.Array.from_buffers(pa.binary(16), n, [None, pa.py_buffer(out)])
    if validity is None:
        return result
    return pc.if_else(pc.is_valid(array), result, pa.scalar(None, pa.binary(16)))


_INTERVAL: Final = np.dtype([("months", "<i4"), ("days", "<i4"), ("micros", "<i8")])
