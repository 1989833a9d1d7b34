"""Sort keys: values whose bytes or numbers order and equate as PostgreSQL's type does."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laminar.sql.kernels import records
from laminar.types import BPCHAR, FLOAT4, FLOAT8, INTERVAL, JSONB, NUMERIC, RANGES, PgType

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
    days, offset binary, big-endian. bpchar: text without trailing blanks. record: the
    fields' keys as comparable bytes.
    """
    if not type_.needs_sort_key:
        return array
    from laminar.sql.kernels import ranges

    if type_.oid in (FLOAT4, FLOAT8):
        return _float_key(array)
    if type_.oid == BPCHAR:
        return pc.ascii_rtrim(array, characters=" ")
    if type_.oid == NUMERIC:
        return pc.binary_slice(array, 0, -2)
    if type_.oid == INTERVAL:
        return _interval_key(array)
    if type_.oid == JSONB:
        return _distinct_keys(array, jsonb_key)
    if type_.is_row:
        return records.sort_key(array, records.fields_of(type_))
    if type_.oid in RANGES:
        return records.sort_key(array, ranges.fields_of(type_))
    encode = _element_encoder(type_.element)
    keys = sort_key(array.flatten(), type_.element)
    items = iter(_storage_list(keys))
    counts = pc.list_value_length(array).to_pylist()
    rows = [None if n is None else _array_key([next(items) for _ in range(n)], encode) for n in counts]
    return pa.array(rows, pa.binary())


def _distinct_keys(array: pa.Array, key: Callable[[str], bytes]) -> pa.Array:
    """One key per distinct value."""
    coded = array.dictionary_encode()
    keys = pa.array([key(v) for v in coded.dictionary.to_pylist()], pa.binary())
    return keys.take(coded.indices)


def _storage_list(keys: pa.Array) -> list[Any]:
    if pa.types.is_temporal(keys.type):
        keys = keys.view(pa.int32() if keys.type.bit_width == 32 else pa.int64())
    values: list[Any] = keys.to_pylist()
    return values


def _array_key(items: list[Any], encode: Callable[[Any], bytes]) -> bytes:
    """Element after element (null after all others), a shorter array before its continuations."""
    return b"".join(b"\x02" if item is None else b"\x01" + encode(item) for item in items) + b"\x00"


def _element_encoder(element: PgType) -> Callable[[Any], bytes]:
    """Bytes that order as the sort keys of elements do, none a prefix of another."""
    storage = sort_key_storage(element)
    if pa.types.is_floating(storage):
        return _float_bytes
    if pa.types.is_boolean(storage):
        return lambda value: b"\x01" if value else b"\x00"
    if pa.types.is_string(storage):
        return lambda value: value.encode() + b"\x00"
    if pa.types.is_fixed_size_binary(storage):
        return bytes
    if pa.types.is_binary(storage):
        return lambda value: value.replace(b"\x00", b"\x00\xff") + b"\x00\x00"
    return lambda value: (value + (1 << 63)).to_bytes(9, "big")


def _float_bytes(value: float) -> bytes:
    """IEEE order as unsigned order: negative numbers complemented, others above them."""
    raw = int.from_bytes(struct.pack(">d", value), "big")
    if math.isnan(value):
        return b"\xff" * 8
    return (raw ^ ((1 << 64) - 1) if raw >> 63 else raw | 1 << 63).to_bytes(8, "big")


# --- jsonb --------------------------------------------------------------------------------

#: Object > Array > Boolean > Number > String > Null (PostgreSQL, "jsonb Indexing")
_NULL, _STRING, _NUMBER, _FALSE, _TRUE, _ARRAY, _OBJECT = range(1, 8)


def jsonb_key(text: str) -> bytes:
    """A jsonb value's key. Arrays with more elements, objects with more pairs are greater."""
    return _json_bytes(json.loads(text, parse_float=Decimal, parse_int=Decimal), top=True)


def _json_bytes(value: Any, top: bool = False) -> bytes:
    if value is None:
        return bytes([_NULL])
    if isinstance(value, bool):
        return bytes([_TRUE if value else _FALSE])
    if isinstance(value, str):
        return bytes([_STRING]) + _escaped(value)
    if isinstance(value, Decimal):
        return bytes([_NUMBER]) + decimal_key(value)
    size = len(value).to_bytes(4, "big")
    if isinstance(value, list):
        # an empty array at the top is less than everything else, by a quirk that PostgreSQL keeps
        head = b"\x00" if top and not value else bytes([_ARRAY])
        return head + size + b"".join(map(_json_bytes, value))
    pairs = sorted(((_pair_key(k), v) for k, v in value.items()), key=lambda pair: pair[0])
    return bytes([_OBJECT]) + size + b"".join(_escaped_key(k) + _json_bytes(v) for k, v in pairs)


def _pair_key(key: str) -> tuple[int, bytes]:
    raw = key.encode()
    return len(raw), raw


def _escaped_key(key: tuple[int, bytes]) -> bytes:
    return bytes([_STRING]) + key[1] + b"\x00"


def _escaped(text: str) -> bytes:
    return text.encode() + b"\x00"


def decimal_key(value: Decimal) -> bytes:
    """Self-delimiting bytes in numeric order: sign, exponent, digits."""
    if not value:
        return b"\x02"
    sign, digits, _ = value.as_tuple()
    text = "".join(map(str, digits)).rstrip("0").encode() + b"\x01"
    body = (value.adjusted() + (1 << 31)).to_bytes(4, "big") + text
    return b"\x01" + bytes(255 - b for b in body) if sign else b"\x03" + body


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
    # days * day + micros = top * 2^64 + low; days below 2^36 and a day below 2^37 leave room for 16 bits
    low_part = (days & 0xFFFF).astype(np.uint64) * np.uint64(_DAY)
    high = (days >> 16) * np.int64(_DAY)
    low = low_part + ((high & 0xFFFFFFFFFFFF).astype(np.uint64) << np.uint64(16))
    top = (high >> 48) + (low < low_part)
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
