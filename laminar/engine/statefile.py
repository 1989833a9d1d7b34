"""Files with operators' changed entries: one per reactor and checkpoint.

Layout: magic, then blocks, then an end block. A block is a 32-byte head (dataflow, node, length,
CRC32C of the payload) and an Arrow IPC stream, LZ4-compressed, with columns key and value (binary;
a null value means deleted). A file without its end block, or with a wrong checksum, is damaged.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from laminar._native.crc32c import crc32c
from laminar.errors import DATA_CORRUPTED, PgError

MAGIC = b"LAMSTAT1"
_BLOCK = struct.Struct("<qqqII")
_END = -1
#: Arrow's own threads would keep memory of their own, and what is read comes in small pieces
_READING = pa.ipc.IpcReadOptions(use_threads=False)

#: (dataflow, node, batches)
StateEntries = tuple[int, int, list[pa.RecordBatch]]
Entries = list[StateEntries]


def size_of(entries: Iterable[StateEntries]) -> int:
    """Bytes of memory that entries take."""
    return sum(batch.nbytes for _, _, batches in entries for batch in batches)


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
    options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
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


def read_ahead(path: str) -> None:
    """Ask for a file that will be read soon; says nothing of one that cannot be."""
    with suppress(OSError), open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)


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
        for batch in pa.ipc.open_stream(payload, options=_READING):
            yield dataflow, node, batch
        at += length


def _damaged(path: Path, offset: int, why: str) -> PgError:
    return PgError(DATA_CORRUPTED, f"state file {path} is damaged at byte {offset}: {why}")
