"""From what a file holds to a column's storage, and what happens to rows that do not fit.

A conversion is chosen once per column, when the file is opened: a type that cannot become
the declared one is an error then (42804). Only lossless conversions are made in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as at

from laminar import types as pg
from laminar.connectors.base import SourceColumn, type_mismatch
from laminar.errors import DATA_CORRUPTED, NOT_NULL_VIOLATION, PgError
from laminar.types import PgType

Convert = Callable[[pa.Array], pa.Array]

_INTEGERS: Final = {pg.INT2: 2, pg.INT4: 4, pg.INT8: 8}
_PLAIN_TEXT: Final = frozenset({pg.TEXT, pg.VARCHAR, pg.NAME})
#: types whose values files keep as text
_AS_TEXT: Final = frozenset({pg.UUID, pg.JSON, pg.JSONB, pg.NUMERIC, pg.INTERVAL, pg.BPCHAR, pg.VARCHAR})
_FROM_ARROW: Final = {
    pa.bool_(): pg.BOOL, pa.int8(): pg.INT2, pa.int16(): pg.INT2, pa.int32(): pg.INT4, pa.int64(): pg.INT8,
    pa.uint8(): pg.INT2, pa.uint16(): pg.INT4, pa.uint32(): pg.INT8, pa.float32(): pg.FLOAT4,
    pa.float64(): pg.FLOAT8, pa.date32(): pg.DATE, pa.date64(): pg.DATE,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ColumnConverter:
    """How one column of a file becomes one column of the source; ``certain``: every value does."""

    column: SourceColumn
    convert: Convert
    certain: bool = False


def pg_type(kind: pa.DataType) -> PgType | None:
    """The PostgreSQL type for an Arrow type when no columns are declared; None if there is none."""
    if at.is_dictionary(kind):
        return pg_type(kind.value_type)
    if kind in _FROM_ARROW:
        return PgType(_FROM_ARROW[kind])
    if at.is_string(kind) or at.is_large_string(kind) or at.is_string_view(kind):
        return PgType(pg.TEXT)
    if at.is_binary(kind) or at.is_large_binary(kind) or at.is_fixed_size_binary(kind):
        return PgType(pg.BYTEA)
    if at.is_timestamp(kind):
        return PgType(pg.TIMESTAMPTZ if kind.tz else pg.TIMESTAMP)
    if at.is_time(kind):
        return PgType(pg.TIME)
    if at.is_decimal(kind) and kind.precision <= 38 and 0 <= kind.scale <= kind.precision:
        return pg.numeric(kind.precision, kind.scale)
    if at.is_uint64(kind):
        return pg.numeric(20, 0)
    if at.is_list(kind) or at.is_large_list(kind):
        element = pg_type(kind.value_type)
        if element is not None and element.oid in pg.ARRAY_OF:
            return PgType(pg.ARRAY_OF[element.oid])
    return None


def inferred_columns(schema: pa.Schema, what: str) -> tuple[SourceColumn, ...]:
    """Columns for a file's schema; 42804 for a field that no PostgreSQL type can hold."""
    found = []
    for field in schema:
        type_ = pg_type(field.type)
        if type_ is None:
            raise PgError(
                "42804",
                f'field "{field.name}" of {what} is {field.type}, which has no counterpart',
                hint="Declare the columns that you want.",
            )
        found.append(SourceColumn(field.name, type_))
    return tuple(found)


def converter(kind: pa.DataType, column: SourceColumn, what: str) -> ColumnConverter:
    """The conversion from Arrow type ``kind``; 42804 when there is no lossless one."""
    convert = _conversion(kind, column.type)
    if convert is None:
        raise type_mismatch(column, f"{kind}", what)
    widened = at.is_integer(kind) or at.is_floating(kind) or at.is_decimal(kind)
    text = column.type.oid in _PLAIN_TEXT and column.type.typmod == -1
    certain = not column.not_null and (kind == column.type.storage or widened or text)
    return ColumnConverter(column, convert, certain)


