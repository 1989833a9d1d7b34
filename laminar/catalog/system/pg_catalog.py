"""The part of pg_catalog that holds what Laminar has (PostgreSQL, chapter 53)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from laminar.catalog.catalog import DATABASE
from laminar.sql import facts

if TYPE_CHECKING:
    from laminar.catalog.system.registry import Row
    from laminar.server.database import Database

SCHEMA = "pg_catalog"

#: oids of schemas: PostgreSQL's where it has them, Laminar's own below FIRST_OID
NAMESPACES = {"pg_catalog": 11, "public": 2200, "information_schema": 13000, "laminar_catalog": 13001}
_SUPERUSER_OID = 10
_RELKINDS = {
    "table": "r",
    "source": "r",
    "mview": "m",
    "view": "v",
    "sink": "f",
    "sequence": "S",
    "index": "i",
}


def namespace_oid(database: Database, schema: str) -> int:
    """pg_namespace.oid of a schema."""
    known = NAMESPACES.get(schema)
    return known if known is not None else database.catalog.schemas[schema].oid


def _pg_namespace(database: Database) -> Iterator[Row]:
    for schema in [*NAMESPACES, *sorted(database.catalog.schemas.keys() - set(NAMESPACES))]:
        yield namespace_oid(database, schema), schema, _SUPERUSER_OID


def _pg_class(database: Database) -> Iterator[Row]:
    for r in database.catalog.relations.values():
        kind = _RELKINDS[r.kind]
        count = database.row_count(r.oid)
        yield r.oid, r.name, namespace_oid(database, r.schema), _SUPERUSER_OID, kind, len(r.columns), count
    for s in database.system.by_oid.values():
        yield s.oid, s.name, namespace_oid(database, s.schema), _SUPERUSER_OID, "r", len(s.columns), -1.0


def _pg_attribute(database: Database) -> Iterator[Row]:
    for r in database.catalog.relations.values():
        for attnum, c in enumerate(r.columns, 1):
            yield r.oid, c.name, c.type.oid, attnum, c.type.typmod, c.not_null, c.default is not None, False
    for s in database.system.by_oid.values():
        for attnum, (name, type_) in enumerate(s.columns, 1):
            yield s.oid, name, type_.oid, attnum, -1, False, False, False


def _pg_type(_database: Database) -> Iterator[Row]:
    for t in facts.types().values():
        yield t.oid, t.name, 11, _SUPERUSER_OID, t.length, t.byval, t.kind, t.category, t.element, t.array


def _pg_database(_database: Database) -> Iterator[Row]:
    yield 5, DATABASE, _SUPERUSER_OID, 6, "C", "C", True


def _pg_roles(database: Database) -> Iterator[Row]:
    for number, role in enumerate(sorted(database.catalog.roles.values(), key=lambda r: r.name)):
        yield _SUPERUSER_OID + number, role.name, role.superuser, role.login


def _pg_settings(database: Database) -> Iterator[Row]:
    from laminar.server.guc import SETTINGS

    for setting in SETTINGS.values():
        yield setting.name, setting.default, setting.description


RELATIONS = (
    (1247, "pg_type", "oid oid, typname name, typnamespace oid, typowner oid, typlen int2, typbyval bool,"
        "typtype char, typcategory char, typelem oid, typarray oid", _pg_type),
    (1249, "pg_attribute", "attrelid oid, attname name, atttypid oid, attnum int2, atttypmod int4,"
        "attnotnull bool, atthasdef bool, attisdropped bool", _pg_attribute),
    (1259, "pg_class", "oid oid, relname name, relnamespace oid, relowner oid, relkind char, relnatts int2,"
        "reltuples float8", _pg_class),
    (1262, "pg_database", "oid oid, datname name, datdba oid, encoding int4, datcollate text, datctype text,"
        "datallowconn bool", _pg_database),
    (2615, "pg_namespace", "oid oid, nspname name, nspowner oid", _pg_namespace),
    (12000, "pg_roles", "oid oid, rolname name, rolsuper bool, rolcanlogin bool", _pg_roles),
    (12001, "pg_settings", "name text, setting text, short_desc text", _pg_settings),
)  # fmt: skip
