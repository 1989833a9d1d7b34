"""The engine in the server process: commits, epochs, recovery.

One asyncio loop runs all of it. README.md in this folder describes the concurrency.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

from laminar import logging
from laminar.engine.backfill import Progress
from laminar.engine.backup import link_files
from laminar.engine.change import NO_WATERMARK, Change
from laminar.engine.checkpoint import REACTORS_LOST, Checkpoints
from laminar.engine.config import EngineConfig
from laminar.engine.deliveries import interval
from laminar.engine.epochs import EpochEntry, Gathering, Plan
from laminar.engine.failures import Failures
from laminar.engine.fleet import Fleet, ReactorsLost
from laminar.engine.installation import Installer
from laminar.engine.intake import CommitGate, Intake, WeightedRow
from laminar.engine.lookups import Lookups
from laminar.engine.manifest import Manifest
from laminar.engine.partitions import SourcePartitions
from laminar.engine.protocol import BarrierMessage, EpochReport
from laminar.engine.publishing import Publisher
from laminar.engine.reactorgroup import ReactorGroup
from laminar.engine.records import (
    EPOCH,
    EpochRecord,
    encode_epoch,
    total_size,
)
from laminar.engine.relations import DataflowSpec, RelationSpec, in_dependency_order
from laminar.engine.restart import forgotten, take_up
from laminar.engine.revival import Revival
from laminar.engine.serving import EpochView
from laminar.engine.state import EngineState
from laminar.engine.subscription import Subscription
from laminar.engine.wal import Wal
from laminar.errors import INTERNAL_ERROR, OBJECT_NOT_IN_PREREQUISITE_STATE, UNDEFINED_TABLE, PgError
from laminar.types import PgType

log = logging.get(__name__)

#: seconds that a start waits for the first epoch
_FIRST_EPOCH = 10.0
#: seconds that a stop waits for sinks
_DELIVERY_GRACE = 5.0


class Coordinator(EngineState):
    """The engine's parts put together: what the server asks of it, and the epoch clock's task."""

    def __init__(self, data_dir: Path, config: EngineConfig) -> None:
        super().__init__(data_dir, config)
        self._failures = Failures(self, self._given_up)
        self._group = ReactorGroup(self, self._failures)
        self.lookups = Lookups(self, self._answered)
        self._group.asked = self.lookups.ask
        self._publisher = Publisher(self)
        self._intake = Intake(self, self._group, self._publisher, self.lookups)
        self._partitions = SourcePartitions(self)
        self._revival = Revival(self, self._group, self._publisher, self._partitions)
        self._installer = Installer(
            self, self._group, self._publisher, self._partitions, self.lookups, self.checkpoint
        )
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def fleet(self) -> Fleet | None:
        """The reactors of now."""
        return self._group.fleet

    @property
    def reports(self) -> dict[int, EpochReport]:
        """The newest report of each reactor."""
        return self._publisher.reports

    @property
    def epoch_log(self) -> Sequence[EpochEntry]:
        """The last epochs."""
        return self._publisher.log

    @property
    def subscriptions(self) -> list[Subscription]:
        return self._publisher.subscriptions

    # --- start and stop ---------------------------------------------------------------

    async def start(
        self,
        relations: Iterable[RelationSpec],
        dataflows: Iterable[DataflowSpec],
        next_oid: int | None = None,
    ) -> None:
        """Recover, start the reactors and the epoch clock.

        No other process may use the directory: the caller holds its lock.

        Args:
            relations: all there are; kind ``view`` for each dataflow that materializes.
            dataflows: of all views and sinks.
            next_oid: dataflows from this one on never came to be, though a checkpoint may have them.

        Raises:
            PgError: XX001 when the directory is damaged.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        try:
            for folder in ("wal", "state", "store", "spools", "scratch"):
                (self.data_dir / folder).mkdir(exist_ok=True)
            self.checkpoints = Checkpoints(self.data_dir, self.config, self.deliveries)
            for spec in relations:
                self.add_relation(spec)
            wanted = {spec.id: spec for spec in in_dependency_order(dataflows)}
            take_up(self, wanted, next_oid)
            self.wal = Wal(self.data_dir / "wal", self.config.wal_segment_bytes, self._fail)
            manifest = self.checkpoints.manifest
            self.deliveries.take_up(manifest.delivered, manifest.deliveries)
            await self._revival.until_it_works(self._finish)
            self._tasks.append(asyncio.create_task(self._run()))
            await self._reconcile(wanted)
            if self.pending:
                # What was acknowledged last may be in no epoch yet: the first reader shall see it,
                # unless a full disk holds epochs up.
                with suppress(TimeoutError):
                    await self.wait_published(self.open, _FIRST_EPOCH)
            self._tasks.append(asyncio.create_task(self._partitions.watch()))
        except BaseException:
            for task in self._tasks:
                task.cancel()
            self.lookups.close()
            await self.deliveries.close(0)
            self._group.kill()
            raise

    async def _reconcile(self, wanted: dict[int, DataflowSpec]) -> None:
        """Remove dataflows that have been dropped, install those that no checkpoint has."""
        gone = [oid for oid in reversed(self.dataflows) if oid not in wanted]
        if gone:
            await self.remove(gone)
        for oid in self.known.keys() - self.relations.keys():
            self.drop_relation(oid)
        missing = [spec for spec in wanted.values() if spec.id not in self.dataflows]
        if missing and any(self.checkpoints.manifest.states):
            # State files may have entries under these numbers, of an earlier plan or from before a failure:
            # the next start would add them to those that come now.
            self.checkpoints.void |= {spec.id for spec in missing}
            await self.checkpoint()
        for spec in missing:
            await self._install_again(spec)

    async def _install_again(self, spec: DataflowSpec) -> None:
        """Install what no checkpoint has; what cannot be is in a failed state, the others run."""
        if interval(spec) is not None:
            why = self.left.get(spec.id, "the checkpoint does not have it")
            self._failures.fail(
                spec.id,
                f"its state is gone, and everything would be delivered again ({why}):"
                " drop it and create it again",
            )
            return
        try:
            await self.install(spec)
        except PgError as error:
            self.check()
            if error.sqlstate not in (INTERNAL_ERROR, OBJECT_NOT_IN_PREREQUISITE_STATE):
                raise
            self._failures.fail(spec.id, error.message)

    def _given_up(self, dataflow: int) -> None:
        # The deaths were its: those of the next ones may be another's.
        self._group.deaths = 0
        self._publisher.end_subscriptions(dataflow, self.view_failure(dataflow))

    def row_error(self, view: int) -> PgError | None:
        """What a row fails with of a view that has on_error = 'fail', as of the newest epoch; None: no row.

        A row's retraction may fail in another reactor than the row did.
        """
        if all(view not in report.failing for report in self.reports.values()):
            return None
        found: Counter[tuple[str, str]] = Counter()
        for report in self.reports.values():
            for key, count in report.failing.get(view, {}).items():
                found[key] += count
        if sum(found.values()) <= 0:
            return None
        state, message = max(found, key=lambda key: found[key])
        name = self.relations[view].name
        return PgError(state, message, detail=f'{sum(found.values())} rows of view "{name}" fail.')

    def readable(self, view: int) -> bool:
        """Whether ``check_rows`` finds nothing and the stored rows are the ones to read."""
        return view not in self.failed and view not in self.held and self.row_error(view) is None

    def check_rows(self, view: int) -> None:
        """Raise why a view cannot be read: it is not kept up to date, or one of its rows fails."""
        if view in self.failed:
            raise self.view_failure(view)
        error = self.row_error(view)
        if error is not None:
            raise error

    def view_failure(self, view: int) -> PgError:
        """55000, with the reason why a view, or a table that a sink fills, is not kept up to date."""
        name = self.relations[view].name if view in self.relations else str(view)
        return PgError(
            OBJECT_NOT_IN_PREREQUISITE_STATE,
            f'relation "{name}" has failed',
            detail=self.failed[view],
            hint="Drop it, or the sink that fills it, and create it again.",
        )

    async def stop(self) -> None:
        """Publish what is committed, checkpoint, end the reactors."""
        if not self._tasks:
            return
        if not self.failure.done():
            try:
                await self.checkpoint()
            except PgError as error:
                log.warning("no checkpoint at the stop", error=str(error))
        self.stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.lookups.close()
        await self.checkpoints.idle()
        await self.deliveries.close(_DELIVERY_GRACE)
        if self.fleet is not None:
            await self.fleet.stop()
        await self.wal.close()
        self.checkpoints.close()

    def _fail(self, error: PgError) -> None:
        """The engine cannot go on."""
        log.error("the engine has failed", error=str(error))
        self.stopping = True
        if not self.failure.done():
            self.failure.set_result(error)
        self._group.fail(error)
        self.checkpoints.fail(error)
        self._publisher.fail(error)

    # --- relations -----------------------------------------------------------------------

    def register_relation(self, spec: RelationSpec) -> None:
        """Make a table, source or view known; stored ones begin empty."""
        self.add_relation(spec)
        self._group.announce(spec)

    def add_relation(self, spec: RelationSpec) -> None:
        super().add_relation(spec)
        if spec.lookup is not None:
            self.lookups.add(spec)

    def announce_type(self, type_: PgType) -> None:
        """A user's type has changed: running views are to know its new values before rows have them."""
        self._group.announce_type(type_)

    def drop_relation(self, oid: int) -> None:
        """Forget a relation that no dataflow reads any more; its rows are gone."""
        self._intake.settle()
        self.relations.pop(oid, None)
        self.known.pop(oid, None)
        self.lookups.drop(oid)
        if oid in self.store:
            self.store.drop(oid)
        self.positions.pop(oid, None)
        self.partitions.pop(oid, None)
        self._publisher.end_subscriptions(
            oid, PgError(UNDEFINED_TABLE, "the subscribed relation was dropped")
        )
        self._group.withdraw(oid)

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
            PgError: 53100 when there is no room for the log, 53100 or 58030 while the disk does not take
                what memory has of earlier rows, what the gate raises; then nothing has happened.
        """
        return await self._intake.commit(changes, sync, gate)

    def add_rows(self, relation: int, rows: Sequence[WeightedRow]) -> asyncio.Future[None] | None:
        """Accept a transaction of few rows now, into the epoch ``open``, to be logged with others'.

        Args:
            relation: a table without a watermark.
            rows: see :class:`laminar.engine.intake.WeightedRow`.

        Returns:
            what completes when it is durable; None when nothing has happened because it would have to wait.
        """
        return self._intake.add(relation, rows)

    async def wait_published(self, epoch: int, timeout: float | None = None) -> None:
        """Return when readers see ``epoch``; asks for it to be soon.

        Raises TimeoutError.
        """
        await self._publisher.wait(epoch, timeout)

    async def flush(self) -> int:
        """End an epoch with all that was accepted so far and wait until it is published, with what
        lookup tables answer to it."""
        epoch = self.open
        await self.wait_published(epoch)
        return await self.settled(epoch, self.dataflows)

    async def settled(self, epoch: int, relations: Collection[int], timeout: float | None = None) -> int:
        """Wait until rows of a published epoch have reached these relations through joins with lookup
        tables; returns the epoch in which they have.

        Raises TimeoutError.
        """
        tables = self.lookups.behind(relations)
        async with asyncio.timeout(timeout):
            for _ in tables:  # at most so many joins lie one behind the other
                if not self.lookups.asked(epoch, tables) and not any(map(self.accepted_epoch, tables)):
                    break
                await self.lookups.answered(epoch, tables)
                epoch = self.open
                await self.wait_published(epoch)
        return epoch

    async def _answered(self, table: int, answers: Change) -> None:
        """A lookup table's answers become part of the epoch that is open."""
        if table in self.relations:
            await self.commit([(table, answers)], sync=False)

    def accepted_epoch(self, relation: int) -> int:
        """The newest epoch with accepted rows of a relation that readers do not see yet; 0: none."""
        self._intake.settle()
        return max((e for e, made in self.pending.items() if any(r == relation for r, _ in made)), default=0)

    def read(self) -> EpochView:
        """The newest published epoch."""
        return self.store.read()

    def subscribe(self, relation: int, buffer_limit: int) -> Subscription:
        """Changes of a stored relation from the epoch after the newest one."""
        return self._publisher.subscribe(relation, buffer_limit)

    def current_watermark(self, relation: int) -> int | None:
        """Of a stored relation or connector source as of the newest epoch; None when it has none yet."""
        watermark = self.watermarks.get(relation, NO_WATERMARK)
        return None if watermark == NO_WATERMARK else watermark

    # --- the epoch clock ----------------------------------------------------------------------

    async def _run(self) -> None:
        """Epoch after epoch, until the engine stops or fails."""
        lost = False
        while not self.stopping:
            try:
                if lost:
                    await self._revival.until_it_works(self._finish)
                    lost = False
                if not await self.clock.due(self.checkpoints.due_in(self.checkpoint_interval)):
                    self.plan.checkpoint = True
                self.clock.begin()
                await self._epoch()
            except ReactorsLost:
                lost = True
            except PgError as error:
                self._fail(error)
                return
            except Exception as error:
                log.exception("epoch failed")
                self._fail(PgError(INTERNAL_ERROR, f"epoch failed: {error!r}", severity="PANIC"))
                return

    async def _epoch(self) -> None:
        """Run one epoch from barrier to publication."""
        if not self._group.feeding:
            raise ReactorsLost
        self._intake.settle()
        epoch = self.open
        self.open += 1
        self.start_lsn[self.open] = self.wal.end
        plan, self.plan = self.plan, Plan()
        if self.checkpoints.wanted(self.wal.end, self.store.unsaved, self.checkpoint_interval, self.config):
            plan.checkpoint = True
        if plan.checkpoint and self.checkpoints.running:
            self.plan.checkpoint, plan.checkpoint = True, False
            self.checkpoints.when_done(self.clock.urge)
        if plan.checkpoint:
            self.checkpoints.expect()
        watermarks = dict(self.rows.watermarks)
        try:
            gathering = self._barrier(epoch, plan, watermarks)
            await gathering.done
        except ReactorsLost:
            self.plan.checkpoint |= plan.checkpoint
            raise
        await self._finish(gathering, plan, watermarks)

    def _barrier(self, epoch: int, plan: Plan, watermarks: dict[int, int]) -> Gathering:
        """Send a barrier to all reactors."""
        message = BarrierMessage(
            epoch,
            self.next_time(),
            watermarks,
            checkpoint=self.checkpoints.state_path(epoch) if plan.checkpoint else "",
            attach=tuple(plan.attach),
            complete=tuple(plan.complete),
            detach=tuple(plan.detach),
            partitions=plan.partitions,
            paused=self.deliveries.behind
            or self._publisher.crowded
            or self._intake.crowded
            or self._intake.overfull,
            resting=self.lookups.crowded,
        )
        if self._intake.crowded:
            self.checkpoints.when_done(self.clock.urge)
        gathering = self._group.barrier(message)
        # Rows committed from now on queue behind the barrier, where the new dataflows take changes.
        for new in plan.attach:
            if new in self.installing:
                self.read_by(self.installing[new])
        for gone in plan.detach:
            self.unread(gone)
        return gathering

    async def _finish(self, gathering: Gathering, plan: Plan, watermarks: dict[int, int]) -> None:
        """Make the epoch durable, then visible."""
        epoch = gathering.epoch
        del self._group.gatherings[epoch]
        self.refused = gathering.refused
        self.positions |= gathering.positions
        self.watermarks = watermarks | gathering.watermarks
        await self._record(EpochRecord(epoch, self.now, self.positions, self.watermarks))
        self._publisher.publish(epoch, self.now, self.pending.pop(epoch, []), gathering)
        self.lookups.published(gathering.reports.values())
        for dataflow in plan.complete:
            if dataflow in self.installing:  # else it has been cancelled
                self.dataflows[dataflow] = self.installing[dataflow]
        self.checkpoints.stale = True
        for dataflow in plan.attach:
            attached = self._group.attached.pop(dataflow, None)
            if attached is not None and not attached.done():
                attached.set_result((epoch, self.store.read()))
        if plan.checkpoint:
            self.checkpoints.begin(self._manifest(epoch), self.store, self.wal)
            self.checkpoints.when_done(self._settle)
        for old in [e for e in self.start_lsn if e <= epoch]:
            del self.start_lsn[old]
        self._group.deaths = 0

    async def _record(self, record: EpochRecord) -> None:
        """Put an epoch's record into the log; a full disk holds epochs up."""
        parts = encode_epoch(record)
        size = total_size(parts)
        self._intake.settle()
        while not self.wal.fits(size):
            try:
                await self.wal.reserve(size)
            except PgError as error:
                log.warning("waiting for room to log an epoch", error=str(error))
                await asyncio.sleep(0.5)
        await self.wal.sync(self.wal.append(EPOCH, parts))

    def _settle(self) -> None:
        if not self.checkpoints.stale:
            self._failures.settle()
        if self.checkpoints.failure is not None:
            # Nobody may commit in the meantime, and sinks wait for it.
            pause = self.checkpoints.due_in(self.checkpoint_interval) or 0
            asyncio.get_running_loop().call_later(pause, self.clock.urge)
        elif self.refused:
            self.clock.urge()  # the reactors will say that they are rid of it

    # --- checkpoints ------------------------------------------------------------------------

    async def checkpoint(self) -> None:
        """Write a checkpoint of all that has been accepted; durable when this returns."""
        while True:
            self.check()
            done = self.checkpoints.result()
            self.plan.checkpoint = True
            self.clock.urge()
            try:
                await done
                return
            except PgError as error:
                if error is not REACTORS_LOST:
                    raise
                await self._group.until_live()

    @asynccontextmanager
    async def linked(self) -> AsyncIterator[tuple[Path, Manifest]]:
        """A checkpoint of all that has been accepted, in files that stay; the folder is gone afterwards."""
        folder = self.data_dir / "backup"
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        await self.checkpoint()
        try:
            async with self.checkpoints.held() as manifest:
                await asyncio.to_thread(link_files, self.data_dir, manifest, folder)
                await asyncio.to_thread(self.checkpoints.copy_manifest, folder / "manifest")
            yield folder, manifest
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _manifest(self, epoch: int) -> Manifest:
        """What a checkpoint of the epoch just published says beside its files."""
        flows = list(self.dataflows.values())
        used = {oid for flow in flows for oid in (*flow.outputs, *flow.inputs)}
        return Manifest(
            epoch,
            self.now,
            self.start_lsn[epoch + 1],
            self.config.reactors,
            deepcopy(self.positions),
            dict(self.watermarks),
            dict(self.rows.row_ids),
            flows,
            [self.known[oid] for oid in used if oid in self.known],
            filling=[
                oid for i in self.installing.values() if i.id not in self.dataflows for oid in i.outputs
            ],
            left=dict(self.left),
        )

    # --- dataflows ----------------------------------------------------------------------------

    async def install(self, spec: DataflowSpec, progress: Progress | None = None) -> int:
        """Add a dataflow, fed with its inputs' past; returns the epoch from which it is whole.

        Its state is in a checkpoint when this returns, so a restart takes it up. The relation of a
        view must be registered before. Cancelling, or any error, leaves nothing of it.

        Raises:
            PgError: what building it raised; 53100 when its checkpoint cannot be written.
        """
        return await self._installer.install(spec, progress)

    async def pause(self, view: int) -> int:
        """Compute a view no further; returns the epoch that its rows stay at.

        What was accepted before is reflected in them. They are in a checkpoint when this returns.
        """
        await self.flush()
        epoch = self.store.epoch
        self.relations[view] = self.known[view] = replace(self.relations[view], paused=True)
        # it may come back under its number, and must not find this state
        self.checkpoints.void.add(view)
        # nothing is awaited until the publisher takes no more of its changes
        await self._installer.remove([view])
        return epoch

    async def resume(self, spec: DataflowSpec, progress: Progress | None = None) -> int:
        """Compute a paused view anew; returns the epoch from which it is whole.

        Readers see the rows that it had until then. Cancelling, or any error, leaves it failed.
        """
        view = spec.id
        self._failures.forgive(view)
        self.relations[view] = self.known[view] = replace(self.relations[view], paused=False)
        ended = PgError(OBJECT_NOT_IN_PREREQUISITE_STATE, "the subscribed view is computed anew")
        self._publisher.end_subscriptions(view, ended)
        self.held[view] = self.store.read().snapshot(view)
        for relation in spec.outputs:
            self.empty(relation)
        try:
            return await self.install(spec, progress)
        except BaseException as error:
            self._failures.fail(view, f"it was not resumed: {error}")
            raise
        finally:
            del self.held[view]

    def check_past(self, inputs: Iterable[int]) -> None:
        """55000 when a view could not be computed anew: a source has dropped rows by its retention."""
        for oid in inputs:
            spec = self.relations.get(oid)
            if spec is not None and spec.kind == "source" and spec.key is None and forgotten(self, spec):
                raise PgError(
                    OBJECT_NOT_IN_PREREQUISITE_STATE,
                    f'source "{spec.name}" no longer has all the rows that the view was computed from',
                    detail="A view that is resumed is computed anew from its inputs.",
                )

    async def remove(self, dataflows: Sequence[int]) -> None:
        """Take dataflows out of the reactors, readers of a view before it; nothing else may read them.

        Whether there is room for a checkpoint that says so does not matter: a start removes
        dataflows that the catalog does not have.
        """
        for dataflow in dataflows:
            self._failures.forgive(dataflow)
        await self._installer.remove(dataflows)
