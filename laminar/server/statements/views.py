"""CREATE MATERIALIZED VIEW, CREATE SINK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import ClassVar, Final
from uuid import uuid4

import pyarrow as pa

from laminar.catalog.objects import KIND_NAMES, Kind, StoredColumn, StoredRelation
from laminar.connectors.base import DeliveringSink, sink_connector
from laminar.connectors.options import Option, bad_option, parse_options
from laminar.engine.deliveries import as_pg_error, open_target
from laminar.engine.nodes import Materialize, Sink
from laminar.errors import (
    DUPLICATE_COLUMN,
    INSUFFICIENT_PRIVILEGE,
    SYNTAX_ERROR,
    PgError,
    not_supported,
)
from laminar.pgwire.backend import Result
from laminar.server import sinks, sources
from laminar.server.building import Building
from laminar.server.definitions import defining, in_block, refuse_in_block, remove
from laminar.server.names import split_name
from laminar.server.planning import PlannedQuery, plan_query
from laminar.server.session import Session
from laminar.server.statements.base import Action, already_exists
from laminar.server.temporary import is_temporary
from laminar.server.views import emit_from, stream_plan
from laminar.sql import statements as s
from laminar.sql.binder import bind_emit
from laminar.sql.parse import parse_query
from laminar.sql.plan import Column
from laminar.sql.resolve import oid_name
from laminar.types import ARRAY_OF, RECORD, TEXT, UNKNOWN, PgType, supported

_ON_ERROR: Final = {
    "on_error": Option("choice", "skip", choices=("skip", "fail", "dead_letter")),
    "dead_letter_table": Option(),
}


class CreateDataflowAction(Action):
    """What materialized views and sinks have in common: planned, installed, then in the catalog."""

    transactional: ClassVar[bool] = False
    tag: str
    statement: s.CreateMaterializedView | s.CreateStream | s.CreateSink
    #: None: IF NOT EXISTS found one
    relation: StoredRelation | None = None
    planned: PlannedQuery

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        database = self.database
        if isinstance(self.statement, s.CreateSink):
            refuse_in_block(self.session, self.tag)
        elif self.relation is not None and sinks.filled_tables(self.relation):
            refuse_in_block(self.session, f"{self.tag} with a table for late or failed rows")
        if self.relation is None:
            return already_exists(self.tag, self.statement.name.name)
        async with defining(self.session, self.tag):
            if database.catalog.find(self.relation.schema, self.relation.name) is not None:
                if self.statement.if_not_exists:
                    return already_exists(self.tag, self.relation.name)
                database.catalog.check_free(
                    self.relation.schema, self.relation.name, self.statement.name.pos or None
                )
            relation = replace(self.relation, oid=database.catalog.new_oid())
            root = stream_plan(database, relation, self.planned)
            spec = database.add_plan(relation, root)
            if relation.kind in ("mview", "stream"):
                database.coordinator.register_relation(sources.view_spec(relation, root))
            try:
                async with self._prepared(relation, root):
                    building = database.building[relation.oid] = Building(relation, self.tag)
                    epoch = await database.coordinator.install(spec, building.sent)
            except BaseException:
                database.forget(relation)
                raise
            finally:
                database.building.pop(relation.oid, None)
            database.made(relation)
            try:
                database.catalog.create(relation)
            except BaseException:
                if not in_block(self.session.transaction):
                    await remove(database, [relation])
                raise
            if in_block(self.session.transaction):
                # the transaction is to read it
                await database.coordinator.wait_published(epoch)
        self.session.committed_epoch = max(self.session.committed_epoch, epoch)
        return Result(self.tag)

    @asynccontextmanager
    async def _prepared(self, relation: StoredRelation, root: Materialize | Sink) -> AsyncIterator[None]:
        """What a sink or late rows fill is there and takes its changes, before it is installed."""
        tables = sinks.filled_tables(relation)
        if tables:
            async with sinks.filling(self.database, tables):
                yield
            return
        if isinstance(root, Sink) and isinstance(sink_connector(root.spec.connector), DeliveringSink):
            try:
                target = await asyncio.to_thread(open_target, root.spec)
                await asyncio.to_thread(target.close)
            except Exception as error:
                raise as_pg_error(error).at(self.statement.name.pos or None) from None
        yield


class CreateMaterializedViewAction(CreateDataflowAction):
    """CREATE MATERIALIZED VIEW; CREATE STREAM, which is the same but for keeping no rows."""

    def __init__(
        self, session: Session, statement: s.CreateMaterializedView | s.CreateStream, sql: str
    ) -> None:
        super().__init__(session)
        self.statement = statement
        kind: Kind = "stream" if isinstance(statement, s.CreateStream) else "mview"
        self.tag = f"CREATE {KIND_NAMES[kind].upper()}"
        if session.catalog.taken(statement.name, statement.if_not_exists):
            return
        if statement.or_replace:
            raise not_supported(f"CREATE OR REPLACE {KIND_NAMES[kind].upper()} is not supported yet")
        schema, name = session.catalog.creation_name(statement.name)
        self.planned = plan_query(statement.query, session.catalog)
        columns = output_columns(self.planned.columns, statement.columns)
        emit = bind_emit(statement.emit, session.catalog)
        dependencies = self.planned.dependencies
        if emit.late_table is not None:
            assert statement.emit.late_table is not None
            table = session.catalog.writable(statement.emit.late_table, "fill")
            session.check_owner(table)
            position = statement.emit.late_table.pos or None
            sinks.check_late_table(self.database, table, dependencies, position)
            dependencies = tuple(sorted({*dependencies, table.oid}))
        options = _view_options(session, statement, dependencies, emit.late_table)
        if sinks.DEAD_LETTERS in options:
            dependencies = tuple(sorted({*dependencies, int(options[sinks.DEAD_LETTERS])}))
        self.relation = StoredRelation(
            oid=0,
            schema=schema,
            name=name,
            options=options,
            kind=kind,
            owner=session.role.name,
            columns=columns,
            sql=sql,
            query=statement.query_text,
            search_path=session.search_path,
            settings=session.reading_settings(),
            created=session.now(),
            emit=asdict(replace(emit, position=0)),
            depends_on=dependencies,
        )
        session.check_accesses(self.planned.accesses, streaming=True)
        refuse_temporary(session, self.planned)
        refuse_emitting_streams(session, self.planned)
        positioned = replace(self.relation, emit=asdict(emit))
        stream_plan(self.database, positioned, self.planned)


class CreateSinkAction(CreateDataflowAction):
    """CREATE SINK name FROM relation | AS query WITH (connector = …)."""

    tag = "CREATE SINK"

    def __init__(self, session: Session, statement: s.CreateSink, sql: str) -> None:
        super().__init__(session)
        self.statement = statement
        if session.catalog.taken(statement.name, statement.if_not_exists):
            return
        schema, name = session.catalog.creation_name(statement.name)
        query, text = statement.query, statement.query_text
        if query is None:
            assert statement.from_ is not None
            text = f"SELECT * FROM {quoted(statement.from_)}"
            session.catalog.stored(statement.from_)
            query = parse_query(text)
        self.planned = plan_query(query, session.catalog)
        columns = output_columns(self.planned.columns, [])
        connector, options = None, {}
        dependencies = self.planned.dependencies
        if statement.emit.late_table is not None:
            raise not_supported(
                "LATE DATA TO is for materialized views",
                hint="Create a materialized view with it, and the sink FROM that view.",
                position=statement.emit.late_table.pos or None,
            )
        if statement.into is not None:
            table = session.catalog.writable(statement.into, "fill")
            session.check_owner(table)
            sinks.check_into(self.database, table, columns, dependencies, statement.into)
            options = {sinks.INTO: str(table.oid)}
            dependencies = tuple(sorted({*dependencies, table.oid}))
        else:
            connector, options = sinks.connector_options(statement)
            options = sinks.guarded(session, connector, options)
            _check_server_files(session, connector, statement.name)
            options[sinks.ID] = uuid4().hex
        emit = bind_emit(statement.emit, session.catalog)
        source = None if statement.from_ is None else session.catalog.stored(statement.from_)
        if source is not None and source.kind == "stream" and statement.emit.mode is None:
            emit = replace(emit_from(source.emit), late_table=None)
        else:
            refuse_emitting_streams(session, self.planned)
        self.relation = StoredRelation(
            oid=0,
            schema=schema,
            name=name,
            kind="sink",
            owner=session.role.name,
            columns=columns,
            sql=sql,
            query=text,
            search_path=session.search_path,
            settings=session.reading_settings(),
            created=session.now(),
            connector=connector,
            options=options,
            emit=asdict(replace(emit, position=0)),
            depends_on=dependencies,
        )
        session.check_accesses(self.planned.accesses, streaming=True)
        refuse_temporary(session, self.planned)
        try:
            stream_plan(self.database, replace(self.relation, emit=asdict(emit)), self.planned)
        except PgError as error:
            raise error.at(error.position or statement.name.pos or None) from None


def output_columns(columns: tuple[Column, ...], names: list[str]) -> tuple[StoredColumn, ...]:
    """A view's columns, under other names where they are given; unknown becomes text."""
    if len(names) > len(columns):
        raise PgError(SYNTAX_ERROR, "too many column names were specified")
    result: list[StoredColumn] = []
    for index, column in enumerate(columns):
        name = names[index] if index < len(names) else column.name
        if any(known.name == name for known in result):
            raise PgError(DUPLICATE_COLUMN, f'column "{name}" specified more than once')
        type_ = PgType(TEXT) if column.type.oid == UNKNOWN else column.type
        if type_.oid in (RECORD, ARRAY_OF[RECORD]):
            message = f'column "{name}" has pseudo-type {oid_name(type_.oid)}'
            raise PgError("42P16", message)
        if not supported(type_.oid):
            raise not_supported(f'type {oid_name(type_.oid)} of column "{name}" is not supported')
        result.append(StoredColumn(name, type_))
    return tuple(result)


