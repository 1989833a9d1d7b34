"""FLUSH, REFRESH, CHECKPOINT, BACKUP, VACUUM, ANALYZE, LOCK, DISCARD.

Plans are nobody's: DISCARD PLANS has nothing to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pyarrow as pa

from laminar.catalog import acl
from laminar.catalog.objects import StoredRelation
from laminar.engine.backup import folder_of
from laminar.errors import (
    ACTIVE_SQL_TRANSACTION,
    FEATURE_NOT_SUPPORTED,
    INSUFFICIENT_PRIVILEGE,
    NO_ACTIVE_SQL_TRANSACTION,
    WRONG_OBJECT_TYPE,
    PgError,
)
from laminar.pgwire.backend import Result
from laminar.server import guc, locks, privileges, temporary
from laminar.server.definitions import refuse_in_block
from laminar.server.rowlocks import lock_table
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


class RefreshAction(FlushAction):
    """REFRESH MATERIALIZED VIEW: views keep themselves up to date; this waits until it is so."""

    def __init__(self, session: Session, statement: s.Refresh) -> None:
        super().__init__(session)
        self.name = statement.name

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        relation = self.session.catalog.stored(self.name)
        privileges.check_owner(self.database.catalog, self.session.role.name, relation)
        if relation.kind != "mview":
            raise PgError(FEATURE_NOT_SUPPORTED, f'"{relation.name}" is not a materialized view')
        await super().run(params)
        return Result("REFRESH MATERIALIZED VIEW")


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
        await self.database.instance.backup(self.uri)
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


#: modes with privileges of which one is wanted; for the others the first two do not do
_LOCK_PRIVILEGES = {
    "access share": ("SELECT", "UPDATE", "DELETE", "TRUNCATE"),
    "row exclusive": ("UPDATE", "DELETE", "TRUNCATE", "INSERT"),
}


class LockAction(Action):
    """LOCK TABLE: others that write or lock wait; readers see an epoch and wait for nobody."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.Lock) -> None:
        super().__init__(session)
        self.statement = statement

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        session = self.session
        if session.transaction_status == "I":
            raise PgError(NO_ACTIVE_SQL_TRANSACTION, "LOCK TABLE can only be used in transaction blocks")
        for name in self.statement.relations:
            relation = session.catalog.stored(name)
            if relation.kind not in ("table", "source", "view"):
                raise PgError(WRONG_OBJECT_TYPE, f'"{relation.name}" is not a table or view')
            self._check(relation)
            mode = locks.TABLE_MODES[self.statement.mode]
            if self.statement.nowait and not session.locks.take(("table", relation.oid), mode):
                text = f'could not obtain lock on relation "{relation.name}"'
                raise PgError(locks.LOCK_NOT_AVAILABLE, text)
            await lock_table(session, relation.oid, mode)
        session.see_accepted()
        return Result("LOCK TABLE")

    def _check(self, relation: StoredRelation) -> None:
        wanted = _LOCK_PRIVILEGES.get(self.statement.mode, ("UPDATE", "DELETE", "TRUNCATE"))
        held = privileges.relation_letters(self.database.catalog, self.session.role.name, relation)
        if not any(acl.LETTERS[privilege] in held for privilege in wanted):
            self.session.check_access(relation, wanted[0])


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
            session.settings |= guc.resettable(session.settings)
            session.settings |= {"role": "none", "session_authorization": session.authenticated}
            session.note_role()
        if self.what == "temp":
            refuse_in_block(session, "DISCARD TEMP")
        if self.what in ("all", "temp") and session.temp_schema is not None:
            name, session.temp_schema = session.temp_schema, None
            await temporary.drop_schema(self.database, name)
        if self.what == "sequences":
            session.sequences.forget()
        return Result(f"DISCARD {self.what.upper()}")
