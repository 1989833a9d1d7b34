"""Reactors started from the newest checkpoint and brought up to date from the log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from laminar import logging
from laminar.engine.epochs import Commits, Gathering, Plan
from laminar.engine.fleet import ReactorsLost
from laminar.engine.manifest import Manifest
from laminar.engine.messages import Kind
from laminar.engine.partitions import SourcePartitions
from laminar.engine.protocol import BarrierMessage, Installation, StartState
from laminar.engine.publishing import Publisher
from laminar.engine.reactorgroup import ReactorGroup
from laminar.engine.records import EpochRecord
from laminar.engine.recovery import LogTail, ReplayedEpoch
from laminar.engine.relations import RelationSpec
from laminar.engine.rows import RowKeeper
from laminar.engine.state import EngineState
from laminar.errors import INTERNAL_ERROR, PgError

log = logging.get(__name__)

#: barriers in flight while epochs are replayed
_REPLAY_AHEAD = 4
#: between log lines about the progress of a recovery
_PROGRESS_SECONDS = 2.0
#: reactor deaths without a published epoch in between that end the server
_DEATHS_LIMIT = 5


#: makes a gathered epoch durable and visible
FinishEpoch = Callable[[Gathering, Plan, dict[int, int]], Awaitable[None]]


class Revival:
    """Replays what the checkpoint does not hold; ``rerun`` does epochs that had no record yet."""

    def __init__(
        self, state: EngineState, group: ReactorGroup, publisher: Publisher, partitions: SourcePartitions
    ) -> None:
        self.state = state
        self.group = group
        self.publisher = publisher
        self.partitions = partitions

    async def until_it_works(self, finish: FinishEpoch) -> None:
        """Revive; PANIC when reactors die again and again."""
        while not self.state.stopping:
            if self.group.deaths > _DEATHS_LIMIT:
                raise PgError(INTERNAL_ERROR, "reactors die again and again", severity="PANIC")
            try:
                await self._revive(finish)
                return
            except ReactorsLost:
                await asyncio.sleep(0.05 * self.group.deaths)

    async def _revive(self, finish: FinishEpoch) -> None:
        state = self.state
        await state.checkpoints.idle()
        manifest = state.checkpoints.manifest
        state.plan = Plan(checkpoint=state.plan.checkpoint)
        fleet = self.group.begin()
        for spec in state.known.values():
            fleet.broadcast(Kind.RELATION, extra=spec)
        state.readers = {}
        for flow in state.dataflows.values():
            fleet.broadcast(Kind.INSTALL, extra=Installation(flow))
            state.read_by(flow)
        await self.partitions.find()
        await asyncio.gather(self._start_reactors(manifest), self._make_indexes())
        tail = LogTail(state.data_dir / "wal", manifest, state.wal.durable or None)
        await self._replay(tail)
        await self._rerun(finish)
        self.group.live()
        state.clock.urge()

    async def _make_indexes(self) -> None:
        """At the server's start, while reactors read their state and nobody uses the store yet."""
        if self.state.wal.end:
            return
        changing = [oid for oid, spec in self.state.relations.items() if _finds_rows(spec)]
        await asyncio.to_thread(self.state.store.make_indexes, [o for o in changing if o in self.state.store])

    async def _start_reactors(self, manifest: Manifest) -> None:
        fleet = self.group.fleet
        assert fleet is not None
        ready = self.group.expect(0)
        for index in range(len(ready)):
            start = StartState(
                manifest.epoch,
                manifest.now,
                self.state.checkpoints.state_files(index),
                manifest.positions,
                manifest.watermarks,
                self.state.partitions,
            )
            fleet.post(index, Kind.START, extra=start)
        await self._restored(manifest, [*ready])

    async def _restored(self, manifest: Manifest, ready: Sequence[asyncio.Future[None]]) -> None:
        """Wait for the reactors' states; the log says how far they are."""
        fleet = self.group.fleet
        total = sum(file.size for files in manifest.states for file in files)
        count = sum(map(len, manifest.states))
        started = time.monotonic()
        everything = asyncio.gather(*ready)
        while not (await asyncio.wait([everything], timeout=_PROGRESS_SECONDS))[0]:
            if fleet is not None:
                size, files = fleet.restored
                log.info("reading state", files=files, of_files=count, bytes=size, of=total)
        everything.result()
        if total:
            log.info("state read", files=count, bytes=total, seconds=round(time.monotonic() - started, 2))

    # --- published epochs ---------------------------------------------------------------------

    async def _replay(self, tail: LogTail) -> None:
        """Compute the published epochs again; the store takes those that it does not have."""
        state = self.state
        flying: list[tuple[ReplayedEpoch, Gathering]] = []
        state.positions, state.watermarks = dict(tail.manifest.positions), dict(tail.manifest.watermarks)
        for replayed in tail.epochs():
            self._forget_unread(replayed.record)
            if not state.wal.end:
                state.count_rows(replayed.commits)
            record = replayed.record
            self.group.feed(replayed.commits, record.epoch)
            barrier = BarrierMessage(record.epoch, record.now, record.watermarks, replay=record.positions)
            flying.append((replayed, self.group.barrier(barrier)))
            if len(flying) > _REPLAY_AHEAD:
                await self._replayed(*flying.pop(0))
        for one in flying:
            await self._replayed(*one)
        if not state.wal.end:
            await state.wal.open(tail.end.lsn)
            self._take_up(tail)

    def _forget_unread(self, record: EpochRecord) -> None:
        """Leave out connector sources that only views without a checkpoint have read.

        These views are gone; whoever reads the source next begins at its start, with no watermark.
        """
        read, known = self.state.partitions, self.state.known
        record.positions = {oid: p for oid, p in record.positions.items() if oid in read}
        record.watermarks = {
            oid: w
            for oid, w in record.watermarks.items()
            if oid in read or (oid in known and known[oid].kind != "connector")
        }

    async def _replayed(self, replayed: ReplayedEpoch, gathering: Gathering) -> None:
        await gathering.done
        state, record = self.state, replayed.record
        del self.group.gatherings[record.epoch]
        state.positions |= record.positions
        state.watermarks = record.watermarks
        if record.epoch > state.store.epoch:
            self.publisher.publish(record.epoch, record.now, replayed.commits, gathering)

    def _take_up(self, tail: LogTail) -> None:
        """Go on where the log of the last run ended."""
        state = self.state
        if tail.end.torn is not None:
            log.warning("the end of the write-ahead log was torn; cut", lsn=tail.end.torn)
        state.pending = tail.unpublished
        state.open = max([state.store.epoch + 1, *state.pending])
        state.now = state.store.now
        state.rows.watermarks = {
            oid: w
            for oid, w in state.watermarks.items()
            if oid in state.relations and oid not in state.partitions
        }
        for commits in state.pending.values():
            state.count_rows(commits)
        # Of the epochs in the tail only the first one's position is known: no harm, just more log kept.
        state.start_lsn = dict.fromkeys(range(state.store.epoch + 1, state.open + 1), tail.manifest.lsn)

    # --- epochs that were begun but not published ----------------------------------------------

    async def _rerun(self, finish: FinishEpoch) -> None:
        """Epochs without a record, then what has been committed since."""
        state = self.state
        steps = RowKeeper()
        steps.watermarks = dict(state.watermarks)
        for epoch in range(state.store.epoch + 1, state.open):
            commits = state.pending.get(epoch, [])
            self._step(steps, commits)
            marks = {oid: w for oid, w in steps.watermarks.items() if oid not in state.partitions}
            self.group.feed(commits, epoch)
            gathering = self.group.barrier(BarrierMessage(epoch, state.next_time(), marks))
            await gathering.done
            await finish(gathering, Plan(), marks)
        self.group.feed(state.pending.get(state.open, []), state.open)

    def _step(self, steps: RowKeeper, commits: Commits) -> None:
        for relation, change in commits:
            if relation in self.state.relations:
                steps.replayed(self.state.relations[relation], change)


def _finds_rows(spec: RelationSpec) -> bool:
    """Whether rows of a relation will be looked for: by deletions, or by a primary key."""
    return not spec.append_only and (spec.kind != "source" or spec.key is not None)