def refuse_temporary(session: Session, planned: PlannedQuery) -> None:
    """What lasts cannot read what goes with a session."""
    for oid in planned.dependencies:
        relation = session.database.catalog.relations.get(oid)
        if relation is not None and is_temporary(relation):
            raise not_supported(
                f'a view or sink cannot read the temporary table "{relation.name}"',
                hint="Create the table without TEMPORARY.",
            )


def refuse_emitting_streams(session: Session, planned: PlannedQuery) -> None:
    """A stream is put in the place of its name, which EMIT cannot be."""
    for oid in planned.dependencies:
        relation = session.database.catalog.relations.get(oid)
        if relation is not None and relation.kind == "stream" and _emits(relation):
            raise not_supported(
                f'stream "{relation.name}" has an EMIT clause, so only CREATE SINK … FROM can read it',
                hint="Make a materialized view with this EMIT and read that.",
            )


def _emits(stream: StoredRelation) -> bool:
    """Whether its changes are not those of its query."""
    emit = emit_from(stream.emit)
    return emit.mode != "update" or emit.lateness is not None


def quoted(name: s.QName) -> str:
    """A name as SQL text, every part quoted."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.parts)


def _check_server_files(session: Session, connector: str, name: s.QName) -> None:
    """Files are written with the server's rights, so only superusers may name them, as for COPY."""
    if connector == "file" and not session.role.superuser:
        raise PgError(
            INSUFFICIENT_PRIVILEGE,
            "permission denied to write files of the server",
            detail="Only superusers may create sinks with the connector file.",
            position=name.pos or None,
        )


