"""information_schema, filled where Laminar has the thing (PostgreSQL, chapter 37)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from laminar.catalog.objects import StoredColumn, StoredRelation, StoredType
from laminar.catalog.sequences import definition_of
from laminar.catalog.system.pg_catalog import indexed_attnums, key_name, shown_default
from laminar.sql import facts
from laminar.sql.resolve import type_name
from laminar.types import (
    BPCHAR,
    DATE,
    ELEMENT_OF,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    NUMERIC,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    VARCHAR,
    PgType,
)  # fmt: skip

if TYPE_CHECKING:
    from laminar.catalog.system.registry import Rows
    from laminar.server.session import Session

Made = Iterator[Mapping[str, Any]]
#: stands for the database's name
HERE: Final = object()

#: materialized views are left out, as PostgreSQL does
_TYPES: Final = {
    "table": "BASE TABLE",
    "source": "BASE TABLE",
    "view": "VIEW",
    "stream": "VIEW",
    "sink": "FOREIGN",
    "lookup": "FOREIGN",
}
_BITS: Final = {INT2: 16, INT4: 32, INT8: 64, FLOAT4: 24, FLOAT8: 53}
_TIMES: Final = frozenset({TIME, TIMESTAMP, TIMESTAMPTZ})
#: pg_column octets of a character at most
_OCTETS: Final = 4


def _yes(flag: bool) -> str:
    return "YES" if flag else "NO"


def _relations(session: Session) -> Iterator[StoredRelation]:
    """Those that the user may know of."""
    for r in session.database.catalog.relations.values():
        if r.kind in _TYPES and session.catalog.answer(
            "has_table_privilege_id", r.oid, "SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER"
        ):
            yield r


def _where(r: StoredRelation, prefix: str = "table") -> dict[str, Any]:
    return {f"{prefix}_catalog": HERE, f"{prefix}_schema": r.schema, f"{prefix}_name": r.name}


def _tables(session: Session) -> Made:
    for r in _relations(session):
        rest = {"table_type": _TYPES[r.kind], "is_typed": "NO"}
        yield (
            _where(r) | rest | {"is_insertable_into": _yes(r.kind in ("table", "source") and not r.connector)}
        )
    for s in session.database.system.by_oid.values():
        kind = "VIEW" if s.kind == "v" else "BASE TABLE"
        where = {"table_catalog": HERE, "table_schema": s.schema, "table_name": s.name}
        yield where | {"table_type": kind, "is_insertable_into": "NO", "is_typed": "NO"}


def _columns(session: Session) -> Made:
    for r in _relations(session):
        for attnum, c in enumerate(r.columns, 1):
            yield _where(r) | _typed(c.type, attnum) | _declared(session, c) | {
                "column_name": c.name, "ordinal_position": attnum,
                "column_default": None if c.default is None or c.identity
                else session.catalog.answer("pg_get_expr", shown_default(c.default, c.type), r.oid),
                "is_nullable": _yes(not c.not_null), "is_self_referencing": "NO",
                "is_identity": _yes(bool(c.identity)), "identity_cycle": "NO",
                **(_identity(session, r.oid, attnum, c.identity) if c.identity else {}),
                "is_generated": "NEVER" if c.generated is None else "ALWAYS",
                "generation_expression": c.generated,
                "is_updatable": _yes(r.kind in ("table", "source") and not r.connector),
            }  # fmt: skip
    for s in session.database.system.by_oid.values():
        where = {"table_catalog": HERE, "table_schema": s.schema, "table_name": s.name}
        for attnum, column in enumerate(s.columns, 1):
            yield where | _typed(column.type, attnum) | {
                "column_name": column.name, "ordinal_position": attnum,
                "is_nullable": _yes(not column.not_null), "is_self_referencing": "NO", "is_identity": "NO",
                "identity_cycle": "NO", "is_generated": "NEVER", "is_updatable": "NO",
            }  # fmt: skip


def _identity(session: Session, oid: int, attnum: int, how: str) -> dict[str, Any]:
    """An identity column's sequence."""
    owned = session.database.catalog.owned(oid)
    d = next(definition_of(s) for s in owned if s.kind == "sequence" and s.owned_by == (oid, attnum))
    return {
        "identity_generation": "ALWAYS" if how == "a" else "BY DEFAULT", "identity_start": str(d.start),
        "identity_increment": str(d.increment), "identity_maximum": str(d.maximum),
        "identity_minimum": str(d.minimum), "identity_cycle": _yes(d.cycle),
    }  # fmt: skip


