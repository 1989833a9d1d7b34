"""A run of rows with a bitmap of the live ones, and the immutable view readers hold."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar._native.rowindex import clear_bits
from laminar.engine.serving.layout import Layout

Bits = npt.NDArray[np.uint8]


def full_bits(rows: int) -> Bits:
    """A bitmap with the first ``rows`` bits set."""
    bits = np.full((rows + 7) // 8, 255, dtype=np.uint8)
    if rows % 8:
        bits[-1] = (1 << rows % 8) - 1
    return bits


def count_bits(bits: Bits) -> int:
    return int(np.unpackbits(bits).sum())


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Immutable: a deletion makes a new Chunk with the same batch and another bitmap.

    Args:
        batch: the rows, dead ones included; fewer than 2**31.
        live: a bit per row (least significant first), or None when all are live.
        count: number of live rows.
        arrived: microseconds since 1970 of the oldest and of the newest row's epoch.
        home: (segment, batch number) when the rows are in a segment file.
    """

    batch: pa.RecordBatch
    live: Bits | None
    count: int
    arrived: tuple[int, int]
    home: tuple[int, int] | None = None
    _columns: dict[int, pa.Array] = field(default_factory=dict)
    #: what readers on the event loop's thread have made of the rows and want to find again
    notes: dict[Hashable, Any] = field(default_factory=dict)

    def column(self, position: int) -> pa.Array:
        """The live rows' values of a column (filtered once, then kept)."""
        array = self.batch.column(position)
        if self.live is None:
            return array
        kept = self._columns.get(position)
        if kept is None:
            kept = self._columns[position] = array.filter(self.mask())
        return kept

    def mask(self) -> pa.BooleanArray:
        """True for live rows."""
        rows = self.batch.num_rows
        bits = self.live if self.live is not None else full_bits(rows)
        return pa.BooleanArray.from_buffers(pa.bool_(), rows, [None, pa.py_buffer(bits)])

    def offsets(self) -> npt.NDArray[np.int64]:
        """Offsets of the live rows."""
        if self.live is None:
            return np.arange(self.batch.num_rows, dtype=np.int64)
        bits = np.unpackbits(self.live, count=self.batch.num_rows, bitorder="little")
        return np.flatnonzero(bits).astype(np.int64, copy=False)

    def rows(self) -> pa.RecordBatch:
        """The live rows."""
        return self.batch if self.live is None else self.batch.filter(self.mask())

    def without(self, offsets: npt.NDArray[np.int64]) -> Chunk:
        """This chunk less the rows at these offsets; ValueError if one was dead already."""
        live = self.live.copy() if self.live is not None else full_bits(self.batch.num_rows)
        if clear_bits(live, offsets) != len(offsets):
            raise ValueError("deletion of a dead row")
        return Chunk(self.batch, live, self.count - len(offsets), self.arrived, self.home)

    def moved_to(self, batch: pa.RecordBatch, home: tuple[int, int]) -> Chunk:
        """The same rows, served from a segment file."""
        return Chunk(batch, self.live, self.count, self.arrived, home)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A relation's rows at one epoch. Immutable; any thread may read it."""

    layout: Layout
    chunks: tuple[Chunk, ...]

    @property
    def num_rows(self) -> int:
        return sum(chunk.count for chunk in self.chunks)

    def batches(self, attnums: tuple[int, ...]) -> list[pa.RecordBatch]:
        """The wanted columns (at least one) of all rows, named by position ("0", "1", ...)."""
        positions = [self.layout.position[a] for a in attnums]
        schema = pa.schema([pa.field(str(i), self.layout.types[p].storage) for i, p in enumerate(positions)])
        return [
            pa.RecordBatch.from_arrays([chunk.column(p) for p in positions], schema=schema)
            for chunk in self.chunks
            if chunk.count
        ]

    def table(self, attnums: tuple[int, ...] | None = None) -> pa.Table:
        """All rows as one table, columns named by position."""
        wanted = self.layout.attnums if attnums is None else attnums
        schema = pa.schema(
            [
                pa.field(str(i), self.layout.types[self.layout.position[a]].storage)
                for i, a in enumerate(wanted)
            ]
        )
        return pa.Table.from_batches(self.batches(wanted), schema=schema)
