"""One relation's rows: an appended log of Arrow chunks, bitmaps of the dead, an index by key."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar._native.rowindex import RowIndex
from laminar.engine.change import Change
from laminar.engine.serving.chunk import Chunk, Snapshot
from laminar.engine.serving.consolidate import cancel, concat, split
from laminar.engine.serving.layout import Layout
from laminar.errors import INTERNAL_ERROR, PgError

#: chunks are merged up to this many rows
CHUNK_ROWS = 65536
_OFFSET = 0xFFFFFFFF

RowIds = npt.NDArray[np.int64]


class RelationStore:
    """A relation's current rows.

    One thread writes (``apply``, ``retain``, checkpoints, ``lookup``); snapshots may be read by any.
    A row id is chunk number << 32 | offset. Appending is O(rows); small neighbouring chunks are
    merged as in a binary counter, so a row is copied at most log2(CHUNK_ROWS) times. The index is
    made when the first deletion or lookup comes: append-only relations never pay for it.
    """

    def __init__(
        self, oid: int, layout: Layout, span: int | None = None, scratch: Path | None = None
    ) -> None:
        """``span``: chunks are not merged when their rows arrived further apart than these microseconds;
        ``scratch``: folder of the index's mapped file, when there is more of it than memory."""
        self.oid = oid
        self.span = span
        self.scratch = scratch
        self.layout = layout
        #: chunk number -> chunk, oldest first
        self.chunks: dict[int, Chunk] = {}
        #: batches of segment files that no chunk serves any more, for the next checkpoint
        self.gone: set[tuple[int, int]] = set()
        #: chunks of segment files whose bitmap changed since the last checkpoint
        self.dirty: set[int] = set()
        #: bytes of rows that came since the last checkpoint and are in memory only
        self.unsaved = 0
        self._free: list[int] = []
        self._next = 0
        self._index: RowIndex | None = None
        self._snapshot: Snapshot | None = None

    # --- reading --------------------------------------------------------------------

    @property
    def num_rows(self) -> int:
        return sum(chunk.count for chunk in self.chunks.values())

    def snapshot(self) -> Snapshot:
        """The rows as they are now; costs nothing when nothing changed."""
        if self._snapshot is None:
            self._snapshot = Snapshot(self.layout, tuple(self.chunks.values()))
        return self._snapshot

    def lookup(self, keys: Sequence[pa.Array]) -> pa.RecordBatch:
        """Rows with these keys (one array per key column, storage types), missing ones left out.

        Rows come in the order of the keys. Only for relations with a key.
        """
        found = self.find(keys)
        return self.take(found[found >= 0])

    def find_row(self, values: tuple[int | bytes, ...], widths: tuple[int, ...]) -> tuple[Chunk, int] | None:
        """The chunk and the offset of the row with a key, as ``RowIndex.find_row`` takes it.

        Only for relations whose key columns are integers or text.
        """
        row = self._indexed().find_row(values, widths)
        return None if row < 0 else (self.chunks[row >> 32], row & _OFFSET)

    def find(self, keys: Sequence[pa.Array]) -> RowIds:
        """Row id of each key, -1 where there is none."""
        if not self.layout.key:
            raise PgError(INTERNAL_ERROR, f"relation {self.oid} has no key to look up")
        return self.find_comparable(self.layout.comparable(keys))

    def find_comparable(self, keys: list[pa.Array]) -> RowIds:
        """As ``find``, for keys in the form of ``Layout.key_arrays``."""
        return self._indexed().find(keys)

    def take(self, ids: RowIds) -> pa.RecordBatch:
        """The rows with these ids, in that order."""
        if len(ids) == 1:
            row = int(ids[0])
            return self.chunks[row >> 32].batch.slice(row & _OFFSET, 1)
        if not len(ids):
            return pa.RecordBatch.from_arrays(
                [pa.array([], t) for t in self.layout.schema.types], schema=self.layout.schema
            )
        numbers = ids >> 32
        order = np.argsort(numbers, kind="stable")
        parts = []
        for number in np.unique(numbers).tolist():
            offsets = ids[order][numbers[order] == number] & _OFFSET
            parts.append(self.chunks[number].batch.take(pa.array(offsets)))
        back = np.empty(len(ids), dtype=np.int64)
        back[order] = np.arange(len(ids))
        return concat(parts, self.layout).take(pa.array(back))

    def stats(self) -> dict[str, int]:
        """rows, chunks, bytes (of rows, dead ones included), index_bytes."""
        return {
            "rows": self.num_rows,
            "chunks": len(self.chunks),
            "bytes": sum(chunk.batch.nbytes for chunk in self.chunks.values()),
            "index_bytes": 0 if self._index is None else self._index.nbytes,
        }

    def make_index(self) -> None:
        """Make the index now, so that nobody has to wait for it later."""
        self._indexed()

    # --- writing --------------------------------------------------------------------

    def apply(self, changes: Iterable[Change], now: int = 0) -> None:
        """Apply one epoch's changes, whose order does not matter.

        Raises PgError XX000 when a deletion finds no row or a key would be there twice; the
        store is then damaged, and the caller must recover it from a checkpoint.
        """
        inserts, deletes = split(changes, self.layout)
        if deletes is not None:
            inserts = self._delete(deletes, inserts)
        if inserts is not None and inserts.num_rows:
            self.unsaved += inserts.nbytes
            self._append(Chunk(inserts, None, inserts.num_rows, (now, now)))
        self._snapshot = None

    def retain(self, *, rows: int | None = None, nbytes: int | None = None, since: int | None = None) -> int:
        """Drop the oldest chunks while the rest keeps at least ``rows`` rows or ``nbytes`` bytes,
        and chunks whose newest row arrived before ``since`` (microseconds). Returns rows dropped."""
        left = self.num_rows
        size = sum(chunk.batch.nbytes for chunk in self.chunks.values())
        dropped = 0
        for number, chunk in list(self.chunks.items()):
            too_many = rows is not None and left - chunk.count >= rows
            too_big = nbytes is not None and size - chunk.batch.nbytes >= nbytes
            too_old = since is not None and chunk.arrived[1] < since
            if not (too_many or too_big or too_old):
                break
            self._forget_keys(number, chunk)
            self._remove(number)
            left -= chunk.count
            size -= chunk.batch.nbytes
            dropped += chunk.count
        if dropped:
            self._snapshot = None
        return dropped

    def compact(self, number: int) -> None:
        """Rewrite a chunk in memory without its dead rows."""
        self._merge([number])
        self.unsaved += self.chunks[number].batch.nbytes
        self._snapshot = None

    def adopt(self, chunk: Chunk) -> None:
        """Add a chunk read from a segment file (before any index is made)."""
        if chunk.count:
            self._add(chunk)
        elif chunk.home is not None:
            self.gone.add(chunk.home)

    def rehome(self, number: int, batch: pa.RecordBatch, home: tuple[int, int]) -> None:
        """Serve a chunk from its segment file from now on."""
        chunk = self.chunks[number] = self.chunks[number].moved_to(batch, home)
        if self._index is not None:
            self._index.set_chunk(number, self.layout.key_arrays(chunk.batch))
        self._snapshot = None

    @property
    def retained_since(self) -> int | None:
        """Arrival (microseconds) of the oldest row; None when empty."""
        return next((chunk.arrived[0] for chunk in self.chunks.values()), None)

    def _delete(self, deletes: pa.RecordBatch, inserts: pa.RecordBatch | None) -> pa.RecordBatch | None:
        """Remove the deleted rows; returns the inserts that are left to append."""
        if not self.layout.key:
            return self._delete_alike(deletes, inserts)
        found = self._indexed().find(self.layout.key_arrays(deletes))
        if not _distinct_rows(found):
            # rows that came and went within the epoch: what cancels out never was
            inserts, deletes = cancel(inserts, deletes, self.layout)
            found = self._indexed().find(self.layout.key_arrays(deletes))
            if not _distinct_rows(found):
                raise PgError(INTERNAL_ERROR, f"deletion of a row that relation {self.oid} does not have")
        if len(found):
            self._indexed().erase(self.layout.key_arrays(deletes), found)
            self._bury(found)
        return inserts

    def _delete_alike(self, deletes: pa.RecordBatch, inserts: pa.RecordBatch | None) -> pa.RecordBatch | None:
        """The same without a key: any one of the equal rows goes, older ones before this epoch's."""
        found = self._indexed().take(self.layout.key_arrays(deletes))
        missing = found < 0
        if missing.any():
            inserts, left = cancel(inserts, deletes.filter(pa.array(missing)), self.layout)
            if left.num_rows:
                raise PgError(INTERNAL_ERROR, f"deletion of a row that relation {self.oid} does not have")
            found = found[~missing]
        if len(found):
            self._bury(found)
        return inserts

    def _bury(self, ids: RowIds) -> None:
        """Mark rows dead, and let go of chunks that have few live rows left."""
        ids = np.sort(ids)
        numbers, starts = np.unique(ids >> 32, return_index=True)
        for number, offsets in zip(numbers.tolist(), np.split(ids & _OFFSET, starts[1:]), strict=True):
            chunk = self.chunks[number] = self.chunks[number].without(offsets)
            if chunk.home is not None:
                self.dirty.add(number)
            if not chunk.count:
                self._remove(number)
            elif chunk.home is None and chunk.count * 2 < chunk.batch.num_rows:
                self._merge([number])

    def _append(self, chunk: Chunk) -> None:
        number = self._add(chunk)
        if self._index is not None:
            self._index.set_chunk(number, self.layout.key_arrays(chunk.batch))
            if self._index.insert(number) >= 0:
                raise PgError(INTERNAL_ERROR, f"relation {self.oid} would have a key twice")
        self._merge_tail()

    def _merge_tail(self) -> None:
        """Keep sizes falling geometrically, as in a binary counter."""
        tail: list[int] = []
        total = 0
        newest = next(reversed(self.chunks.values())).arrived[1]
        for number in reversed(self.chunks):
            chunk = self.chunks[number]
            if total + chunk.count > CHUNK_ROWS or (tail and chunk.count > 2 * total):
                break
            if self.span is not None and newest - chunk.arrived[0] > self.span:
                break
            tail.append(number)
            total += chunk.count
        if len(tail) > 1:
            self._merge(tail[::-1])

    def _merge(self, numbers: list[int]) -> None:
        """Make one chunk of the last ones, or of any single one, without their dead rows."""
        old = [self.chunks[n] for n in numbers]
        rows = concat([c.rows() for c in old], self.layout)
        arrived = min(c.arrived[0] for c in old), max(c.arrived[1] for c in old)
        merged = Chunk(rows, None, rows.num_rows, arrived)
        # a single chunk keeps its number: new offsets are never above old ones, so ids can move in order
        number = numbers[0] if len(numbers) == 1 else self._number()
        if self._index is not None:
            keys = self.layout.key_arrays(rows)
            before = np.concatenate([(n << 32) | c.offsets() for n, c in zip(numbers, old, strict=True)])
            after = (number << 32) | np.arange(merged.count, dtype=np.int64)
            if number not in numbers:
                self._index.set_chunk(number, keys)
            if self._index.move(keys, before, after) != merged.count:
                raise PgError(INTERNAL_ERROR, f"index of relation {self.oid} has lost rows")
            self._index.set_chunk(number, keys)
        for n, chunk in zip(numbers, old, strict=True):
            if n == number:
                self._replaced(n, chunk)
            else:
                self._remove(n)
        self.chunks[number] = merged

    # --- chunks and their numbers ---------------------------------------------------

    def _number(self) -> int:
        if self._free:
            return self._free.pop()
        self._next += 1
        return self._next - 1

    def _add(self, chunk: Chunk) -> int:
        number = self._number()
        self.chunks[number] = chunk
        return number

    def _remove(self, number: int) -> None:
        """A chunk is no longer served, its number is free."""
        self._replaced(number, self.chunks.pop(number))
        if self._index is not None:
            self._index.drop_chunk(number)
        self._free.append(number)

    def _replaced(self, number: int, chunk: Chunk) -> None:
        """What a file has of the chunk is out of date."""
        if chunk.home is not None:
            self.gone.add(chunk.home)
        self.dirty.discard(number)

    def _forget_keys(self, number: int, chunk: Chunk) -> None:
        if self._index is not None and chunk.count:
            self._index.erase(self.layout.key_arrays(chunk.rows()), (number << 32) | chunk.offsets())

    def _indexed(self) -> RowIndex:
        """The index, made now if it isn't there yet."""
        if self._index is None:
            index = RowIndex(secrets.randbits(64), not self.layout.key, self.scratch)
            for number, chunk in self.chunks.items():
                index.set_chunk(number, self.layout.key_arrays(chunk.batch))
                if index.insert(number, chunk.live) >= 0:
                    raise PgError(INTERNAL_ERROR, f"relation {self.oid} has a key twice")
            self._index = index
        return self._index


def _distinct_rows(ids: RowIds) -> bool:
    """Whether every deletion found a row of its own."""
    return not len(ids) or (int(ids.min()) >= 0 and len(np.unique(ids)) == len(ids))
