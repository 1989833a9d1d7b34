"""Which keys accepted transactions have touched: first committer wins, keys stay unique.

The serving store shows an epoch some time after its transactions were accepted, and a transaction goes
on reading the epoch it began with. What was accepted since is kept here, by table and epoch, until no
open transaction can be older.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar._native.rowindex import RowIndex
from laminar.engine.change import Change
from laminar.engine.serving import Layout, RelationStore, ServingStore
from laminar.engine.serving.consolidate import split
from laminar.errors import SERIALIZATION_FAILURE, PgError
from laminar.server.rowerrors import duplicate_key

if TYPE_CHECKING:
    from laminar.sql.catalog_view import Relation  # type: ignore[import-not-found,unused-ignore]

Bools = npt.NDArray[np.bool_]


class _Touched:
    """Keys that the transactions of one epoch inserted or deleted, and whether they are there after it."""

    def __init__(self, layout: Layout) -> None:
        self.keys = Layout(tuple(layout.attnums[i] for i in layout.key), layout.key_types, _all(layout.key))
        self.present = RelationStore(0, self.keys)
        self.absent = RelationStore(0, self.keys)

    def move(self, keys: pa.RecordBatch, source: RelationStore, target: RelationStore) -> None:
        """The keys are now in ``target``, whether or not they were in ``source``."""
        key_arrays = self.keys.key_arrays(keys)
        for store, wanted, weight in ((source, True, -1), (target, False, 1)):
            rows = keys.filter(pa.array((store.find_comparable(key_arrays) >= 0) == wanted))
            if rows.num_rows:
                store.apply([Change(rows, np.full(rows.num_rows, weight, dtype=np.int64))])


def _all(key: Sequence[int]) -> tuple[int, ...]:
    return tuple(range(len(key)))


class WriteGuard:
    """Checks a transaction's changes against those accepted since the epoch it reads.

    Called by the event loop's thread alone; nothing may be awaited between ``check`` and the
    coordinator's acceptance of the same changes.
    """

    def __init__(self, store: ServingStore) -> None:
        self._store = store
        self._touched: dict[int, dict[int, _Touched]] = {}
        self._turns: weakref.WeakValueDictionary[int, asyncio.Lock] = weakref.WeakValueDictionary()

    def turn(self, oid: int) -> asyncio.Lock:
        """Held by a statement of its own from its check to its commit's acceptance, and while it is run
        again because somebody was faster."""
        turn = self._turns.get(oid)
        if turn is None:
            turn = self._turns[oid] = asyncio.Lock()
        return turn

    def changed_since(self, oid: int, seen: int) -> bool:
        """Whether somebody has changed the table's rows since that epoch."""
        return any(epoch > seen for epoch in self._touched.get(oid, ()))

    def check(self, relation: Relation, change: Change, seen: int) -> None:
        """Refuse a change of a table with a primary key (all stored columns, net of the transaction).

        Args:
            seen: the epoch that the transaction reads.

        Raises:
            PgError: 40001 a row it deletes or updates was changed since; 23505 a key it inserts is there.
        """
        oid = relation.oid
        layout = self._store.relation(oid).layout
        inserts, deletes = split([change], layout)
        epochs = {e: t for e, t in self._touched.get(oid, {}).items() if e > seen}
        if deletes is not None and epochs:
            keys = layout.key_arrays(deletes)
            for touched in epochs.values():
                for store in (touched.present, touched.absent):
                    if (store.find_comparable(keys) >= 0).any():
                        raise PgError(
                            SERIALIZATION_FAILURE, "could not serialize access due to concurrent update"
                        )
        if inserts is not None:
            self._check_keys(relation, layout, inserts, deletes)

    def _check_keys(
        self, relation: Relation, layout: Layout, inserts: pa.RecordBatch, deletes: pa.RecordBatch | None
    ) -> None:
        """No inserted key may be there already, unless the transaction deletes it."""
        keys = layout.key_arrays(inserts)
        there = self.present(relation.oid, keys)
        if deletes is not None and there.any():
            index = RowIndex()
            index.set_chunk(0, layout.key_arrays(deletes))
            index.insert(0)
            there &= index.find(keys) < 0
        if there.any():
            raise duplicate_key(layout, inserts, int(np.flatnonzero(there)[0]), relation)

    def present(self, oid: int, keys: list[pa.Array]) -> Bools:
        """Whether each (comparable) key is there, all accepted transactions considered."""
        relation = self._store.relation(oid)
        result = relation.find_comparable(keys) >= 0
        for epoch in sorted(self._touched.get(oid, {})):
            if epoch <= self._store.epoch:
                continue
            touched = self._touched[oid][epoch]
            result |= touched.present.find_comparable(keys) >= 0
            result &= ~(touched.absent.find_comparable(keys) >= 0)
        return result

    def accepted(self, oid: int, change: Change, epoch: int) -> None:
        """The coordinator took the change into ``epoch``."""
        layout = self._store.relation(oid).layout
        touched = self._touched.setdefault(oid, {}).setdefault(epoch, _Touched(layout))
        inserts, deletes = split([change], layout)
        for batch, source, target in (
            (deletes, touched.present, touched.absent),
            (inserts, touched.absent, touched.present),
        ):
            if batch is not None:
                keys = pa.RecordBatch.from_arrays(
                    [batch.column(i) for i in layout.key], schema=touched.keys.schema
                )
                touched.move(keys, source, target)

    def prune(self, oldest: int) -> None:
        """Forget what every open transaction has seen; ``oldest``: the lowest epoch that one reads."""
        limit = min(oldest, self._store.epoch)
        for oid, epochs in list(self._touched.items()):
            for epoch in [e for e in epochs if e <= limit]:
                del epochs[epoch]
            if not epochs:
                del self._touched[oid]
