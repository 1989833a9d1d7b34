"""INSERT, UPDATE, DELETE, TRUNCATE."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from laminar._native.rowindex import group_rows
from laminar.catalog.sequences import definition_of
from laminar.engine.serving import Snapshot
from laminar.errors import READ_ONLY_SQL_TRANSACTION, SERIALIZATION_FAILURE, UNIQUE_VIOLATION, PgError
from laminar.pgwire.backend import Field, Result
from laminar.server import dml, guc
from laminar.server.commit import PendingCommit
from laminar.server.locks import ACCESS_EXCLUSIVE
from laminar.server.planning import planned_locking, scanned
from laminar.server.reading import read_all, take_snapshots
from laminar.server.rowlocks import lock_changed, lock_table, locked_rows
from laminar.server.session import Session
from laminar.server.statements.base import Action, batches
from laminar.server.writing import open_table
from laminar.sql import statements as s
from laminar.sql.adhoc.batches import make
from laminar.sql.adhoc.calls import compiled
from laminar.sql.binder import BoundDelete, BoundInsert, BoundUpdate, bind_delete, bind_insert, bind_update
from laminar.sql.binder.merge import BoundMerge
from laminar.sql.evaluator import compile as compile_exprs
from laminar.sql.plan import Column, ColumnRef, Const, Expr, Plan, Project, Values
from laminar.sql.rewrite import rewrite
from laminar.sql.unnest import unnest

#: how often a statement of its own is run again when somebody else was faster
ATTEMPTS = 20
#: what a statement meets that read rows which others have changed meanwhile
CONFLICTS = (SERIALIZATION_FAILURE, UNIQUE_VIOLATION)

Bound: TypeAlias = BoundInsert | BoundUpdate | BoundDelete | BoundMerge
Statement: TypeAlias = s.Insert | s.Update | s.Delete | s.Merge
_VERBS: dict[type, str] = {
    s.Insert: "insert into", s.Update: "update", s.Delete: "delete from", s.Merge: "merge into",
}  # fmt: skip


class WriteAction(Action):
    """INSERT, UPDATE or DELETE."""

    def __init__(self, session: Session, statement: Statement, bound: Bound, plan: Plan | None) -> None:
        super().__init__(session)
        session.catalog.writable(statement.relation, _VERBS[type(statement)])
        session.check_accesses(bound.accesses)
        self.statement = statement
        self.bound = bound
        self.plan = plan
        self.locking = planned_locking(bound.locking)
        #: rows that stand for relations (< 0) of its plan
        self.given: dict[int, Snapshot] = {}
        self.verb = type(statement).__name__.upper()
        #: a plain INSERT of values reads nothing, so that it need not wait for what was committed before
        self._scanned = scanned(plan)
        self.plain = _adds(bound) and not self._scanned
        self.row = None if plan is None else _one_row(plan)
        self.param_types = bound.param_types
        if bound.returning_columns:
            self.fields = [Field(c.name, c.type, *c.origin) for c in bound.returning_columns]

    @classmethod
    def planned_from(cls, session: Session, statement: Statement, param_types: Sequence[int]) -> WriteAction:
        """Bind and plan; raises PgError with position."""
        bound: Bound
        match statement:
            case s.Insert():
                bound = bind_insert(statement, session.catalog, param_types)
            case s.Update():
                bound = bind_update(statement, session.catalog, param_types)
            case s.Delete():
                bound = bind_delete(statement, session.catalog, param_types)
            case s.Merge():
                raise AssertionError(statement)
        return cls(session, statement, bound, without_subqueries(bound.plan))

    def shared(self) -> Callable[[Session], Action]:
        statement, bound, plan = self.statement, self.bound, self.plan
        return lambda session: WriteAction(session, statement, bound, plan)

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        session = self.session
        transaction = session.transaction
        assert transaction is not None
        if transaction.read_only:
            raise PgError(READ_ONLY_SQL_TRANSACTION, f"cannot execute {self.verb} in a read-only transaction")
        alone = not transaction.block and not transaction.changes
        #: nothing of the transaction is of an older epoch: it may be run again
        fresh = alone or (transaction.view is None and not transaction.changes)
        guard, oid = self.database.guard, self.bound.relation.oid
        turn = guard.turn(oid)
        if alone:
            transaction.release_turn()
            if turn.locked():
                await self._take_turn(turn)
        keyed = self.bound.relation.primary_key or self.database.catalog.uniques_of(oid)
        guarded = bool(keyed) or not isinstance(self.bound, BoundInsert)
        for attempt in range(ATTEMPTS):
            before = len(transaction.changes)
            try:
                effect, returned = await self._write(params)
                if effect.change is not None:
                    await lock_changed(session, oid, effect.change)
                    transaction.add(oid, effect.change)
                if alone and guarded:
                    # nobody with a statement of his own comes between this check and the commit's
                    await self._take_turn(turn)
                # The commit checks again; told now, the error belongs to this statement.
                transaction.pending = PendingCommit(self.database, transaction)
                transaction.pending.check()
            except PgError as error:
                transaction.undo_to(before)
                seen = transaction.view.epoch if transaction.view is not None else 0
                if not fresh or attempt == ATTEMPTS - 1 or error.sqlstate not in CONFLICTS:
                    raise
                if not guard.changed_since(oid, seen):
                    raise
                # A statement of its own sees what was committed before it, as in PostgreSQL: again,
                # one session at a time so that each gets its turn. In a block the rows' locks see to that.
                if alone:
                    await self._take_turn(turn)
                transaction.view = None
                await self.database.coordinator.flush()
                continue
            break
        return self.result(effect.count, returned)

    async def _take_turn(self, turn: asyncio.Lock) -> None:
        """Wait for the others, lock_timeout at most."""
        transaction = self.session.transaction
        assert transaction is not None
        limit = guc.milliseconds("lock_timeout", self.session.settings["lock_timeout"])
        try:
            async with asyncio.timeout(limit / 1000 if limit else None):
                await transaction.take_turn(turn)
        except TimeoutError:
            raise PgError("55P03", "canceling statement due to lock timeout") from None

    async def effect(
        self, params: Sequence[pa.Scalar | None], given: dict[int, Snapshot]
    ) -> tuple[dml.Effect, pa.RecordBatch | None]:
        """What it would change, and what it returns.

        Args:
            given: rows that stand for relations of its plan.
        """
        self.given, self.plain = given, False
        return await self._write(params)

    def result(self, count: int, returned: pa.RecordBatch | None) -> Result:
        verb = {BoundInsert: "INSERT 0", BoundUpdate: "UPDATE", BoundDelete: "DELETE"}[type(self.bound)]
        if self.fields is None:
            return Result(f"{verb} {count}")
        assert returned is not None
        return Result(f"{verb} {count}", self.fields, batches(returned))

    async def _write(self, params: Sequence[pa.Scalar | None]) -> tuple[dml.Effect, pa.RecordBatch | None]:
        bound = self.bound
        table = await open_table(self.session, bound.relation.oid, wait=not self.plain)
        if isinstance(bound, BoundInsert):
            return await self._insert(bound, table, params)
        found = await self._rows(params)
        ids = found.column(place(self.plan, bound.key)) if bound.key is not None else None
        stored = table.stored(self._pick(found, bound.old), ids)
        if found.num_rows:
            # A row that several rows of FROM match is changed once.
            first = pa.array(group_rows(table.layout.key_arrays(stored))[1])
            found, stored = found.take(first), stored.take(first)
        env = self.session.env(params)
        if isinstance(bound, BoundUpdate):
            effect = dml.update(table, stored, self._pick(found, bound.new), env)
        else:
            effect = dml.delete(table, stored)
        return effect, self._returning(found, self.plan.columns if self.plan else (), params)

    async def _insert(
        self, bound: BoundInsert, table: dml.Table, params: Sequence[pa.Scalar | None]
    ) -> tuple[dml.Effect, pa.RecordBatch | None]:
        rows = bound.batch if bound.batch is not None else await self._rows(params)
        env = self.session.env(params)
        conflict: Any = "error"
        if bound.on_conflict is not None:
            conflict = (
                "nothing" if bound.on_conflict.action == "nothing" else self._resolver(bound, table, params)
            )
        arbiter = bound.on_conflict.arbiter if bound.on_conflict is not None else ()
        # the commit compares the key of a row that comes alone with all keys there are
        transaction = self.session.transaction
        alone = transaction is not None and not transaction.block and not transaction.changes
        compared = alone and rows.num_rows == 1
        effect = dml.insert(table, rows, env, conflict, arbiter, compared=compared)
        return effect, self._returning(effect.rows, bound.columns, params)

    def _resolver(
        self, bound: BoundInsert, table: dml.Table, params: Sequence[pa.Scalar | None]
    ) -> dml.Resolve:
        """ON CONFLICT DO UPDATE: from rows that are there and rows refused to the rows' new values."""
        conflict = bound.on_conflict
        assert conflict is not None
        assigned = dict(conflict.assignments)
        exprs: list[Expr] = [
            assigned.get(a.attnum, ColumnRef(c.id, c.type))
            for a, c in zip(bound.relation.columns, conflict.existing, strict=True)
        ]
        ids = [c.id for c in (*conflict.existing, *bound.columns)]
        values = compile_exprs(exprs, ids)
        condition = compile_exprs([conflict.where], ids) if conflict.where is not None else None
        env = self.session.env(params)

        def resolve(existing: pa.RecordBatch, excluded: pa.RecordBatch) -> tuple[pa.RecordBatch, dml.Bools]:
            columns = [*table.visible(existing).columns, *excluded.columns]
            both = pa.RecordBatch.from_arrays(columns, [str(i) for i in range(len(columns))])
            passes = np.ones(both.num_rows, dtype=bool)
            if condition is not None:
                passes = np.asarray(condition(both, env)[0].fill_null(False))
            new = values(both, env)
            return pa.RecordBatch.from_arrays(new, [str(i) for i in range(len(new))]), passes

        return resolve

    async def _rows(self, params: Sequence[pa.Scalar | None]) -> pa.RecordBatch:
        """All rows of the statement's plan."""
        assert self.plan is not None
        if self.row is not None:
            values = compiled(self.row, ())(make([], 1), self.session.env(params))
            return pa.RecordBatch.from_arrays(values, [str(i) for i in range(len(values))])
        locked = self.given | await locked_rows(self.session, self.locking, params)
        snapshots = await take_snapshots(self.session, self._scanned, locked)
        return await read_all(self.session, self.plan, snapshots, params)

    def _pick(self, rows: pa.RecordBatch, columns: Sequence[Column]) -> pa.RecordBatch:
        arrays = [rows.column(place(self.plan, column)) for column in columns]
        return pa.RecordBatch.from_arrays(arrays, [str(i) for i in range(len(arrays))])

    def _returning(
        self, rows: pa.RecordBatch, columns: Sequence[Column], params: Sequence[pa.Scalar | None]
    ) -> pa.RecordBatch | None:
        if not self.bound.returning_columns:
            return None
        program = compile_exprs(self.bound.returning, [c.id for c in columns])
        values = program(rows, self.session.env(params))
        return pa.RecordBatch.from_arrays(values, [str(i) for i in range(len(values))])


