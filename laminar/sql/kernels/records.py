"""Rows as values: ``ROW(a, b)``, whole rows of FROM, their fields and comparisons.

A row's storage is one binary value: its fields in the compact form of ``laminar._native.rows``, which keeps
each field's storage as it is. Equality and order are those of the sort key, the comparable form of the
fields' sort keys, in which nulls are equal to each other and come last, as in PostgreSQL's record_eq and
btrecordcmp.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from laminar._native import rows
from laminar.errors import INTERNAL_ERROR, PgError
from laminar.sql.kernels.comparison import ARROW, three_way
from laminar.sql.kernels.registry import Run, Signature, builder
from laminar.types import PgType

Fields = tuple[tuple[str, PgType], ...]


def fields_of(type_: PgType) -> Fields:
    """Names and types of a row type's fields."""
    fields = type_.row
    if fields is None:
        raise PgError("0A000", "rows whose fields are not known are not supported")
    return fields


@lru_cache(maxsize=256)
def _format(storages: tuple[pa.DataType, ...]) -> rows.RowFormat:
    return rows.RowFormat(pa.schema([pa.field(str(i), s) for i, s in enumerate(storages)]))


def pack(columns: Sequence[pa.Array], fields: Fields, n: int) -> pa.Array:
    """``n`` rows of these columns as values."""
    if not fields:
        return pa.repeat(pa.scalar(b""), n)
    row_format = _format(tuple(t.storage for _, t in fields))
    return row_format.encode(pa.RecordBatch.from_arrays(list(columns), schema=row_format.schema))


def unpack(values: pa.Array, fields: Fields) -> list[pa.Array]:
    """The fields of rows; all null where the row is."""
    if not fields:
        return []
    row_format = _format(tuple(t.storage for _, t in fields))
    if values.null_count:
        schema = row_format.schema
        nothing = pa.RecordBatch.from_arrays([pa.nulls(1, f.type) for f in schema], schema=schema)
        values = pc.fill_null(values, row_format.encode(nothing)[0])
    columns: list[pa.Array] = row_format.decode(values).columns
    return columns


def sort_key(values: pa.Array, fields: Fields) -> pa.Array:
    """Bytes that equate and order as rows do, field by field; null for a null row."""
    from laminar.sql.kernels import sortkeys

    if not fields:
        return values
    keys = [sortkeys.sort_key(c, t) for c, (_, t) in zip(unpack(values, fields), fields, strict=True)]
    result = rows.comparable(pa.RecordBatch.from_arrays(keys, names=[str(i) for i in range(len(keys))]))
    return pc.if_else(values.is_valid(), result, None) if values.null_count else result


def _array(value: Any, n: int) -> pa.Array:
    return pa.repeat(value, n) if isinstance(value, pa.Scalar) else value


@builder("laminar_row", rows=True, total=True)
def _row(signature: Signature) -> Run:
    fields = fields_of(signature.result)
    return lambda _env, n, *columns: pack([_array(c, n) for c in columns], fields, n)


@builder("laminar_field", total=True)
def _field(signature: Signature) -> Run:
    fields = fields_of(signature.args[0])

    def run(_env: Any, values: Any, place: pa.Scalar[Any] | pa.Array) -> Any:
        # the place is the binder's constant
        index = (place if isinstance(place, pa.Scalar) else place[0]).as_py()
        return unpack(_array(values, 1), fields)[index]

    return run


def _nulls(symbol: str, missing: bool) -> None:
    """IS [NOT] NULL of a row: whether all its fields are (not), whatever is in those."""

    def build(signature: Signature) -> Run:
        fields = fields_of(signature.args[0])

        def run(_env: Any, n: int, values: Any) -> Any:
            values = _array(values, n)
            result = pa.repeat(True, n)
            for column in unpack(values, fields):
                result = pc.and_(result, column.is_null() if missing else column.is_valid())
            return pc.or_(result, values.is_null()) if missing else pc.and_(result, values.is_valid())

        return run

    builder(symbol, rows=True, total=True)(build)


_nulls("laminar_row_null", True)
_nulls("laminar_row_not_null", False)


def _keys(value: Any, type_: PgType) -> Any:
    if isinstance(value, pa.Scalar):
        return sort_key(pa.repeat(value, 1), fields_of(type_))[0]
    return sort_key(value, fields_of(type_))


def _comparison(word: str, name: str) -> None:
    function = pc.get_function(name)

    def build(signature: Signature) -> Run:
        left, right = signature.args
        check_similar(left, right)
        return lambda _env, a, b: function.call([_keys(a, left), _keys(b, right)])

    builder(f"record_{word}", total=True)(build)


for _word, _name in ARROW.items():
    _comparison(_word, _name)


@builder("btrecordcmp", total=True)
def _order(signature: Signature) -> Run:
    left, right = signature.args
    check_similar(left, right)

    def run(_env: Any, a: Any, b: Any) -> Any:
        return three_way(_keys(a, left), _keys(b, right))

    return run


def check_similar(left: PgType, right: PgType) -> None:
    """Raises 42804 for rows that PostgreSQL does not compare, 42883 for fields that have no order."""
    from laminar.sql.resolve import oid_name

    ours, theirs = fields_of(left), fields_of(right)
    for place, ((_, a), (_, b)) in enumerate(zip(ours, theirs, strict=False), 1):
        if a.oid != b.oid:
            names = f"{oid_name(a.oid)} and {oid_name(b.oid)}"
            raise PgError("42804", f"cannot compare dissimilar column types {names} at record column {place}")
        if a.storage != b.storage:
            raise PgError(INTERNAL_ERROR, f"record column {place} has two storages")
        if a.oid == 114:
            raise PgError("42883", f"could not identify an equality operator for type {oid_name(a.oid)}")
    if len(ours) != len(theirs):
        raise PgError("42804", "cannot compare record types with different numbers of columns")
