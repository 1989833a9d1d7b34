"""What commits bring: into the log, into the open epoch and to the reactors.

A transaction of any size has a log record of its own (``commit``). Transactions of one row each that come
while the log is being synced share the next record, its batches and its sync (``add``): with many clients
their price is paid once for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import numpy as np
import pyarrow as pa

from laminar.engine.change import Change
from laminar.engine.lookups import Lookups
from laminar.engine.publishing import Publisher
from laminar.engine.reactorgroup import ReactorGroup
from laminar.engine.records import TRANSACTION, encode_transaction, total_size
from laminar.engine.relations import RelationSpec
from laminar.engine.rows import Prepared
from laminar.engine.state import EngineState, clock_time
from laminar.errors import DISK_FULL, PgError

#: log space that transactions leave for epoch records, so that a full disk does not stop publication
_EPOCH_ROOM = 1 << 16
#: bytes of log that a row's padding takes at most, for each byte that an empty batch takes: a buffer takes 16
#: there, and 64 at most to its next boundary
_OVERHEAD = 8


class CommitGate(Protocol):
    """Lets a transaction through, or not, at the moment it would be accepted."""

    def check(self) -> None:
        """Raise PgError to refuse the transaction (a write conflict)."""

    def accepted(self, epoch: int) -> None:
        """It was accepted into ``epoch``."""


@dataclass(frozen=True, slots=True)
class WeightedRow:
    """A row of all visible columns, or all stored ones: one-row arrays."""

    columns: Sequence[pa.Array]
    weight: int


@dataclass(slots=True)
class _Gathered:
    """Rows of a relation, in the order in which they were accepted."""

    spec: RelationSpec
    rows: list[WeightedRow] = field(default_factory=list)

    def change(self) -> Change:
        """All of them; a batch names its columns by number."""
        columns = [pa.concat_arrays(parts) for parts in zip(*(r.columns for r in self.rows), strict=True)]
        batch = pa.RecordBatch.from_arrays(columns, [str(i) for i in range(len(columns))])
        if all(row.weight == 1 for row in self.rows):
            return Change(batch)
        return Change(batch, np.array([row.weight for row in self.rows], dtype=np.int64))


class Intake:
    """Accepts transactions; the event loop's thread alone uses it."""

    def __init__(
        self, state: EngineState, group: ReactorGroup, publisher: Publisher, lookups: Lookups
    ) -> None:
        self._state = state
        self._lookups = lookups
        self._group = group
        self._publisher = publisher
        self._gathered: dict[int, _Gathered] = {}
        #: bytes of log that what has been gathered takes at most
        self._size = 0
        #: completes when what has been gathered is durable
        self._durable: asyncio.Future[None] | None = None
        self._syncing = False

    @property
    def crowded(self) -> bool:
        """Whether a checkpoint is being written that memory waits for."""
        state = self._state
        return state.store.unsaved > 2 * state.config.store_memory and state.checkpoints.running

    @property
    def overfull(self) -> bool:
        """Whether memory has too much that belongs into files which cannot be written."""
        state = self._state
        unsaved = state.store.unsaved if state.checkpoints.failure is not None else 0
        return state.refused + unsaved > 2 * state.config.store_memory

    def _check_disk(self) -> None:
        if self.overfull:
            failure = self._state.checkpoints.failure
            raise PgError(
                failure.sqlstate if failure is not None else DISK_FULL,
                "no more rows are taken until the disk takes what is in memory",
                detail=None if failure is None else failure.message,
                hint="Checkpoints are tried again and again; rows are taken as soon as one succeeds.",
            )

    async def commit(
        self, changes: list[tuple[int, Change]], sync: bool = True, gate: CommitGate | None = None
    ) -> int:
        """See :meth:`laminar.engine.coordinator.Coordinator.commit`."""
        state = self._state
        state.check()
        self._check_disk()
        if self._group.fleet is not None:
            await self._group.fleet.room(state.config.max_backlog_bytes)
        await state.deliveries.room()
        await self._publisher.room()
        await self._lookups.room({oid for oid, _ in changes})
        while self.crowded:
            await state.checkpoints.idle()
            await asyncio.sleep(0)
        while True:
            self.settle()
            prepared = self._prepare(changes)
            epoch = state.open
            parts = encode_transaction(epoch, prepared.changes)
            size = total_size(parts) + _EPOCH_ROOM
            if state.wal.fits(size):
                break
            await state.wal.reserve(size)
        # Nothing is awaited from here to the acceptance: what the gate saw is still so.
        if gate is not None:
            gate.check()
        if not prepared.changes:
            state.rows.accept(prepared)
            return state.store.epoch
        end = self._accept(prepared, parts)
        if gate is not None:
            gate.accepted(epoch)
        if sync:
            await state.wal.sync(end)
        return epoch

    def add(self, relation: int, rows: Sequence[WeightedRow]) -> asyncio.Future[None] | None:
        """Accept a transaction of few rows of a relation without a watermark, into the open epoch.

        Returns:
            what completes when it is durable, or fails as ``Wal.sync`` does; None, and nothing has
            happened, when the transaction would have to wait: ``commit`` does.
        """
        state = self._state
        overhead = _overhead(state.relation(relation).schema)
        size = sum(overhead + 2 * sum(column.nbytes for column in row.columns) for row in rows)
        if not state.wal.fits(self._size + size + _EPOCH_ROOM) or relation in self._lookups.crowded:
            return None
        if not self._gathered:
            if self._closed():
                return None
            self._durable = asyncio.get_running_loop().create_future()
            if not self._syncing:
                asyncio.get_running_loop().call_soon(self.settle)
        gathered = self._gathered.get(relation)
        if gathered is None:
            gathered = self._gathered[relation] = _Gathered(state.relation(relation))
        gathered.rows.extend(rows)
        self._size += size
        return self._durable

    def settle(self) -> None:
        """Put what has been gathered into the log, the open epoch and the reactors."""
        if not self._gathered:
            return
        state, done = self._state, self._durable
        assert done is not None
        gathered, self._gathered = self._gathered, {}
        self._size, self._durable = 0, None
        try:
            prepared = self._prepare([(oid, found.change()) for oid, found in gathered.items()])
            end = self._accept(prepared, encode_transaction(state.open, prepared.changes))
        except PgError as error:  # the log has failed, which ends the server
            done.set_exception(error)
            return
        self._syncing = True
        state.wal.when_durable(end, done)
        done.add_done_callback(self._synced)

    def _synced(self, _: asyncio.Future[None]) -> None:
        self._syncing = False
        self.settle()

    def _closed(self) -> bool:
        """Whether transactions have to wait, or cannot be accepted any more."""
        state, fleet = self._state, self._group.fleet
        return (
            state.failure.done()
            or state.stopping
            or (fleet is not None and fleet.backlog_bytes > state.config.max_backlog_bytes)
            or state.deliveries.behind
            or self._publisher.crowded
            or self.crowded
            or self.overfull
        )

    def _prepare(self, changes: list[tuple[int, Change]]) -> Prepared:
        state = self._state
        specs = [(state.relation(oid), change) for oid, change in changes]
        return state.rows.prepare(specs, clock_time(), state.config.max_future)

    def _accept(self, prepared: Prepared, parts: list[object]) -> int:
        """Take the rows into the open epoch; returns the end of their log record."""
        state = self._state
        state.rows.accept(prepared)
        end = state.wal.append(TRANSACTION, parts)
        state.pending.setdefault(state.open, []).extend(prepared.changes)
        if self._group.feeding:
            self._group.feed(prepared.changes, state.open)
        if self._publisher.subscribed:
            state.clock.urge()
        else:
            state.clock.dirty()
        return end


@lru_cache(maxsize=1000)
def _overhead(schema: pa.Schema) -> int:
    """Bytes of log that a row takes at most beside its values, alone or with others."""
    empty = pa.RecordBatch.from_arrays([pa.nulls(0, type_) for type_ in schema.types], schema=schema)
    return _OVERHEAD * total_size(encode_transaction(0, [(0, Change(empty))]))
