"""The thread that writes a reactor's state files and finishes its sinks' spools.

A state that grows fast hands its entries over at every barrier, long before the checkpoint, so that no
barrier has to collect a big state at once. Such an early file waits in the scratch folder until a
checkpoint has its dataflow; then it comes before the checkpoint's own file, whose entries are newer.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from laminar import failpoints
from laminar.engine.protocol import CheckpointReport, SpoolReport
from laminar.engine.statefile import Entries, size_of, write_states
from laminar.errors import DISK_FULL, IO_ERROR, PgError


class Spool(Protocol):
    """A file of a sink that is not whole yet."""

    @property
    def held_bytes(self) -> int:
        """What memory has of it."""

    def finish(self) -> SpoolReport:
        """Make it whole and durable; OSError when that fails, then it can be tried again."""


@dataclass(slots=True)
class _Early:
    dataflow: int
    entries: Entries
    size: int


@dataclass(slots=True)
class _Checkpoint:
    epoch: int
    path: Path
    entries: Entries
    state_bytes: int
    spools: list[Spool]
    #: dataflows that it has
    dataflows: set[int]


class StateWriter:
    """Writes in the order of the calls; rings the bell when a checkpoint's files are durable.

    Args:
        bell: eventfd of the reactor.
        scratch: folder for early files, on the file system of the state.
        limit: bytes of early entries that may wait; who has more waits for the disk.
    """

    def __init__(self, bell: int, scratch: Path, limit: int) -> None:
        self._bell = bell
        self._scratch = scratch
        self._limit = limit
        self._waiting = 0
        self._room = threading.Condition()
        self._jobs: queue.SimpleQueue[_Early | _Checkpoint | int | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[int, CheckpointReport | PgError]] = queue.SimpleQueue()
        #: by dataflow: early files, and entries that could not be written
        self._early: dict[int, list[Path]] = {}
        self._kept: Entries = []
        #: by dataflow: entries in early files
        self._counts: Counter[int] = Counter()
        self._spools: list[Spool] = []
        self._count = 0
        #: bytes that stay in memory because the disk did not take them
        self.refused = 0
        scratch.mkdir(parents=True, exist_ok=True)
        for left in scratch.glob("early-*.state"):
            left.unlink()
        self._thread = threading.Thread(target=self._run, name="state-writer", daemon=True)
        self._thread.start()

    def early(self, dataflow: int, entries: Entries) -> None:
        """Take entries of one dataflow that a later checkpoint will want, once there is room for them."""
        size = size_of(entries)
        with self._room:
            self._room.wait_for(lambda: self._waiting + size <= self._limit or not self._waiting)
            self._waiting += size
        self._jobs.put(_Early(dataflow, entries, size))

    def forget(self, dataflow: int) -> None:
        """The dataflow is gone: no checkpoint will want its early entries."""
        self._jobs.put(dataflow)

    def write(
        self,
        epoch: int,
        path: str,
        entries: Entries,
        state_bytes: int,
        spools: list[Spool],
        dataflows: set[int],
    ) -> None:
        """Begin writing a checkpoint of some dataflows; their spools are finished too."""
        self._jobs.put(_Checkpoint(epoch, Path(path), entries, state_bytes, spools, dataflows))

    def finished(self) -> tuple[int, CheckpointReport | PgError] | None:
        """An epoch whose files are written, or could not be (53100, 58030)."""
        try:
            return self._done.get_nowait()
        except queue.Empty:
            return None

    def close(self) -> None:
        """Let the writing end."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            match job:
                case _Early():
                    self._write_early(job)
                    self._measure()
                    with self._room:
                        self._waiting -= job.size
                        self._room.notify()
                case _Checkpoint():
                    result = self._write(job)
                    self._measure()
                    self._done.put((job.epoch, result))
                    os.eventfd_write(self._bell, 1)
                case _:
                    self._counts.pop(job, None)
                    for path in self._early.pop(job, []):
                        path.unlink(missing_ok=True)
                    self._kept = [found for found in self._kept if found[0] != job]
            del job

    def _measure(self) -> None:
        self.refused = size_of(self._kept) + sum(spool.held_bytes for spool in self._spools)

    def _write_early(self, job: _Early) -> None:
        self._count += 1
        path = self._scratch / f"early-{job.dataflow}-{self._count}.state"
        try:
            # What could not be written before is older, and goes first.
            mine = [found for found in self._kept if found[0] == job.dataflow]
            _, count = write_states(path, mine + job.entries)
        except OSError:
            path.unlink(missing_ok=True)
            self._kept += job.entries  # the checkpoint tries again, and says so
            return
        self._kept = [found for found in self._kept if found[0] != job.dataflow]
        self._early.setdefault(job.dataflow, []).append(path)
        self._counts[job.dataflow] += count

    def _write(self, job: _Checkpoint) -> CheckpointReport | PgError:
        """A checkpoint's files; what cannot be written is in the next one."""
        self._spools += job.spools
        mine = [found for found in self._kept if found[0] in job.dataflows]
        others = [found for found in self._kept if found[0] not in job.dataflows]
        try:
            failpoints.reach("state file: begun")
            size, count = write_states(job.path, mine + job.entries)
            failpoints.reach("state file: written")
            earlier = [
                (name, name.stat().st_size)
                for number, path in enumerate(self._taken(job.dataflows))
                if (name := self._place(path, job.path, number))
            ]
            spools = [spool.finish() for spool in self._spools]
        except OSError as error:
            self._kept = mine + job.entries + others
            job.path.unlink(missing_ok=True)
            code = DISK_FULL if error.errno == 28 else IO_ERROR
            return PgError(code, f"could not write {job.path}: {error.strerror}")
        self._kept, self._spools = others, []
        for dataflow in job.dataflows:
            count += self._counts.pop(dataflow, 0)
            for path in self._early.pop(dataflow, []):
                path.unlink()
        named = [(str(path), found) for path, found in earlier]
        return CheckpointReport(str(job.path), size, count, job.state_bytes, spools, named)

    def _taken(self, dataflows: set[int]) -> list[Path]:
        return [path for oid, paths in self._early.items() if oid in dataflows for path in paths]

    def _place(self, path: Path, beside: Path, number: int) -> Path:
        """Give an early file its second name, next to the checkpoint's file."""
        target = beside.with_name(f"{beside.stem}.early{number}.state")
        target.unlink(missing_ok=True)
        os.link(path, target)
        return target
