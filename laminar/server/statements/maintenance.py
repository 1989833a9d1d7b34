"""FLUSH, CHECKPOINT, BACKUP, VACUUM, ANALYZE, DISCARD.

Plans are nobody's: DISCARD PLANS has nothing to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pyarrow as pa

from laminar.engine.backup import folder_of
from laminar.errors import ACTIVE_SQL_TRANSACTION, INSUFFICIENT_PRIVILEGE, PgError
from laminar.pgwire.backend import Result
from laminar.server import guc, temporary
from laminar.server.session import Session
from laminar.server.statements.base import Action
from laminar.sql import statements as s


class FlushAction(Action):
    """FLUSH: wait until every running view reflects what was acknowledged before."""

    transactional: ClassVar[bool] = False

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        epoch = await self.database.coordinator.flush()
        self.session.committed_epoch = max(self.session.committed_epoch, epoch)
        return Result("FLUSH")


class CheckpointAction(Action):
    """CHECKPOINT, for superusers as in PostgreSQL."""

    transactional: ClassVar[bool] = False

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        if not self.session.role.superuser:
            raise PgError(INSUFFICIENT_PRIVILEGE, "must be superuser to do CHECKPOINT")
        await self.database.coordinator.checkpoint()
        return Result("CHECKPOINT")


class BackupAction(Action):
    """BACKUP TO 'file:///…', for superusers: the server writes files with its own rights."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.Backup) -> None:
        super().__init__(session)
        if not session.role.superuser:
            raise PgError(INSUFFICIENT_PRIVILEGE, "must be superuser to do BACKUP")
        folder_of(statement.uri)
        self.uri = statement.uri

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        if self.session.transaction_status != "I":
            raise PgError(ACTIVE_SQL_TRANSACTION, "BACKUP cannot run inside a transaction block")
        await self.database.backup(self.uri)
        return Result("BACKUP")


class NothingToDoAction(Action):
    """VACUUM and ANALYZE: the store compacts itself and keeps no planner statistics."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.Maintenance) -> None:
        super().__init__(session)
        self.statement = statement

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        for name in self.statement.relations:
            self.session.catalog.stored(name)
        if self.statement.command == "vacuum" and self.session.transaction_status != "I":
            raise PgError(ACTIVE_SQL_TRANSACTION, "VACUUM cannot run inside a transaction block")
        return Result(self.statement.command.upper())


class DiscardAction(Action):
    """DISCARD: settings back to their defaults, prepared statements gone."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.Discard) -> None:
        super().__init__(session)
        self.what = statement.what

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        session = self.session
        if self.what == "all":
            if session.transaction_status != "I":
                raise PgError(ACTIVE_SQL_TRANSACTION, "DISCARD ALL cannot run inside a transaction block")
            await session.client.portals.clear_all()
            session.client.statements.clear()
            self.database.channels.forget(session)
            session.sequences.forget()
            session.settings |= guc.resettable()
            session.settings |= {"role": "none", "session_authorization": session.authenticated}
            session.note_role()
        if self.what in ("all", "temp") and session.temp_schema is not None:
            name, session.temp_schema = session.temp_schema, None
            await temporary.drop_schema(self.database, name)
        if self.what == "sequences":
            session.sequences.forget()
        return Result(f"DISCARD {self.what.upper()}")
