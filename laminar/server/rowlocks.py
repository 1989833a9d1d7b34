"""SELECT … FOR UPDATE and its kin, and the rows that statements change.

A transaction reads one epoch. When a row that is to be locked was changed since, a transaction that has done
nothing else so far reads again; any other fails with 40001, as in PostgreSQL at REPEATABLE READ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from laminar.engine.change import Change
from laminar.engine.serving import Layout, Snapshot
from laminar.engine.serving.chunk import Chunk
from laminar.engine.serving.consolidate import split
from laminar.engine.serving.layout import digests
from laminar.errors import READ_ONLY_SQL_TRANSACTION, SERIALIZATION_FAILURE, PgError
from laminar.server import guc
from laminar.server.locks import (
    EXCLUSIVE,
    LOCK_NOT_AVAILABLE,
    ROW_MODES,
    ROW_SHARE,
    Mode,
    Resource,
)
from laminar.server.planning import scanned
from laminar.server.reading import read_all, take_snapshots
from laminar.sql import plan as p
from laminar.sql.adhoc.batches import make
from laminar.sql.evaluator import compile as compile_exprs
from laminar.types import INT8, PgType

if TYPE_CHECKING:
    from laminar.server.session import Session
    from laminar.sql.binder.locking import BoundLocking, LockTarget

#: a statement that changes more rows locks the table, if nobody else is at it
_MANY: Final = 10_000
#: how often rows are read anew because others changed them before they were locked
_ATTEMPTS: Final = 50


async def lock_table(session: Session, oid: int, mode: Mode) -> None:
    """Lock a table until the transaction ends; 40P01, 55P03."""
    await _take(session, ("table", oid), mode)


async def _take(session: Session, resource: Resource, mode: Mode) -> bool:
    """Take a lock, waiting for it if need be: whether that was so."""
    holder, transaction = session.locks, session.transaction
    if holder.take(resource, mode):
        return False
    if transaction is not None:
        transaction.release_turn()  # whoever waits here holds up nobody else
    limit = guc.milliseconds("lock_timeout", session.settings["lock_timeout"])
    await holder.wait(resource, mode, limit / 1000 if limit else None)
    return True


async def lock_changed(session: Session, oid: int, change: Change) -> None:
    """Lock the rows that a statement updates or deletes, until the transaction ends."""
    layout = session.database.coordinator.store.relation(oid).layout
    _, gone = split([change], layout)
    if gone is None or not gone.num_rows:
        return
    if gone.num_rows > _MANY and session.locks.take(("table", oid), EXCLUSIVE):
        return
    for key in digests(*layout.key_arrays(gone)):
        await _take(session, ("row", oid, key), ROW_MODES["update"])


async def locked_rows(
    session: Session, lockings: Sequence[BoundLocking], params: Sequence[pa.Scalar | None]
) -> dict[int, Snapshot]:
    """Run a statement's locking queries; their rows by the number of the Scan that stands for each.

    Raises:
        PgError: 25006, 40001, 40P01, 55P03.
    """
    if not lockings:
        return {}
    transaction, coordinator = session.transaction, session.database.coordinator
    assert transaction is not None
    targets = [target for locking in lockings for target in locking.targets]
    if transaction.read_only and targets:
        what = targets[0].strength.upper()
        raise PgError(
            READ_ONLY_SQL_TRANSACTION, f"cannot execute SELECT FOR {what} in a read-only transaction"
        )
    oids = {target.relation for target in targets}
    for oid in oids:
        await lock_table(session, oid, ROW_SHARE)
    fresh = transaction.view is None and not transaction.changes
    for _ in range(_ATTEMPTS):
        if transaction.view is None:
            await coordinator.wait_published(max(map(coordinator.accepted_epoch, oids), default=0))
            transaction.view = await session.view()
        runs = [_Run(session, locking, params) for locking in lockings]
        found = {run.locking.number: await run.rows() for run in runs}
        if not any(run.changed() for run in runs):
            return found
        if not fresh:
            break
        transaction.view = None
        await coordinator.flush()
    raise PgError(SERIALIZATION_FAILURE, "could not serialize access due to concurrent update")


class _Run:
    """One locking query over the transaction's epoch."""

    def __init__(self, session: Session, locking: BoundLocking, params: Sequence[pa.Scalar | None]) -> None:
        self.locking = locking
        self._session = session
        self._params = params
        #: (relation, comparable keys, positions of those that were locked) by target
        self._locked: list[tuple[int, list[pa.Array], list[int]]] = []

    async def rows(self) -> Snapshot:
        """Its rows, locked, in order."""
        locking = self.locking
        count, offset = self._bounds()
        wanted = None if count is None else count + offset
        plan = locking.plan
        if wanted is not None:
            # rows that others have locked are passed over: so many more may be needed
            locks = self._session.database.instance.locks
            spare = sum(locks.rows[t.relation] for t in locking.targets if t.policy == "skip")
            plan = p.Limit(plan, p.Const(wanted + spare, PgType(INT8)), None)
        snapshots = await take_snapshots(self._session, scanned(plan))
        found = await read_all(self._session, plan, snapshots, self._params)
        chosen = await self._choose(found, wanted)
        kept = found.take(pa.array(chosen[offset:], pa.int64()))
        return rows_snapshot(kept, locking.columns)

    def _bounds(self) -> tuple[int | None, int]:
        """LIMIT (None: all) and OFFSET; 2201W, 2201X."""
        values: list[int | None] = []
        for expr, code, name in (
            (self.locking.count, "2201W", "LIMIT"),
            (self.locking.offset, "2201X", "OFFSET"),
        ):
            value = None
            if expr is not None:
                value = compile_exprs([expr], [])(make([], 1), self._session.env(self._params))[0][0].as_py()
            if value is not None and value < 0:
                raise PgError(code, f"{name} must not be negative")
            values.append(value)
        return values[0], values[1] or 0

    async def _choose(self, found: pa.RecordBatch, wanted: int | None) -> list[int]:
        """The positions of the rows that it could lock, as many as are wanted."""
        places = {column.id: i for i, column in enumerate(self.locking.plan.columns)}
        keyed: list[tuple[LockTarget, list[bytes]]] = []
        store = self._session.database.coordinator.store
        for target in self.locking.targets:
            layout = store.relation(target.relation).layout
            keys = layout.comparable([found.column(places[c.id]) for c in target.key])
            keyed.append((target, digests(*keys)))
            self._locked.append((target.relation, keys, []))
        chosen: list[int] = []
        for row in range(found.num_rows):
            if wanted is not None and len(chosen) >= wanted:
                break
            if not all([await self._lock(target, keys[row]) for target, keys in keyed]):
                continue
            chosen.append(row)
            for _, _, places_locked in self._locked:
                places_locked.append(row)
        return chosen

    async def _lock(self, target: LockTarget, key: bytes) -> bool:
        """Lock a row; whether that could be (SKIP LOCKED)."""
        resource, mode = ("row", target.relation, key), ROW_MODES[target.strength]
        if self._session.locks.take(resource, mode):
            return True
        if target.policy == "skip":
            return False
        if target.policy == "nowait":
            name = self._session.database.catalog.relations[target.relation].name
            raise PgError(LOCK_NOT_AVAILABLE, f'could not obtain lock on row in relation "{name}"')
        await _take(self._session, resource, mode)
        return True

    def changed(self) -> bool:
        """Whether somebody has changed one of the rows since the epoch that was read."""
        transaction, guard = self._session.transaction, self._session.database.guard
        assert transaction is not None
        assert transaction.view is not None
        seen = transaction.view.epoch
        for relation, keys, places in self._locked:
            taken = pa.array(places, pa.int64())
            if places and guard.touched_since(relation, [k.take(taken) for k in keys], seen).any():
                return True
        return False


def rows_snapshot(rows: pa.RecordBatch, columns: Sequence[p.Column]) -> Snapshot:
    """Rows as a relation of their first columns."""
    types = tuple(column.type for column in columns)
    layout = Layout(tuple(range(1, len(types) + 1)), types, ())
    batch = pa.RecordBatch.from_arrays(rows.columns[: len(types)], schema=layout.schema)
    return Snapshot(layout, (Chunk(batch, None, batch.num_rows, (0, 0)),) if batch.num_rows else ())
