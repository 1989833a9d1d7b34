"""Secondary indexes over snapshots: each chunk of rows sorted by its indexed values, once.

Chunks do not change and are merged as in a binary counter, so a row is sorted a logarithmic number of times,
however often readers ask. An index finds candidates: equal hashes, or values within bounds; the query's own
condition decides.
"""

from __future__ import annotations

import threading
import weakref
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar._native.rowindex import hash_rows
from laminar.engine.serving.chunk import Chunk, Snapshot
from laminar.engine.serving.layout import Layout
from laminar.types import DATE, INT2, INT4, INT8, OID, TIMESTAMP, TIMESTAMPTZ, PgType

_SEED: Final = 0x1DE7
#: types whose order is that of the 64-bit integers behind their values
ORDERED: Final = frozenset((INT2, INT4, INT8, OID, DATE, TIMESTAMP, TIMESTAMPTZ))

Order = tuple[npt.NDArray[np.uint64] | npt.NDArray[np.int64], npt.NDArray[np.int64]]


class ColumnIndex:
    """An index over some columns (attribute numbers) of a relation. Any thread may use it."""

    def __init__(self, layout: Layout, attnums: tuple[int, ...]) -> None:
        self.attnums = attnums
        self._positions = [layout.position[a] for a in attnums]
        self._layout = Layout(
            attnums, tuple(layout.types[p] for p in self._positions), tuple(range(len(attnums)))
        )
        self._lock = threading.Lock()
        #: (identity of a chunk's batch, by hash or by value) -> its sorted keys and their rows
        self._orders: dict[tuple[int, bool], tuple[weakref.ref[pa.RecordBatch], Order]] = {}

    @property
    def types(self) -> tuple[PgType, ...]:
        return self._layout.types

    def missing(self, snapshot: Snapshot, by_value: bool) -> int:
        """How many rows have to be sorted before the index can be asked."""
        return sum(
            c.batch.num_rows
            for c in snapshot.chunks
            if c.count and (id(c.batch), by_value) not in self._orders
        )

    def prepare(self, snapshot: Snapshot, by_value: bool) -> None:
        """Sort what has not been sorted."""
        for chunk in snapshot.chunks:
            if chunk.count:
                self._order(chunk, by_value)

    def equal(self, snapshot: Snapshot, values: list[pa.Array]) -> Snapshot:
        """Rows that may have these values (arrays of one row, no nulls) in the indexed columns."""
        wanted = int(hash_rows(self._layout.comparable(values), _SEED)[0])
        return self._between(snapshot, False, wanted, wanted)

    def within(self, snapshot: Snapshot, low: int | None, high: int | None) -> Snapshot:
        """Rows whose first indexed column is between two integers (see ``ORDERED``), both included."""
        return self._between(snapshot, True, low, high)

    def _between(self, snapshot: Snapshot, by_value: bool, low: int | None, high: int | None) -> Snapshot:
        chunks = []
        for chunk in snapshot.chunks:
            if not chunk.count:
                continue
            keys, rows = self._order(chunk, by_value)
            start = 0 if low is None else int(np.searchsorted(keys, keys.dtype.type(low), side="left"))
            stop = (
                len(keys) if high is None else int(np.searchsorted(keys, keys.dtype.type(high), side="right"))
            )
            found = np.sort(rows[start:stop])
            if chunk.live is not None and len(found):
                found = found[(chunk.live[found >> 3] >> (found & 7).astype(np.uint8)) & 1 == 1]
            if len(found):
                batch = chunk.batch.take(pa.array(found))
                chunks.append(Chunk(batch, None, len(found), chunk.arrived))
        return Snapshot(snapshot.layout, tuple(chunks))

    def _order(self, chunk: Chunk, by_value: bool) -> Order:
        key = (id(chunk.batch), by_value)
        known = self._orders.get(key)
        if known is not None and known[0]() is chunk.batch:
            return known[1]
        with self._lock:
            made = self._by_value(chunk.batch) if by_value else self._by_hash(chunk.batch)
            gone = weakref.ref(chunk.batch, lambda _: self._orders.pop(key, None) and None)
            self._orders[key] = (gone, made)
        return made

    def _by_hash(self, batch: pa.RecordBatch) -> Order:
        columns = self._layout.comparable([batch.column(p) for p in self._positions])
        hashes = hash_rows(columns, _SEED)
        order = np.argsort(hashes, kind="stable")
        return hashes[order], order

    def _by_value(self, batch: pa.RecordBatch) -> Order:
        column = batch.column(self._positions[0])
        rows = np.flatnonzero(np.asarray(column.is_valid()))
        values = integers(column.drop_null())
        order = np.argsort(values, kind="stable")
        return values[order], rows[order]


def integers(values: pa.Array) -> npt.NDArray[np.int64]:
    """Values of a type in ``ORDERED`` as the integers behind them (no nulls)."""
    if pa.types.is_date32(values.type):
        values = values.cast(pa.int32())
    return np.asarray(values.cast(pa.int64()))
