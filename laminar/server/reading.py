"""Running planned queries over one epoch, a transaction's own changes included."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from laminar.catalog.objects import KIND_NAMES
from laminar.engine.serving import Layout, RelationStore, Snapshot
from laminar.engine.serving.chunk import Chunk
from laminar.errors import FEATURE_NOT_SUPPORTED, PgError
from laminar.server import guc
from laminar.server.planning import PlannedQuery
from laminar.sql import adhoc
from laminar.sql.plan import Plan

if TYPE_CHECKING:
    from laminar.catalog.objects import StoredRelation
    from laminar.engine.serving import EpochView
    from laminar.server.session import Session


async def read_rows(
    session: Session,
    planned: PlannedQuery,
    params: Sequence[pa.Scalar | None],
    statistics: adhoc.Statistics | None = None,
    locked: Mapping[int, Snapshot] | None = None,
) -> AsyncIterator[pa.RecordBatch]:
    """The answer, batch by batch; ``statistics`` gets what the plan's nodes did.

    Args:
        locked: rows of the locking queries in it.
    """
    snapshots = await take_snapshots(session, planned.scanned, locked)
    limits = adhoc.Limits(memory=guc.work_mem(session.settings))

    def sources(oid: int, _attnums: tuple[int, ...]) -> Snapshot:
        return snapshots[oid]

    stores = live_stores(session, snapshots)
    indexes = session.database.indexes
    return adhoc.run(
        planned.plan,
        planned.columns,
        sources,
        session.env(params),
        limits,
        stores,
        indexes,
        statistics,
        waits=planned.waits,
    )


async def read_all(
    session: Session, plan: Plan, snapshots: dict[int, Snapshot], params: Sequence[pa.Scalar | None]
) -> pa.RecordBatch:
    """All rows of a plan."""
    limits = adhoc.Limits(memory=guc.work_mem(session.settings))
    rows = adhoc.run(
        plan,
        plan.columns,
        lambda oid, _: snapshots[oid],
        session.env(params),
        limits,
        live_stores(session, snapshots),
        session.database.indexes,
    )
    schema = pa.schema([pa.field(str(i), c.type.storage) for i, c in enumerate(plan.columns)])
    parts = [pa.RecordBatch.from_arrays(batch.columns, schema=schema) async for batch in rows]
    if not parts:
        return pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in schema], schema=schema)
    return pa.concat_batches(parts)


def live_stores(session: Session, snapshots: dict[int, Snapshot]) -> Callable[[int], RelationStore | None]:
    """Where rows can be looked up by their key."""
    live = session.database.coordinator.store

    def stores(oid: int) -> RelationStore | None:
        """The live relation, when the query sees exactly what it has now."""
        if oid not in live:
            return None
        store = live.relation(oid)
        return store if store.snapshot() is snapshots[oid] else None

    return stores


async def take_snapshots(
    session: Session, scanned: Collection[int], locked: Mapping[int, Snapshot] | None = None
) -> dict[int, Snapshot]:
    """Relations that a plan scans, as of one epoch, and the ``locked`` rows; taken here because the
    query runs in another thread.

    Raises:
        PgError: 0A000 for a source that only its connector can read.
    """
    found = dict(locked or {})
    wanted = [oid for oid in scanned if oid not in found]
    if wanted:
        view = await session.view(wanted)
        found |= {oid: _snapshot(session, view, oid) for oid in wanted}
    return found


def _snapshot(session: Session, view: EpochView, oid: int) -> Snapshot:
    system = session.database.system.snapshot(oid, session)
    if system is not None:
        return system
    stored = session.database.catalog.relations.get(oid)
    if stored is not None and stored.kind == "sequence":
        return _sequence_row(session, stored)
    coordinator = session.database.coordinator
    coordinator.check_rows(oid)
    transaction = session.transaction
    snapshot = coordinator.held.get(oid) or view.snapshots.get(oid)
    if snapshot is None and transaction is not None:
        snapshot = transaction.look(view, oid, coordinator.read())
    if snapshot is None:
        relation = session.database.catalog.relations[oid]
        raise PgError(
            FEATURE_NOT_SUPPORTED,
            f'{KIND_NAMES[relation.kind]} "{relation.name}" cannot be queried',
            hint="Join it by its key in a materialized view and query that."
            if relation.kind == "lookup"
            else "Create a materialized view over it and query that.",
        )
    own = transaction.writes(oid, snapshot.layout) if transaction is not None else None
    if own is None:
        return snapshot
    return own.snapshot(snapshot, session.database.coordinator.store.relation(oid))


def _sequence_row(session: Session, sequence: StoredRelation) -> Snapshot:
    """SELECT * FROM a sequence: its state."""
    last, called = session.database.catalog.sequences.last(sequence)
    types = tuple(column.type for column in sequence.columns)
    layout = Layout(tuple(range(1, len(types) + 1)), types, ())
    row = [[last], [0], [called]]
    batch = pa.RecordBatch.from_arrays(
        [pa.array(v, t.storage) for v, t in zip(row, types, strict=True)], schema=layout.schema
    )
    return Snapshot(layout, (Chunk(batch, None, 1, (0, 0)),))
