"""Planning materialized views and sinks, when they are created and again at every start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from laminar.catalog.objects import StoredRelation
from laminar.connectors.base import sink_connector
from laminar.engine.nodes import Append, Materialize, Sink
from laminar.pgwire.settings import input_settings
from laminar.server import guc, sinks
from laminar.server.catalog_view import StoredCatalog
from laminar.server.planning import PlannedQuery, plan_query
from laminar.sql.parse import parse_query
from laminar.sql.plan import Emit
from laminar.sql.resolve.session import reading_literals
from laminar.sql.stream import plan_into, plan_sink, plan_view
from laminar.sql.stream.deadletters import OnError, rejected_rows
from laminar.sql.stream.latedata import LateTable

if TYPE_CHECKING:
    from laminar.server.database import Database


def replan(database: Database, relation: StoredRelation) -> Materialize | Sink | Append:
    """The stream plan of a stored view or sink; the same at every start of the same version."""
    if sinks.REJECTS in relation.options:
        return rejects_plan(database, relation)
    assert relation.query is not None
    catalog = StoredCatalog(database, relation.search_path, relation.owner)
    # Read as it was read when it was created: a literal means the same time for ever.
    settings = input_settings(guc.defaults() | relation.settings, now=relation.created)
    with reading_literals(settings):
        planned = plan_query(parse_query(relation.query), catalog)
    return stream_plan(database, relation, planned)


def stream_plan(database: Database, relation: StoredRelation, planned: PlannedQuery) -> Materialize | Sink:
    """The dataflow for a view's or sink's planned query."""
    emit = emit_from(relation.emit)
    timezone = relation.settings.get("TimeZone", "UTC")
    if relation.kind == "sink":
        table = sinks.filled(relation)
        if table is not None:
            return plan_into(table, planned.plan, planned.columns, emit, database, timezone)
        spec = sinks.sink_spec(relation)
        root = plan_sink(relation.oid, planned.plan, planned.columns, emit, database, spec, timezone)
        sink_connector(spec.connector).check(root.spec)
        return root
    late = None if emit.late_table is None else _table(database, emit.late_table)
    failing = _on_error(database, relation)
    return plan_view(relation.oid, planned.plan, planned.columns, emit, database, timezone, late, failing)


def _on_error(database: Database, relation: StoredRelation) -> OnError | None:
    """What becomes of a view's rows that fail, other than that they are counted."""
    oid, fails = relation.options.get(sinks.DEAD_LETTERS), relation.options.get("on_error") == "fail"
    if oid is None and not fails:
        return None
    name = relation.options.get(sinks.LABEL, "")
    return OnError(name, None if oid is None else _table(database, int(oid)), fails)


def rejects_plan(database: Database, taker: StoredRelation) -> Append:
    """The dataflow of a sink that puts the rows into a table that a source cannot read."""
    table = sinks.filled(taker)
    assert table is not None
    source, name = int(taker.options[sinks.REJECTS]), taker.options[sinks.LABEL]
    return rejected_rows(source, name, _table(database, table))


def _table(database: Database, oid: int) -> LateTable:
    """A table that gets what is left out, as the planner wants it."""
    table = database.catalog.relations[oid]
    return LateTable(table.oid, table.name, tuple((c.name, c.type) for c in table.columns))


def emit_from(stored: dict[str, Any]) -> Emit:
    """The EMIT clause as the catalog keeps it."""
    return Emit(**stored)
