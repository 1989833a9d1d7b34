"""BEGIN, COMMIT, ROLLBACK, savepoints."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

import pyarrow as pa

from laminar.errors import NO_ACTIVE_SQL_TRANSACTION, PgError, not_supported
from laminar.pgwire.backend import Notice, Result
from laminar.server.session import Session
from laminar.server.statements.base import Action
from laminar.server.transaction import Transaction
from laminar.sql import statements as s

_LEVELS = ("serializable", "repeatable read", "read committed", "read uncommitted")


class TransactionAction(Action):
    """All of them: they change the session's transaction and nothing else."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.Statement) -> None:
        super().__init__(session)
        self.statement = statement

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        match self.statement:
            case s.Begin():
                return self._begin(self.statement)
            case s.Commit():
                return await self._commit(self.statement)
            case s.Rollback():
                return await self._rollback(self.statement)
            case s.Savepoint(name):
                self._block("SAVEPOINT").savepoint(
                    name, self.session.client.portals.mark, self.session.locks.mark
                )
                return Result("SAVEPOINT")
            case s.Release(name):
                self._block("RELEASE SAVEPOINT").release(name)
                return Result("RELEASE")
            case s.RollbackTo(name):
                transaction = self._block("ROLLBACK TO SAVEPOINT")
                found = transaction.rollback_to(name)
                if transaction.definitions is not None:
                    await transaction.definitions.undo_to(found.definitions)
                self.session.locks.release_to(found.locks)
                await self.session.client.portals.close_since(found.portals)
                return Result("ROLLBACK")
            case s.SetTransaction():
                return self._set(self.statement)
        raise AssertionError(self.statement)

    def _block(self, command: str) -> Transaction:
        transaction = self.session.transaction
        if transaction is None or not transaction.block:
            raise PgError(NO_ACTIVE_SQL_TRANSACTION, f"{command} can only be used in transaction blocks")
        return transaction

    def _begin(self, statement: s.Begin) -> Result:
        result = Result("START TRANSACTION" if statement.start else "BEGIN")
        self._modes(statement.modes)
        transaction = self.session.transaction
        if transaction is None:
            self.session.transaction = Transaction(block=True, started=time.time_ns() // 1000)
        elif transaction.block:
            result.notices.append(Notice("WARNING", "25001", "there is already a transaction in progress"))
        else:
            # BEGIN within a multi-statement string: what came before joins the block.
            transaction.block = True
        self._note_access(statement.modes)
        return result

    def _note_access(self, modes: s.TransactionModes) -> None:
        """READ ONLY and READ WRITE of the open transaction."""
        transaction = self.session.transaction
        if transaction is not None and modes.read_only is not None:
            transaction.read_only = modes.read_only

    async def _commit(self, statement: s.Commit) -> Result:
        transaction = self.session.transaction
        if transaction is not None and transaction.failed:
            await self.session.rollback()
            return self._chained(statement.chain, Result("ROLLBACK"))
        result = Result("COMMIT")
        if transaction is None or not transaction.block:
            result.notices.append(Notice("WARNING", "25P01", "there is no transaction in progress"))
        await self.session.commit()
        return self._chained(statement.chain, result)

    async def _rollback(self, statement: s.Rollback) -> Result:
        result = Result("ROLLBACK")
        transaction = self.session.transaction
        if transaction is None or not transaction.block:
            result.notices.append(Notice("WARNING", "25P01", "there is no transaction in progress"))
        await self.session.rollback()
        return self._chained(statement.chain, result)

    def _chained(self, chain: bool, result: Result) -> Result:
        if chain:
            self.session.transaction = Transaction(block=True, started=time.time_ns() // 1000)
        return result

    def _set(self, statement: s.SetTransaction) -> Result:
        self._modes(statement.modes)
        result = Result("SET")
        if not statement.session and self.session.transaction_status == "I":
            text = "SET TRANSACTION can only be used in transaction blocks"
            result.notices.append(Notice("WARNING", "25P01", text))
        elif not statement.session:
            self._note_access(statement.modes)
        return result

    @staticmethod
    def _modes(modes: s.TransactionModes) -> None:
        """Every isolation level gets snapshot reads of one epoch."""
        if modes.isolation is not None and modes.isolation.lower() not in _LEVELS:
            raise not_supported(f"isolation level {modes.isolation} is not supported")
