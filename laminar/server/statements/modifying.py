"""INSERT, UPDATE and DELETE in WITH: all parts of the statement read the rows as they were before it."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from laminar.engine.serving import Snapshot
from laminar.engine.serving.consolidate import split
from laminar.engine.serving.layout import digests
from laminar.errors import READ_ONLY_SQL_TRANSACTION, PgError, not_supported
from laminar.pgwire.backend import Result
from laminar.server import dml
from laminar.server.commit import PendingCommit
from laminar.server.planning import PlannedQuery, plan_query
from laminar.server.reading import read_all, take_snapshots
from laminar.server.rowlocks import lock_changed, locked_rows, rows_snapshot
from laminar.server.session import Session
from laminar.server.statements.base import Action, batches
from laminar.server.statements.query import QueryAction, result_fields
from laminar.server.statements.writes import (
    ATTEMPTS,
    CONFLICTS,
    Statement,
    WriteAction,
    without_subqueries,
)
from laminar.sql import ast
from laminar.sql.binder import BoundModifying
from laminar.sql.trees import identity


def query_action(session: Session, query: ast.Query, param_types: Sequence[int]) -> Action:
    """A query, with data-modifying WITH or without; raises PgError with position."""
    planned = plan_query(query, session.catalog, param_types, locks=True, modifies=True)
    if not planned.modifying:
        return QueryAction(session, planned)
    return ModifyingAction(session, planned.modifying, planned)


def write_action(session: Session, statement: Statement, param_types: Sequence[int]) -> Action:
    """The same of INSERT, UPDATE and DELETE."""
    main = WriteAction.planned_from(session, statement, param_types)
    modifying: tuple[BoundModifying, ...] = getattr(main.bound, "modifying", ())
    return ModifyingAction(session, modifying, main) if modifying else main


class ModifyingAction(Action):
    """A statement with others in its WITH that change rows."""

    def __init__(
        self, session: Session, parts: Sequence[BoundModifying], main: PlannedQuery | WriteAction
    ) -> None:
        super().__init__(session)
        self.parts = [
            (part, WriteAction(session, part.statement, part.bound, without_subqueries(part.bound.plan)))
            for part in parts
        ]
        self.main = main
        self.param_types = main.param_types
        if isinstance(main, WriteAction):
            self.fields = main.fields
        else:
            session.check_accesses(main.accesses)
            self.fields = result_fields(main)

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        session, transaction = self.session, self.session.transaction
        assert transaction is not None
        if transaction.read_only:
            verb = self.parts[0][1].verb
            raise PgError(READ_ONLY_SQL_TRANSACTION, f"cannot execute {verb} in a read-only transaction")
        fresh = transaction.view is None and not transaction.changes
        for attempt in range(ATTEMPTS):
            before = len(transaction.changes)
            try:
                result = await self._once(params)
                transaction.pending = PendingCommit(self.database, transaction)
                transaction.pending.check()
            except PgError as error:
                seen = transaction.view.epoch if transaction.view is not None else 0
                transaction.undo_to(before)
                again = fresh and attempt < ATTEMPTS - 1 and error.sqlstate in CONFLICTS
                guard = self.database.guard
                if not again or not any(guard.changed_since(oid, seen) for oid in self._targets()):
                    raise
                transaction.view = None
                await session.database.coordinator.flush()
                continue
            break
        return result

    def _targets(self) -> set[int]:
        actions = [action for _, action in self.parts]
        if isinstance(self.main, WriteAction):
            actions.append(self.main)
        return {action.bound.relation.oid for action in actions}

    async def _once(self, params: Sequence[pa.Scalar | None]) -> Result:
        """Nothing is changed before everything is read."""
        given: dict[int, Snapshot] = {}
        effects: list[tuple[int, dml.Effect]] = []
        for part, action in self.parts:
            effect, returned = await action.effect(params, given)
            effects.append((part.bound.relation.oid, effect))
            if returned is not None:
                given[part.number] = rows_snapshot(returned, part.bound.returning_columns)
        main = self.main
        if isinstance(main, WriteAction):
            effect, returned = await main.effect(params, given)
            effects.append((main.bound.relation.oid, effect))
            result = main.result(effect.count, returned)
        else:
            given |= await locked_rows(self.session, main.locking, params)
            snapshots = await take_snapshots(self.session, main.scanned, given)
            plan = identity(main.plan, main.columns)
            rows = await read_all(self.session, plan, snapshots, params)
            result = Result("SELECT", self.fields, batches(rows), counts_rows=True)
        await self._apply(effects)
        return result

    async def _apply(self, effects: Sequence[tuple[int, dml.Effect]]) -> None:
        transaction = self.session.transaction
        assert transaction is not None
        self._check_once(effects)
        for oid, effect in effects:
            if effect.change is not None:
                await lock_changed(self.session, oid, effect.change)
                transaction.add(oid, effect.change)

    def _check_once(self, effects: Sequence[tuple[int, dml.Effect]]) -> None:
        """0A000 when two parts change one row: PostgreSQL leaves open which of them does."""
        seen: set[tuple[int, bytes]] = set()
        for oid, effect in effects:
            if effect.change is None:
                continue
            layout = self.database.coordinator.store.relation(oid).layout
            found: set[tuple[int, bytes]] = set()
            for rows in split([effect.change], layout):
                if rows is not None and rows.num_rows:
                    found |= {(oid, key) for key in digests(*layout.key_arrays(rows))}
            if found & seen:
                raise not_supported("a statement cannot change a row twice, in WITH and outside of it")
            seen |= found
