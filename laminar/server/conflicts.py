"""Which keys accepted transactions have touched: first committer wins, keys stay unique.

The serving store shows an epoch some time after its transactions were accepted, and a transaction goes
on reading the epoch it began with. What was accepted since is kept here, by table and epoch, until no
open transaction can be older.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar._native.rowindex import RowIndex, group_rows
from laminar.engine.change import Change
from laminar.engine.serving import Layout, ServingStore
from laminar.engine.serving.consolidate import split
from laminar.engine.serving.layout import digests
from laminar.errors import SERIALIZATION_FAILURE, PgError
from laminar.server.rowerrors import duplicate_key

if TYPE_CHECKING:
    from laminar.sql.catalog_view import Relation  # type: ignore[import-not-found,unused-ignore]

Bools = npt.NDArray[np.bool_]
#: one key's arrays, made when they are wanted
Keys = Callable[[], list[pa.Array]]


#: transactions of up to this many rows are kept by key digest in a dictionary, larger ones in an index
_SMALL: Final = 64


class Row(NamedTuple):
    """A stored row: where it is in columns."""

    columns: Sequence[pa.Array]
    at: int

    def single(self) -> list[pa.Array]:
        """Its values, one-row arrays."""
        return [column.slice(self.at, 1) for column in self.columns]


class _Few:
    """Keys that small transactions inserted (their rows) or deleted (None), the newest word on each."""

    def __init__(self) -> None:
        self._rows: dict[bytes, Row | None] = {}
        self._keys: list[list[pa.Array]] = []
        self._index: tuple[RowIndex, Bools] | None = None

    def note(self, keys: list[pa.Array], rows: pa.RecordBatch | None) -> None:
        """The keys are now those of these rows, or not there."""
        columns = None if rows is None else rows.columns
        for at, key in enumerate(digests(*keys)):
            self._rows[key] = None if columns is None else Row(columns, at)
        self._keys.append(keys)
        self._index = None

    def note_one(self, key: bytes, keys: list[pa.Array], row: Row | None) -> None:
        """The same for one key, whose digest is known."""
        self._rows[key] = row
        self._keys.append(keys)
        self._index = None

    def newest(self, key: bytes, _: Keys) -> tuple[bool, Row | None]:
        """Whether the key is known here, and its row if there is one."""
        return key in self._rows, self._rows.get(key)

    def look(self, keys: list[pa.Array]) -> tuple[Bools, Bools]:
        """Which of the (comparable) keys are known here, and which of those are there."""
        if len(keys[0]) <= _SMALL:
            found = digests(*keys)
            return (
                np.array([key in self._rows for key in found]),
                np.array([self._rows.get(key) is not None for key in found]),
            )
        if self._index is None:
            self._index = self._indexed()
        index, present = self._index
        at = index.find(keys)
        return at >= 0, np.where(at >= 0, present[at], False)

    def _indexed(self) -> tuple[RowIndex, Bools]:
        """The keys each once, and whether they are there."""
        every = [pa.concat_arrays(parts) for parts in zip(*self._keys, strict=True)]
        first = pa.array(group_rows(every)[1])
        kept = [array.take(first) for array in every]
        self._keys = [kept]
        index = RowIndex()
        index.set_chunk(0, kept)
        index.insert(0)
        return index, np.array([self._rows[key] is not None for key in digests(*kept)])


class _Many:
    """The same for one large transaction."""

    def __init__(
        self, deleted: list[pa.Array] | None, inserted: list[pa.Array] | None, rows: pa.RecordBatch | None
    ) -> None:
        self._deleted = None if deleted is None else _index_of(deleted)
        self._inserted = None if inserted is None else _index_of(inserted)
        self._rows = [] if rows is None else rows.columns

    def newest(self, _: bytes, keys: Keys) -> tuple[bool, Row | None]:
        """See :meth:`_Few.newest`."""
        if self._inserted is not None:
            at = int(self._inserted.find(keys())[0])
            if at >= 0:
                return True, Row(self._rows, at)
        return self._deleted is not None and bool(self._deleted.find(keys())[0] >= 0), None

    def look(self, keys: list[pa.Array]) -> tuple[Bools, Bools]:
        """See :meth:`_Few.look`."""
        gone, there = (
            np.zeros(len(keys[0]), dtype=bool) if index is None else index.find(keys) >= 0
            for index in (self._deleted, self._inserted)
        )
        return gone | there, there


def _index_of(keys: list[pa.Array]) -> RowIndex:
    index = RowIndex()
    index.set_chunk(0, keys)
    index.insert(0)
    return index


class _Touched:
    """Keys that the transactions of one epoch inserted or deleted: layers, the newest last."""

    def __init__(self) -> None:
        self._layers: list[_Few | _Many] = []

    def note(
        self, deleted: list[pa.Array] | None, inserted: list[pa.Array] | None, rows: pa.RecordBatch | None
    ) -> None:
        """A transaction's keys, and the rows inserted; what it deletes and inserts again is there."""
        count = sum(len(keys[0]) for keys in (deleted, inserted) if keys is not None)
        if not count:
            return
        if count > _SMALL:
            self._layers.append(_Many(deleted, inserted, rows))
            return
        last = self.few()
        if deleted is not None:
            last.note(deleted, None)
        if inserted is not None:
            last.note(inserted, rows)

    def few(self) -> _Few:
        """Where the next small transaction's keys go."""
        last = self._layers[-1] if self._layers else None
        if not isinstance(last, _Few):
            last = _Few()
            self._layers.append(last)
        return last

    def newest(self, key: bytes, keys: Keys) -> tuple[bool, Row | None]:
        """See :meth:`_Few.newest`."""
        for layer in reversed(self._layers):
            known, row = layer.newest(key, keys)
            if known:
                return known, row
        return False, None

    def look(self, keys: list[pa.Array]) -> tuple[Bools, Bools]:
        """Which of the (comparable) keys were touched, and which of those are there."""
        known = np.zeros(len(keys[0]), dtype=bool)
        there = known.copy()
        for layer in self._layers:
            touched, present = layer.look(keys)
            known |= touched
            there = np.where(touched, present, there)
        return known, there


