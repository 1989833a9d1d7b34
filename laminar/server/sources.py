"""Relations as connectors and the engine want them described."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from laminar.catalog.objects import StoredColumn, StoredRelation
from laminar.connectors.base import LookupSpec, SourceColumn, SourceSpec, source_connector
from laminar.connectors.options import SOURCE_OPTIONS, Option, bad_option, parse_options, type_label
from laminar.engine.nodes import Materialize, Sink
from laminar.engine.relations import ComputedColumn, RelationSpec
from laminar.errors import DATATYPE_MISMATCH, DUPLICATE_COLUMN, UNDEFINED_COLUMN, PgError, not_supported
from laminar.sql import statements as s
from laminar.sql.stream.shape import Upserts
from laminar.types import BOOL

#: in a view's options: the epoch at which it was paused
PAUSED = "laminar.paused"

#: attribute numbers of what an upsert source's rows are told apart by; -1 is the row watermark
HIDDEN = {"partition": -2, "offset": -3, "tombstone": -4}

#: options of sources without a connector; retention defaults are SQL.md's
_PUSH_OPTIONS = {
    "retention": Option("duration", 24 * 3600 * 1_000_000, minimum=1),
    "retention_bytes": Option("int", 1 << 30, minimum=1),
    "watermark.max_future": Option("duration", minimum=0),
    "watermark.idle_timeout": Option("duration", unsupported=True),
}


def with_connector(relation: StoredRelation, statement: s.CreateSource) -> StoredRelation:
    """A source with its options checked and, where the connector knows them, its columns.

    Raises:
        PgError: 22023 for an unknown connector, option or value; 42703, 42804 for columns that
            the data does not have.
    """
    position = statement.name.pos or None
    options = {option.name.lower(): option.value or "" for option in statement.options}
    if len(options) != len(statement.options):
        raise bad_option("an option is given twice").at(position)
    connector = options.get("connector")
    if relation.primary_key and options.keys() & {"retention", "retention_bytes"}:
        raise bad_option("a source with a PRIMARY KEY keeps the last row of every key").at(position)
    if statement.format is not None:
        encoding = statement.format.encoding or ""
        extra = {option.name.lower(): option.value or "" for option in statement.format.options}
        options |= {"format.kind": statement.format.kind, "format.encoding": encoding, **extra}
    if connector is None:
        if statement.elements.includes:
            raise not_supported(
                "INCLUDE is for sources with a connector", position=statement.elements.includes[0].pos or None
            )
        if statement.format is not None:
            raise bad_option("FORMAT needs a connector", hint="Add WITH (connector = '…').").at(
                statement.format.pos or None
            )
        parse_options(options.items(), _PUSH_OPTIONS, "push sources")
        return replace(relation, options=options)
    described = replace(relation, connector=connector, options=options)
    try:
        columns = source_connector(connector).columns(source_spec(described))
    except PgError as error:
        raise error.at(position) from None
    if not any(_is_physical(column) for column in relation.columns):
        found = tuple(StoredColumn(column.name, column.type, column.not_null) for column in columns)
        described = replace(
            described,
            columns=found + relation.columns,
            primary_key=tuple(attnum + len(found) for attnum in relation.primary_key),
        )
    _check_on_error(options, position)
    described = _with_included(described, statement)
    _check_upserts(described, statement)
    return described


def _check_on_error(options: dict[str, str], position: int | None) -> None:
    """Rows that cannot be read go to a table, or the source fails, not both."""
    kept, on_error = "dead_letter_table" in options, options.get("on_error", "skip").lower()
    if on_error == "dead_letter" and not kept:
        raise bad_option("on_error = 'dead_letter' needs option \"dead_letter_table\"").at(position)
    if on_error == "fail" and kept:
        raise bad_option("a source that fails with a row has no dead-letter table").at(position)


def _check_upserts(relation: StoredRelation, statement: s.CreateSource) -> None:
    """A primary key and FORMAT UPSERT go together; the column that tells deletions is a boolean."""
    position = statement.name.pos or None
    upsert = statement.format is not None and statement.format.kind.lower() == "upsert"
    if relation.primary_key and not upsert:
        raise bad_option(
            "a PRIMARY KEY of sources with a connector needs FORMAT UPSERT",
            hint="With it, a later row takes the place of the one with its key.",
        ).at(position)
    if upsert and not relation.primary_key:
        raise bad_option("FORMAT UPSERT needs a PRIMARY KEY").at(position)
    deleted = relation.options.get("upsert.deleted")
    if deleted is None:
        return
    if not relation.primary_key:
        raise bad_option('option "upsert.deleted" is for sources with a PRIMARY KEY').at(position)
    column = next((column for column in relation.columns if column.name == deleted), None)
    if column is None:
        raise PgError(UNDEFINED_COLUMN, f'column "{deleted}" does not exist', position=position)
    if column.type.oid != BOOL:
        raise PgError(
            DATATYPE_MISMATCH,
            f'column "{deleted}" is of type {type_label(column.type)},'
            ' but option "upsert.deleted" names a boolean',
            position=position,
        )


def upserts(relation: StoredRelation) -> Upserts | None:
    """How the last rows of a connector source's keys are told; None when all rows stay."""
    if relation.kind != "source" or relation.connector is None or not relation.primary_key:
        return None
    includes = source_connector(relation.connector).includes
    hidden = {attnum: (what, includes[what]) for what, attnum in HIDDEN.items() if what in includes}
    deletions = [HIDDEN["tombstone"]] if "tombstone" in includes else []
    named = relation.options.get("upsert.deleted")
    deletions += [i for i, column in enumerate(relation.columns, 1) if column.name == named]
    return Upserts((HIDDEN["partition"], HIDDEN["offset"]), tuple(deletions), hidden)