def _typed(type_: PgType, place: int) -> dict[str, Any]:
    """A column's type, taken apart."""
    oid, typmod = type_.oid, type_.typmod
    fact = facts.types()[oid]
    found: dict[str, Any] = {
        "data_type": "ARRAY" if fact.category == "A" and fact.length == -1 else type_name(PgType(oid)),
        "udt_catalog": HERE, "udt_schema": "pg_catalog", "udt_name": fact.name,
        "dtd_identifier": str(place),
    }  # fmt: skip
    if oid == BPCHAR:
        found["data_type"] = "character"
    if oid in (BPCHAR, VARCHAR, TEXT):
        length = typmod - 4 if typmod >= 0 else None
        found["character_maximum_length"] = length
        found["character_octet_length"] = 1 << 30 if length is None else length * _OCTETS
    elif oid in _BITS:
        found |= {"numeric_precision": _BITS[oid], "numeric_precision_radix": 2}
        if oid in (INT2, INT4, INT8):
            found["numeric_scale"] = 0
    elif oid == NUMERIC:
        found["numeric_precision_radix"] = 10
        if typmod >= 0:
            found["numeric_precision"] = (typmod - 4) >> 16 & 0xFFFF
            found["numeric_scale"] = ((typmod - 4) & 0x7FF ^ 1024) - 1024
    elif oid in _TIMES or oid == INTERVAL:
        known = typmod >= 0 and (typmod & 0xFFFF) != 0xFFFF
        found["datetime_precision"] = typmod & 0xFFFF if known else 6
    elif oid == DATE:
        found["datetime_precision"] = 0
    return found


def _declared(session: Session, column: StoredColumn) -> dict[str, Any]:
    """The user's type or domain that a column was declared with."""
    types = session.database.catalog.types
    domain = types.get(column.domain)
    if domain is not None:
        return _domain_place(domain) | _over(session, domain)
    made = types.get(ELEMENT_OF.get(column.type.oid, column.type.oid))
    if made is None:
        return {}
    if column.type.is_array:
        return {"udt_schema": made.schema}
    return {"data_type": "USER-DEFINED", "udt_schema": made.schema, "udt_name": made.name}


def _domains(session: Session) -> Made:
    for t in session.database.catalog.types.values():
        if t.base is not None:
            yield _typed(t.base, 1) | _domain_place(t) | _over(session, t) | {"domain_default": t.default}


def _over(session: Session, domain: StoredType) -> dict[str, Any]:
    """The user's type that a domain is over."""
    types = session.database.catalog.types
    made = next((types[oid] for oid in domain.depends_on if oid in types), None)
    if made is None or (domain.base is not None and domain.base.is_array):
        return {}
    return {"data_type": "USER-DEFINED", "udt_schema": made.schema, "udt_name": made.name}


def _domain_place(t: StoredType) -> dict[str, Any]:
    return {"domain_catalog": HERE, "domain_schema": t.schema, "domain_name": t.name}


def _domain_constraints(session: Session) -> Made:
    for t in session.database.catalog.types.values():
        for name, _, _ in t.checks:
            yield _domain_place(t) | {
                "constraint_catalog": HERE, "constraint_schema": t.schema, "constraint_name": name,
                "is_deferrable": "NO", "initially_deferred": "NO",
            }  # fmt: skip