class WriteGuard:
    """Checks a transaction's changes against those accepted since the epoch it reads.

    Called by the event loop's thread alone; nothing may be awaited between ``check`` and the
    coordinator's acceptance of the same changes.
    """

    def __init__(self, store: ServingStore) -> None:
        self._store = store
        self._touched: dict[int, dict[int, _Touched]] = {}
        #: transactions that the coordinator has taken
        self.accepts = 0
        self._turns: weakref.WeakValueDictionary[int, asyncio.Lock] = weakref.WeakValueDictionary()

    def turn(self, oid: int) -> asyncio.Lock:
        """Held by a statement of its own from its check to its commit's acceptance, and while it is run
        again because somebody was faster."""
        turn = self._turns.get(oid)
        if turn is None:
            turn = self._turns[oid] = asyncio.Lock()
        return turn

    def busy(self, oid: int) -> bool:
        """Whether somebody has the turn."""
        turn = self._turns.get(oid)
        return turn is not None and turn.locked()

    def changed_since(self, oid: int, seen: int) -> bool:
        """Whether somebody has changed the table's rows since that epoch."""
        return any(epoch > seen for epoch in self._touched.get(oid, ()))

    def touched_since(self, oid: int, keys: list[pa.Array], seen: int) -> Bools:
        """Which of the (comparable) keys somebody has changed since that epoch."""
        result = np.zeros(len(keys[0]), dtype=bool)
        for epoch, touched in self._touched.get(oid, {}).items():
            if epoch > seen:
                result |= touched.look(keys)[0]
        return result

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
        if (
            deletes is not None
            and self.changed_since(oid, seen)
            and self.touched_since(oid, layout.key_arrays(deletes), seen).any()
        ):
            raise PgError(SERIALIZATION_FAILURE, "could not serialize access due to concurrent update")
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
            known, there = self._touched[oid][epoch].look(keys)
            result = np.where(known, there, result)
        return result

    def newest(self, oid: int, key: bytes, keys: Keys) -> tuple[bool, Row | None]:
        """Whether accepted transactions that readers do not see yet changed the row with a key, and what it
        is since the last of them, None when it is gone.

        Args:
            key, keys: the same (comparable) key as a digest and, if need be, as arrays.
        """
        epochs = self._touched.get(oid, {})
        for epoch in sorted(epochs, reverse=True):
            if epoch <= self._store.epoch:
                break
            known, row = epochs[epoch].newest(key, keys)
            if known:
                return known, row
        return False, None

    def accepted(self, oid: int, change: Change, epoch: int) -> None:
        """The coordinator took the change into ``epoch``."""
        layout = self._store.relation(oid).layout
        inserts, deletes = split([change], layout)
        deleted, inserted = (None if rows is None else layout.key_arrays(rows) for rows in (deletes, inserts))
        self._touched_in(oid, epoch).note(deleted, inserted, inserts)

    def accepted_row(self, oid: int, epoch: int, key: bytes, keys: list[pa.Array], row: Row | None) -> None:
        """The same for one row: what there is now under a key, given as a digest and as arrays."""
        self._touched_in(oid, epoch).few().note_one(key, keys, row)

    def _touched_in(self, oid: int, epoch: int) -> _Touched:
        epochs = self._touched.setdefault(oid, {})
        touched = epochs.get(epoch)
        if touched is None:
            touched = epochs[epoch] = _Touched()
        return touched

    def prune(self, oldest: int) -> None:
        """Forget what every open transaction has seen; ``oldest``: the lowest epoch that one reads."""
        limit = min(oldest, self._store.epoch)
        for oid, epochs in list(self._touched.items()):
            for epoch in [e for e in epochs if e <= limit]:
                del epochs[epoch]
            if not epochs:
                del self._touched[oid]
