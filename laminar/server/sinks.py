"""Sinks as statements describe them: their connector, or the table that they fill."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from laminar.catalog.objects import KIND_NAMES, StoredColumn, StoredRelation
from laminar.connectors.base import SinkSpec, lookup_connector, sink_connector
from laminar.connectors.options import bad_option, type_label
from laminar.errors import (
    DATATYPE_MISMATCH,
    OBJECT_NOT_IN_PREREQUISITE_STATE,
    SYNTAX_ERROR,
    WRONG_OBJECT_TYPE,
    PgError,
    not_supported,
)
from laminar.server.sources import source_columns
from laminar.sql import statements as s
from laminar.sql.lexer import tokenize
from laminar.sql.parse import parse

if TYPE_CHECKING:
    from laminar.server.database import Database
    from laminar.server.session import Session

#: in the catalog's options: what names the sink outside, and the oid of the table that it fills
ID, INTO = "laminar.id", "laminar.into"
#: the name that a view or source had when it was created: what rows that failed are told apart by
LABEL = "laminar.label"
#: in a view's options: the oid of its dead-letter table; in those of what fills a source's: the source's oid
DEAD_LETTERS, REJECTS = "laminar.dead_letters", "laminar.rejects"


def connector_options(statement: s.CreateSink) -> tuple[str, dict[str, str]]:
    """A sink's connector and options as the catalog keeps them; 22023 without a connector."""
    options = {option.name.lower(): option.value or "" for option in statement.options}
    if len(options) != len(statement.options):
        raise bad_option("an option is given twice").at(statement.name.pos or None)
    if statement.format is not None:
        extra = {option.name.lower(): option.value or "" for option in statement.format.options}
        options |= {"format.kind": statement.format.kind, "format.encoding": statement.format.encoding or ""}
        options |= extra
    name = options.get("connector")
    if name is None:
        raise bad_option("a sink needs a connector", hint="Add WITH (connector = 'file').").at(
            statement.name.pos or None
        )
    try:
        sink_connector(name)
    except PgError as error:
        raise error.at(statement.name.pos or None) from None
    return name, options


def guarded(session: Session, connector: str, options: dict[str, str]) -> dict[str, str]:
    """The options, with which only superusers reach servers outside without a password of theirs."""
    if connector == "postgres" and not session.role.superuser:
        return options | {"password_required": "true"}
    return options


def without_secrets(relation: StoredRelation) -> str:
    """The statement that made a sink or lookup table, the values of secret options left out."""
    sql = relation.sql
    statement = parse(sql)
    if relation.connector is None or not isinstance(statement, s.CreateSink | s.CreateLookupTable):
        return sql
    find = sink_connector if isinstance(statement, s.CreateSink) else lookup_connector
    known = find(relation.connector).options
    ends = {token.start: token.end for token in tokenize(sql)[0]}
    for option in reversed(statement.options):
        if option.name.lower() in known and known[option.name.lower()].secret:
            start = option.value_pos - 1
            sql = f"{sql[:start]}'********'{sql[ends[start] :]}"
    return sql


def sink_spec(relation: StoredRelation) -> SinkSpec:
    """A sink as its connector is told of it; the planner adds the key."""
    assert relation.connector is not None
    options = dict(relation.options)
    name = options.pop(ID, "")
    kind, encoding = options.pop("format.kind", None), options.pop("format.encoding", None)
    return SinkSpec(
        name,
        relation.connector,
        tuple(sorted(options.items())),
        source_columns(relation.columns),
        format=(kind.lower(), (encoding or "").lower()) if kind is not None else None,
    )


# --- into a table ---------------------------------------------------------------------


def filled_by(database: Database, table: int) -> StoredRelation | None:
    """The sink that fills a table, or the view whose late rows it gets."""
    for relation in database.catalog.relations.values():
        if table in filled_tables(relation):
            return relation
    return None


def filled_tables(relation: StoredRelation) -> list[int]:
    """The tables that a sink fills, or that get what a view leaves out."""
    named = (relation.options.get(INTO), relation.options.get(DEAD_LETTERS), relation.emit.get("late_table"))
    return [int(oid) for oid in named if oid is not None]


def filled(relation: StoredRelation) -> int | None:
    """The table that a sink fills."""
    oid = relation.options.get(INTO)
    return None if oid is None else int(oid)


