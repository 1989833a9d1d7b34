"""Columns as the values Python code works with, and back.

Python sees bool, int, float, Decimal, str, bytes, date, time, datetime (aware for timestamptz), timedelta,
UUID, the parsed value of json and jsonb, and lists. What comes back may be of the same kinds; anything else
goes through its ``str()`` and the type's input, as in PostgreSQL's PL/Python.
"""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from laminar._native import textio
from laminar.errors import DATATYPE_MISMATCH, DATETIME_FIELD_OVERFLOW, PgError
from laminar.sql.evaluator.rowtext import format_values, parse_values
from laminar.types import (
    BOOL,
    BYTEA,
    DATE,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    JSON,
    JSONB,
    NUMERIC,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    UUID,
    VARCHAR,
    PgType,
)

_INTS: Final = frozenset({INT2, INT4, INT8})
_FLOATS: Final = frozenset({FLOAT4, FLOAT8})
_TEXTS: Final = frozenset({TEXT, VARCHAR})
_MOMENTS: Final = frozenset({DATE, TIME, TIMESTAMP, TIMESTAMPTZ})
_JSONS: Final = frozenset({JSON, JSONB})


def _texts(column: pa.Array, type_: PgType, settings: Any) -> list[str | None]:
    texts: list[str | None] = format_values(column, type_, settings or textio.FormatSettings()).to_pylist()
    return texts


def to_python(column: pa.Array, type_: PgType, settings: Any) -> list[Any]:
    """A column's values. Raises 22008 for dates and intervals that Python's types do not hold."""
    if type_.is_array:
        items = iter(to_python(column.flatten(), type_.element, settings))
        return [None if not row.is_valid else [next(items) for _ in range(len(row.values))] for row in column]
    if type_.oid in _MOMENTS:
        try:
            return column.to_pylist()
        except (OverflowError, ValueError, pa.ArrowException):
            raise PgError(DATETIME_FIELD_OVERFLOW, "date or time out of range for Python") from None
    if type_.oid == NUMERIC:
        texts = _texts(column, type_, settings)
        return [None if text is None else decimal.Decimal(text) for text in texts]
    if type_.oid == INTERVAL:
        return [None if raw is None else _timedelta(raw) for raw in column.to_pylist()]
    if type_.oid == UUID:
        return [None if raw is None else uuid.UUID(bytes=raw) for raw in column.to_pylist()]
    if type_.special:
        return list(_texts(column, type_, settings))
    if type_.oid in _JSONS:
        return [None if text is None else json.loads(text) for text in column.to_pylist()]
    return column.to_pylist()


def _timedelta(raw: bytes) -> datetime.timedelta:
    months, days = (int.from_bytes(raw[i : i + 4], "little", signed=True) for i in (0, 4))
    if months:
        message = "interval with months has no equivalent in Python"
        raise PgError(DATETIME_FIELD_OVERFLOW, message, hint="Pass its text or its parts.")
    try:
        micros = int.from_bytes(raw[8:], "little", signed=True)
        return datetime.timedelta(days=days, microseconds=micros)
    except OverflowError:
        raise PgError(DATETIME_FIELD_OVERFLOW, "interval out of range for Python") from None


def _parsed(texts: Sequence[str | None], type_: PgType, settings: Any) -> pa.Array:
    try:
        column = pa.array(texts, pa.string())
    except UnicodeEncodeError:
        raise PgError("22021", 'invalid byte sequence for encoding "UTF8"') from None
    bare = PgType(type_.oid)
    return parse_values(column, bare, settings)


