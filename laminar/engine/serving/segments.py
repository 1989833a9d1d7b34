"""A relation's rows in files: what a checkpoint writes and a restart maps.

Two kinds of file, both Arrow IPC. ``rows``: batches of rows, dead ones included, never changed once
written. ``live``: bitmaps of live rows for batches of ``rows`` files, an empty one for a batch that is
no longer used; a later file overrules an earlier one. A batch that no ``live`` file names is all live.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from laminar.engine.serving.chunk import Bits, Chunk
from laminar.errors import DATA_CORRUPTED, PgError

_LIVE_SCHEMA = pa.schema([("segment", pa.int64()), ("batch", pa.int64()), ("live", pa.binary())])
_ARRIVED = b"arrived"


@dataclass(frozen=True, slots=True)
class Segment:
    """A file that a checkpoint consists of.

    Args:
        file: name within the directory given to ``checkpoint``.
        kind: ``rows`` or ``live``.
        number: increasing within a relation.
        size: bytes.
        crc: CRC-32 (zlib) of the file.
    """

    file: str
    kind: Literal["rows", "live"]
    number: int
    size: int
    crc: int


def write_rows(
    directory: Path, oid: int, number: int, chunks: Sequence[Chunk]
) -> tuple[Segment, list[pa.RecordBatch]]:
    """Write each chunk's batch as it is; returns the durable file and the same batches mapped from it."""
    path = directory / f"{oid}-{number:010d}.rows"
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, chunks[0].batch.schema) as writer:
        for chunk in chunks:
            writer.write_batch(chunk.batch, custom_metadata={_ARRIVED: b"%d %d" % chunk.arrived})
    segment = _seal(path, "rows", number)
    return segment, [batch for batch, _ in map_rows(path, chunks[0].batch.schema)]


def map_rows(path: Path, schema: pa.Schema) -> list[tuple[pa.RecordBatch, tuple[int, int]]]:
    """Batches of a ``rows`` file, memory-mapped, with their times of arrival."""
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        if reader.schema != schema:
            raise PgError(DATA_CORRUPTED, f"segment {path.name} has columns {reader.schema}, not {schema}")
        result = []
        for i in range(reader.num_record_batches):
            got = reader.get_batch_with_custom_metadata(i)
            got.batch.validate(full=False)
            oldest, newest = got.custom_metadata[_ARRIVED].split()
            result.append((got.batch, (int(oldest), int(newest))))
        return result
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise PgError(DATA_CORRUPTED, f"segment {path.name} is damaged: {error}") from error


def write_live(
    directory: Path, oid: int, number: int, bitmaps: dict[tuple[int, int], Bits | None]
) -> Segment:
    """Write bitmaps by (segment, batch); None for a batch that is no longer used."""
    path = directory / f"{oid}-{number:010d}.live"
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array([s for s, _ in bitmaps], pa.int64()),
            pa.array([b for _, b in bitmaps], pa.int64()),
            pa.array([b"" if bits is None else bits.tobytes() for bits in bitmaps.values()], pa.binary()),
        ],
        schema=_LIVE_SCHEMA,
    )
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, _LIVE_SCHEMA) as writer:
        writer.write_batch(batch)
    return _seal(path, "live", number)


def read_live(directory: Path, segments: Iterable[Segment]) -> dict[tuple[int, int], Bits | None]:
    """Bitmaps of all ``live`` files, oldest first."""
    bitmaps: dict[tuple[int, int], Bits | None] = {}
    for segment in segments:
        try:
            table = pa.ipc.open_file(pa.memory_map(str(directory / segment.file))).read_all()
            columns = [table.column(name).to_pylist() for name in ("segment", "batch", "live")]
        except (pa.ArrowException, KeyError) as error:
            raise PgError(DATA_CORRUPTED, f"segment {segment.file} is damaged: {error}") from error
        for number, batch, live in zip(*columns, strict=True):
            bitmaps[number, batch] = np.frombuffer(live, dtype=np.uint8).copy() if live else None
    return bitmaps


def verify(directory: Path, segment: Segment) -> None:
    """XX001 when the file is missing or its size or checksum differs from the descriptor's."""
    path = directory / segment.file
    try:
        size = path.stat().st_size
    except OSError as error:
        raise PgError(DATA_CORRUPTED, f"segment {segment.file} cannot be read: {error.strerror}") from error
    if size != segment.size or checksum(path) != segment.crc:
        raise PgError(DATA_CORRUPTED, f"segment {segment.file} is damaged: its checksum is wrong")


def checksum(path: Path) -> int:
    """CRC-32 of a file."""
    crc = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            crc = zlib.crc32(block, crc)
    return crc


def _seal(path: Path, kind: Literal["rows", "live"], number: int) -> Segment:
    """Make the file durable and describe it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return Segment(path.name, kind, number, path.stat().st_size, checksum(path))