def _conversion(kind: pa.DataType, target: PgType) -> Convert | None:
    storage = target.storage
    if at.is_null(kind):
        return lambda a: pa.nulls(len(a), storage)
    if at.is_dictionary(kind):
        inner = _conversion(kind.value_type, target)
        return None if inner is None else lambda a: inner(a.dictionary_decode())
    if at.is_string_view(kind) or at.is_large_string(kind) or at.is_string(kind):
        return _from_text(kind, target)
    if target.is_array:
        return _from_list(kind, target)
    if target.special:
        return None  # what is stored is not to be taken from outside
    if _same_storage(kind, storage) and target.oid not in _AS_TEXT - {pg.NUMERIC}:
        return _as_is
    if _widens(kind, target):
        return lambda a: pc.cast(a, storage)
    if target.oid == pg.NUMERIC and target.decimal is None and (at.is_integer(kind) or at.is_decimal(kind)):
        return lambda a: _parse(pc.cast(a, pa.string()), target)
    if target.oid == pg.UUID and kind == pa.binary(16):
        return _as_is
    if target.oid == pg.BYTEA and (at.is_fixed_size_binary(kind) or at.is_large_binary(kind)):
        return lambda a: pc.cast(a, storage)
    return None


def _same_storage(kind: pa.DataType, storage: pa.DataType) -> bool:
    return kind == storage


def _widens(kind: pa.DataType, target: PgType) -> bool:
    """Whether a plain Arrow cast loses nothing (or, for times, only what PostgreSQL cannot hold)."""
    oid = target.oid
    if at.is_integer(kind):
        width = kind.bit_width // 8 + (0 if at.is_signed_integer(kind) else 1)
        if oid in _INTEGERS:
            return width <= _INTEGERS[oid]
        if oid == pg.NUMERIC and target.decimal is not None:
            precision, scale = target.decimal
            return precision - scale >= (3, 5, 10, 10, 19, 19, 19, 19, 20)[width - 1]
        return oid == pg.FLOAT8 and width <= 4
    if at.is_floating(kind):
        return oid == pg.FLOAT8 and kind.bit_width <= 64
    if at.is_decimal(kind) and target.decimal is not None:
        precision, scale = target.decimal
        return scale >= kind.scale and precision - scale >= kind.precision - kind.scale
    if at.is_timestamp(kind):
        return oid == (pg.TIMESTAMPTZ if kind.tz else pg.TIMESTAMP)
    if at.is_date(kind):
        return oid == pg.DATE
    return at.is_time(kind) and oid == pg.TIME


def _from_text(kind: pa.DataType, target: PgType) -> Convert | None:
    if target.oid in _PLAIN_TEXT and target.typmod == -1:
        if at.is_string(kind):
            return _as_is
        return lambda a: pc.cast(a, pa.string())
    if target.oid in _AS_TEXT or target.special:
        return lambda a: _parse(pc.cast(a, pa.string()), target)
    return None


def _from_list(kind: pa.DataType, target: PgType) -> Convert | None:
    if not (at.is_list(kind) or at.is_large_list(kind)):
        return None
    inner = _conversion(kind.value_type, target.element)
    if inner is None:
        return None

    def convert(a: pa.Array) -> pa.Array:
        lengths = pc.fill_null(pc.list_value_length(a), 0).to_numpy(zero_copy_only=False)
        ends = pa.array(np.concatenate(([0], np.cumsum(lengths))).astype(np.int32))
        mask = a.is_null() if a.null_count else None
        return pa.ListArray.from_arrays(ends, inner(a.flatten()), mask=mask).cast(target.storage)

    return convert


def _as_is(a: pa.Array) -> pa.Array:
    return a


def _parse(text: pa.Array, target: PgType) -> pa.Array:
    from laminar.sql.evaluator.rowtext import parse_values

    return parse_values(text, target)


def text_converter(column: SourceColumn) -> ColumnConverter:
    """The conversion from PostgreSQL's text form: what its input functions read."""
    target = column.type
    if target.oid in _PLAIN_TEXT and target.typmod == -1:
        return ColumnConverter(column, _as_is)
    return ColumnConverter(column, lambda a: _parse(a, target))


