"""Rows written as Parquet, CSV or newline JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from laminar import types as pg
from laminar._native.textio import FormatSettings
from laminar.connectors.base import SourceColumn
from laminar.sql.evaluator.rowtext import format_values
from laminar.types import PgType

_SETTINGS: Final = FormatSettings()
#: kept in Parquet as they are stored
_NATIVE: Final = frozenset(
    {
        pg.BOOL,
        pg.INT2,
        pg.INT4,
        pg.INT8,
        pg.OID,
        pg.FLOAT4,
        pg.FLOAT8,
        pg.TEXT,
        pg.VARCHAR,
        pg.NAME,
        pg.BPCHAR,
    }
    | {pg.BYTEA, pg.DATE, pg.TIME, pg.TIMESTAMP, pg.JSON, pg.JSONB}
)
_NUMBERS: Final = frozenset({pg.INT2, pg.INT4, pg.INT8, pg.OID, pg.FLOAT4, pg.FLOAT8, pg.NUMERIC})
_NOT_FINITE: Final = pa.array(["NaN", "Infinity", "-Infinity"])


class RowWriter(Protocol):
    """Writes batches of one set of columns into one file."""

    def write(self, batch: pa.RecordBatch) -> None: ...

    def close(self) -> None:
        """End the file."""


class ParquetRows:
    """Types that Parquet does not have (numeric without bounds, interval, uuid, …) become their text."""

    def __init__(self, path: Path, columns: Sequence[SourceColumn]) -> None:
        self._columns = columns
        fields = [pa.field(c.name, _parquet_type(c.type)) for c in columns]
        self._schema = pa.schema(fields)
        self._file = pq.ParquetWriter(str(path), self._schema, compression="zstd")

    def write(self, batch: pa.RecordBatch) -> None:
        pairs = zip(batch.columns, self._columns, strict=True)
        arrays = [_for_parquet(array, column.type) for array, column in pairs]
        self._file.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        self._file.close()


def _parquet_type(type_: PgType) -> pa.DataType:
    if type_.is_array:
        return pa.list_(_parquet_type(type_.element))
    if type_.oid == pg.TIMESTAMPTZ:
        return pa.timestamp("us", "UTC")
    if type_.oid in _NATIVE or type_.decimal is not None:
        return type_.storage
    return pa.string()


def _for_parquet(array: pa.Array, type_: PgType) -> pa.Array:
    target = _parquet_type(type_)
    if type_.is_array:
        values = _for_parquet(array.flatten(), type_.element)
        lengths = pc.fill_null(pc.list_value_length(array), 0)
        offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
        return pa.ListArray.from_arrays(offsets, values, mask=array.is_null())
    if array.type == target:
        return array
    if type_.oid == pg.TIMESTAMPTZ:
        return array.view(target)
    return format_values(array, type_, _SETTINGS)


class CsvRows:
    """PostgreSQL's text forms, quoted; a null is an empty field without quotes."""

    def __init__(self, path: Path, columns: Sequence[SourceColumn], delimiter: str, header: bool) -> None:
        self._columns = columns
        self._options = pa_csv.WriteOptions(
            include_header=False, delimiter=delimiter, quoting_style="all_valid"
        )
        self._file = path.open("wb")
        if header:
            names = pa.record_batch([pa.array([c.name]) for c in columns], [c.name for c in columns])
            pa_csv.write_csv(names, self._file, self._options)

    def write(self, batch: pa.RecordBatch) -> None:
        self._file.write(csv_bytes(batch, self._columns, self._options))

    def close(self) -> None:
        self._file.close()


def csv_bytes(batch: pa.RecordBatch, columns: Sequence[SourceColumn], options: pa_csv.WriteOptions) -> bytes:
    """A batch as CSV without a header; COPY … (FORMAT csv) reads it."""
    pairs = zip(batch.columns, columns, strict=True)
    texts = [format_values(array, column.type, _SETTINGS) for array, column in pairs]
    sink = pa.BufferOutputStream()
    pa_csv.write_csv(pa.RecordBatch.from_arrays(texts, [str(i) for i in range(len(texts))]), sink, options)
    found: bytes = sink.getvalue().to_pybytes()
    return found


class JsonRows:
    """One object per line; numbers and booleans as such, json as it is, everything else as text."""

    def __init__(self, path: Path, columns: Sequence[SourceColumn]) -> None:
        self._columns = columns
        self._file = path.open("wb")

    def write(self, batch: pa.RecordBatch) -> None:
        members = []
        for array, column in zip(batch.columns, self._columns, strict=True):
            name = json.dumps(column.name, ensure_ascii=False)
            members.append(pc.binary_join_element_wise(f"{name}:", _json(array, column.type), ""))
        lines = pc.binary_join_element_wise(*members, ",")
        self._file.write("".join(f"{{{line}}}\n" for line in lines.to_pylist()).encode())

    def close(self) -> None:
        self._file.close()


def _json(array: pa.Array, type_: PgType) -> pa.Array:
    """Values as JSON text; none is null."""
    if type_.oid == pg.BOOL:
        found = pc.if_else(array, "true", "false")
    else:
        found = array if type_.oid in (pg.JSON, pg.JSONB) else format_values(array, type_, _SETTINGS)
        if type_.oid in _NUMBERS:
            quoted = pc.binary_join_element_wise('"', found, '"', "")
            found = pc.if_else(pc.is_in(found, value_set=_NOT_FINITE), quoted, found)
        elif type_.oid not in (pg.JSON, pg.JSONB):
            texts = (None if v is None else json.dumps(v, ensure_ascii=False) for v in found.to_pylist())
            found = pa.array(list(texts), pa.string())
    return pc.if_else(pc.is_null(found), "null", found)
