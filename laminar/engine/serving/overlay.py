"""A snapshot with changes on top that nobody else sees: a transaction's own writes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar._native.rowindex import RowIndex
from laminar.engine.change import Change
from laminar.engine.serving.chunk import Chunk, Snapshot
from laminar.engine.serving.consolidate import cancel, split
from laminar.engine.serving.layout import Layout
from laminar.engine.serving.relation import RelationStore
from laminar.errors import INTERNAL_ERROR, PgError


def overlay(snapshot: Snapshot, changes: Sequence[Change], store: RelationStore | None = None) -> Snapshot:
    """``snapshot`` with ``changes`` (all stored columns, weights +1 and -1) applied.

    ``store``: the live relation; its index finds deleted rows unless the rows have moved since.
    """
    inserts, deletes = split(changes, snapshot.layout)
    if deletes is not None and inserts is not None:
        inserts, deletes = cancel(inserts, deletes, snapshot.layout)
    chunks = list(snapshot.chunks)
    if deletes is not None and deletes.num_rows:
        for at, offsets in locate(snapshot, snapshot.layout.key_arrays(deletes), store).items():
            chunks[at] = chunks[at].without(offsets)
    if inserts is not None and inserts.num_rows:
        chunks.append(Chunk(inserts, None, inserts.num_rows, (0, 0)))
    return Snapshot(snapshot.layout, tuple(chunks))


def locate(
    snapshot: Snapshot, keys: list[pa.Array], store: RelationStore | None
) -> dict[int, npt.NDArray[np.int64]]:
    """Where rows with these (distinct, comparable) keys are: offsets by position of the chunk.

    Raises PgError XX000 when one is missing.
    """
    found = _by_index(snapshot, keys, store) if store is not None else None
    if found is None:
        found = _by_scan(snapshot, keys)
    if sum(len(offsets) for offsets in found.values()) != len(keys[0]):
        raise PgError(INTERNAL_ERROR, "a transaction deletes a row that it does not see")
    return found


def _by_index(
    snapshot: Snapshot, keys: list[pa.Array], store: RelationStore
) -> dict[int, npt.NDArray[np.int64]] | None:
    """Through the live relation's index; None when a row is not where it was."""
    ids = np.sort(store.find_comparable(keys))
    if len(ids) and ids[0] < 0:
        return None
    position = {id(chunk.batch): i for i, chunk in enumerate(snapshot.chunks)}
    numbers, starts = np.unique(ids >> 32, return_index=True)
    result = {}
    for number, offsets in zip(numbers.tolist(), np.split(ids & 0xFFFFFFFF, starts[1:]), strict=True):
        at = position.get(id(store.chunks[number].batch))
        if at is None:
            return None
        result[at] = offsets
    return result


def _by_scan(snapshot: Snapshot, keys: list[pa.Array]) -> dict[int, npt.NDArray[np.int64]]:
    """By probing all rows for the keys."""
    index = RowIndex()
    index.set_chunk(0, keys)
    if index.insert(0) >= 0:
        raise PgError(INTERNAL_ERROR, "a transaction deletes a row twice")
    result = {}
    for at, chunk in enumerate(snapshot.chunks):
        hits = index.find(snapshot.layout.key_arrays(chunk.batch)) >= 0
        if chunk.live is not None:
            hits &= np.asarray(chunk.mask())
        if hits.any():
            result[at] = np.flatnonzero(hits).astype(np.int64, copy=False)
    return result


class Writes:
    """One table's uncommitted rows of one transaction, by key.

    ``added`` has the rows it inserted and did not delete again, ``removed`` the rows of the snapshot
    that it deleted. Fed from the transaction's list of changes, from the start after a rollback.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.added = RelationStore(0, layout)
        self.removed = RelationStore(0, layout)

    def apply(self, change: Change) -> None:
        """Take one statement's change."""
        inserts, deletes = split([change], self.layout)
        if deletes is not None:
            own = self.added.find_comparable(self.layout.key_arrays(deletes)) >= 0
            for store, mask, weight in ((self.added, own, -1), (self.removed, ~own, 1)):
                rows = deletes.filter(pa.array(mask))
                if rows.num_rows:
                    store.apply([Change(rows, np.full(rows.num_rows, weight, dtype=np.int64))])
        if inserts is not None:
            self.added.apply([Change(inserts)])

    def snapshot(self, base: Snapshot, store: RelationStore | None) -> Snapshot:
        """``base`` as the transaction sees it."""
        chunks = list(base.chunks)
        gone = self.removed.snapshot()
        if gone.num_rows:
            keys = self.layout.key_arrays(pa.concat_batches([chunk.rows() for chunk in gone.chunks]))
            for at, offsets in locate(base, keys, store).items():
                chunks[at] = chunks[at].without(offsets)
        return Snapshot(self.layout, (*chunks, *self.added.snapshot().chunks))
