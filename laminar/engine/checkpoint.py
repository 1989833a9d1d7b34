"""Checkpoints: reactors' state files, the serving store's files and the manifest that names them.

A checkpoint begins with a barrier. Each reactor writes what changed since the last one, the server
writes new rows of stored relations; both beside the epochs that follow. When all files are durable
one LMDB transaction makes them the newest checkpoint, and the log before it can go.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import lmdb
import pyarrow as pa

from laminar import failpoints, logging
from laminar.engine.compaction import compact
from laminar.engine.config import EngineConfig
from laminar.engine.deliveries import Deliveries, Delivery
from laminar.engine.manifest import Manifest, ManifestStore, StateFile
from laminar.engine.nodes import Sink
from laminar.engine.protocol import CheckpointReport, SpoolReport
from laminar.engine.serving import Pending, ServingStore
from laminar.engine.wal import Wal
from laminar.errors import CANNOT_CONNECT_NOW, DISK_FULL, INTERNAL_ERROR, IO_ERROR, PgError

log = logging.get(__name__)

T = TypeVar("T")

#: state files are merged when there is more than this many times the live state in them
_GARBAGE = 2
_MIN_COMPACT_BYTES = 1 << 20
#: checkpoints that laminar_catalog shows
_REMEMBERED = 100
REACTORS_LOST = PgError(CANNOT_CONNECT_NOW, "the checkpoint was given up because a reactor died")


@dataclass(frozen=True, slots=True)
class Finished:
    """A checkpoint that was written.

    Args:
        epoch, now: what it holds.
        duration: microseconds from its barrier until it was durable.
        pause: microseconds, at most, for which a reactor stopped to collect changed entries, at its barrier
            or at one since the checkpoint before it.
        entries, written: changed entries of reactors' states, and the bytes of their files.
        size: bytes of all the state files that it consists of.
    """

    epoch: int
    now: int
    duration: int
    pause: int
    entries: int
    written: int
    size: int


@dataclass(slots=True)
class Begun:
    """A checkpoint under way."""

    manifest: Manifest
    stored: dict[int, Pending]
    started: float


class Checkpoints:
    """All checkpoints of a data directory; ``manifest`` is the newest one."""

    def __init__(self, data_dir: Path, config: EngineConfig, deliveries: Deliveries) -> None:
        self.data_dir = data_dir
        self.reactors = config.reactors
        self.max_files = config.max_state_files
        self.deliveries = deliveries
        self._store = ManifestStore(data_dir / "manifest")
        self.manifest = self._store.load() or Manifest(reactors=self.reactors)
        #: dataflows that may come back: their entries go as soon as a manifest is without them
        self.void: set[int] = set()
        #: durable state files that no manifest names yet, because something else failed
        self._unnamed: list[list[StateFile]] = [[] for _ in range(self.reactors)]
        #: the same for sinks
        self._spools: list[SpoolReport] = []
        self._reports: dict[int, asyncio.Future[CheckpointReport | PgError]] = {}
        #: how often reactors have been lost, and how often they had been when files were asked for
        self._losses = 0
        self._losses_before = 0
        self._task: asyncio.Task[None] | None = None
        #: one thread for all of the work: each that allocates keeps memory of its own for the next time
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._held = False
        self._after_hold: list[Callable[[], None]] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._last = time.monotonic()
        #: something has been published since the last checkpoint
        self.stale = False
        #: why the newest attempt failed, if it did
        self.failure: PgError | None = None
        #: the newest ones since the start
        self.history: list[Finished] = []

    # --- when ----------------------------------------------------------------------

    @property
    def running(self) -> bool:
        return self._held or (self._task is not None and not self._task.done())

    def due_in(self, interval: float) -> float | None:
        """Seconds until the next one is due; None when nothing has changed."""
        if not self.stale:
            return None
        return max(0.0, self._last + interval - time.monotonic())

    def wanted(self, wal_end: int, unsaved: int, interval: float, config: EngineConfig) -> bool:
        """Whether the epoch that begins now shall be a checkpoint; ``unsaved`` are the stores' bytes."""
        if self.running:
            return False
        grown = wal_end - self.manifest.lsn > config.checkpoint_wal_bytes or unsaved > config.store_memory
        return grown or time.monotonic() - self._last > interval

    def result(self) -> asyncio.Future[None]:
        """Completes with the next checkpoint to begin."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(future)
        return future

    def when_done(self, call: Callable[[], None]) -> None:
        """Call back when the checkpoint that is being written, or who keeps it from being, is finished."""
        if self._held:
            self._after_hold.append(call)
            return
        assert self._task is not None
        self._task.add_done_callback(lambda task: call())

    async def idle(self) -> None:
        """Return when no checkpoint is being written."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[Manifest]:
        """The newest checkpoint, which stays the newest, with all its files, as long as this is held."""
        while self.running:
            await self.idle()
            await asyncio.sleep(0)
        self._held = True
        try:
            yield self.manifest
        finally:
            self._held = False
            calls, self._after_hold = self._after_hold, []
            for call in calls:
                call()

    def copy_manifest(self, directory: Path) -> None:
        """Copy the newest manifest into a folder that is not there yet."""
        self._store.copy(directory)

    # --- files ------------------------------------------------------------------------

    def state_path(self, epoch: int) -> str:
        """A reactor's file; it puts its number for ``{reactor}``."""
        return str(self.data_dir / "state" / f"{epoch:012d}-{{reactor}}.state")

    def state_files(self, reactor: int) -> list[str]:
        """Paths of a reactor's state, oldest first."""
        if not self.manifest.states:
            return []
        return [str(self.data_dir / "state" / file.name) for file in self.manifest.states[reactor]]

    def reported(self, reactor: int, result: CheckpointReport | PgError) -> None:
        """A reactor has written its file, or could not (then its next file has those entries too)."""
        if isinstance(result, CheckpointReport):
            for path, size in [*result.earlier, (result.path, result.size)]:
                self._unnamed[reactor].append(StateFile(Path(path).name, size))
            self._spools += result.spools
        future = self._reports.get(reactor)
        if future is not None and not future.done():
            future.set_result(result)

    def lost(self) -> None:
        """The reactors are gone: what they wrote since the manifest is worth nothing."""
        for future in self._reports.values():
            if not future.done():
                future.set_result(REACTORS_LOST)
        self._unnamed = [[] for _ in range(self.reactors)]
        self._spools = []
        self._losses += 1

    def fail(self, error: PgError) -> None:
        """The engine cannot go on: there will be no checkpoint."""
        self.lost()
        for future in self._waiters:
            if not future.done():
                future.set_exception(error)
        self._waiters = []

    # --- one checkpoint -----------------------------------------------------------------

    def expect(self) -> None:
        """A barrier that asks for state files is about to be sent."""
        loop = asyncio.get_running_loop()
        self._losses_before = self._losses
        self._reports = {index: loop.create_future() for index in range(self.reactors)}

    def begin(self, manifest: Manifest, store: ServingStore, wal: Wal) -> None:
        """The epoch has just been published: note what is to be written, and write it beside the rest."""
        begun = Begun(manifest, store.begin_checkpoint(), time.monotonic())
        waiters, self._waiters = self._waiters, []
        self.stale = False
        self._last = begun.started
        self._task = asyncio.create_task(self._write(begun, store, wal, waiters))

    async def _write(
        self, begun: Begun, store: ServingStore, wal: Wal, waiters: list[asyncio.Future[None]]
    ) -> None:
        error: PgError | None = None
        try:
            failpoints.reach("checkpoint: begun")
            await asyncio.wait(self._reports.values())
            failpoints.reach("checkpoint: reported")
            await self._in_thread(self._write_store, store, begun.stored)
            reports = [_checked(await future) for future in list(self._reports.values())]
            if self._losses != self._losses_before:
                # All had reported, but their files are among those that were given up.
                raise REACTORS_LOST
            begun.manifest.stored = store.finish_checkpoint(begun.stored)
            begun.stored = {}
            begun.manifest.state_bytes = [r.state_bytes for r in reports]
            await self._commit(begun.manifest)
            self._remember(begun, reports)
            await wal.recycle(begun.manifest.lsn)
        except Exception as problem:
            error = _as_pg_error(problem)
            self.stale = True
            log.warning("checkpoint failed", epoch=begun.manifest.epoch, error=str(error))
            store.abandon_checkpoint(begun.stored)
        self.failure = None if error is REACTORS_LOST else error
        for future in waiters:
            if not future.done():
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)

    async def _in_thread(self, call: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    def _write_store(self, store: ServingStore, pending: dict[int, Pending]) -> None:
        folder = self.data_dir / "store"
        store.write_checkpoint(pending, folder)
        _sync(folder)
        _sync(self.data_dir / "state")
        _sync(self.data_dir / "spools")
        failpoints.reach("checkpoint: stored")

    async def _commit(self, manifest: Manifest) -> None:
        """Name the new files; then remove what no manifest names any more."""
        known = self.manifest.states or [[] for _ in range(self.reactors)]
        manifest.states = [old + new for old, new in zip(known, self._unnamed, strict=True)]
        promised = _deliveries(manifest, self._spools)
        manifest.deliveries = self.deliveries.open + promised
        manifest.delivered = self.deliveries.delivered
        await self._in_thread(self._compact, manifest)
        failpoints.reach("checkpoint: compacted")
        await self._in_thread(self._store.save, manifest)
        failpoints.reach("checkpoint: saved")
        self.manifest = manifest
        self._unnamed, self._spools = [[] for _ in range(self.reactors)], []
        self.deliveries.promise(promised)
        await self._in_thread(self._sweep, manifest)
        failpoints.reach("checkpoint: swept")

    def _compact(self, manifest: Manifest) -> None:
        """Merge state files that are mostly superseded."""
        folder = self.data_dir / "state"
        kept = {spec.id for spec in manifest.dataflows}
        purged = self.void - kept
        self.void -= purged
        for reactor, files in enumerate(manifest.states):
            size = sum(f.size for f in files)
            live = manifest.state_bytes[reactor]
            superseded = size > _GARBAGE * max(live, _MIN_COMPACT_BYTES) or len(files) > self.max_files
            if (len(files) > 1 and superseded) or (files and purged):
                name = f"{manifest.epoch:012d}-{reactor}.merged.state"
                written = compact([folder / f.name for f in files], folder / name, kept)
                manifest.states[reactor] = [StateFile(name, written)]
                # Arrow keeps what merging took for the next time, which may be hours away.
                pa.default_memory_pool().release_unused()
        _sync(folder)

    def _sweep(self, manifest: Manifest) -> None:
        """Remove files that the manifest does not name; nothing else is being written now."""
        states = {file.name for files in [*manifest.states, *self._unnamed] for file in files}
        stored = {segment.file for segments in manifest.stored.values() for segment in segments}
        spools = {spool.name for delivery in manifest.deliveries for spool in delivery.spools}
        for folder, named in (("state", states), ("store", stored), ("spools", spools)):
            for path in (self.data_dir / folder).iterdir():
                if path.name not in named:
                    path.unlink(missing_ok=True)

    def _remember(self, begun: Begun, reports: list[CheckpointReport]) -> None:
        self.history.append(
            Finished(
                begun.manifest.epoch,
                begun.manifest.now,
                int((time.monotonic() - begun.started) * 1_000_000),
                max((r.pause for r in reports), default=0),
                sum(r.entries for r in reports),
                sum(r.size + sum(size for _, size in r.earlier) for r in reports),
                sum(f.size for files in begun.manifest.states for f in files),
            )
        )
        del self.history[:-_REMEMBERED]

    def close(self) -> None:
        self._thread.shutdown()
        self._store.close()


def _deliveries(manifest: Manifest, spools: list[SpoolReport]) -> list[Delivery]:
    """What the checkpoint promises to each sink."""
    found: dict[int, list[SpoolReport]] = {}
    for spool in spools:
        found.setdefault(spool.sink, []).append(spool)
    specs = {flow.id: flow.root.spec for flow in manifest.dataflows if isinstance(flow.root, Sink)}
    # What a sink gathers after it has been dropped is nobody's.
    return [
        Delivery(oid, manifest.epoch, specs[oid], tuple(files))
        for oid, files in found.items()
        if oid in specs
    ]


def _checked(result: CheckpointReport | PgError) -> CheckpointReport:
    if isinstance(result, PgError):
        raise result
    return result


def _as_pg_error(problem: Exception) -> PgError:
    if isinstance(problem, PgError):
        return problem
    if not isinstance(problem, (OSError, lmdb.Error)):
        log.error("checkpoint failed unexpectedly", exc_info=problem)
        return PgError(INTERNAL_ERROR, f"could not write a checkpoint: {problem!r}")
    if isinstance(problem, lmdb.Error):
        return PgError(
            DISK_FULL if "space" in str(problem) else IO_ERROR, f"could not write the manifest: {problem}"
        )
    code = DISK_FULL if problem.errno == 28 else IO_ERROR
    return PgError(code, f"could not write a checkpoint: {problem.strerror}")


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
