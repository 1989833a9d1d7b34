"""Tables as statements write to them: their rows so far, their checks and defaults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from laminar.catalog.objects import StoredRelation
from laminar.errors import READ_ONLY_SQL_TRANSACTION, PgError
from laminar.server import dml
from laminar.server.catalog_view import StoredCatalog
from laminar.server.locks import ROW_EXCLUSIVE
from laminar.server.rewriting import check_exprs
from laminar.server.rowlocks import lock_table
from laminar.sql.adhoc import batches
from laminar.sql.binder import bind_default, bind_generated
from laminar.sql.binder.domains import checked
from laminar.sql.evaluator import compile as compile_exprs
from laminar.sql.evaluator.conversions import through_text
from laminar.sql.expressions import substitute
from laminar.sql.parse import parse_expression
from laminar.sql.plan import ColumnRef, Const, Expr
from laminar.types import TEXT, PgType

if TYPE_CHECKING:
    from laminar.server.database import Database
    from laminar.server.session import Session


async def open_table(session: Session, oid: int, *, wait: bool) -> dml.Table:
    """A table as the session's transaction sees it.

    Args:
        wait: whether what was committed to the table before must be in the epoch. An INSERT need not see it:
            the commit compares its keys with everything that was accepted.
    """
    database, transaction = session.database, session.transaction
    assert transaction is not None
    if transaction.read_only:
        raise PgError(READ_ONLY_SQL_TRANSACTION, "cannot change tables in a read-only transaction")
    if not session.locks.take(("table", oid), ROW_EXCLUSIVE):
        await lock_table(session, oid, ROW_EXCLUSIVE)
    if transaction.view is None:
        if wait:
            # what another session was told to be there is there for UPDATE, DELETE and ON CONFLICT
            await database.coordinator.wait_published(database.coordinator.accepted_epoch(oid))
        transaction.view = await session.view() if wait else database.coordinator.read()
    base = transaction.look(transaction.view, oid, database.coordinator.read())
    assert base is not None
    store = database.coordinator.store.relation(oid)
    relation = database.relation(oid)
    checks, domains = checks_of(database, oid), domains_of(database, oid)
    return dml.Table(relation, base, store, transaction.writes(oid, base.layout), checks, domains)


def checks_of(database: Database, oid: int) -> list[dml.Check]:
    """A table's CHECK constraints over columns whose ids are attribute numbers."""
    stored = database.catalog.relations[oid]
    if not stored.checks:
        return []
    return [dml.Check(name, expr) for name, expr in check_exprs(database, stored)]


def domains_of(database: Database, oid: int) -> list[Expr]:
    """The columns of domains (ids are attribute numbers), held against the domains' constraints."""
    stored = database.catalog.relations[oid]
    catalog = StoredCatalog(database, stored.search_path, stored.owner)
    found: list[Expr] = []
    for attnum, column in enumerate(stored.columns, 1):
        domain = catalog.domain(column.domain) if column.domain else None
        if domain is not None:
            found.append(checked(ColumnRef(attnum, column.type), domain, catalog))
    return [expr for expr in found if not isinstance(expr, ColumnRef)]


class CopyWriter:
    """pgwire's CopySink for a table or push source: all of the rows, or none."""

    def __init__(
        self, session: Session, stored: StoredRelation, attnums: Sequence[int], condition: Expr | None = None
    ) -> None:
        """``condition``: rows that do not meet it are left out (column ids are attribute numbers)."""
        self._session = session
        self._condition = condition
        self._stored = stored
        self._attnums = list(attnums)
        transaction = session.transaction
        assert transaction is not None
        self._transaction = transaction
        self._before = len(transaction.changes)
        self._count = 0
        self.relation = stored.name
        self.names: Sequence[str] = [stored.columns[a - 1].name for a in attnums]
        own = [stored.columns[a - 1].type for a in attnums]
        #: what the data is parsed as: text where only :meth:`write` can read the type
        self.types: Sequence[PgType] = [PgType(TEXT) if t.special else t for t in own]
        self._inputs = {i: through_text(PgType(TEXT), t) for i, t in enumerate(own) if t.special}
        self._defaults = self._missing()
        self._generated = self._computed()

    def _missing(self) -> dict[int, Expr]:
        """Defaults of the columns that the data does not have."""
        database = self._session.database
        catalog = StoredCatalog(database, self._stored.search_path, self._stored.owner)
        found: dict[int, Expr] = {}
        for attnum, column in enumerate(self._stored.columns, 1):
            if attnum in self._attnums:
                continue
            found[attnum] = Const(None, column.type)
            if column.default is not None:
                node = parse_expression(column.default)
                found[attnum] = bind_default(node, column.type, column.name, catalog)
        return found

    def _computed(self) -> dict[int, Expr]:
        """Computed columns over columns whose ids are attribute numbers."""
        stored = self._stored
        catalog = StoredCatalog(self._session.database, stored.search_path, stored.owner)
        described = catalog.describe(stored)
        found: dict[int, Expr] = {}
        for attribute in described.columns:
            if attribute.generated is not None:
                node = parse_expression(attribute.generated)
                expr, numbers = bind_generated(node, attribute, described, catalog)
                refs: dict[int, Expr] = {
                    i: ColumnRef(a, stored.columns[a - 1].type) for i, a in numbers.items()
                }
                found[attribute.attnum] = substitute(expr, refs)
        return found

    async def write(self, batch: pa.RecordBatch) -> None:
        overwrites = self._stored.on_conflict != "error"
        table = await open_table(self._session, self._stored.oid, wait=overwrites)
        rows = self._wanted(self._complete(self._read(batch)))
        effect = dml.insert(table, rows, self._session.env())
        if effect.change is not None:
            self._transaction.add(self._stored.oid, effect.change)
        self._count += effect.count

    def _read(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The texts of users' types as their values."""
        env = self._session.env()
        for i, convert in self._inputs.items():
            values = convert(env, batch.column(i))
            batch = batch.set_column(i, batch.schema.names[i], values)
        return batch

    def _complete(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """All columns in order: the data's, and defaults."""
        by_attnum = dict(zip(self._attnums, batch.columns, strict=True))
        if self._defaults:
            program = compile_exprs(list(self._defaults.values()), [])
            values = program(batches.make([], batch.num_rows), self._session.env())
            by_attnum |= dict(zip(self._defaults, values, strict=True))
        attnums = range(1, len(self._stored.columns) + 1)
        rows = pa.RecordBatch.from_arrays([by_attnum[a] for a in attnums], [str(a) for a in attnums])
        if self._generated:
            program = compile_exprs(list(self._generated.values()), list(attnums))
            values = program(rows, self._session.env())
            for attnum, value in zip(self._generated, values, strict=True):
                rows = rows.set_column(attnum - 1, str(attnum), value)
        return rows

    def _wanted(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows that meet the condition."""
        if self._condition is None:
            return rows
        program = compile_exprs([self._condition], list(range(1, rows.num_columns + 1)))
        return rows.filter(program(rows, self._session.env())[0])

    async def finish(self) -> str:
        await self._session.finish_statement()
        return f"COPY {self._count}"

    async def abort(self, reason: str) -> None:
        self._transaction.undo_to(self._before)
        self._session.abandon_statement()
