"""From what a file holds to a column's storage, and what happens to rows that do not fit.

A conversion is chosen once per column, when the file is opened: a type that cannot become
the declared one is an error then (42804). Only lossless conversions are made in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as at

from laminar import types as pg
from laminar.connectors.base import SourceColumn, type_mismatch
from laminar.errors import DATA_CORRUPTED, NOT_NULL_VIOLATION, PgError
from laminar.types import PgType

OnError = Literal["skip", "fail"]
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
    """How one column of a file becomes one column of the source."""

    column: SourceColumn
    convert: Convert


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
    return ColumnConverter(column, convert)


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


def convert_batch(
    arrays: Sequence[pa.Array],
    converters: Sequence[ColumnConverter],
    on_error: OnError,
    dropped: dict[str, int],
) -> tuple[list[pa.Array], npt.NDArray[np.bool_] | None]:
    """Convert columns; rows that cannot be converted go.

    Returns the arrays of the remaining rows and the mask of kept rows (None: all). With
    ``on_error = 'fail'`` the first failure is raised, otherwise counted in ``dropped``:
    ``not_null`` or ``malformed``.
    """
    keep: npt.NDArray[np.bool_] | None = None
    done: list[pa.Array] = []
    for array, how in zip(arrays, converters, strict=True):
        converted, bad = _convert_column(array, how, on_error)
        if bad is not None:
            _drop(dropped, "malformed", bad if keep is None else bad & keep)
            keep = ~bad if keep is None else keep & ~bad
        if how.column.not_null and converted.null_count:
            nulls = converted.is_null().to_numpy(zero_copy_only=False)
            nulls = nulls if keep is None else nulls & keep
            if on_error == "fail" and nulls.any():
                name = how.column.name
                message = f'null value in column "{name}" violates not-null constraint'
                raise PgError(NOT_NULL_VIOLATION, message)
            _drop(dropped, "not_null", nulls)
            keep = ~nulls if keep is None else keep & ~nulls
        done.append(converted)
    if keep is not None and not keep.all():
        mask = pa.array(keep)
        return [a.filter(mask) for a in done], keep
    return done, None


def _drop(dropped: dict[str, int], reason: str, rows: npt.NDArray[np.bool_]) -> None:
    count = int(np.count_nonzero(rows))
    if count:
        dropped[reason] = dropped.get(reason, 0) + count


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


def _convert_column(
    array: pa.Array, how: ColumnConverter, on_error: OnError
) -> tuple[pa.Array, npt.NDArray[np.bool_] | None]:
    try:
        return _convert(array, how), None
    except _Damaged:
        raise
    except (PgError, pa.ArrowInvalid) as error:
        if on_error == "fail":
            raise _explained(error, how.column) from error
    bad = np.zeros(len(array), np.bool_)
    parts: list[pa.Array] = []
    _bisect(array, how, 0, bad, parts)
    return pa.concat_arrays(parts), bad


def _bisect(
    array: pa.Array, how: ColumnConverter, start: int, bad: npt.NDArray[np.bool_], parts: list[pa.Array]
) -> None:
    """Convert what can be; failing rows become null and are marked."""
    if len(array) <= 1:
        try:
            parts.append(_convert(array, how))
        except (PgError, pa.ArrowInvalid):
            bad[start : start + 1] = True
            parts.append(pa.nulls(len(array), how.column.type.storage))
        return
    half = len(array) // 2
    for piece, at_ in ((array.slice(0, half), start), (array.slice(half), start + half)):
        try:
            parts.append(_convert(piece, how))
        except (PgError, pa.ArrowInvalid):
            _bisect(piece, how, at_, bad, parts)


def _explained(error: Exception, column: SourceColumn) -> Exception:
    if isinstance(error, PgError):
        error.fields.setdefault("W", f"column {column.name}")
        return error
    return PgError("22P02", f'invalid value in column "{column.name}": {error}')


def make_batch(
    columns: Sequence[SourceColumn], wanted: Sequence[int], arrays: list[pa.Array], rows: int
) -> pa.RecordBatch:
    """A batch of the wanted columns; with none wanted it still counts ``rows`` rows."""
    if not arrays:
        return pa.RecordBatch.from_struct_array(pa.Array.from_buffers(pa.struct([]), rows, [None]))
    return pa.record_batch(arrays, names=[columns[i].name for i in wanted])
