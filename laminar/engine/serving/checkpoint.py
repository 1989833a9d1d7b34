"""Checkpoints of a relation store: begin on the writing thread, write anywhere, finish on the writing thread.

Chunks go to the file as they are, so chunk numbers and offsets stay and the index need not follow;
afterwards the chunks are served from the mapped file and their anonymous memory is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from laminar.engine.serving import segments as files
from laminar.engine.serving.chunk import Bits, Chunk, count_bits
from laminar.engine.serving.relation import RelationStore
from laminar.engine.serving.segments import Segment
from laminar.errors import DATA_CORRUPTED, PgError

#: live files are folded into one when there are more
MAX_LIVE_FILES = 8
#: of rows that may be in memory for one checkpoint, so that it rewrites more of mostly dead files
_COMPACTED_BYTES = 64 << 20


@dataclass(slots=True)
class Pending:
    """A checkpoint under way.

    Args:
        chunks: (number, chunk) not in any file yet.
        bitmaps: what the next ``live`` file is to say.
        kept: files of earlier checkpoints that still count.
        unsaved: bytes that are in memory only until it is finished.
    """

    store: RelationStore
    number: int
    chunks: list[tuple[int, Chunk]]
    bitmaps: dict[tuple[int, int], Bits | None]
    kept: list[Segment]
    unsaved: int
    written: list[Segment] = field(default_factory=list)
    mapped: list[pa.RecordBatch] = field(default_factory=list)


class Checkpointer:
    """Keeps one relation's files; ``segments`` is what the last finished checkpoint consists of."""

    def __init__(self, store: RelationStore) -> None:
        self.store = store
        self.segments: list[Segment] = []
        self._number = 0
        #: rows of each batch of each file in use
        self._batches: dict[int, list[int]] = {}
        self._rewrite_bitmaps = False

    def begin(self) -> Pending:
        """Note what is to be written: O(chunks)."""
        store = self.store
        self._compact()
        self._number += 1
        used = {chunk.home[0] for chunk in store.chunks.values() if chunk.home is not None}
        rows = [s for s in self.segments if s.kind == "rows" and s.number in used]
        live = [s for s in self.segments if s.kind == "live"]
        fresh = [(n, c) for n, c in store.chunks.items() if c.home is None]
        bitmaps: dict[tuple[int, int], Bits | None] = {h: None for h in store.gone if h[0] in used}
        changed = store.dirty
        if len(live) >= MAX_LIVE_FILES or self._rewrite_bitmaps:
            bitmaps |= dict.fromkeys(self._unused(used))
            changed, live = set(store.chunks), []
        for number in changed:
            chunk = store.chunks[number]
            if chunk.home is not None and chunk.live is not None:
                bitmaps[chunk.home] = chunk.live
        for i, (_, chunk) in enumerate(fresh):
            if chunk.live is not None:
                bitmaps[self._number, i] = chunk.live
        store.gone = set()
        store.dirty = set()
        return Pending(store, self._number, fresh, bitmaps, rows + live, store.unsaved)

    def owns(self, pending: Pending) -> bool:
        """Whether this checkpointer began it (a relation may be dropped and another made under its oid)."""
        return pending.store is self.store

    @staticmethod
    def write(pending: Pending, directory: Path) -> None:
        """Write and fsync the new files; the directory itself is the caller's to fsync."""
        if pending.chunks:
            segment, pending.mapped = files.write_rows(
                directory, pending.store.oid, pending.number, [chunk for _, chunk in pending.chunks]
            )
            pending.written.append(segment)
        if pending.bitmaps:
            pending.written.append(
                files.write_live(directory, pending.store.oid, pending.number, pending.bitmaps)
            )

    def finish(self, pending: Pending) -> list[Segment]:
        """Serve the written chunks from the file; returns all files that the checkpoint consists of."""
        for i, (number, chunk) in enumerate(pending.chunks):
            home = (pending.number, i)
            current = self.store.chunks.get(number)
            if current is None or current.batch is not chunk.batch:
                self.store.gone.add(home)
                continue
            self.store.rehome(number, pending.mapped[i], home)
            if current.live is not chunk.live:
                self.store.dirty.add(number)
        self.store.unsaved -= pending.unsaved
        self.segments = pending.kept + pending.written
        self._rewrite_bitmaps = False
        numbers = {s.number for s in self.segments if s.kind == "rows"}
        self._batches[pending.number] = [chunk.batch.num_rows for _, chunk in pending.chunks]
        self._batches = {n: rows for n, rows in self._batches.items() if n in numbers}
        return list(self.segments)

    def abandon(self, pending: Pending) -> None:
        """``write`` failed: the last finished checkpoint stands, the next one tells it all."""
        self._rewrite_bitmaps = True

    def checkpoint(self, directory: Path) -> list[Segment]:
        """All three steps at once."""
        pending = self.begin()
        try:
            self.write(pending, directory)
        except BaseException:
            self.abandon(pending)
            raise
        return self.finish(pending)

    def restore(self, directory: Path, segments: Sequence[Segment]) -> None:
        """Fill the (empty) store from a checkpoint's files; XX001 when they are damaged."""
        self.segments = sorted(segments, key=lambda s: s.number)
        for segment in self.segments:
            files.verify(directory, segment)
        bitmaps = files.read_live(directory, [s for s in self.segments if s.kind == "live"])
        for segment in self.segments:
            self._number = max(self._number, segment.number)
            if segment.kind == "rows":
                self._restore_rows(directory, segment, bitmaps)

    def _restore_rows(
        self, directory: Path, segment: Segment, bitmaps: dict[tuple[int, int], Bits | None]
    ) -> None:
        batches = files.map_rows(directory / segment.file, self.store.layout.schema)
        self._batches[segment.number] = [batch.num_rows for batch, _ in batches]
        for i, (batch, arrived) in enumerate(batches):
            home = (segment.number, i)
            live = bitmaps.get(home)
            if home in bitmaps and live is None:
                continue
            if live is not None and len(live) != (batch.num_rows + 7) // 8:
                raise PgError(DATA_CORRUPTED, f"segment {segment.file}: bitmap of the wrong length")
            count = batch.num_rows if live is None else count_bits(live)
            self.store.adopt(Chunk(batch, live, count, arrived, home))

    def _unused(self, used: set[int]) -> list[tuple[int, int]]:
        """Batches of files in use that no chunk serves."""
        served = {chunk.home for chunk in self.store.chunks.values()}
        every = [(n, i) for n in used for i in range(len(self._batches[n]))]
        return [home for home in every if home not in served]

    def _compact(self) -> None:
        """Bring rows back into memory from files that are mostly dead, so that the files can go."""
        chunks: dict[int, list[int]] = {}
        for number, chunk in self.store.chunks.items():
            if chunk.home is not None:
                chunks.setdefault(chunk.home[0], []).append(number)
        for segment, numbers in chunks.items():
            live = sum(self.store.chunks[n].count for n in numbers)
            if live * 2 < sum(self._batches[segment]):
                for number in numbers:
                    self.store.compact(number)
                if self.store.unsaved > _COMPACTED_BYTES:
                    return  # the next checkpoint goes on
