"""MERGE: deletes, then updates, then inserts, of one statement."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from laminar._native.rowindex import group_rows
from laminar.errors import CARDINALITY_VIOLATION, PgError
from laminar.pgwire.backend import Result
from laminar.server import dml
from laminar.server.rowlocks import lock_changed
from laminar.server.session import Session
from laminar.server.statements.base import Action
from laminar.server.statements.writes import WriteAction, place, without_subqueries
from laminar.server.writing import open_table
from laminar.sql import statements as s
from laminar.sql.binder.merge import BoundMerge, BoundMergeClause, bind_merge
from laminar.sql.evaluator import Env
from laminar.sql.evaluator import compile as compile_exprs
from laminar.sql.plan import Plan

_ORDER = {"delete": 0, "update": 1, "insert": 2}


class MergeAction(WriteAction):
    """Each source row is for the first WHEN clause that fits it."""

    bound: BoundMerge

    @classmethod
    def merging(cls, session: Session, statement: s.Merge, param_types: Sequence[int]) -> MergeAction:
        """Bind and plan; raises PgError with position."""
        bound = bind_merge(statement, session.catalog, param_types)
        return cls(session, statement, bound, without_subqueries(bound.plan))

    def shared(self) -> Callable[[Session], Action]:
        statement, bound, plan = self.statement, self.bound, self.plan
        return lambda session: MergeAction(session, statement, bound, plan)

    async def _write(self, params: Sequence[pa.Scalar | None]) -> tuple[dml.Effect, pa.RecordBatch | None]:
        bound, plan = self.bound, self.plan
        assert plan is not None
        transaction = self.session.transaction
        assert transaction is not None
        table = await open_table(self.session, bound.relation.oid, wait=True)
        found = await self._rows(params)
        env = self.session.env(params)
        parts = self._sorted_out(found, plan, env)
        self._check_once(table, found, [at for clause, at in parts if clause.matched])
        count = 0
        for clause, at in sorted(parts, key=lambda part: _ORDER[part[0].action]):
            rows = found.take(pa.array(at))
            table = await open_table(self.session, bound.relation.oid, wait=True)
            new = self._values(clause, rows, plan, env)
            if clause.action == "insert":
                effect = dml.insert(table, new, env)
            else:
                stored = self._stored(table, rows)
                effect = (
                    dml.delete(table, stored)
                    if clause.action == "delete"
                    else dml.update(table, stored, new, env)
                )
            if effect.change is not None:
                await lock_changed(self.session, bound.relation.oid, effect.change)
                transaction.add(bound.relation.oid, effect.change)
            count += effect.count
        return dml.Effect(None, found.slice(0, 0), count), None

    def _sorted_out(
        self, found: pa.RecordBatch, plan: Plan, env: Env
    ) -> list[tuple[BoundMergeClause, np.ndarray]]:
        """The rows (positions) that each clause is to act on."""
        bound = self.bound
        marker = bound.key if bound.key is not None else bound.old[bound.relation.primary_key[0] - 1]
        matched = np.asarray(found.column(place(plan, marker)).is_valid())
        left = np.ones(found.num_rows, dtype=bool)
        parts = []
        for clause in bound.clauses:
            at = np.flatnonzero(left & (matched == clause.matched))
            if clause.condition is not None and len(at):
                program = compile_exprs([clause.condition], [c.id for c in plan.columns])
                at = at[np.asarray(program(found.take(pa.array(at)), env)[0].fill_null(False))]
            left[at] = False
            if len(at) and clause.action != "nothing":
                parts.append((clause, at))
        return parts

    def _values(self, clause: BoundMergeClause, rows: pa.RecordBatch, plan: Plan, env: Env) -> pa.RecordBatch:
        """The new rows of a clause."""
        if not clause.values:
            return rows.slice(0, 0)
        values = compile_exprs(list(clause.values), [c.id for c in plan.columns])(rows, env)
        return pa.RecordBatch.from_arrays(values, [str(i) for i in range(len(values))])

    def _stored(self, table: dml.Table, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The target rows among the joined ones, as they are stored."""
        key = self.bound.key
        ids = rows.column(place(self.plan, key)) if key is not None else None
        return table.stored(self._pick(rows, self.bound.old), ids)

    def _check_once(self, table: dml.Table, found: pa.RecordBatch, parts: list[np.ndarray]) -> None:
        """21000 when two source rows change one target row."""
        if not parts:
            return
        stored = self._stored(table, found.take(pa.array(np.concatenate(parts))))
        if len(group_rows(table.layout.key_arrays(stored))[1]) < stored.num_rows:
            raise PgError(
                CARDINALITY_VIOLATION,
                "MERGE command cannot affect row a second time",
                hint="Ensure that not more than one source row matches any one target row.",
            )

    def result(self, count: int, returned: pa.RecordBatch | None) -> Result:
        return Result(f"MERGE {count}")
