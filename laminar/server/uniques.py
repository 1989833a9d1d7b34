"""Unique indexes: which values are taken, all accepted transactions considered.

Kept in memory beside the serving store, from the first write to a table after a start on: its rows then, and
every transaction accepted since. Rows with a null in an indexed column are not in it: nulls differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from laminar._native.rowindex import RowIndex, group_rows
from laminar.catalog.catalog import index_attnums
from laminar.engine.change import Change
from laminar.engine.serving import Layout, RelationStore, ServingStore
from laminar.engine.serving.consolidate import split
from laminar.server.rowerrors import duplicate_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from laminar.catalog.objects import StoredRelation
    from laminar.sql.catalog_view import Relation


class Uniques:
    """The values of all unique indexes; used by the event loop's thread alone."""

    def __init__(self, store: ServingStore) -> None:
        self._store = store
        self._taken: dict[int, RelationStore] = {}

    def check(self, relation: Relation, indexes: Iterable[StoredRelation], change: Change) -> None:
        """Raise 23505 when rows of a transaction's net change take values that are taken."""
        layout = self._store.relation(relation.oid).layout
        inserts, deletes = split([change], layout)
        for index in indexes:
            taken = self._of(index, relation.oid)
            if inserts is None:
                continue
            rows = key_rows(inserts, layout, taken.layout)
            if not rows.num_rows:
                continue
            keys = taken.layout.key_arrays(rows)
            bad = taken.find_comparable(keys) >= 0
            if deletes is not None and bad.any():
                bad &= ~_among(taken.layout.key_arrays(key_rows(deletes, layout, taken.layout)), keys)
            bad |= repeated(keys)
            if bad.any():
                raise duplicate_key(taken.layout, rows, int(np.flatnonzero(bad)[0]), relation, index.name)

    def accepted(self, oid: int, indexes: Iterable[StoredRelation], change: Change) -> None:
        """The coordinator took the change."""
        layout = self._store.relation(oid).layout
        inserts, deletes = split([change], layout)
        for index in indexes:
            taken = self._of(index, oid)
            for rows, weight in ((deletes, -1), (inserts, 1)):
                if rows is not None:
                    keys = key_rows(rows, layout, taken.layout)
                    if keys.num_rows:
                        taken.apply([Change(keys, np.full(keys.num_rows, weight, dtype=np.int64))])

    def forget(self, oid: int) -> None:
        """The index was dropped."""
        self._taken.pop(oid, None)

    def _of(self, index: StoredRelation, oid: int) -> RelationStore:
        taken = self._taken.get(index.oid)
        if taken is None:
            relation = self._store.relation(oid)
            layout = key_layout(relation.layout, index_attnums(index))
            taken = self._taken[index.oid] = RelationStore(0, layout)
            for chunk in relation.snapshot().chunks:
                rows = key_rows(chunk.rows(), relation.layout, layout)
                if rows.num_rows:
                    taken.apply([Change(rows)])
        return taken


def key_layout(layout: Layout, attnums: tuple[int, ...]) -> Layout:
    """The indexed columns of a relation as rows that are their own key."""
    types = tuple(layout.types[layout.position[a]] for a in attnums)
    return Layout(attnums, types, tuple(range(len(attnums))))


def key_rows(rows: pa.RecordBatch, layout: Layout, keys: Layout) -> pa.RecordBatch:
    """The indexed columns of stored rows, without rows that have a null in one."""
    columns = [rows.column(layout.position[a]) for a in keys.attnums]
    found = pa.RecordBatch.from_arrays(columns, schema=keys.schema)
    for column in columns:
        if column.null_count:
            valid = pc.is_valid(column)
            for other in columns:
                valid = pc.and_(valid, pc.is_valid(other))
            return found.filter(valid)
    return found


def repeated(keys: list[pa.Array]) -> npt.NDArray[np.bool_]:
    """Which rows have the keys of an earlier one."""
    again = np.ones(len(keys[0]), dtype=bool)
    again[group_rows(keys)[1]] = False
    return again


def _among(some: list[pa.Array], keys: list[pa.Array]) -> npt.NDArray[np.bool_]:
    """Which keys are among others."""
    index = RowIndex()
    index.set_chunk(0, some)
    index.insert(0)
    return index.find(keys) >= 0
