"""The engine in the server process: commits, epochs, recovery.

One asyncio loop runs all of it. README.md in this folder describes the concurrency.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Protocol

import pyarrow.compute as pc
import structlog

from laminar.connectors.base import source_connector
from laminar.engine.backfill import Progress, send_past
from laminar.engine.change import NO_WATERMARK, Change
from laminar.engine.checkpoint import REACTORS_LOST, Checkpoints
from laminar.engine.config import EngineConfig
from laminar.engine.epochs import Clock, Commits, EpochEntry, Gathering, Plan
from laminar.engine.fleet import Fleet, ReactorsLost
from laminar.engine.lockfile import DirectoryLock
from laminar.engine.manifest import Manifest
from laminar.engine.messages import Kind, Message
from laminar.engine.protocol import (
    BarrierMessage,
    EpochReport,
    Installation,
    Partitions,
    Positions,
    StartState,
)
from laminar.engine.records import (
    EPOCH,
    TRANSACTION,
    EpochRecord,
    encode_epoch,
    encode_transaction,
    total_size,
)
from laminar.engine.recovery import LogTail, ReplayedEpoch
from laminar.engine.relations import ROW_ID, DataflowSpec, RelationSpec
from laminar.engine.rows import RowKeeper, chunks
from laminar.engine.serving import EpochView, Retention, ServingStore
from laminar.engine.subscription import Subscription, consolidated
from laminar.engine.wal import Wal
from laminar.errors import INTERNAL_ERROR, OBJECT_NOT_IN_PREREQUISITE_STATE, UNDEFINED_TABLE, PgError

log = structlog.get_logger(__name__)

#: barriers in flight while epochs are replayed
_REPLAY_AHEAD = 4
#: reactor deaths without a published epoch in between that end the server
_DEATHS_LIMIT = 5
#: an installation is tried again when reactors die; it may be what kills them
_INSTALL_ATTEMPTS = 3
#: log space that transactions leave for epoch records, so that a full disk does not stop publication
_EPOCH_ROOM = 1 << 16
#: seconds between looks for new partitions of sources
_WATCH_INTERVAL = 1.0


class CommitGate(Protocol):
    """Lets a transaction through, or not, at the moment it would be accepted."""

    def check(self) -> None:
        """Raise PgError to refuse the transaction (a write conflict)."""

    def accepted(self, epoch: int) -> None:
        """It was accepted into ``epoch``."""


class Coordinator:
    """See the module's text. All methods run on the event loop's thread.

    ``failure`` completes with the error that made the engine stop for good (a log that cannot be
    written, reactors that die again and again); the server should end then.
    """

    def __init__(self, data_dir: Path, config: EngineConfig) -> None:
        self.data_dir = data_dir
        self.config = config
        self.store = ServingStore()
        self.rows = RowKeeper()
        self.relations: dict[int, RelationSpec] = {}
        #: the same and those that only the replay still needs
        self._known: dict[int, RelationSpec] = {}
        #: complete dataflows, in order of installation
        self.dataflows: dict[int, DataflowSpec] = {}
        self.positions: Positions = {}
        self.watermarks: dict[int, int] = {}
        self.partitions: dict[int, Partitions] = {}
        #: the newest report of each reactor
        self.reports: dict[int, EpochReport] = {}
        self.epoch_log: deque[EpochEntry] = deque(maxlen=100)
        self.failure: asyncio.Future[PgError] = asyncio.get_running_loop().create_future()
        self._clock = Clock(config.epoch_interval)
        self._plan = Plan()
        self._installing: dict[int, DataflowSpec] = {}
        self._open = 1
        self._now = 0
        self._pending: dict[int, Commits] = {}
        self._start_lsn: dict[int, int] = {}
        self._gatherings: dict[int, Gathering] = {}
        self._ready: dict[tuple[int, int], asyncio.Future[None]] = {}
        self._published: dict[int, list[asyncio.Future[None]]] = {}
        self._attached: dict[int, asyncio.Future[tuple[int, EpochView]]] = {}
        self._behind: set[int] = set()
        self._readers: dict[int, set[int]] = {}
        self.subscriptions: list[Subscription] = []
        self.fleet: Fleet | None = None
        #: rows may be handed to the reactors as they are committed
        self._feeding = False
        self._revived = asyncio.Event()
        self._deaths = 0
        self._last_words = "one was killed"
        self._turn = 0
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._epoch_lock = asyncio.Lock()

    # --- start and stop ---------------------------------------------------------------

    async def start(self, relations: Iterable[RelationSpec], dataflows: Iterable[DataflowSpec]) -> None:
        """Recover, start the reactors and the epoch clock.

        Args:
            relations: all there are; kind ``view`` for each dataflow that materializes.
            dataflows: of all views and sinks, those that others read first.

        Raises:
            PgError: 55006 when another server uses the directory, XX001 when it is damaged.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._lock = DirectoryLock(self.data_dir)
        try:
            for folder in ("wal", "state", "store", "scratch"):
                (self.data_dir / folder).mkdir(exist_ok=True)
            self.checkpoints = Checkpoints(self.data_dir, self.config.reactors)
            for spec in relations:
                self._add_relation(spec)
            wanted = {spec.id: spec for spec in dataflows}
            await self._recover(wanted)
            self._task = asyncio.create_task(self._run())
            await self._reconcile(wanted)
            self._watcher = asyncio.create_task(self._watch_sources())
        except BaseException:
            if self._task is not None:
                self._task.cancel()
            if self.fleet is not None:
                self.fleet.kill()
            self._lock.release()
            raise

    async def _recover(self, wanted: dict[int, DataflowSpec]) -> None:
        """Take up the newest checkpoint and the log behind it."""
        manifest = self.checkpoints.manifest
        self.dataflows = self._usable(manifest, wanted)
        for old in manifest.relations:
            self._known.setdefault(old.oid, old)
        stored = {oid: files for oid, files in manifest.stored.items() if self._is_whole(oid)}
        self.store.restore(self.data_dir / "store", stored, manifest.epoch, manifest.now)
        self._refuse_loss(manifest)
        self.rows.row_ids = dict(manifest.row_ids)
        self.wal = Wal(self.data_dir / "wal", self.config.wal_segment_bytes, self._fail)
        await self._revive_until_it_works()

    def _usable(self, manifest: Manifest, wanted: dict[int, DataflowSpec]) -> dict[int, DataflowSpec]:
        """Dataflows whose state in the checkpoint can be taken up.

        Not those whose plan has changed, nor what reads them; none when the number of reactors has,
        since state is divided among them. Such views are computed anew from their inputs, up to where
        these are now: sources keep their positions, and a view that comes later reads their past.
        A view that was dropped after the checkpoint still takes part in the replay, so that sources
        are read as they were; it goes afterwards.
        """
        found: dict[int, DataflowSpec] = {}
        if manifest.reactors != self.config.reactors:
            if manifest.dataflows:
                log.warning(
                    "views are computed anew", reactors=self.config.reactors, before=manifest.reactors
                )
            manifest.states = []
            return found
        void: set[int] = set()
        for spec in manifest.dataflows:
            current = wanted.get(spec.id, spec)
            if current.fingerprint != spec.fingerprint or void.intersection(spec.inputs):
                log.warning("a view is computed anew: its plan has changed", view=spec.id)
                void.add(spec.id)
            else:
                found[spec.id] = current
        return found

    def _is_whole(self, relation: int) -> bool:
        """Whether a relation's stored rows are worth anything: a view's only with its dataflow's state.

        A checkpoint also has rows of views that were being installed or removed.
        """
        spec = self.relations.get(relation)
        return (
            relation in self.store
            and spec is not None
            and (spec.kind != "view" or relation in self.dataflows)
        )

    def _refuse_loss(self, manifest: Manifest) -> None:
        """55000 when another number of reactors would cost views rows that their source has no more."""
        if manifest.reactors == self.config.reactors:
            return
        for oid in {i for flow in manifest.dataflows for i in flow.inputs}:
            spec = self.relations.get(oid)
            if spec is not None and spec.kind == "source" and self._forgotten(spec):
                raise PgError(
                    OBJECT_NOT_IN_PREREQUISITE_STATE,
                    f"the number of reactors cannot change from {manifest.reactors}"
                    f" to {self.config.reactors}",
                    detail=f'Views would be computed anew, but source "{spec.name}" no longer has all the'
                    " rows that they were computed from.",
                    hint=f"Start with {manifest.reactors} reactors, or drop the views that read it first.",
                )

    def _forgotten(self, source: RelationSpec) -> bool:
        """Whether the oldest rows of a push source have been dropped by its retention."""
        batches = self.store.read().snapshot(source.oid).batches((ROW_ID,))
        first = next((pc.min(batch.column(0)).as_py() for batch in batches if batch.num_rows), None)
        return (self.checkpoints.manifest.row_ids.get(source.oid, 0) if first is None else first) > 0

    async def _reconcile(self, wanted: dict[int, DataflowSpec]) -> None:
        """Remove dataflows that have been dropped, install those that no checkpoint has."""
        gone = [oid for oid in reversed(self.dataflows) if oid not in wanted]
        if gone:
            await self.remove(gone)
        for oid in self._known.keys() - self.relations.keys():
            self.drop_relation(oid)
        for spec in wanted.values():
            if spec.id not in self.dataflows:
                await self.install(spec)

    async def stop(self) -> None:
        """Publish what is committed, checkpoint, end the reactors."""
        if self._task is None:
            return
        if not self.failure.done():
            try:
                await self.checkpoint()
            except PgError as error:
                log.warning("no checkpoint at the stop", error=str(error))
        self._stopping = True
        for task in (self._watcher, self._task):
            task.cancel()
        await asyncio.gather(self._watcher, self._task, return_exceptions=True)
        await self.checkpoints.idle()
        if self.fleet is not None:
            await self.fleet.stop()
        await self.wal.close()
        self.checkpoints.close()
        self._lock.release()

    def _fail(self, error: PgError) -> None:
        """The engine cannot go on."""
        log.error("the engine has failed", error=str(error))
        self._stopping = True
        if self.fleet is not None:
            self.fleet.kill()
        self._feeding = False
        if not self.failure.done():
            self.failure.set_result(error)
        waiting: list[asyncio.Future[Any]] = [*self._ready.values(), *self._attached.values()]
        waiting += [future for waiters in self._published.values() for future in waiters]
        for future in waiting:
            if not future.done():
                future.set_exception(error)
        for gathering in self._gatherings.values():
            gathering.fail(error)
        self.checkpoints.fail(error)
        for subscription in self.subscriptions:
            subscription.end(error)

    def _check(self) -> None:
        if self.failure.done():
            raise self.failure.result()

    # --- relations -----------------------------------------------------------------------

    def register_relation(self, spec: RelationSpec) -> None:
        """Make a table, source or view known; stored ones begin empty."""
        self._add_relation(spec)
        if self.fleet is not None and self._feeding:
            self.fleet.broadcast(Kind.RELATION, extra=spec)

    def _add_relation(self, spec: RelationSpec) -> None:
        self.relations[spec.oid] = self._known[spec.oid] = spec
        if spec.kind == "connector":
            return
        retention = None
        if spec.retention is not None or spec.retention_bytes is not None:
            age = None if spec.retention is None else int(spec.retention * 1_000_000)
            retention = Retention(age, spec.retention_bytes)
        self.store.register(spec.oid, spec.layout, retention)

    def drop_relation(self, oid: int) -> None:
        """Forget a relation that no dataflow reads any more; its rows are gone."""
        self.relations.pop(oid, None)
        self._known.pop(oid, None)
        if oid in self.store:
            self.store.drop(oid)
        self.positions.pop(oid, None)
        self.partitions.pop(oid, None)
        for subscription in [s for s in self.subscriptions if s.relation == oid]:
            subscription.end(PgError(UNDEFINED_TABLE, "the subscribed relation was dropped"))
        if self.fleet is not None and self._feeding:
            self.fleet.broadcast(Kind.DROP_RELATION, oid)

    # --- commits ---------------------------------------------------------------------------

    async def commit(
        self, changes: list[tuple[int, Change]], sync: bool = True, gate: CommitGate | None = None
    ) -> int:
        """Accept a transaction; returns the epoch that will hold it.

        Args:
            changes: by relation; a batch has the relation's visible columns or all stored ones
                (then a null row number asks for a new one).
            sync: return only when the rows survive a power loss.
            gate: asked at the moment of acceptance, told right after it.

        Raises:
            PgError: 53100 when there is no room for the log, what the gate raises; then nothing
                has happened.
        """
        self._check()
        if self.fleet is not None:
            await self.fleet.room(self.config.max_backlog_bytes)
        while True:
            specs = [(self._relation(oid), change) for oid, change in changes]
            prepared = self.rows.prepare(specs, _now(), self.config.max_future)
            epoch = self._open
            parts = encode_transaction(epoch, prepared.changes)
            size = total_size(parts) + _EPOCH_ROOM
            if self.wal.fits(size):
                break
            await self.wal.reserve(size)
        # Nothing is awaited from here to the acceptance: what the gate saw is still so.
        if gate is not None:
            gate.check()
        self.rows.accept(prepared)
        if not prepared.changes:
            return self.store.epoch
        end = self.wal.append(TRANSACTION, parts)
        if gate is not None:
            gate.accepted(epoch)
        self._pending.setdefault(epoch, []).extend(prepared.changes)
        if self._feeding:
            self._feed(prepared.changes, epoch)
        if any(not s.closed for s in self.subscriptions):
            self._clock.urge()
        else:
            self._clock.dirty()
        if sync:
            await self.wal.sync(end)
        return epoch

    def _relation(self, oid: int) -> RelationSpec:
        spec = self.relations.get(oid)
        if spec is None:
            raise PgError(INTERNAL_ERROR, f"relation {oid} is not known to the engine")
        return spec

    def _feed(self, changes: Commits, epoch: int) -> None:
        """Hand rows to the reactors, chunk by chunk in turn."""
        assert self.fleet is not None
        for relation, change in changes:
            if not self._readers.get(relation):
                continue
            for chunk in chunks(change):
                self.fleet.post_rows(self._turn, relation, 0, epoch, chunk)
                self._turn = (self._turn + 1) % self.config.reactors

    async def wait_published(self, epoch: int, timeout: float | None = None) -> None:
        """Return when readers see ``epoch``; asks for it to be soon.

        Raises TimeoutError.
        """
        if epoch <= self.store.epoch:
            return
        self._check()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._published.setdefault(epoch, []).append(future)
        self._clock.urge()
        await asyncio.wait_for(future, timeout)

    async def flush(self) -> int:
        """End an epoch with all that was accepted so far and wait until it is published."""
        epoch = self._open
        await self.wait_published(epoch)
        return epoch

    def accepted_epoch(self, relation: int) -> int:
        """The newest epoch with accepted rows of a relation that readers do not see yet; 0: none."""
        return max((e for e, made in self._pending.items() if any(r == relation for r, _ in made)), default=0)

    def read(self) -> EpochView:
        """The newest published epoch."""
        return self.store.read()

    def subscribe(self, relation: int, buffer_limit: int) -> Subscription:
        """Changes of a stored relation from the epoch after the newest one."""
        self._check()
        subscription = Subscription(relation, self.store.read(), buffer_limit)
        self.subscriptions.append(subscription)
        return subscription

    # --- the epoch clock ----------------------------------------------------------------------

    async def _run(self) -> None:
        """Epoch after epoch, until the engine stops or fails."""
        while not self._stopping:
            try:
                if not await self._clock.due(self.checkpoints.due_in(self.config.checkpoint_interval)):
                    self._plan.checkpoint = True
                self._clock.begin()
                await self._epoch()
            except ReactorsLost:
                await self._revive_until_it_works()
            except PgError as error:
                self._fail(error)
                return
            except Exception as error:
                log.exception("epoch failed")
                self._fail(PgError(INTERNAL_ERROR, f"epoch failed: {error!r}", severity="PANIC"))
                return

    async def _epoch(self) -> None:
        """Run one epoch from barrier to publication."""
        if not self._feeding:
            raise ReactorsLost
        epoch = self._open
        self._open += 1
        self._start_lsn[self._open] = self.wal.end
        plan, self._plan = self._plan, Plan()
        if self.checkpoints.wanted(self.wal.end, self.config):
            plan.checkpoint = True
        if plan.checkpoint and self.checkpoints.running:
            self._plan.checkpoint, plan.checkpoint = True, False
            self.checkpoints.when_done(self._clock.urge)
        if plan.checkpoint:
            self.checkpoints.expect()
        watermarks = dict(self.rows.watermarks)
        try:
            gathering = self._barrier(epoch, self._time(), plan, watermarks)
            await gathering.done
        except ReactorsLost:
            self._plan.checkpoint |= plan.checkpoint
            raise
        await self._finish(gathering, plan, watermarks)

    def _time(self) -> int:
        self._now = max(self._now + 1, _now())
        return self._now

    def _barrier(self, epoch: int, now: int, plan: Plan, watermarks: dict[int, int]) -> Gathering:
        """Send a barrier to all reactors."""
        assert self.fleet is not None
        gathering = self._gathering(epoch)
        message = BarrierMessage(
            epoch,
            now,
            watermarks,
            checkpoint=self.checkpoints.state_path(epoch) if plan.checkpoint else "",
            attach=tuple(plan.attach),
            complete=tuple(plan.complete),
            detach=tuple(plan.detach),
            partitions=plan.partitions,
        )
        self.fleet.broadcast(Kind.BARRIER, extra=message)
        # Rows committed from now on queue behind the barrier, where the new dataflows take changes.
        for new in plan.attach:
            if new in self._installing:
                self._read_by(self._installing[new])
        for gone in plan.detach:
            self._unread(gone)
        return gathering

    async def _finish(self, gathering: Gathering, plan: Plan, watermarks: dict[int, int]) -> None:
        """Make the epoch durable, then visible."""
        epoch = gathering.epoch
        del self._gatherings[epoch]
        self.positions |= gathering.positions
        self.watermarks = watermarks | gathering.watermarks
        record = EpochRecord(epoch, self._now, self.positions, self.watermarks)
        parts = encode_epoch(record)
        size = total_size(parts)
        while not self.wal.fits(size):
            try:
                await self.wal.reserve(size)
            except PgError as error:
                log.warning("waiting for room to log an epoch", error=str(error))
                await asyncio.sleep(0.5)
        await self.wal.sync(self.wal.append(EPOCH, parts))
        self._publish(epoch, self._now, self._pending.pop(epoch, []), gathering)
        for dataflow in plan.complete:
            if dataflow in self._installing:  # else it has been cancelled
                self.dataflows[dataflow] = self._installing[dataflow]
        self.checkpoints.stale = True
        for dataflow in plan.attach:
            attached = self._attached.pop(dataflow, None)
            if attached is not None and not attached.done():
                attached.set_result((epoch, self.store.read()))
        if plan.checkpoint:
            self.checkpoints.begin(self._manifest(epoch), self.store, self.wal)
        for old in [e for e in self._start_lsn if e <= epoch]:
            del self._start_lsn[old]
        self._deaths = 0

    def _manifest(self, epoch: int) -> Manifest:
        """What a checkpoint of the epoch just published says beside its files."""
        flows = list(self.dataflows.values())
        used = {oid for flow in flows for oid in (flow.id, *flow.inputs)}
        return Manifest(
            epoch,
            self._now,
            self._start_lsn[epoch + 1],
            self.config.reactors,
            deepcopy(self.positions),
            dict(self.watermarks),
            dict(self.rows.row_ids),
            flows,
            [self._known[oid] for oid in used if oid in self._known],
        )

    def _publish(self, epoch: int, now: int, commits: Commits, gathering: Gathering) -> None:
        """Apply an epoch to the serving store and tell everybody."""
        changes: dict[int, list[Change]] = {}
        for relation, change in commits:
            changes.setdefault(relation, []).append(change)
        for relation, delivered in gathering.changes.items():
            # A dataflow that has been cancelled goes on until the next barrier; nobody wants its rows.
            if relation in self.dataflows or relation in self._installing:
                changes.setdefault(relation, []).extend(delivered)
        self.store.publish(epoch, {oid: found for oid, found in changes.items() if oid in self.store}, now)
        self.reports.update(gathering.reports)
        self._log_epoch(epoch, now, commits, gathering)
        self._behind = gathering.behind
        self._feed_subscriptions(epoch, changes)
        for waited in [e for e in self._published if e <= epoch]:
            for future in self._published.pop(waited):
                if not future.done():
                    future.set_result(None)
        if self._published:
            self._clock.urge()

    def _feed_subscriptions(self, epoch: int, changes: dict[int, list[Change]]) -> None:
        self.subscriptions = [s for s in self.subscriptions if not s.closed]
        for relation in {s.relation for s in self.subscriptions}:
            found = changes.get(relation, [])
            if found:
                found = consolidated(found, self.store.relation(relation).layout)
            for subscription in self.subscriptions:
                if subscription.relation == relation:
                    subscription.feed(epoch, found)

    def _log_epoch(self, epoch: int, now: int, commits: Commits, gathering: Gathering) -> None:
        rows_in = sum(len(change) for _, change in commits)
        rows_out = sum(len(c) for changes in gathering.changes.values() for c in changes)
        taken = time.monotonic() - gathering.started
        self.epoch_log.append(EpochEntry(epoch, now, rows_in, rows_out, int(taken * 1_000_000)))

    def current_watermark(self, relation: int) -> int | None:
        """Of a stored relation or connector source as of the newest epoch; None when it has none yet."""
        watermark = self.watermarks.get(relation, NO_WATERMARK)
        return None if watermark == NO_WATERMARK else watermark

    # --- messages --------------------------------------------------------------------------------

    def _received(self, reactor: int, message: Message) -> None:
        match message.kind:
            case Kind.CHANGES:
                assert message.change is not None
                self._gathering(message.c).deliver(message.a, message.change)
            case Kind.DONE:
                self._gathering(message.c).report(reactor, message.object())
            case Kind.DIRTY:
                self._clock.dirty()
            case Kind.READY:
                future = self._ready.pop((reactor, message.a), None)
                if future is not None and not future.done():
                    if message.b:
                        future.set_result(None)
                    else:
                        future.set_exception(PgError(**message.object()))
            case Kind.CHECKPOINTED:
                result = message.object()
                self.checkpoints.reported(reactor, PgError(**result) if isinstance(result, dict) else result)
            case Kind.FAILED:
                self._last_words = message.object()["message"]
                log.error("reactor failed", reactor=reactor, error=self._last_words)

    def _gathering(self, epoch: int) -> Gathering:
        """Changes may come before the barrier has been sent."""
        found = self._gatherings.get(epoch)
        if found is None:
            found = self._gatherings[epoch] = Gathering(epoch, self.config.reactors)
        return found

    # --- reactors ----------------------------------------------------------------------------------

    def _died(self, reactor: int, code: int) -> None:
        """A reactor is gone: end the others; the clock's task starts new ones."""
        log.error("reactor died", reactor=reactor, exit_code=code)
        self._deaths += 1
        self._feeding = False
        self._revived.clear()
        assert self.fleet is not None
        self.fleet.kill()
        lost = ReactorsLost(f"reactor {reactor} died")
        for gathering in self._gatherings.values():
            gathering.fail(lost)
        for futures in (self._ready, self._attached):
            for future in futures.values():
                if not future.done():
                    future.set_exception(lost)
            futures.clear()
        self.checkpoints.lost()
        self._clock.urge()

    async def _revive_until_it_works(self) -> None:
        while not self._stopping:
            if self._deaths > _DEATHS_LIMIT:
                raise PgError(INTERNAL_ERROR, "reactors die again and again", severity="PANIC")
            try:
                await self._revive()
                return
            except ReactorsLost:
                await asyncio.sleep(0.05 * self._deaths)

    async def _revive(self) -> None:
        """Start reactors from the newest checkpoint and bring them up to date from the log."""
        await self.checkpoints.idle()
        manifest = self.checkpoints.manifest
        self._gatherings.clear()
        self._plan = Plan(checkpoint=self._plan.checkpoint)
        self.fleet = Fleet(self.config, self.data_dir / "scratch", self._received, self._died)
        self.fleet.start()
        for spec in self._known.values():
            self.fleet.broadcast(Kind.RELATION, extra=spec)
        self._readers = {}
        for flow in self.dataflows.values():
            self.fleet.broadcast(Kind.INSTALL, extra=Installation(flow))
            self._read_by(flow)
        await self._find_partitions()
        await self._start_reactors(manifest)
        tail = LogTail(self.data_dir / "wal", manifest, self.wal.durable or None)
        await self._replay(tail)
        await self._rerun()

    async def _start_reactors(self, manifest: Manifest) -> None:
        assert self.fleet is not None
        ready = [self._expect(index, 0) for index in range(self.config.reactors)]
        for index in range(self.config.reactors):
            state = StartState(
                manifest.epoch,
                manifest.now,
                self.checkpoints.state_files(index),
                manifest.positions,
                manifest.watermarks,
                self.partitions,
            )
            self.fleet.post(index, Kind.START, extra=state)
        await asyncio.gather(*ready)

    def _expect(self, reactor: int, dataflow: int) -> asyncio.Future[None]:
        future = self._ready[reactor, dataflow] = asyncio.get_running_loop().create_future()
        return future

    async def _replay(self, tail: LogTail) -> None:
        """Compute the published epochs again; the store takes those that it does not have."""
        flying: list[tuple[ReplayedEpoch, Gathering]] = []
        self.positions, self.watermarks = dict(tail.manifest.positions), dict(tail.manifest.watermarks)
        for replayed in tail.epochs():
            self._forget_unread(replayed.record)
            if not self.wal.end:
                self._count_rows(replayed.commits)
            self._feed(replayed.commits, replayed.record.epoch)
            flying.append((replayed, self._replay_barrier(replayed.record)))
            if len(flying) > _REPLAY_AHEAD:
                await self._replayed(*flying.pop(0))
        for one in flying:
            await self._replayed(*one)
        if not self.wal.end:
            await self.wal.open(tail.end.lsn)
            self._take_up(tail)

    def _forget_unread(self, record: EpochRecord) -> None:
        """Leave out connector sources that only views without a checkpoint have read.

        These views are gone; whoever reads the source next begins at its start, with no watermark.
        """
        record.positions = {oid: p for oid, p in record.positions.items() if oid in self.partitions}
        record.watermarks = {
            oid: w
            for oid, w in record.watermarks.items()
            if oid in self.partitions or (oid in self._known and self._known[oid].kind != "connector")
        }

    def _replay_barrier(self, record: EpochRecord) -> Gathering:
        assert self.fleet is not None
        gathering = self._gathering(record.epoch)
        message = BarrierMessage(record.epoch, record.now, record.watermarks, replay=record.positions)
        self.fleet.broadcast(Kind.BARRIER, extra=message)
        return gathering

    async def _replayed(self, replayed: ReplayedEpoch, gathering: Gathering) -> None:
        await gathering.done
        record = replayed.record
        del self._gatherings[record.epoch]
        self.positions |= record.positions
        self.watermarks = record.watermarks
        if record.epoch > self.store.epoch:
            self._publish(record.epoch, record.now, replayed.commits, gathering)

    def _take_up(self, tail: LogTail) -> None:
        """Go on where the log of the last run ended."""
        if tail.end.torn is not None:
            log.warning("the end of the write-ahead log was torn; cut", lsn=tail.end.torn)
        self._pending = tail.unpublished
        self._open = max([self.store.epoch + 1, *self._pending])
        self._now = self.store.now
        self.rows.watermarks = {
            oid: w
            for oid, w in self.watermarks.items()
            if oid in self.relations and oid not in self.partitions
        }
        for commits in self._pending.values():
            self._count_rows(commits)
        # Of the epochs in the tail only the first one's position is known: no harm, just more log kept.
        self._start_lsn = dict.fromkeys(range(self.store.epoch + 1, self._open + 1), tail.manifest.lsn)

    def _count_rows(self, commits: Commits) -> None:
        """Take row numbers and watermarks up from rows in the log."""
        for relation, change in commits:
            if relation in self.relations:
                self.rows.replayed(self.relations[relation], change)

    async def _rerun(self) -> None:
        """Epochs that were begun but not published, then feed what has been committed since."""
        assert self.fleet is not None
        steps = RowKeeper()
        steps.watermarks = dict(self.watermarks)
        for epoch in range(self.store.epoch + 1, self._open):
            commits = self._pending.get(epoch, [])
            for relation, change in commits:
                if relation in self.relations:
                    steps.replayed(self.relations[relation], change)
            marks = {oid: w for oid, w in steps.watermarks.items() if oid not in self.partitions}
            self._feed(commits, epoch)
            gathering = self._barrier(epoch, self._time(), Plan(), marks)
            await gathering.done
            await self._finish(gathering, Plan(), marks)
        self._feed(self._pending.get(self._open, []), self._open)
        self.fleet.broadcast(Kind.LIVE)
        self._feeding = True
        self._revived.set()
        self._clock.urge()

    async def _find_partitions(self) -> None:
        """Enumerate the partitions of connector sources that dataflows read, and spread new ones.

        Sources that have been read before stay where they are, though nobody may read them now.
        """
        for oid in {i for flow in self.dataflows.values() for i in flow.inputs}:
            if oid in self._known and self._known[oid].kind == "connector":
                self.partitions[oid] = await self._enumerate(oid)
        for oid, states in self.checkpoints.manifest.positions.items():
            source = self._known[oid].source if oid in self._known else None
            if source is not None and oid not in self.partitions:
                bounded = source_connector(source.connector).bounded(source)
                self.partitions[oid] = self._spread(oid, list(states), bounded)

    async def _enumerate(self, oid: int) -> Partitions:
        source = self._known[oid].source
        assert source is not None
        connector = source_connector(source.connector)
        names = await asyncio.to_thread(connector.partitions, source)
        return self._spread(oid, names, connector.bounded(source))

    async def _watch_sources(self) -> None:
        """Look for new partitions of sources that may get some."""
        while not self._stopping:
            await asyncio.sleep(_WATCH_INTERVAL)
            for oid, known in list(self.partitions.items()):
                if known.complete or oid not in self._known:
                    continue
                try:
                    found = await self._enumerate(oid)
                except PgError as error:
                    log.warning("cannot look for partitions", source=self._known[oid].name, error=str(error))
                    continue
                if found.owners.keys() != known.owners.keys():
                    self.partitions[oid] = self._plan.partitions[oid] = found
                    self._clock.dirty()

    def _spread(self, oid: int, names: list[str], complete: bool) -> Partitions:
        known = self.partitions.get(oid, Partitions({}, complete))
        owners = dict(known.owners)
        for name in [*self.positions.get(oid, {}), *names]:
            owners.setdefault(name, len(owners) % self.config.reactors)
        return Partitions(owners, complete)

    # --- dataflows -----------------------------------------------------------------------------------

    async def install(self, spec: DataflowSpec, progress: Progress | None = None) -> int:
        """Add a dataflow, fed with its inputs' past; returns the epoch from which it is whole.

        Its state is in a checkpoint when this returns, so a restart takes it up. The relation of a
        view must be registered before. Cancelling, or any error, leaves nothing of it.

        Raises:
            PgError: what building it raised; 53100 when its checkpoint cannot be written.
        """
        self._installing[spec.id] = spec
        try:
            for _ in range(_INSTALL_ATTEMPTS):
                self._check()
                try:
                    return await self._install(spec, progress)
                except ReactorsLost:
                    self._empty(spec.id)
                    await self._until_revived()
            raise PgError(INTERNAL_ERROR, f"the reactors fail at this: {self._last_words}")
        except BaseException:
            self._discard(spec.id)
            raise
        finally:
            del self._installing[spec.id]

    async def _install(self, spec: DataflowSpec, progress: Progress | None) -> int:
        fleet = self.fleet
        assert fleet is not None
        if not self._feeding:
            raise ReactorsLost
        await self._open_sources(spec)
        stored = [oid for oid in spec.inputs if oid in self.store]
        built = [self._expect(index, spec.id) for index in range(self.config.reactors)]
        fleet.broadcast(Kind.INSTALL, extra=Installation(spec, frozenset(stored)))
        await asyncio.gather(*built)
        attached = self._attached[spec.id] = asyncio.get_running_loop().create_future()
        self._plan.attach.append(spec.id)
        self._clock.urge()
        _, view = await attached
        await send_past(
            fleet, spec, [(oid, view.snapshot(oid)) for oid in stored], lambda: self._open, progress
        )
        while True:
            epoch = await self.flush()
            if self.fleet is not fleet:
                raise ReactorsLost
            if spec.id not in self._behind:
                break
        self._plan.complete.append(spec.id)
        await self.checkpoint()
        if spec.id not in self.dataflows:
            raise ReactorsLost
        return epoch + 1

    async def _open_sources(self, spec: DataflowSpec) -> None:
        """Find the partitions of connector sources that nobody has read so far."""
        found = {}
        for oid in spec.inputs:
            if self.relations[oid].kind == "connector" and oid not in self.partitions:
                found[oid] = await self._enumerate(oid)
        self.partitions |= found
        self._plan.partitions |= found

    def _discard(self, dataflow: int) -> None:
        """Undo an installation."""
        for planned in (self._plan.attach, self._plan.complete):
            if dataflow in planned:
                planned.remove(dataflow)
        self._attached.pop(dataflow, None)
        self._plan.detach.append(dataflow)
        self._forget_dataflow(dataflow)
        self._empty(dataflow)
        self._clock.dirty()

    def _empty(self, relation: int) -> None:
        """Remove what an unfinished dataflow has stored."""
        if relation in self.store:
            self.store.drop(relation)
            self._add_relation(self.relations[relation])

    async def _until_revived(self) -> None:
        waiting: asyncio.Future[Any] = asyncio.ensure_future(self._revived.wait())
        either: list[asyncio.Future[Any]] = [waiting, self.failure]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    async def remove(self, dataflows: Sequence[int]) -> None:
        """Take dataflows out of the reactors, readers of a view before it; nothing else may read them.

        Whether there is room for a checkpoint that says so does not matter: a start removes
        dataflows that the catalog does not have.
        """
        for dataflow in dataflows:
            self._plan.detach.append(dataflow)
            self._forget_dataflow(dataflow)
        try:
            await self.checkpoint()
        except PgError as error:
            self._check()
            log.warning("a removal is not in a checkpoint yet", error=str(error))

    async def checkpoint(self) -> None:
        """Write a checkpoint of all that has been accepted; durable when this returns."""
        while True:
            self._check()
            done = self.checkpoints.result()
            self._plan.checkpoint = True
            self._clock.urge()
            try:
                await done
                return
            except PgError as error:
                if error is not REACTORS_LOST:
                    raise
                await self._until_revived()

    def _read_by(self, spec: DataflowSpec) -> None:
        for oid in spec.inputs:
            self._readers.setdefault(oid, set()).add(spec.id)

    def _unread(self, dataflow: int) -> None:
        for readers in self._readers.values():
            readers.discard(dataflow)

    def _forget_dataflow(self, dataflow: int) -> None:
        self.dataflows.pop(dataflow, None)
        self._unread(dataflow)


def _now() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000
