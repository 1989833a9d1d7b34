"""The write-ahead log's writing side: group commit, preallocated segments, reuse.

``append`` puts a record into memory and returns at once; a thread writes whatever has gathered and
makes it durable with one fdatasync, then everybody whose records it held goes on. Room is made
before (``reserve``), so a full disk is an error of the statement that wanted to write and never of
one that was already accepted. A failed write or fdatasync is the end of the server: what the disk
holds is unknown then, and only a restart can find out.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from laminar import failpoints
from laminar._native.crc32c import crc32c
from laminar.engine.walformat import (
    RECORD_HEAD,
    ROTATE,
    SEGMENT_HEAD,
    record_head,
    record_size,
    segment_head,
    segment_path,
    segments,
)
from laminar.errors import DISK_FULL, IO_ERROR, PgError

_ZEROS = bytes(1 << 20)
_IOV_MAX = 512
#: free segments kept for reuse
_SPARE = 2


@dataclass(slots=True)
class _File:
    fd: int
    lsn: int
    size: int


@dataclass(slots=True)
class _Job:
    file: _File
    offset: int
    parts: list[Any]
    end: int
    #: the segment's last record
    closes: bool


class Wal:
    """An open log.

    Args:
        directory: of the segments.
        segment_bytes: their usual size.
        on_failure: called (on the event loop) when the log cannot go on.
    """

    def __init__(self, directory: Path, segment_bytes: int, on_failure: Callable[[PgError], None]) -> None:
        self.directory = directory
        self.segment_bytes = segment_bytes
        self.on_failure = on_failure
        self.failed: PgError | None = None
        #: LSN behind the last record, and behind the last durable one
        self.end = 0
        self.durable = 0
        self.syncs = 0
        self._file: _File | None = None
        self._next: _File | None = None
        self._spare: list[Path] = []
        self._making: asyncio.Task[None] | None = None
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._helper = ThreadPoolExecutor(1, "wal-files")
        self._jobs: list[_Job] = []
        self._wake = threading.Condition()
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._write_loop, name="wal", daemon=True)

    async def open(self, end: int) -> None:
        """Go on behind ``end``, where the scan found the last valid record.

        What follows it on disk is removed, so that it can never be taken for part of the log.
        """
        await self._in_helper(self._open_at, end)
        self._thread.start()

    def _open_at(self, end: int) -> None:
        for spare in self.directory.glob("*.free"):
            spare.unlink()
        for lsn, path in segments(self.directory):
            size = path.stat().st_size
            if lsn > end or (lsn == end and end != 0):
                path.unlink()
            elif lsn <= end < lsn + size:
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                for offset in range(end - lsn, size, len(_ZEROS)):
                    os.pwrite(fd, _ZEROS[: size - offset], offset)
                os.fdatasync(fd)
                self._file = _File(fd, lsn, size)
        if self._file is None:
            self._file = self._create(end, self.segment_bytes)
            self.end = end + SEGMENT_HEAD.size
        else:
            self.end = max(end, self._file.lsn + SEGMENT_HEAD.size)
        self._sync_directory()
        self.durable = self.end

    # --- room -------------------------------------------------------------------

    def fits(self, size: int) -> bool:
        """Whether a record with that payload can be appended now."""
        file = self._file
        assert file is not None
        return self.end - file.lsn + record_size(size) + RECORD_HEAD.size <= file.size

    async def reserve(self, size: int) -> None:
        """Make room for a record with ``size`` bytes of payload; append it without waiting in between.

        Raises PgError 53100 when the disk is full.
        """
        while not self.fits(size):
            self._check()
            if self._making is None:
                self._making = asyncio.create_task(self._prepare(size))
            making = self._making
            await asyncio.shield(making)
            if self._making is making:
                self._making = None
                if not self.fits(size):
                    self._rotate()

    async def _prepare(self, size: int) -> None:
        wanted = SEGMENT_HEAD.size + record_size(size) + 2 * RECORD_HEAD.size
        if self._next is not None and self._next.size >= wanted:
            return
        if self._next is not None:
            os.close(self._next.fd)
            self._next = None
        assert self._file is not None
        first = self._file.lsn + self._file.size
        try:
            self._next = await self._in_helper(
                self._create, first, max(self.segment_bytes, wanted + -wanted % 8)
            )
        except OSError as error:
            self._making = None
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise PgError(
                    DISK_FULL,
                    f"could not extend the write-ahead log: {error.strerror}",
                    hint="Free some space; nothing that was acknowledged is lost.",
                ) from error
            raise PgError(IO_ERROR, f"could not extend the write-ahead log: {error.strerror}") from error

    def _rotate(self) -> None:
        """End the current segment and go on in the prepared one."""
        assert self._next is not None
        self._put(ROTATE, [])
        self._file, self._next = self._next, None
        self.end = self._file.lsn + SEGMENT_HEAD.size

    def _create(self, lsn: int, size: int) -> _File:
        """A segment with all its blocks allocated and written, so that syncing it later is cheap."""
        path = segment_path(self.directory, lsn)
        fresh = self.directory / "next.tmp"
        spare = self._spare.pop() if self._spare and size == self.segment_bytes else None
        if spare is not None:
            spare.rename(fresh)
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if spare is None:
                os.ftruncate(fd, 0)
                os.posix_fallocate(fd, 0, size)
                for offset in range(0, size, len(_ZEROS)):
                    os.pwrite(fd, _ZEROS[: size - offset], offset)
            os.pwrite(fd, segment_head(lsn, size), 0)
            os.fsync(fd)
            fresh.rename(path)
            self._sync_directory()
        except BaseException:
            os.close(fd)
            fresh.unlink(missing_ok=True)
            raise
        return _File(fd, lsn, size)

    def _sync_directory(self) -> None:
        fd = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    # --- appending ----------------------------------------------------------------

    def append(self, kind: int, parts: list[Any]) -> int:
        """Add a record whose payload is the parts in a row; returns the LSN behind it.

        There must be room (``reserve``).
        """
        self._check()
        return self._put(kind, parts)

    def _put(self, kind: int, parts: list[Any]) -> int:
        assert self._file is not None
        length = crc = 0
        for part in parts:
            crc = crc32c(part, crc)
            length += memoryview(part).nbytes
        lsn = self.end
        head = record_head(kind, lsn, self.durable, length, crc)
        self.end = lsn + record_size(length)
        job = _Job(
            self._file, lsn - self._file.lsn, [head, *parts, bytes(-length % 8)], self.end, kind == ROTATE
        )
        with self._wake:
            self._jobs.append(job)
            self._wake.notify()
        return self.end

    async def sync(self, lsn: int) -> None:
        """Return when everything before ``lsn`` is durable."""
        self._check()
        if self.durable >= lsn:
            return
        future = self._loop.create_future()
        self.when_durable(lsn, future)
        await future

    def when_durable(self, lsn: int, future: asyncio.Future[None]) -> None:
        """Complete ``future`` when everything before ``lsn``, which is not yet durable, is."""
        self._waiters.append((lsn, future))

    def _check(self) -> None:
        if self.failed is not None:
            raise self.failed

    # --- the writing thread ----------------------------------------------------------

    def _write_loop(self) -> None:
        while True:
            with self._wake:
                while not self._jobs and not self._closing:
                    self._wake.wait()
                jobs, self._jobs = self._jobs, []
            if not jobs:
                return
            try:
                self._write(jobs)
            except OSError as error:
                self._call(self._fail, error)
                return
            self._call(self._advance, jobs[-1].end)

    def _write(self, jobs: list[_Job]) -> None:
        start = 0
        while start < len(jobs):
            file = jobs[start].file
            stop = start
            parts: list[Any] = []
            while stop < len(jobs) and jobs[stop].file is file:
                parts += jobs[stop].parts
                stop += 1
            _write_all(file.fd, jobs[start].offset, parts)
            failpoints.reach("wal: written")
            os.fdatasync(file.fd)
            failpoints.reach("wal: durable")
            if jobs[stop - 1].closes:
                os.close(file.fd)
            start = stop

    def _call(self, function: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    def _advance(self, end: int) -> None:
        self.durable = max(self.durable, end)
        self.syncs += 1
        while self._waiters:
            ready = [(lsn, f) for lsn, f in self._waiters if lsn <= self.durable]
            if not ready:
                return
            self._waiters = deque((lsn, f) for lsn, f in self._waiters if lsn > self.durable)
            for _, future in ready:
                if not future.done():
                    future.set_result(None)

    def _fail(self, error: OSError) -> None:
        self.failed = PgError(
            IO_ERROR, f"could not write to the write-ahead log: {error.strerror}", severity="PANIC"
        )
        for _, future in self._waiters:
            if not future.done():
                future.set_exception(self.failed)
        self._waiters.clear()
        self.on_failure(self.failed)

    # --- the far end -------------------------------------------------------------------

    async def recycle(self, lsn: int) -> None:
        """Segments that end at or before ``lsn`` are not needed any more."""
        await self._in_helper(self._recycle, lsn)

    def _recycle(self, lsn: int) -> None:
        found = segments(self.directory)
        for (first, path), (following, _) in pairwise(found):
            if following > lsn or (self._file is not None and first >= self._file.lsn):
                break
            if len(self._spare) < _SPARE and following - first == self.segment_bytes:
                spare = path.with_suffix(".free")
                path.rename(spare)
                self._spare.append(spare)
            else:
                path.unlink()
        self._sync_directory()

    async def close(self) -> None:
        """Write what is left and close the files."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)
        for file in (self._file, self._next):
            if file is not None:
                os.close(file.fd)
        self._helper.shutdown()

    async def _in_helper(self, function: Callable[..., Any], *args: object) -> Any:
        return await self._loop.run_in_executor(self._helper, function, *args)


def _write_all(fd: int, offset: int, parts: list[Any]) -> None:
    """pwritev everything, however many calls that takes."""
    views = [memoryview(p).cast("B") for p in parts if memoryview(p).nbytes]
    while views:
        done = os.pwritev(fd, views[:_IOV_MAX], offset)
        offset += done
        while done:
            size = len(views[0])
            if size > done:
                views[0] = views[0][done:]
                break
            done -= size
            del views[0]
