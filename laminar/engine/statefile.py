"""Files with operators' changed entries: one per reactor and checkpoint.

Layout: magic, then blocks, then an end block. A block is a 32-byte head (dataflow, node, length,
CRC32C of the payload) and an Arrow IPC stream, LZ4-compressed, with columns key and value (binary;
a null value means deleted). A file without its end block, or with a wrong checksum, is damaged.
"""

from __future__ import annotations

import os
import queue
import struct
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from laminar import failpoints
from laminar._native.crc32c import crc32c
from laminar.engine.protocol import CheckpointReport, SpoolReport
from laminar.errors import DATA_CORRUPTED, DISK_FULL, IO_ERROR, PgError

MAGIC = b"LAMSTAT1"
_BLOCK = struct.Struct("<qqqII")
_END = -1

#: (dataflow, node, batches)
StateEntries = tuple[int, int, list[pa.RecordBatch]]
Entries = list[StateEntries]


def write_states(path: Path, entries: Iterable[StateEntries]) -> tuple[int, int]:
    """Write a file and make it durable; returns its size and the number of entries."""
    count = 0
    with path.open("wb") as file:
        file.write(MAGIC)
        for dataflow, node, batches in entries:
            if not batches:
                continue
            count += sum(batch.num_rows for batch in batches)
            file.writelines(block(dataflow, node, batches))
        file.write(END)
        file.flush()
        os.fsync(file.fileno())
        return file.tell(), count


def block(dataflow: int, node: int, batches: list[pa.RecordBatch]) -> tuple[bytes, pa.Buffer]:
    """Head and payload of a block with batches of one schema."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_stream(sink, batches[0].schema, options=options) as writer:
        for batch in batches:
            writer.write_batch(batch)
    payload = sink.getvalue()
    return _head(dataflow, node, payload.size, crc32c(payload)), payload


def _head(dataflow: int, node: int, length: int, crc: int) -> bytes:
    body = _BLOCK.pack(dataflow, node, length, crc, 0)
    return _BLOCK.pack(dataflow, node, length, crc, crc32c(body))


#: the block behind the last one
END = _head(_END, 0, 0, 0)


def read_states(path: str | Path) -> Iterator[tuple[int, int, pa.RecordBatch]]:
    """Entries as (dataflow, node, batch); XX001 when the file is damaged."""
    path = Path(path)
    try:
        data = pa.memory_map(str(path)).read_buffer()
    except OSError as error:
        raise PgError(DATA_CORRUPTED, f"state file {path} cannot be read: {error}") from error
    view = memoryview(data)
    if bytes(view[:8]) != MAGIC:
        raise _damaged(path, 0, "it does not start like one")
    at = 8
    while True:
        if at + _BLOCK.size > len(view):
            raise _damaged(path, at, "its end is missing")
        dataflow, node, length, crc, head_crc = _BLOCK.unpack_from(view, at)
        if crc32c(_BLOCK.pack(dataflow, node, length, crc, 0)) != head_crc:
            raise _damaged(path, at, "wrong checksum")
        if dataflow == _END:
            return
        at += _BLOCK.size
        payload = data.slice(at, length)
        if payload.size != length or crc32c(payload) != crc:
            raise _damaged(path, at, "wrong checksum")
        for batch in pa.ipc.open_stream(payload):
            yield dataflow, node, batch
        at += length


def _damaged(path: Path, offset: int, why: str) -> PgError:
    return PgError(DATA_CORRUPTED, f"state file {path} is damaged at byte {offset}: {why}")


class Spool(Protocol):
    """A file of a sink that is not whole yet."""

    def finish(self) -> SpoolReport:
        """Make it whole and durable; OSError when that fails, then it can be tried again."""


class StateWriter:
    """Writes state files in a thread of its own; rings the bell when one is finished."""

    def __init__(self, bell: int) -> None:
        self._bell = bell
        self._jobs: queue.SimpleQueue[tuple[int, str, Entries, int, list[Spool]] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[int, CheckpointReport | PgError]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="state-writer", daemon=True)
        self._thread.start()

    def write(self, epoch: int, path: str, entries: Entries, state_bytes: int, spools: list[Spool]) -> None:
        """Begin writing; the spools are finished too."""
        self._jobs.put((epoch, path, entries, state_bytes, spools))

    def finished(self) -> tuple[int, CheckpointReport | PgError] | None:
        """An epoch whose file is written, or could not be (53100, 58030)."""
        try:
            return self._done.get_nowait()
        except queue.Empty:
            return None

    def close(self) -> None:
        """Let the writing end."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        kept: Entries = []  # of files that could not be written
        kept_spools: list[Spool] = []
        while (job := self._jobs.get()) is not None:
            epoch, path, entries, state_bytes, spools = job
            kept_spools += spools
            result: CheckpointReport | PgError
            try:
                failpoints.reach("state file: begun")
                size, count = write_states(Path(path), kept + entries)
                failpoints.reach("state file: written")
                found = [spool.finish() for spool in kept_spools]
                kept, kept_spools = [], []
                result = CheckpointReport(path, size, count, state_bytes, found)
            except OSError as error:
                kept += entries
                Path(path).unlink(missing_ok=True)
                code = DISK_FULL if error.errno == 28 else IO_ERROR
                result = PgError(code, f"could not write {path}: {error.strerror}")
            del job, entries, spools
            self._done.put((epoch, result))
            os.eventfd_write(self._bell, 1)
