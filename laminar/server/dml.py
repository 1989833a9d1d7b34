"""INSERT, UPDATE and DELETE: rows computed by a query become a change of a table.

Everything is checked against what the transaction sees: its epoch and its own writes. Whether
somebody else was faster is for :class:`laminar.server.conflicts.WriteGuard` to say at COMMIT.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from laminar._native.rowindex import RowIndex, group_rows
from laminar.engine.change import Change
from laminar.engine.serving import Layout, RelationStore, Snapshot, Writes, overlay
from laminar.engine.serving.consolidate import cancel, split
from laminar.errors import CARDINALITY_VIOLATION, PgError
from laminar.server.rowerrors import check_failed, duplicate_key, null_value
from laminar.sql.evaluator import Env
from laminar.sql.evaluator import compile as compile_exprs
from laminar.sql.plan import Expr

if TYPE_CHECKING:
    from laminar.sql.catalog_view import Relation  # type: ignore[import-not-found,unused-ignore]

__all__ = ["Check", "Effect", "Table", "commit_change", "delete", "insert", "overlay", "update"]

#: attribute number of the hidden row number of tables without a primary key
ROW_ID = 0

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Check:
    """A CHECK constraint; column ids of ``expr`` are attribute numbers."""

    name: str
    expr: Expr


@dataclass(slots=True)
class Effect:
    """What a statement did.

    Args:
        change: of all stored columns, or None when no row was touched.
        rows: the visible columns of the rows that RETURNING is about (new ones, for DELETE old ones).
        count: rows as the command tag counts them.
    """

    change: Change | None
    rows: pa.RecordBatch
    count: int


class Table:
    """A table as one statement of a transaction sees it.

    Args:
        relation: its catalog entry.
        base: the epoch's snapshot.
        store: the live relation, whose index saves scanning ``base``.
        writes: what the transaction has done to the table before.
        domains: columns that are to be of domains, as expressions that raise if they are not.
    """

    def __init__(
        self,
        relation: Relation,
        base: Snapshot,
        store: RelationStore | None = None,
        writes: Writes | None = None,
        checks: Sequence[Check] = (),
        domains: Sequence[Expr] = (),
    ) -> None:
        self.relation = relation
        self.base = base
        self.layout = base.layout
        self.store = store
        self.writes = writes
        self.checks = checks
        self.domains = domains
        self.width = len(relation.columns)

    def snapshot(self) -> Snapshot:
        """All rows that the transaction sees."""
        return self.base if self.writes is None else self.writes.snapshot(self.base, self.store)

    def visible(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The columns of the catalog entry, in its order, of stored rows."""
        positions = [self.layout.position[c.attnum] for c in self.relation.columns]
        names = [str(c.attnum) for c in self.relation.columns]
        return pa.RecordBatch.from_arrays([rows.column(p) for p in positions], names=names)

    def stored(self, rows: pa.RecordBatch, ids: pa.Array | None = None) -> pa.RecordBatch:
        """Stored form of visible rows: with row numbers (new ones unless given), without watermarks."""
        by_attnum = {c.attnum: a for c, a in zip(self.relation.columns, rows.columns, strict=True)}
        if ROW_ID in self.layout.position:
            by_attnum[ROW_ID] = ids if ids is not None else _provisional(rows.num_rows)
        columns = [
            by_attnum[a] if a in by_attnum else pa.nulls(rows.num_rows, t.storage)
            for a, t in zip(self.layout.attnums, self.layout.types, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.layout.schema)

    def find(self, rows: pa.RecordBatch) -> tuple[Bools, pa.RecordBatch]:
        """Which of the (stored) rows' keys are there, and the stored rows under these keys, in order."""
        keys = self.layout.key_arrays(rows)
        there = np.zeros(rows.num_rows, dtype=bool)
        parts: list[tuple[npt.NDArray[np.int64], pa.RecordBatch]] = []
        if self.writes is not None:
            own = self.writes.added.find_comparable(keys)
            there = own >= 0
            parts.append((np.flatnonzero(there), self.writes.added.take(own[there])))
            hidden = there | (self.writes.removed.find_comparable(keys) >= 0)
            rest = np.flatnonzero(~hidden)
        else:
            rest = np.arange(rows.num_rows)
        if len(rest):
            where, found = self._find_in_base([k.take(pa.array(rest)) for k in keys])
            there[rest[where]] = True
            parts.append((rest[where], found))
        order = np.argsort(np.concatenate([at for at, _ in parts])) if parts else np.empty(0, np.int64)
        found_rows = pa.concat_batches([batch for _, batch in parts]) if parts else rows.slice(0, 0)
        return there, found_rows.take(pa.array(order))

    def _find_in_base(self, keys: list[pa.Array]) -> tuple[npt.NDArray[np.int64], pa.RecordBatch]:
        """Positions of the keys that the snapshot has, and its rows under them."""
        if self.store is not None and self.store.snapshot() is self.base:
            ids = self.store.find_comparable(keys)
            hits = np.flatnonzero(ids >= 0)
            return hits, self.store.take(ids[hits])
        index = RowIndex()
        index.set_chunk(0, keys)
        index.insert(0)
        where = [np.empty(0, np.int64)]
        found = [pa.RecordBatch.from_pylist([], schema=self.layout.schema)]
        for chunk in self.base.chunks:
            live = chunk.rows()
            ids = index.find(self.layout.key_arrays(live))
            hits = np.flatnonzero(ids >= 0)
            if len(hits):
                where.append(ids[hits])
                found.append(live.take(pa.array(hits)))
        return np.concatenate(where), pa.concat_batches(found)

    def find_unique(
        self, rows: pa.RecordBatch, attnums: tuple[int, ...]
    ) -> tuple[Bools, pa.RecordBatch, Bools]:
        """The same for other unique columns (nulls differ), and which rows repeat an earlier row's values."""
        positions = [self.layout.position[a] for a in attnums]
        keys = Layout(attnums, tuple(self.layout.types[p] for p in positions), tuple(range(len(attnums))))

        def usable(batch: pa.RecordBatch) -> tuple[npt.NDArray[np.int64], list[pa.Array]]:
            columns = [batch.column(p) for p in positions]
            valid = np.logical_and.reduce([np.asarray(column.is_valid()) for column in columns])
            at = np.flatnonzero(valid)
            return at, keys.comparable([column.take(pa.array(at)) for column in columns])

        there = np.zeros(rows.num_rows, dtype=bool)
        again = there.copy()
        at, wanted = usable(rows)
        if not len(at):
            return there, rows.slice(0, 0), again
        first = group_rows(wanted)[1]
        again[at] = True
        again[at[first]] = False
        index = RowIndex()
        index.set_chunk(0, [array.take(pa.array(first)) for array in wanted])
        index.insert(0)
        places: list[npt.NDArray[np.int64]] = [np.empty(0, np.int64)]
        parts = [rows.slice(0, 0)]
        for chunk in self.snapshot().chunks:
            live = chunk.rows()
            where, found = usable(live)
            if len(where):
                ids = index.find(found)
                hits = np.flatnonzero(ids >= 0)
                places.append(at[first[ids[hits]]])
                parts.append(live.take(pa.array(where[hits])))
        place = np.concatenate(places)
        there[place] = True
        return there, pa.concat_batches(parts).take(pa.array(np.argsort(place))), again

    def check_rows(self, rows: pa.RecordBatch, env: Env) -> None:
        """Domains' constraints, NOT NULL, then CHECK, of visible rows. Raises what the first bad row does."""
        if self.domains and rows.num_rows:
            compile_exprs(list(self.domains), [c.attnum for c in self.relation.columns])(rows, env)
        first, column = rows.num_rows, None
        for position, attribute in enumerate(self.relation.columns):
            array = rows.column(position)
            if array.null_count and (attribute.not_null or attribute.attnum in self.relation.primary_key):
                row = int(np.flatnonzero(np.asarray(array.is_null()))[0])
                if row < first:
                    first, column = row, attribute
        self._check(rows.slice(0, first), env)
        if column is not None:
            raise null_value(self.relation, column, rows.columns, first, env.settings)

    def _check(self, rows: pa.RecordBatch, env: Env) -> None:
        if not self.checks or not rows.num_rows:
            return
        program = compile_exprs([c.expr for c in self.checks], [c.attnum for c in self.relation.columns])
        results, raised, _ = program.safe(rows, env)
        first = rows.num_rows if raised is None else int(np.flatnonzero(raised)[0])
        name = None
        for check, result in zip(self.checks, results, strict=True):
            failed = np.flatnonzero(~np.asarray(result.fill_null(True)))
            if len(failed) and failed[0] < first:
                first, name = int(failed[0]), check.name
        if name is not None:
            raise check_failed(self.relation, name, rows.columns, first, env.settings)
        if raised is not None:
            try:
                program(rows.slice(first, 1), env)
            except PgError as error:
                error.row = first
                raise


#: makes the new visible rows of ON CONFLICT DO UPDATE from the stored rows that are there and the visible
#: rows that were to be inserted; second: which of them its WHERE lets through
Resolve = Callable[[pa.RecordBatch, pa.RecordBatch], tuple[pa.RecordBatch, Bools]]


def insert(
    table: Table,
    rows: pa.RecordBatch,
    env: Env,
    on_conflict: Literal["error", "nothing"] | Resolve = "error",
    arbiter: tuple[int, ...] = (),
    compared: bool = False,
) -> Effect:
    """INSERT these visible rows.

    Args:
        arbiter: attribute numbers of the unique key that ON CONFLICT is about; () for any.
        compared: no key is there twice in ``rows`` or in what the transaction wrote, so that comparing them
            with what others wrote, which the commit does, is enough.

    Raises:
        PgError: 23502, 23514, 23505; 21000 when DO UPDATE would touch a row twice.
    """
    if on_conflict == "error" and table.relation.on_conflict != "error":
        on_conflict, arbiter = _behaviour(table), table.relation.primary_key
        if on_conflict != "nothing":
            rows = _last_of_each_key(table, rows)
    table.check_rows(rows, env)
    stored = table.stored(rows)
    by_key = bool(table.relation.primary_key) and arbiter in ((), table.relation.primary_key)
    others = [] if on_conflict == "error" else [a for _, a in table.relation.uniques if arbiter in ((), a)]
    if not rows.num_rows or not (by_key or others) or (compared and on_conflict == "error"):
        change = Change(stored) if rows.num_rows else None
        return Effect(change, rows, rows.num_rows)
    there, existing, repeated = _conflicts(table, stored, by_key, others)
    if on_conflict == "error":
        bad = np.flatnonzero(there | repeated)
        if len(bad):
            raise duplicate_key(table.layout, stored, int(bad[0]), table.relation)
        return Effect(Change(stored), rows, rows.num_rows)
    if on_conflict == "nothing":
        kept = pa.array(~(there | repeated))
        rows, stored = rows.filter(kept), stored.filter(kept)
        return Effect(Change(stored) if rows.num_rows else None, rows, rows.num_rows)
    if repeated.any():
        raise PgError(
            CARDINALITY_VIOLATION,
            "ON CONFLICT DO UPDATE command cannot affect row a second time",
            hint="Ensure that no rows proposed for insertion within the same command "
            "have duplicate constrained values.",
        )
    assert not isinstance(on_conflict, str)
    return _upsert(table, rows, stored, there, existing, env, on_conflict)


def _behaviour(table: Table) -> Literal["nothing"] | Resolve:
    """What the table does with rows whose primary key is there."""
    behaviour = table.relation.on_conflict
    if behaviour == "ignore":
        return "nothing"

    def resolve(existing: pa.RecordBatch, given: pa.RecordBatch) -> tuple[pa.RecordBatch, Bools]:
        every = np.ones(given.num_rows, dtype=bool)
        if behaviour == "overwrite":
            return given, every
        old = table.visible(existing).columns
        columns = [pc.if_else(pc.is_valid(b), b, a) for a, b in zip(old, given.columns, strict=True)]
        return pa.RecordBatch.from_arrays(columns, given.schema.names), every

    return resolve


def _last_of_each_key(table: Table, rows: pa.RecordBatch) -> pa.RecordBatch:
    """What remains of rows that come one after the other: by key the last, or every column's last value."""
    group, firsts = group_rows(table.layout.key_arrays(table.stored(rows)))
    if len(firsts) == rows.num_rows:
        return rows
    last = np.zeros(len(firsts), np.int64)
    last[group] = np.arange(rows.num_rows)
    if table.relation.on_conflict == "overwrite":
        return rows.take(pa.array(np.sort(last)))
    columns = []
    for column in rows.columns:
        known = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
        taken = last.copy()
        taken[group[known]] = known
        columns.append(column.take(pa.array(taken)))
    return pa.RecordBatch.from_arrays(columns, rows.schema.names)


def _conflicts(
    table: Table, stored: pa.RecordBatch, by_key: bool, others: Sequence[tuple[int, ...]]
) -> tuple[Bools, pa.RecordBatch, Bools]:
    """Which rows have a key that is there, the rows there (in order), and which repeat an earlier key."""
    there = np.zeros(stored.num_rows, dtype=bool)
    repeated = there.copy()
    existing = stored.slice(0, 0)
    if by_key:
        there, existing = table.find(stored)
        repeated[:] = True
        repeated[group_rows(table.layout.key_arrays(stored))[1]] = False
    for attnums in others:
        found, rows, again = table.find_unique(stored, attnums)
        existing = rows if not by_key else existing
        there, repeated = there | found, repeated | again
    return there, existing, repeated


def _upsert(
    table: Table,
    rows: pa.RecordBatch,
    stored: pa.RecordBatch,
    there: Bools,
    existing: pa.RecordBatch,
    env: Env,
    resolve: Resolve,
) -> Effect:
    """ON CONFLICT DO UPDATE: rows without a conflict are inserted, the others update what is there."""
    fresh = rows.filter(pa.array(~there))
    new = Change(stored.filter(pa.array(~there)))
    if not existing.num_rows:
        return Effect(new, fresh, fresh.num_rows)
    updated, passes = resolve(existing, rows.filter(pa.array(there)))
    done = update(table, existing.filter(pa.array(passes)), updated.filter(pa.array(passes)), env)
    both = _merge([new] if len(new) else [], [done.change] if done.change is not None else [])
    returned = pa.concat_batches([_named(fresh), _named(done.rows)])
    return Effect(both, returned, fresh.num_rows + done.count)


def update(table: Table, old: pa.RecordBatch, new: pa.RecordBatch, env: Env) -> Effect:
    """Replace stored rows by visible ones; a row that is named twice is changed once.

    Raises:
        PgError: 23502, 23514, 23505.
    """
    if not old.num_rows:
        return Effect(None, new, 0)
    first = group_rows(table.layout.key_arrays(old))[1]
    if len(first) < old.num_rows:
        old, new = old.take(pa.array(first)), new.take(pa.array(first))
    table.check_rows(new, env)
    ids = old.column(table.layout.position[ROW_ID]) if ROW_ID in table.layout.position else None
    stored = table.stored(new, ids)
    if table.relation.primary_key:
        _check_new_keys(table, old, stored)
    weights = np.ones(old.num_rows + new.num_rows, dtype=np.int64)
    weights[: old.num_rows] = -1
    return Effect(
        Change(pa.concat_batches([_unmarked(table.layout, old), stored]), weights), new, new.num_rows
    )


def _check_new_keys(table: Table, old: pa.RecordBatch, new: pa.RecordBatch) -> None:
    """Updated keys must differ from each other and from rows that stay."""
    keys = table.layout.key_arrays(new)
    _, first = group_rows(keys)
    if len(first) < new.num_rows:
        repeated = np.ones(new.num_rows, dtype=bool)
        repeated[first] = False
        raise duplicate_key(table.layout, new, int(np.flatnonzero(repeated)[0]), table.relation)
    index = RowIndex()
    index.set_chunk(0, table.layout.key_arrays(old))
    index.insert(0)
    moved = np.flatnonzero(index.find(keys) < 0)
    if len(moved):
        there, _ = table.find(new.take(pa.array(moved)))
        if there.any():
            raise duplicate_key(table.layout, new, int(moved[np.flatnonzero(there)[0]]), table.relation)


def delete(table: Table, old: pa.RecordBatch) -> Effect:
    """Remove stored rows; a row that is named twice goes once."""
    if not old.num_rows:
        return Effect(None, table.visible(old), 0)
    first = group_rows(table.layout.key_arrays(old))[1]
    if len(first) < old.num_rows:
        old = old.take(pa.array(first))
    weights = np.full(old.num_rows, -1, dtype=np.int64)
    return Effect(Change(_unmarked(table.layout, old), weights), table.visible(old), old.num_rows)


def commit_change(changes: Sequence[Change], layout: Layout) -> Change | None:
    """A transaction's changes of one table as the coordinator takes them: net, new rows unnumbered."""
    inserts, deletes = split(changes, layout)
    if inserts is not None and deletes is not None:
        inserts, deletes = cancel(inserts, deletes, layout)
    if inserts is not None and ROW_ID in layout.position:
        at = layout.position[ROW_ID]
        numbers = inserts.column(at)
        known = pc.if_else(pc.less(numbers, 0), pa.scalar(None, numbers.type), numbers)
        inserts = inserts.set_column(at, layout.schema.field(at), known)
    gone = [Change(deletes, np.full(deletes.num_rows, -1, dtype=np.int64))] if deletes is not None else []
    return _merge(gone, [Change(inserts)] if inserts is not None else [])


class _Numbers:
    """Numbers for rows that are not committed yet: negative, so that they never meet a real one."""

    def __init__(self) -> None:
        self._next = -2

    def __call__(self, count: int) -> pa.Array:
        self._next -= count
        return pa.array(np.arange(self._next + 1, self._next + 1 + count, dtype=np.int64))


_provisional = _Numbers()


def _merge(first: list[Change], second: list[Change]) -> Change | None:
    """One change of both."""
    parts = [c for c in (*first, *second) if len(c)]
    if not parts:
        return None
    batch = pa.concat_batches([c.batch for c in parts])
    if all(c.weights is None for c in parts):
        return Change(batch)
    ones = [np.ones(len(c), dtype=np.int64) if c.weights is None else c.weights for c in parts]
    return Change(batch, np.concatenate(ones))


def _named(rows: pa.RecordBatch) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(rows.columns, names=[str(i) for i in range(rows.num_columns)])


def _unmarked(layout: Layout, rows: pa.RecordBatch) -> pa.RecordBatch:
    """Stored rows without their watermark: a deletion carries that of its own transaction."""
    if -1 not in layout.position:
        return rows
    at = layout.position[-1]
    return rows.set_column(at, layout.schema.field(at), pa.nulls(rows.num_rows, layout.types[at].storage))