def _schemata(session: Session) -> Made:
    for schema in session.database.catalog.schemas.values():
        yield {"catalog_name": HERE, "schema_name": schema.name, "schema_owner": schema.owner}
    for name in ("pg_catalog", "information_schema", "laminar_catalog"):
        yield {"catalog_name": HERE, "schema_name": name, "schema_owner": "laminar"}


def _views(session: Session) -> Made:
    rest = {
        "check_option": "NONE", "is_updatable": "NO", "is_insertable_into": "NO",
        "is_trigger_updatable": "NO", "is_trigger_deletable": "NO", "is_trigger_insertable_into": "NO",
    }  # fmt: skip
    for r in _relations(session):
        if r.kind == "view":
            yield _where(r) | rest | {"view_definition": session.catalog.answer("pg_get_viewdef", r.oid)}


def _keys(session: Session) -> Iterator[tuple[StoredRelation, str, str, list[int]]]:
    """Primary keys and UNIQUE constraints: table, the constraint's name and kind, columns."""
    known = {r.oid: r for r in _relations(session)}
    for r in known.values():
        if r.primary_key:
            yield r, key_name(r), "PRIMARY KEY", list(r.primary_key)
    for r in session.database.catalog.relations.values():
        if "constraint" in r.parts and r.owned_by is not None and r.owned_by[0] in known:
            yield known[r.owned_by[0]], r.name, "UNIQUE", indexed_attnums(r)


def _table_constraints(session: Session) -> Made:
    rest = {"is_deferrable": "NO", "initially_deferred": "NO", "enforced": "YES"}
    for r, name, kind, _ in _keys(session):
        distinct = {"nulls_distinct": "YES" if kind == "UNIQUE" else None}
        yield _constraint(r, name) | rest | distinct | {"constraint_type": kind}
    for r in _relations(session):
        for name, _ in r.checks:
            yield _constraint(r, name) | rest | {"constraint_type": "CHECK"}


def _constraint(r: StoredRelation, name: str) -> dict[str, Any]:
    where = {"constraint_catalog": HERE, "constraint_schema": r.schema, "constraint_name": name}
    return _where(r) | where


def _key_column_usage(session: Session) -> Made:
    for r, name, _, attnums in _keys(session):
        for place, attnum in enumerate(attnums, 1):
            column = r.columns[attnum - 1].name
            yield _constraint(r, name) | {"column_name": column, "ordinal_position": place}


def _constraint_column_usage(session: Session) -> Made:
    for r, name, _, attnums in _keys(session):
        for attnum in attnums:
            yield _constraint(r, name) | {"column_name": r.columns[attnum - 1].name}


def _check_constraints(session: Session) -> Made:
    for r in _relations(session):
        for name, text in r.checks:
            where = {"constraint_catalog": HERE, "constraint_schema": r.schema}
            yield where | {"constraint_name": name, "check_clause": f"({text})"}


def _catalog_name(_session: Session) -> Made:
    yield {"catalog_name": HERE}


_VIEWS: Final[dict[str, Rows]] = {
    "tables": _tables,
    "columns": _columns,
    "schemata": _schemata,
    "views": _views,
    "table_constraints": _table_constraints,
    "key_column_usage": _key_column_usage,
    "constraint_column_usage": _constraint_column_usage,
    "check_constraints": _check_constraints,
    "information_schema_catalog_name": _catalog_name,
    "domains": _domains,
    "domain_constraints": _domain_constraints,
}


def _here(rows: Rows) -> Rows:
    """The rows with the database's name where they say HERE."""

    def named(session: Session) -> Made:
        name = session.database.name
        for row in rows(session):
            yield {column: name if value is HERE else value for column, value in row.items()}

    return named


ROWS: Final[dict[tuple[str, str], Rows]] = {
    ("information_schema", name): _here(rows) for name, rows in _VIEWS.items()
}
