"""WATERMARK FOR column [AS column - INTERVAL '…']."""

from __future__ import annotations

from typing import TYPE_CHECKING

from laminar.catalog.objects import StoredRelation
from laminar.errors import DATATYPE_MISMATCH, UNDEFINED_COLUMN, PgError, not_supported
from laminar.sql import statements as s
from laminar.sql.binder import bind_expression
from laminar.sql.stream.watermarks import monotone
from laminar.types import DATE, INT8, TIMESTAMP, TIMESTAMPTZ

if TYPE_CHECKING:
    from laminar.server.session import Session


def watermark_of(
    session: Session, definition: s.WatermarkDef | None, relation: StoredRelation
) -> tuple[int, int] | None:
    """(attribute number, delay in microseconds) of a declared watermark.

    Raises:
        PgError: 42703 for an unknown column, 42804 for one that is no time, 0A000 for an
            expression other than the column less a constant span.
    """
    if definition is None:
        return None
    where = definition.pos or None
    numbers = {column.name: attnum for attnum, column in enumerate(relation.columns, 1)}
    attnum = numbers.get(definition.column)
    if attnum is None:
        raise PgError(
            UNDEFINED_COLUMN,
            f'column "{definition.column}" does not exist',
            hint="WATERMARK FOR names a column of the relation.",
            position=where,
        )
    if relation.columns[attnum - 1].type.oid not in (TIMESTAMP, TIMESTAMPTZ, DATE, INT8):
        raise PgError(
            DATATYPE_MISMATCH,
            f'column "{definition.column}" cannot carry a watermark',
            hint="It must be timestamp, timestamptz, date, or bigint with milliseconds since 1970.",
            position=where,
        )
    if definition.expr is None:
        return attnum, 0
    return attnum, _delay(session, definition, relation, attnum)


def _delay(session: Session, definition: s.WatermarkDef, relation: StoredRelation, attnum: int) -> int:
    assert definition.expr is not None
    bound, columns = bind_expression(definition.expr, session.catalog.describe(relation), session.catalog)
    found = monotone(bound)
    if found is None or columns.get(found[0]) != attnum or found[1] > 0:
        raise not_supported(
            "a watermark must be its column less a constant interval",
            hint=f"Write WATERMARK FOR {definition.column} AS {definition.column} - INTERVAL '5 seconds'.",
            position=definition.pos or None,
        )
    return -found[1]