def check_into(
    database: Database,
    table: StoredRelation,
    columns: tuple[StoredColumn, ...],
    dependencies: tuple[int, ...],
    name: s.QName,
) -> None:
    """Whether a query's changes can be the table's rows; raises what is in the way."""
    position = name.pos or None
    if table.kind != "table":
        raise PgError(WRONG_OBJECT_TYPE, f'"{table.name}" is not a table', position=position)
    if not table.primary_key:
        raise not_supported(
            f'table "{table.name}" has no primary key, so a sink cannot find its rows again',
            hint="Create it with a PRIMARY KEY.",
            position=position,
        )
    strict = [c.name for i, c in enumerate(table.columns, 1) if c.not_null and i not in table.primary_key]
    if table.watermark is not None or table.checks or strict or table.append_only:
        raise not_supported(
            "a table that a sink fills cannot have a watermark, CHECK or NOT NULL constraints, or be"
            " APPEND ONLY",
            hint="Leave them out, or put the conditions into the query.",
            position=position,
        )
    _refuse_generated(table, position)
    if len(columns) != len(table.columns):
        what = "more" if len(columns) > len(table.columns) else "fewer"
        raise PgError(
            SYNTAX_ERROR, f'the query has {what} columns than table "{table.name}"', position=position
        )
    for ours, theirs in zip(columns, table.columns, strict=True):
        if (ours.type.oid, ours.type.storage) != (theirs.type.oid, theirs.type.storage):
            raise PgError(
                DATATYPE_MISMATCH,
                f'column "{theirs.name}" is of type {type_label(theirs.type)} but the query\'s column is of'
                f" type {type_label(ours.type)}",
                hint="Cast the query's column.",
                position=position,
            )
    _check_only_filler(database, table, dependencies, "sink", position)


def _refuse_generated(table: StoredRelation, position: int | None) -> None:
    if any(column.generated is not None for column in table.columns):
        raise not_supported(
            f'table "{table.name}" has generated columns, so nothing else can fill it', position=position
        )


def _check_only_filler(
    database: Database,
    table: StoredRelation,
    dependencies: tuple[int, ...],
    what: str,
    position: int | None,
) -> None:
    other = filled_by(database, table.oid)
    if other is not None:
        raise PgError(
            OBJECT_NOT_IN_PREREQUISITE_STATE,
            f'table "{table.name}" is filled by {KIND_NAMES[other.kind]} "{other.name}" already',
            position=position,
        )
    if table.oid in _origins(database, dependencies):
        raise not_supported(
            f'the {what} would read the table "{table.name}" that it fills', position=position
        )


def check_late_table(
    database: Database, table: StoredRelation, dependencies: tuple[int, ...], position: int | None
) -> None:
    """Whether late or failed rows can be a table's rows; raises what is in the way."""
    _refuse_generated(table, position)
    strict = any(column.not_null or column.default is not None for column in table.columns)
    if table.primary_key or table.watermark is not None or table.checks or strict:
        raise not_supported(
            f'table "{table.name}" for late or failed rows cannot have a primary key, a watermark, defaults,'
            " CHECK or NOT NULL constraints",
            hint="Create it with columns and types only.",
            position=position,
        )
    if database.catalog.indexes_of(table.oid):
        raise not_supported(
            f'table "{table.name}" for late or failed rows cannot have indexes', position=position
        )
    _check_only_filler(database, table, dependencies, "view", position)


@asynccontextmanager
async def filling(database: Database, tables: list[int]) -> AsyncIterator[None]:
    """Nobody else writes to empty tables while what will fill them is being made."""
    database.filling.update(tables)
    try:
        for table in tables:
            await check_empty(database, database.catalog.relations[table])
        yield
    finally:
        database.filling.difference_update(tables)


async def check_empty(database: Database, table: StoredRelation) -> None:
    """55000 when the table has rows; what was accepted before is waited for."""
    engine = database.coordinator
    await engine.wait_published(engine.accepted_epoch(table.oid))
    if engine.read().snapshot(table.oid).num_rows:
        raise PgError(
            OBJECT_NOT_IN_PREREQUISITE_STATE,
            f'table "{table.name}" is not empty',
            hint="A table that a sink or a view fills has no other rows: TRUNCATE it first.",
        )


def _origins(database: Database, oids: tuple[int, ...]) -> set[int]:
    """Everything that these relations are computed from, themselves included."""
    found: set[int] = set()
    todo = list(oids)
    while todo:
        oid = todo.pop()
        relation = database.catalog.relations.get(oid)
        if oid in found or relation is None:
            continue
        found.add(oid)
        todo += relation.depends_on
        sink = filled_by(database, oid)
        if sink is not None:
            todo += [source for source in sink.depends_on if source != oid]
    return found


def refuse_filled(database: Database, relation: StoredRelation, verb: str, position: int | None) -> None:
    """55000 when a sink fills the table: nobody else writes to it."""
    sink = filled_by(database, relation.oid)
    if sink is not None or relation.oid in database.filling:
        filler = None if sink is None else f'{KIND_NAMES[sink.kind]} "{sink.name}"'
        name = filler or "a sink or view that is being created"
        raise PgError(
            OBJECT_NOT_IN_PREREQUISITE_STATE,
            f'cannot {verb} table "{relation.name}"',
            detail=f"It is filled by {name}.",
            position=position,
        )
