"""A source's dead-letter table: what fills it is a sink that comes and goes with the source."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from laminar.catalog.objects import StoredRelation
from laminar.server import sinks
from laminar.server.computed import computed_spec
from laminar.server.definitions import refuse_in_block, remove
from laminar.server.session import Session
from laminar.server.statements.views import dead_letter_table
from laminar.server.views import rejects_plan


def table_of(session: Session, source: StoredRelation, position: int | None) -> StoredRelation | None:
    """The table for rows that a connector source cannot read; raises what is in its way."""
    named = source.options.get("dead_letter_table")
    if named is None or source.connector is None:
        return None
    return dead_letter_table(session, named, (), position)


@asynccontextmanager
async def taking(
    session: Session, source: StoredRelation, table: StoredRelation
) -> AsyncIterator[StoredRelation]:
    """The source and the dataflow that fills the table are there; inside, they come into the catalog."""
    refuse_in_block(session, "CREATE SOURCE with a dead-letter table")
    database = session.database
    catalog = database.catalog
    taker = StoredRelation(
        oid=catalog.new_oid(),
        schema=source.schema,
        name=catalog.free_name(source.schema, source.name, "dead_letters"),
        kind="sink",
        owner=source.owner,
        columns=(),
        sql="",
        options={sinks.INTO: str(table.oid), sinks.REJECTS: str(source.oid), sinks.LABEL: source.name},
        depends_on=(table.oid,),
        owned_by=(source.oid, 0),
    )
    spec = database.add_plan(taker, rejects_plan(database, taker))
    database.coordinator.register_relation(computed_spec(database, source))
    try:
        async with sinks.filling(database, [table.oid]):
            await database.coordinator.install(spec)
        try:
            yield taker
        except BaseException:
            await remove(database, [taker])
            raise
    except BaseException:
        database.forget(source)
        raise
