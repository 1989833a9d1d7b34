"""Rows of literals straight to Arrow columns, without a plan."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import pyarrow as pa

from laminar.errors import PgError
from laminar.sql import ast
from laminar.sql import statements as s
from laminar.sql.parse import parse_rows
from laminar.sql.resolve.session import literal_settings
from laminar.types import BOOL, FLOAT4, FLOAT8, INT2, INT4, INT8, NUMERIC, PgType

_INTEGERS: Final = frozenset((INT2, INT4, INT8))
_NUMBERS: Final = _INTEGERS | {FLOAT4, FLOAT8, NUMERIC}
_DIGITS: Final = frozenset("0123456789+-")


def literal_arrays(rows: s.LiteralRows, types: list[PgType]) -> list[pa.Array] | None:
    """The columns in their types' storage; None when a literal does not read as its column's type."""
    from laminar._native import textio

    arrays = []
    for cells, type_ in zip(rows.columns, types, strict=True):
        texts = _texts(cells, type_)
        if texts is None:
            return None
        try:
            arrays.append(textio.parse_text(pa.array(texts, pa.string()), type_, literal_settings.get()))
        except PgError:
            return None  # the ordinary way knows the position
    return arrays


def _texts(cells: tuple[str, ...], type_: PgType) -> list[str | None] | None:
    firsts = {cell[0] for cell in cells}
    numbers = not firsts.isdisjoint(_DIGITS)
    words = not firsts.isdisjoint("tTfF")
    if numbers and type_.oid not in _NUMBERS:
        return None
    if words and type_.oid != BOOL:
        return None
    if numbers and type_.oid in _INTEGERS and any(not _integer(cell) for cell in cells):
        return None
    if type_.oid in (FLOAT4, FLOAT8) and "-" in firsts:
        cells = tuple(map(_without_negative_zero, cells))
    if firsts == {"'"}:
        return [cell[1:-1].replace("''", "'") for cell in cells]
    if "'" not in firsts and "n" not in firsts and "N" not in firsts:
        return list(cells)
    return [_text(cell) for cell in cells]


def _integer(cell: str) -> bool:
    return cell[0] not in _DIGITS or cell.lstrip("+-").isdigit()


def _without_negative_zero(cell: str) -> str:
    """-0.0 is a numeric constant, and numeric has no negative zero."""
    return cell[1:] if cell.startswith(("-0", "-.")) and not Decimal(cell) else cell


def _text(cell: str) -> str | None:
    first = cell[0]
    if first == "'":
        return cell[1:-1].replace("''", "'")
    return None if first in "nN" else cell


def literal_query(rows: s.LiteralRows) -> ast.ValuesQuery:
    """The same rows as a syntax tree."""
    return ast.ValuesQuery(parse_rows(rows.text, rows.pos - 1), ast.Tail(), rows.pos)
