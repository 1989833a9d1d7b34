"""Running bound INSERT, UPDATE and DELETE statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from laminar._native.rowindex import group_rows
from laminar.engine.change import Change
from laminar.engine.serving import Layout, Writes
from laminar.server import dml
from laminar.server.dml import Bools, Effect, Table
from laminar.sql import adhoc
from laminar.sql.adhoc import batches
from laminar.sql.adhoc.calls import compiled
from laminar.sql.evaluator import Env
from laminar.sql.plan import Column, ColumnRef, Expr, Plan

if TYPE_CHECKING:
    from laminar.sql.binder import (  # type: ignore[import-not-found,unused-ignore]
        BoundConflict,
        BoundDelete,
        BoundInsert,
        BoundUpdate,
    )


@dataclass(slots=True)
class Outcome:
    """What a statement did and what it answers.

    Args:
        change: of the table, all stored columns; None when no row was touched.
        returned: RETURNING's rows, columns by position; None without RETURNING.
        tag: the command tag.
    """

    change: Change | None
    returned: pa.RecordBatch | None
    tag: str


@dataclass(frozen=True, slots=True)
class Reading:
    """How the statement's query reads: see :func:`laminar.sql.adhoc.run`."""

    sources: adhoc.Sources
    env: Env
    limits: adhoc.Limits | None = None


class OwnWrites:
    """A transaction's writes by table, following its list of changes (which a rollback cuts short)."""

    def __init__(self) -> None:
        self._writes: dict[int, Writes] = {}
        self._applied: list[Change] = []

    def of(self, oid: int, layout: Layout, changes: Sequence[tuple[int, Change]]) -> Writes:
        """What the transaction has done to a table; ``layout``: of that table."""
        done = len(self._applied)
        if len(changes) < done or (done and changes[done - 1][1] is not self._applied[-1]):
            self._writes, self._applied, done = {}, [], 0
        if oid not in self._writes:
            writes = self._writes[oid] = Writes(layout)
            for other, change in changes[:done]:
                if other == oid:
                    writes.apply(change)
        for other, change in changes[done:]:
            self._applied.append(change)
            if other in self._writes:
                self._writes[other].apply(change)
        return self._writes[oid]


async def insert(bound: BoundInsert, plan: Plan | None, table: Table, reading: Reading) -> Outcome:
    """INSERT; ``plan``: the bound plan after unnesting, None when ``bound.batch`` has the rows.

    Raises:
        PgError: of the query; 23502, 23505, 23514, 21000.
    """
    rows = await _rows(plan, bound.columns, reading) if plan is not None else bound.batch
    assert rows is not None
    conflict = bound.on_conflict
    if conflict is None:
        effect = dml.insert(table, rows, reading.env)
    elif conflict.action == "nothing":
        effect = dml.insert(table, rows, reading.env, "nothing")
    else:
        resolve = _Resolve(conflict, bound.columns, table, reading.env)
        effect = dml.insert(table, rows, reading.env, resolve)
    returned = _returned(bound.returning, bound.columns, effect.rows, reading.env)
    return Outcome(effect.change, returned, f"INSERT 0 {effect.count}")


class _Resolve:
    """ON CONFLICT DO UPDATE SET … WHERE …, evaluated over (existing row, EXCLUDED)."""

    def __init__(self, conflict: BoundConflict, excluded: Sequence[Column], table: Table, env: Env) -> None:
        self.table = table
        self.env = env
        self.ids = [c.id for c in (*conflict.existing, *excluded)]
        assigned = dict(conflict.assignments)
        columns = [
            assigned.get(a.attnum, _ref(c))
            for a, c in zip(table.relation.columns, conflict.existing, strict=True)
        ]
        self.width = len(columns)
        self.exprs = (*columns, *([conflict.where] if conflict.where is not None else []))

    def __call__(self, existing: pa.RecordBatch, excluded: pa.RecordBatch) -> tuple[pa.RecordBatch, Bools]:
        rows = [*self.table.visible(existing).columns, *excluded.columns]
        count = existing.num_rows
        passes = np.ones(count, dtype=bool)
        if len(self.exprs) > self.width:
            condition = compiled(self.exprs[self.width :], self.ids)(batches.make(rows, count), self.env)[0]
            passes = np.asarray(condition.fill_null(False))
        values = compiled(self.exprs[: self.width], self.ids)(
            batches.make([c.filter(pa.array(passes)) for c in rows], int(passes.sum())), self.env
        )
        # rows that WHERE keeps as they are stand in for themselves; they are dropped by ``passes``
        where = np.cumsum(passes) - 1
        back = pa.array(np.where(passes, where, -1), mask=~passes)
        return batches.make([v.take(back) for v in values], count), passes


async def update(bound: BoundUpdate, plan: Plan, table: Table, reading: Reading) -> Outcome:
    """UPDATE; ``plan``: the bound plan after unnesting.

    Raises:
        PgError: of the query; 23502, 23505, 23514.
    """
    rows = await _rows(plan, plan.columns, reading)
    old, rows = _targets(bound.key, bound.old, plan, table, rows)
    new = batches.make(_picked(rows, plan, bound.new), rows.num_rows)
    effect = dml.update(table, old, new, reading.env)
    return _outcome("UPDATE", effect, bound.returning, plan, rows, reading.env)


async def delete(bound: BoundDelete, plan: Plan, table: Table, reading: Reading) -> Outcome:
    """DELETE; ``plan``: the bound plan after unnesting."""
    rows = await _rows(plan, plan.columns, reading)
    old, rows = _targets(bound.key, bound.old, plan, table, rows)
    effect = dml.delete(table, old)
    return _outcome("DELETE", effect, bound.returning, plan, rows, reading.env)


def _outcome(
    verb: str, effect: Effect, returning: tuple[Expr, ...], plan: Plan, rows: pa.RecordBatch, env: Env
) -> Outcome:
    return Outcome(effect.change, _returned(returning, plan.columns, rows, env), f"{verb} {effect.count}")


async def _rows(plan: Plan, columns: Sequence[Column], reading: Reading) -> pa.RecordBatch:
    """All rows of a query in one batch."""
    found = [b async for b in adhoc.run(plan, columns, reading.sources, reading.env, reading.limits)]
    return batches.concat(found, columns)


def _picked(rows: pa.RecordBatch, plan: Plan, columns: Sequence[Column]) -> list[pa.Array]:
    ids = [c.id for c in plan.columns]
    return [rows.column(ids.index(c.id)) for c in columns]


def _targets(
    key: Column | None, old: Sequence[Column], plan: Plan, table: Table, rows: pa.RecordBatch
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """The stored rows that the query names, each once, and the query's rows for them."""
    ids = _picked(rows, plan, [key])[0] if key is not None else None
    stored = table.stored(batches.make(_picked(rows, plan, old), rows.num_rows), ids)
    if rows.num_rows:
        first = group_rows(table.layout.key_arrays(stored))[1]
        if len(first) < rows.num_rows:
            stored, rows = stored.take(pa.array(first)), rows.take(pa.array(first))
    return stored, rows


def _returned(
    returning: tuple[Expr, ...], columns: Sequence[Column], rows: pa.RecordBatch, env: Env
) -> pa.RecordBatch | None:
    if not returning:
        return None
    values = compiled(returning, [c.id for c in columns])(rows, env)
    return batches.make(values, rows.num_rows)


def _ref(column: Column) -> Expr:
    return ColumnRef(column.id, column.type)
