"""Planning materialized views and sinks, when they are created and again at every start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from laminar.catalog.objects import StoredRelation
from laminar.connectors.base import sink_connector
from laminar.engine.nodes import Materialize, Sink
from laminar.pgwire.settings import input_settings
from laminar.server import guc, sinks
from laminar.server.catalog_view import StoredCatalog
from laminar.server.planning import PlannedQuery, plan_query
from laminar.sql.parse import parse_query
from laminar.sql.plan import Emit
from laminar.sql.resolve.session import reading_literals
from laminar.sql.stream import plan_into, plan_sink, plan_view
from laminar.sql.stream.latedata import LateTable

if TYPE_CHECKING:
    from laminar.server.database import Database


def replan(database: Database, relation: StoredRelation) -> Materialize | Sink:
    """The stream plan of a stored view or sink; the same at every start of the same version."""
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
    late = late_table(database, emit)
    return plan_view(relation.oid, planned.plan, planned.columns, emit, database, timezone, late)


def late_table(database: Database, emit: Emit) -> LateTable | None:
    """The table of LATE DATA TO as the planner wants it."""
    if emit.late_table is None:
        return None
    table = database.catalog.relations[emit.late_table]
    return LateTable(table.oid, table.name, tuple((c.name, c.type) for c in table.columns))


def emit_from(stored: dict[str, Any]) -> Emit:
    """The EMIT clause as the catalog keeps it."""
    return Emit(**stored)
