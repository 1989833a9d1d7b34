"""Newline JSON files: one object a line, members by column name; absent and null are null.

Arrow's parser takes blocks whose members have the JSON type that suits the column. Any other
block (numbers for a text column, numerics to be kept digit for digit, nested values, a broken
line) is read line by line, each value going through PostgreSQL's input function.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.json as pa_json

from laminar import types as pg
from laminar.connectors.base import ScanRequest, SourceColumn
from laminar.connectors.file.convert import ColumnConverter, text_converter
from laminar.connectors.file.textrows import Parsed, TextRows
from laminar.connectors.rejected import Rejections
from laminar.types import PgType

#: types that Arrow's parser reads from JSON exactly as the slow path does
_DIRECT = {
    pg.BOOL: pa.bool_(), pg.INT2: pa.int16(), pg.INT4: pa.int32(), pg.INT8: pa.int64(),
    pg.FLOAT8: pa.float64(), pg.TEXT: pa.string(), pg.TIMESTAMP: pa.string(), pg.TIMESTAMPTZ: pa.string(),
    pg.DATE: pa.string(), pg.TIME: pa.string(), pg.UUID: pa.string(),
}  # fmt: skip


class JsonRows(TextRows):
    """The rows of one file."""

    blanks = b" \t\r\n\v\f"

    def __init__(
        self, path: str, columns: Sequence[SourceColumn], request: ScanRequest, rejections: Rejections
    ) -> None:
        super().__init__(path, columns, request, rejections, None)
        self._names = [c.name for c in columns]
        self._slow = [text_converter(c) for c in columns]
        kinds = [_DIRECT.get(c.type.oid) for c in columns]
        self._fast: pa_json.ParseOptions | None = None
        if None not in kinds:
            self._fast = pa_json.ParseOptions(
                explicit_schema=pa.schema(list(zip(self._names, kinds, strict=True))),
                unexpected_field_behavior="ignore",
                newlines_in_values=False,
            )
        self._fast_converters = [
            text_converter(c) if kind == pa.string() else ColumnConverter(c, lambda a: a)
            for c, kind in zip(columns, kinds, strict=True)
        ]

    def _parse(self, data: bytes) -> Parsed:
        table = self._parse_block(data)
        if table is None:
            return self._parse_lines(data)
        values = [table.column(name).combine_chunks() for name in self._names]
        return Parsed(values, self._fast_converters, table.num_rows)

    def _parse_block(self, data: bytes) -> pa.Table | None:
        """The block by Arrow's parser, or None when it refuses."""
        if self._fast is None or not data.strip():
            return None
        try:
            table = pa_json.read_json(
                pa.BufferReader(data),
                read_options=pa_json.ReadOptions(use_threads=False, block_size=len(data) + 1),
                parse_options=self._fast,
            )
            table.validate(full=True)
        except pa.ArrowInvalid:
            return None
        return table

    def _parse_lines(self, data: bytes) -> Parsed:
        """Each declared member as text, for the lines that are JSON objects."""
        rows: list[dict[str, Any]] = []
        malformed: dict[int, str] = {}
        for number, line in enumerate(line for line in data.split(b"\n") if line.strip()):
            try:
                row = _DECODER.decode(line.decode())
                if not isinstance(row, dict):
                    raise ValueError("not an object")
            except (ValueError, RecursionError) as error:
                malformed[number] = f"malformed JSON: {error}"
            else:
                rows.append(row)
        kinds = [c.column.type for c in self._slow]
        texts = [
            pa.array([_text(row.get(name), kind) for row in rows], pa.string())
            for name, kind in zip(self._names, kinds, strict=True)
        ]
        return Parsed(texts, self._slow, len(rows), malformed)


class _Digits(str):
    """A number, digit for digit."""


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(parse_float=_Digits, parse_int=_Digits, parse_constant=_refuse)


def _text(value: Any, kind: PgType) -> str | None:
    """A JSON value as the text that the column's input function reads."""
    if value is None:
        return None
    if isinstance(value, str) and kind.oid not in (pg.JSON, pg.JSONB):
        return str(value)
    if kind.is_array and isinstance(value, list):
        return "{" + ",".join(_element(item, kind.element) for item in value) + "}"
    return _dump(value)


def _element(item: Any, kind: PgType) -> str:
    """An element of an array's text form, quoted."""
    text = _text(item, kind)
    if text is None:
        return "NULL"
    if isinstance(item, list) and kind.oid not in (pg.JSON, pg.JSONB):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _dump(value: Any) -> str:
    """JSON text with numbers as they were written."""
    match value:
        case _Digits():
            return str(value)
        case dict():
            return "{" + ",".join(f"{json.dumps(k)}:{_dump(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ",".join(map(_dump, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)
