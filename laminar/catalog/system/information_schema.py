"""The part of information_schema that holds what Laminar has (PostgreSQL, chapter 37)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from laminar.catalog.catalog import DATABASE
from laminar.sql.resolve import type_name
from laminar.types import PgType

if TYPE_CHECKING:
    from laminar.catalog.system.registry import Row
    from laminar.server.database import Database

SCHEMA = "information_schema"
_TYPES = {"table": "BASE TABLE", "source": "BASE TABLE", "view": "VIEW"}


def _tables(database: Database) -> Iterator[Row]:
    # PostgreSQL leaves materialized views out; so do the tools that read this.
    for r in database.catalog.relations.values():
        if r.kind in _TYPES:
            yield DATABASE, r.schema, r.name, _TYPES[r.kind], "YES" if r.kind == "table" else "NO"


def _columns(database: Database) -> Iterator[Row]:
    for r in database.catalog.relations.values():
        if r.kind not in _TYPES:
            continue
        for attnum, c in enumerate(r.columns, 1):
            name = "ARRAY" if c.type.is_array else type_name(PgType(c.type.oid))
            nullable = "NO" if c.not_null else "YES"
            yield DATABASE, r.schema, r.name, c.name, attnum, c.default, nullable, name


def _schemata(database: Database) -> Iterator[Row]:
    for schema in sorted({*database.catalog.schemas, "pg_catalog", "information_schema", "laminar_catalog"}):
        yield DATABASE, schema, "laminar"


RELATIONS = (
    (13010, "tables", "table_catalog name, table_schema name, table_name name, table_type text,"
        "is_insertable_into text", _tables),
    (13011, "columns", "table_catalog name, table_schema name, table_name name, column_name name,"
        "ordinal_position int4, column_default text, is_nullable text, data_type text", _columns),
    (13012, "schemata", "catalog_name name, schema_name name, schema_owner name", _schemata),
)  # fmt: skip