def _with_included(relation: StoredRelation, statement: s.CreateSource) -> StoredRelation:
    """The source with the columns of its INCLUDE clauses; 0A000 for what the connector does not have."""
    columns = list(relation.columns)
    assert relation.connector is not None
    known = source_connector(relation.connector).includes
    for clause in statement.elements.includes:
        position = clause.pos or None
        if clause.what not in known:
            raise not_supported(
                f"connector {relation.connector} has no {clause.what} of its rows",
                hint=f"It has: {', '.join(sorted(known))}."
                if known
                else "INCLUDE is not for this connector.",
                position=position,
            )
        name = clause.column or clause.what
        if any(column.name == name for column in columns):
            raise PgError(DUPLICATE_COLUMN, f'column "{name}" specified more than once', position=position)
        columns.append(StoredColumn(name, known[clause.what], include=clause.what))
    return replace(relation, columns=tuple(columns))


def source_spec(relation: StoredRelation) -> SourceSpec:
    """A connector source as its connector is told of it."""
    assert relation.connector is not None
    options = dict(relation.options)
    kind, encoding = options.pop("format.kind", None), options.pop("format.encoding", None)
    physical = {i: column for i, column in enumerate(relation.columns, 1) if _is_physical(column)}
    time = relation.watermark[0] if relation.watermark else None
    return SourceSpec(
        relation.connector,
        tuple(sorted(options.items())),
        source_columns(tuple(physical.values())),
        list(physical).index(time) if time in physical else None,
        (kind.lower(), (encoding or "").lower()) if kind is not None else None,
    )


def _is_physical(column: StoredColumn) -> bool:
    """Whether the connector's data has the column."""
    return column.include is None and column.generated is None


def lookup_spec(relation: StoredRelation) -> LookupSpec:
    """A lookup table as its connector is told of it."""
    assert relation.connector is not None
    return LookupSpec(
        relation.connector,
        tuple(sorted(relation.options.items())),
        source_columns(relation.columns),
        tuple(a - 1 for a in relation.primary_key),
    )


def source_columns(columns: Sequence[StoredColumn]) -> tuple[SourceColumn, ...]:
    """Columns as connectors want them."""
    return tuple(SourceColumn(column.name, column.type, column.not_null) for column in columns)


def relation_spec(relation: StoredRelation, computed: tuple[ComputedColumn, ...] = ()) -> RelationSpec:
    """A table or source as the engine stores or reads it; ``computed``: a connector source's columns."""
    attnums = tuple(range(1, len(relation.columns) + 1))
    types = tuple(column.type for column in relation.columns)
    spec = RelationSpec(
        relation.oid,
        relation.name,
        "connector" if relation.connector else "source" if relation.kind == "source" else "table",
        attnums,
        types,
        tuple(a - 1 for a in relation.primary_key) or None,
        relation.watermark,
        append_only=relation.append_only or (relation.kind == "source" and not relation.primary_key),
    )
    if relation.kind == "lookup":
        return replace(spec, kind="lookup", lookup=lookup_spec(relation))
    if relation.connector is not None:
        values = _engine_options(relation)
        return replace(
            spec,
            source=source_spec(relation),
            max_future=values["watermark.max_future"],
            idle_timeout=values["watermark.idle_timeout"],
            included=_included(relation),
            computed=computed,
            rate_limit=values["rate_limit"],
            on_error=values["on_error"],
        )
    if relation.kind == "source":
        values = parse_options(relation.options.items(), _PUSH_OPTIONS, "push sources")
        return replace(
            spec,
            max_future=values["watermark.max_future"],
            retention=None if relation.primary_key else values["retention"] / 1_000_000,
            retention_bytes=None if relation.primary_key else values["retention_bytes"],
        )
    return spec


def _included(relation: StoredRelation) -> tuple[tuple[int, str], ...]:
    """Attribute numbers, and what of a message they are; hidden ones of an upsert source too."""
    found = [(i, c.include) for i, c in enumerate(relation.columns, 1) if c.include is not None]
    latest = upserts(relation)
    if latest is not None:
        found += [(attnum, what) for attnum, (what, _) in latest.hidden.items()]
    return tuple(found)


def _engine_options(relation: StoredRelation) -> dict[str, Any]:
    """Values of the options that every connector source has."""
    given = [(name, text) for name, text in relation.options.items() if name in SOURCE_OPTIONS]
    return parse_options(given, SOURCE_OPTIONS, "sources")


def view_spec(relation: StoredRelation, root: Materialize | Sink) -> RelationSpec:
    """A materialized view's rows as the engine stores them."""
    columns = root.properties.columns
    position = {column.id: i for i, column in enumerate(columns)}
    return RelationSpec(
        relation.oid,
        relation.name,
        "view",
        tuple(range(1, len(columns) + 1)),
        tuple(column.type for column in columns),
        tuple(position[i] for i in root.properties.key),
        append_only=root.properties.append_only,
        kept=relation.kind != "stream",
        paused=PAUSED in relation.options,
    )