class TruncateAction(Action):
    """TRUNCATE: all rows of the tables, in the transaction."""

    def __init__(self, session: Session, statement: s.Truncate) -> None:
        super().__init__(session)
        self.relations = [session.catalog.writable(name, "truncate") for name in statement.relations]
        self.restart = statement.restart_identity
        for relation in self.relations:
            session.check_access(relation, "TRUNCATE")

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        transaction = self.session.transaction
        assert transaction is not None
        for relation in self.relations:
            await lock_table(self.session, relation.oid, ACCESS_EXCLUSIVE)
            table = await open_table(self.session, relation.oid, wait=True)
            for chunk in table.snapshot().chunks:
                effect = dml.delete(table, chunk.rows())
                if effect.change is not None:
                    transaction.add(relation.oid, effect.change)
        if self.restart:
            catalog = self.database.catalog
            for relation in self.relations:
                for owned in catalog.owned(relation.oid):
                    if owned.kind == "sequence":
                        catalog.sequences.set(owned, definition_of(owned).start, False)
        return Result("TRUNCATE TABLE")


def without_subqueries(plan: Plan | None) -> Plan | None:
    """The rows' plan as it runs."""
    return None if plan is None else rewrite(unnest(plan), plan.columns)


def _one_row(plan: Plan) -> Sequence[Expr] | None:
    """What gives the row of INSERT … VALUES (…); None for any other plan."""
    exprs: Sequence[Expr] | None = None
    if isinstance(plan, Project):
        exprs, plan = plan.exprs, plan.input
    if not isinstance(plan, Values) or len(plan.rows) != 1:
        return None
    given = {c.id: e for c, e in zip(plan.columns, plan.rows[0], strict=True)}
    if exprs is None:
        exprs = plan.rows[0]
    elif not all(isinstance(e, ColumnRef | Const) for e in exprs):
        return None
    return tuple(given[e.id] if isinstance(e, ColumnRef) else e for e in exprs)


def place(plan: Plan | None, column: Column) -> int:
    assert plan is not None
    return [c.id for c in plan.columns].index(column.id)


def _adds(bound: BoundInsert | BoundUpdate | BoundDelete | BoundMerge) -> bool:
    """Whether the rows that are there need not be looked at."""
    return (
        isinstance(bound, BoundInsert) and bound.on_conflict is None and bound.relation.on_conflict == "error"
    )
