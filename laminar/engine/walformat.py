"""The write-ahead log's files: layout, reading, finding the end.

A log is a row of segment files, each named by the log position (LSN) of its first byte. A segment
starts with a 32-byte head, records follow, each at a multiple of 8. A record's head holds its length,
a CRC32C of head and payload, its own LSN (so that what a reused file held before is never taken for a
record) and the LSN up to which the log was durable when it was written. That last one tells a torn
tail from damage: a broken record that some later record knows to have been durable was damaged
afterwards; any other was never acknowledged, and the log ends before it.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from laminar._native.crc32c import crc32c
from laminar.errors import DATA_CORRUPTED, PgError

SEGMENT_HEAD = struct.Struct("<8sQQII")  # magic, lsn, size, crc, 0
RECORD_HEAD = struct.Struct("<IIQQQ")  # length, crc, lsn, durable lsn, kind
MAGIC = b"LAMWAL01"
#: kind of the record that ends a segment
ROTATE = 0xFF


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the log; ``payload`` is a view of the mapped file."""

    lsn: int
    kind: int
    payload: memoryview
    durable: int

    @property
    def end(self) -> int:
        """LSN behind it."""
        return self.lsn + record_size(len(self.payload))


def record_size(payload: int) -> int:
    """Bytes that a record takes in the file."""
    return RECORD_HEAD.size + payload + -payload % 8


def segment_head(lsn: int, size: int) -> bytes:
    crc = crc32c(SEGMENT_HEAD.pack(MAGIC, lsn, size, 0, 0))
    return SEGMENT_HEAD.pack(MAGIC, lsn, size, crc, 0)


def record_head(kind: int, lsn: int, durable: int, length: int, payload_crc: int) -> bytes:
    """``payload_crc`` is the checksum of the payload alone; the head's fields are folded in."""
    crc = crc32c(RECORD_HEAD.pack(length, 0, lsn, durable, kind), payload_crc)
    return RECORD_HEAD.pack(length, crc, lsn, durable, kind)


def segment_path(directory: Path, lsn: int) -> Path:
    return directory / f"{lsn:016x}.wal"


def segments(directory: Path) -> list[tuple[int, Path]]:
    """(first LSN, path) of all segments, in order."""
    found = [(int(path.stem, 16), path) for path in directory.glob("*.wal")]
    return sorted(found)


class Segment:
    """A segment file mapped for reading."""

    def __init__(self, path: Path, lsn: int) -> None:
        self.path, self.lsn = path, lsn
        with path.open("rb") as file:
            self.size = os.fstat(file.fileno()).st_size
            if self.size < SEGMENT_HEAD.size:
                raise damaged(path, 0, "it is too short")
            self.view = memoryview(mmap.mmap(file.fileno(), self.size, prot=mmap.PROT_READ))
        magic, first, size, crc, _ = SEGMENT_HEAD.unpack_from(self.view)
        if magic != MAGIC or crc32c(SEGMENT_HEAD.pack(magic, first, size, 0, 0)) != crc:
            raise damaged(path, 0, "its head is damaged")
        if first != lsn or size != self.size:
            raise damaged(path, 0, f"it is not the segment of {lsn:#x}")

    def record(self, offset: int) -> Record | None:
        """The record at a byte offset, None when there is no valid one."""
        if offset + RECORD_HEAD.size > self.size:
            return None
        length, crc, lsn, durable, kind = RECORD_HEAD.unpack_from(self.view, offset)
        start = offset + RECORD_HEAD.size
        if lsn != self.lsn + offset or start + length > self.size:
            return None
        payload = self.view[start : start + length]
        head = RECORD_HEAD.pack(length, 0, lsn, durable, kind)
        if crc32c(head, crc32c(payload)) != crc:
            return None
        return Record(lsn, kind, payload, durable)

    def vouched(self, lsn: int, offset: int) -> bool:
        """Whether a valid record at or behind ``offset`` knows that ``lsn`` was durable."""
        words = np.frombuffer(self.view[: self.size - self.size % 8], np.uint64)
        first = offset // 8
        places = np.arange(first, len(words) - 1, dtype=np.uint64) * 8 + self.lsn
        for hit in np.flatnonzero(words[first + 1 :] == places):
            found = self.record((first + int(hit)) * 8)
            if found is not None and found.durable > lsn:
                return True
        return False


@dataclass(slots=True)
class LogEnd:
    """Where a scan ended: LSN of the next record, and the LSN where a torn tail was, if any."""

    lsn: int = 0
    torn: int | None = None


def scan(directory: Path, start: int, end: LogEnd, limit: int | None = None) -> Iterator[Record]:
    """Records from ``start`` on, up to ``limit``; ``end`` is filled in when they are exhausted.

    Raises PgError XX001, naming file and offset, when a durable part of the log is damaged.
    """
    found = segments(directory)
    if not found:
        end.lsn = start
        return
    index = max((i for i, (lsn, _) in enumerate(found) if lsn <= start), default=None)
    if index is None:
        raise damaged(found[0][1], 0, f"the log's part from {start:#x} on is missing before it")
    expected = found[index][0]
    if start > expected + found[index][1].stat().st_size:
        raise damaged(found[index][1], 0, f"the log's part from {start:#x} on is missing behind it")
    offset = max(start - expected, SEGMENT_HEAD.size)
    while index < len(found) and found[index][0] == expected:
        segment = Segment(found[index][1], expected)
        rotated = False
        while True:
            if limit is not None and expected + offset >= limit:
                end.lsn = expected + offset
                return
            record = segment.record(offset)
            if record is None:
                break
            offset += record_size(len(record.payload))
            if record.kind == ROTATE:
                rotated = True
                break
            yield record
        if not rotated:
            end.lsn = expected + offset
            _check_tail(segment, offset, found[index + 1 :])
            length, _, lsn, _, _ = RECORD_HEAD.unpack_from(
                segment.view, min(offset, segment.size - RECORD_HEAD.size)
            )
            end.torn = end.lsn if lsn == end.lsn and length else None
            return
        expected += segment.size
        offset = SEGMENT_HEAD.size
        index += 1
    if index < len(found):
        raise damaged(found[index][1], 0, f"the segment of {expected:#x} is missing before it")
    end.lsn = expected


def _check_tail(segment: Segment, offset: int, later: list[tuple[int, Path]]) -> None:
    """XX001 when something behind ``offset`` says that the log was durable there."""
    lsn = segment.lsn + offset
    others = []
    for first, path in later:
        try:
            others.append(Segment(path, first))
        except PgError:
            continue
    if segment.vouched(lsn, offset) or any(s.vouched(lsn, SEGMENT_HEAD.size) for s in others):
        raise damaged(segment.path, offset, "a record that had been made durable is not valid")


def damaged(path: Path, offset: int, why: str) -> PgError:
    return PgError(
        DATA_CORRUPTED,
        f"write-ahead log file {path} is damaged at byte {offset}: {why}",
        hint="Restore the data directory from a backup; the log cannot be read beyond this point.",
    )