def from_python(values: Sequence[Any], type_: PgType, settings: Any, name: str) -> pa.Array:
    """What a function returned, as a column of its declared type.

    Raises:
        PgError: 22P02, 22003 and what else the type's input raises; 42804 for a value of a wrong kind.
    """
    if type_.is_array:
        return _lists(values, type_, settings, name)
    storage = type_.storage
    if type_.oid == BOOL:
        return pa.array([None if v is None else bool(v) for v in values], storage)
    if type_.oid in _INTS and _only(values, int):
        try:
            return pa.array(values, storage)
        except (OverflowError, pa.ArrowInvalid):
            pass
    if type_.oid in _FLOATS and _only(values, (int, float)):
        try:
            return pa.array([None if v is None else float(v) for v in values], storage)
        except OverflowError:
            pass
    if type_.oid == BYTEA:
        if not _only(values, (bytes, bytearray, memoryview)):
            raise _wrong(values, (bytes, bytearray, memoryview), "bytea", name)
        return pa.array([None if v is None else bytes(v) for v in values], storage)
    convert = _text_of(type_, name)
    return _parsed([None if v is None else convert(v) for v in values], type_, settings)


def _only(values: Sequence[Any], kinds: Any) -> bool:
    return all(v is None or isinstance(v, kinds) for v in values)


def _wrong(values: Sequence[Any], kinds: Any, wanted: str, name: str) -> PgError:
    found = next(v for v in values if v is not None and not isinstance(v, kinds))
    return PgError(DATATYPE_MISMATCH, f"function {name} returned {type(found).__name__}, not {wanted}")


def _text_of(type_: PgType, name: str) -> Callable[[Any], str]:
    if type_.oid in _JSONS:
        return lambda value: _dumped(value, name)
    if type_.oid == INTERVAL:
        return lambda value: _span(value) if isinstance(value, datetime.timedelta) else str(value)
    return str


def _span(value: datetime.timedelta) -> str:
    return f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"


def _dumped(value: Any, name: str) -> str:
    try:
        return json.dumps(value, default=_json_default, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise PgError(DATATYPE_MISMATCH, f"function {name} returned what JSON cannot say: {error}") from None


def _json_default(value: Any) -> Any:
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (datetime.date, datetime.time, uuid.UUID)):
        return value.isoformat() if not isinstance(value, uuid.UUID) else str(value)
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _lists(values: Sequence[Any], type_: PgType, settings: Any, name: str) -> pa.Array:
    items: list[Any] = []
    offsets = [0]
    for value in values:
        if value is not None:
            if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
                message = f"function {name} returned {type(value).__name__}, not a list"
                raise PgError(DATATYPE_MISMATCH, message)
            items.extend(value)
        offsets.append(len(items))
    flat = from_python(items, type_.element, settings, name)
    mask = pa.array([value is None for value in values], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat, type=type_.storage, mask=mask)


# --- whole columns --------------------------------------------------------------------------


def public_array(column: pa.Array, type_: PgType, settings: Any) -> pa.Array:
    """A column as a vectorised function gets it: in Arrow's own types, json as text."""
    if type_.oid == NUMERIC and type_.decimal is None:
        return pa.array(to_python(column, type_, settings))
    if type_.oid == INTERVAL:
        return pa.array(to_python(column, type_, settings), pa.duration("us"))
    return column


def from_arrow(value: Any, n: int, type_: PgType, settings: Any, name: str) -> pa.Array:
    """What a vectorised function returned: an array, a list, or one value for all rows."""
    if isinstance(value, pa.ChunkedArray):
        value = value.combine_chunks()
    if isinstance(value, pa.Scalar):
        value = pa.repeat(value, n)
    if isinstance(value, np.ndarray):
        value = pa.array(value)
    if isinstance(value, pa.Array):
        if value.type == type_.storage:
            return value
        plain = not type_.is_array and type_.oid in _INTS | _FLOATS | _TEXTS | {BOOL, BYTEA}
        if plain and not pa.types.is_temporal(value.type):
            return _cast(value, type_, name)
        value = value.to_pylist()
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        found = type(value).__name__
        raise PgError(DATATYPE_MISMATCH, f"vectorized function {name} returned {found}, not an array")
    return from_python(value, type_, settings, name)


def _cast(value: pa.Array, type_: PgType, name: str) -> pa.Array:
    try:
        return value.cast(type_.storage)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise PgError(DATATYPE_MISMATCH, f"function {name} returned {value.type}: {error}") from None
