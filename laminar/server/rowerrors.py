"""Constraint violations in PostgreSQL's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from laminar._native.textio import FormatSettings
from laminar.engine.serving import Layout
from laminar.errors import CHECK_VIOLATION, NOT_NULL_VIOLATION, UNIQUE_VIOLATION, PgError
from laminar.sql.evaluator.rowtext import format_values
from laminar.types import PgType

if TYPE_CHECKING:
    from laminar.sql.catalog_view import Attribute, Relation  # type: ignore[import-not-found,unused-ignore]

#: PostgreSQL cuts values in DETAIL after this many bytes
MAX_VALUE = 64


def _text(array: pa.Array, type_: PgType, row: int, settings: FormatSettings | None) -> str:
    value = array.slice(row, 1)
    if value.null_count:
        return "null"
    text: str = format_values(value, type_, settings)[0].as_py()
    raw = text.encode()
    return raw[:MAX_VALUE].decode(errors="ignore") + "..." if len(raw) > MAX_VALUE else text


def duplicate_key(
    layout: Layout, batch: pa.RecordBatch, row: int, relation: Relation, index: str | None = None
) -> PgError:
    """23505 for the row at this position of a batch in the layout; of the primary key, or another index."""
    names = {c.attnum: c.name for c in relation.columns}
    columns = ", ".join(names[layout.attnums[i]] for i in layout.key)
    values = ", ".join(_text(batch.column(i), layout.types[i], row, None) for i in layout.key)
    constraint = index or f"{relation.name}_pkey"
    return PgError(
        UNIQUE_VIOLATION,
        f'duplicate key value violates unique constraint "{constraint}"',
        detail=f"Key ({columns})=({values}) already exists.",
        fields=_fields(relation) | {"n": constraint},
        row=row,
    )


def _failing(
    relation: Relation, columns: Sequence[pa.Array], row: int, settings: FormatSettings | None
) -> str:
    values = [_text(a, c.type, row, settings) for a, c in zip(columns, relation.columns, strict=True)]
    return f"Failing row contains ({', '.join(values)})."


def null_value(
    relation: Relation,
    column: Attribute,
    columns: Sequence[pa.Array],
    row: int,
    settings: FormatSettings | None = None,
) -> PgError:
    """23502 for the row at this position of the visible columns."""
    return PgError(
        NOT_NULL_VIOLATION,
        f'null value in column "{column.name}" of relation "{relation.name}" violates not-null constraint',
        detail=_failing(relation, columns, row, settings),
        fields=_fields(relation) | {"c": column.name},
        row=row,
    )


def check_failed(
    relation: Relation,
    constraint: str,
    columns: Sequence[pa.Array],
    row: int,
    settings: FormatSettings | None = None,
) -> PgError:
    """23514 for the row at this position of the visible columns."""
    return PgError(
        CHECK_VIOLATION,
        f'new row for relation "{relation.name}" violates check constraint "{constraint}"',
        detail=_failing(relation, columns, row, settings),
        fields=_fields(relation) | {"n": constraint},
        row=row,
    )


def _fields(relation: Relation) -> dict[str, str]:
    return {"s": relation.schema, "t": relation.name}