def _view_options(
    session: Session,
    statement: s.CreateMaterializedView | s.CreateStream,
    dependencies: tuple[int, ...],
    late_table: int | None,
) -> dict[str, str]:
    """What becomes of rows that fail, as the catalog keeps it."""
    given = [(option.name, option.value or "") for option in statement.options]
    values = parse_options(given, _ON_ERROR, "views")
    named, on_error = values["dead_letter_table"], values["on_error"]
    found = {"on_error": on_error} if on_error == "fail" else {}
    position = statement.options[0].pos or None if statement.options else None
    if named is None:
        if on_error == "dead_letter":
            raise bad_option("on_error = 'dead_letter' needs option \"dead_letter_table\"").at(position)
        return found
    table = dead_letter_table(session, named, dependencies, position)
    if table.oid == late_table:
        raise not_supported(f'table "{table.name}" cannot have late and failed rows', position=position)
    return found | {sinks.DEAD_LETTERS: str(table.oid), sinks.LABEL: statement.name.name}


def dead_letter_table(
    session: Session, name: str, dependencies: tuple[int, ...], position: int | None
) -> StoredRelation:
    """The table that a view's or source's rows that fail go to; raises what is in the way."""
    table = session.catalog.writable(s.QName(split_name(name), position or 0), "fill")
    session.check_owner(table)
    sinks.check_late_table(session.database, table, dependencies, position)
    return table
