"""DDL: one session at a time, one statement at a time or all of a transaction block's.

Outside a block a statement's changes are durable when it returns. Within one they are in memory at once,
where other sessions see them too, become durable together at COMMIT, and are taken back by ROLLBACK,
ROLLBACK TO or a failing statement. What is dropped goes physically at COMMIT.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from laminar.catalog.objects import StoredRelation
from laminar.errors import (
    ACTIVE_SQL_TRANSACTION,
    OBJECT_IN_USE,
    READ_ONLY_SQL_TRANSACTION,
    PgError,
    not_supported,
)

if TYPE_CHECKING:
    from laminar.server.database import Database
    from laminar.server.session import Session
    from laminar.server.transaction import Transaction


class Definitions:
    """The DDL of one transaction block, which others wait for until it ends.

    Relations come with how long the catalog's journal was when they came or went.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._made: list[tuple[int, StoredRelation]] = []
        self._gone: list[tuple[int, StoredRelation]] = []
        database.catalog.begin()
        database.definitions = self

    @property
    def mark(self) -> int:
        """How much there is so far."""
        return self._database.catalog.changed

    def made(self, relation: StoredRelation) -> None:
        """Rows or a dataflow of a relation that no COMMIT has confirmed are there."""
        self._made.append((self.mark, relation))

    def retire(self, relations: Iterable[StoredRelation]) -> None:
        """They are dropped; their rows and dataflows go at COMMIT."""
        self._gone += [(self.mark, relation) for relation in relations]

    async def undo_to(self, mark: int) -> None:
        """Take back what came after."""
        undone = self._database.catalog.undo_to(mark)
        self._gone = [(at, relation) for at, relation in self._gone if at <= mark]
        made = [relation for at, relation in self._made if at >= mark]
        self._made = [(at, relation) for at, relation in self._made if at < mark]
        self._database.forget_indexes(undone)
        await self._remove(made)

    async def commit(self) -> None:
        """Make it durable, let go of what was dropped and let others in."""
        self._database.catalog.commit()
        gone = [relation for _, relation in self._gone]
        self._release()
        await self._remove(gone)

    async def rollback(self) -> None:
        """Take everything back and let others in."""
        try:
            await self.undo_to(0)
        finally:
            self._database.catalog.end()
            self._release()

    def _release(self) -> None:
        self._database.definitions = None
        self._database.ddl.release()

    async def _remove(self, relations: list[StoredRelation]) -> None:
        await remove(self._database, relations)


async def remove(database: Database, relations: Iterable[StoredRelation]) -> None:
    """Relations that the catalog does not have any more: their dataflows stop, their rows go."""
    relations = list(relations)
    try:
        await database.coordinator.remove([r.oid for r in relations if r.kind in ("mview", "stream", "sink")])
    finally:
        for relation in relations:
            database.forget(relation)


def in_block(transaction: Transaction | None) -> bool:
    """Whether what a statement does may be rolled back later."""
    return transaction is not None and (transaction.block or bool(transaction.changes))


@asynccontextmanager
async def defining(session: Session, what: str) -> AsyncIterator[None]:
    """DDL goes on inside; ``what`` is the command.

    Raises:
        PgError: 25006 in a read-only transaction.
    """
    database, transaction = session.database, session.transaction
    if transaction is not None and transaction.read_only:
        raise PgError(READ_ONLY_SQL_TRANSACTION, f"cannot execute {what} in a read-only transaction")
    if transaction is None or not in_block(transaction):
        async with database.ddl:
            yield
        return
    if transaction.definitions is None:
        await database.ddl.acquire()
        transaction.definitions = Definitions(database)
    mark = transaction.definitions.mark
    try:
        yield
    except BaseException:
        await asyncio.shield(transaction.definitions.undo_to(mark))
        raise


def refuse_in_block(session: Session, what: str) -> None:
    """What reaches outside the server cannot be taken back: 25001 inside BEGIN … COMMIT."""
    if in_block(session.transaction):
        raise PgError(ACTIVE_SQL_TRANSACTION, f"{what} cannot run inside a transaction block")


def refuse_changed(session: Session, relation: StoredRelation, what: str) -> None:
    """55006 for a table that the transaction itself has changed rows of."""
    transaction = session.transaction
    if transaction is not None and any(oid == relation.oid for oid, _ in transaction.changes):
        raise PgError(
            OBJECT_IN_USE,
            f'cannot {what} "{relation.name}" because this transaction has changed its rows',
            hint="COMMIT first.",
        )


def forget_changes(session: Session, relations: Iterable[StoredRelation]) -> None:
    """Tables are dropped: what the transaction did to their rows is not to be committed."""
    transaction = session.transaction
    gone = {relation.oid for relation in relations}
    if transaction is None or not any(oid in gone for oid, _ in transaction.changes):
        return
    if transaction.savepoints:
        raise not_supported(
            "a table whose rows the transaction has changed cannot be dropped after a savepoint",
            hint="COMMIT first.",
        )
    transaction.pending = None
    transaction.changes[:] = [(oid, change) for oid, change in transaction.changes if oid not in gone]