#: a row's number, the kind of trouble, and what is wrong with it
Bad = tuple[int, str, PgError]


def convert_batch(
    arrays: Sequence[pa.Array], converters: Sequence[ColumnConverter]
) -> tuple[list[pa.Array], list[Bad]]:
    """Convert columns; what cannot be is null.

    Returns the arrays and the rows that do not fit, each once: ``malformed`` or ``not_null``.
    """
    bad: dict[int, Bad] = {}
    done: list[pa.Array] = []
    for array, how in zip(arrays, converters, strict=True):
        failures: dict[int, PgError] = {}
        converted = _convert_column(array, how, failures)
        for row, error in failures.items():
            bad.setdefault(row, (row, "malformed", error))
        if how.column.not_null and converted.null_count:
            message = f'null value in column "{how.column.name}" violates not-null constraint'
            for row in np.flatnonzero(converted.is_null().to_numpy(zero_copy_only=False)).tolist():
                bad.setdefault(row, (row, "not_null", PgError(NOT_NULL_VIOLATION, message)))
        done.append(converted)
    return done, [bad[row] for row in sorted(bad)]


def without(arrays: Sequence[pa.Array], bad: Sequence[Bad], rows: int) -> list[pa.Array]:
    """The arrays of ``rows`` rows without the bad ones."""
    if not bad:
        return list(arrays)
    keep = np.ones(rows, np.bool_)
    keep[[row for row, _, _ in bad]] = False
    mask = pa.array(keep)
    return [array.filter(mask) for array in arrays]


class _Damaged(PgError):
    """Not a row that does not fit, but a file that is broken."""


def _convert(array: pa.Array, how: ColumnConverter) -> pa.Array:
    """Files are not to be trusted: offsets within bounds, text in UTF-8, then the conversion.

    Arrow's check of decimals is left out: it would refuse the stored form of NaN, and reads no memory.
    """
    if at.is_string(array.type) or at.is_large_string(array.type):
        array.validate(full=True)
    elif not at.is_decimal(array.type):
        try:
            array.validate(full=True)
        except pa.ArrowInvalid as error:
            raise _Damaged(DATA_CORRUPTED, f'column "{how.column.name}" is damaged: {error}') from error
    return how.convert(array)


def _convert_column(array: pa.Array, how: ColumnConverter, failures: dict[int, PgError]) -> pa.Array:
    try:
        return _convert(array, how)
    except _Damaged:
        raise
    except (PgError, pa.ArrowInvalid):
        parts: list[pa.Array] = []
        _bisect(array, how, 0, failures, parts)
        return pa.concat_arrays(parts)


def _bisect(
    array: pa.Array, how: ColumnConverter, start: int, failures: dict[int, PgError], parts: list[pa.Array]
) -> None:
    """Convert what can be; failing rows become null and are noted."""
    try:
        parts.append(_convert(array, how))
    except (PgError, pa.ArrowInvalid) as error:
        if len(array) == 1:
            failures[start] = _explained(error, how.column)
            parts.append(pa.nulls(1, how.column.type.storage))
            return
        half = len(array) // 2
        _bisect(array.slice(0, half), how, start, failures, parts)
        _bisect(array.slice(half), how, start + half, failures, parts)


def _explained(error: PgError | pa.ArrowInvalid, column: SourceColumn) -> PgError:
    if isinstance(error, PgError):
        error.fields.setdefault("W", f"column {column.name}")
        return error
    return PgError("22P02", f'invalid value in column "{column.name}": {error}')


def make_batch(
    columns: Sequence[SourceColumn],
    wanted: Sequence[int],
    arrays: list[pa.Array],
    rows: int,
    included: Sequence[tuple[str, pa.Array]] = (),
) -> pa.RecordBatch:
    """A batch of the wanted columns and what else is wanted; with none it still counts ``rows`` rows."""
    named = [*zip((columns[i].name for i in wanted), arrays, strict=True), *included]
    if not named:
        return pa.RecordBatch.from_struct_array(pa.Array.from_buffers(pa.struct([]), rows, [None]))
    return pa.record_batch([array for _, array in named], names=[name for name, _ in named])
