"""DECLARE, FETCH, MOVE, CLOSE: SQL's way to the connection's portals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pyarrow as pa

from laminar.errors import INVALID_PARAMETER_VALUE, NO_ACTIVE_SQL_TRANSACTION, PgError, not_supported
from laminar.pgwire.backend import Field, Result
from laminar.pgwire.cursor import RowCursor
from laminar.pgwire.portals import Portal
from laminar.server import guc
from laminar.server.session import Session
from laminar.server.statements.base import Action, batches
from laminar.server.statements.query import QueryAction
from laminar.server.statements.subscribe import SubscribeAction
from laminar.sql import statements as s


class DeclareAction(Action):
    """DECLARE name CURSOR FOR query | SUBSCRIBE …"""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.Declare, param_types: Sequence[int], sql: str) -> None:
        super().__init__(session)
        self.statement = statement
        self.sql = sql
        inner = statement.statement
        self.endless = isinstance(inner, s.Subscribe)
        if isinstance(inner, s.Subscribe):
            if statement.hold or statement.scroll:
                raise not_supported(
                    "SCROLL and WITH HOLD are not supported for SUBSCRIBE",
                    hint="Changes come for ever: they can only be read forward, in a transaction.",
                )
            self.query: Action = SubscribeAction(session, inner)
        else:
            self.query = QueryAction.planned_from(session, inner.query, param_types)
        self.param_types = self.query.param_types

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        statement, session = self.statement, self.session
        transaction = session.transaction
        if not statement.hold and (transaction is None or not (transaction.block or transaction.script)):
            raise PgError(NO_ACTIVE_SQL_TRANSACTION, "DECLARE CURSOR can only be used in transaction blocks")
        portals = session.client.portals
        portals.check_free(statement.name)
        result = await self.query.run(params)
        assert result.rows is not None
        result.rows = session.cancellable(result.rows)
        scroll = False if self.endless else statement.scroll
        cursor = RowCursor(result.rows, scroll)
        portal = Portal(
            None, [], (), self.query.fields, self.sql, result, cursor,
            hold=statement.hold, binary=statement.binary, scroll=scroll, declared=True, created=session.now(),
        )  # fmt: skip
        if statement.hold and transaction is None:
            await cursor.read_all()
            portal.held = True
        portals.add(statement.name, portal, session.client.limit)
        return Result("DECLARE CURSOR")


class FetchAction(Action):
    """FETCH and MOVE."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.Fetch) -> None:
        super().__init__(session)
        self.statement = statement
        self.timeout = _timeout(statement.options)
        if not statement.move:
            session.client.portals.find(statement.name, "cursor")

    def described(self) -> Sequence[Field] | None:
        if self.statement.move:
            return None
        portal = self.session.client.portals.get(self.statement.name)
        return portal.fields if portal is not None else None

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        statement = self.statement
        portal = self.session.client.portals.find(statement.name, "cursor")
        cursor = await self._started(portal)
        count = statement.count
        if self.timeout is not None and statement.direction == "forward":
            rows = await cursor.forward_within(count, self.timeout)
        else:
            rows = await cursor.fetch(statement.direction, count)
        if statement.move:
            return Result(f"MOVE {sum(batch.num_rows for batch in rows)}")
        return Result("FETCH", portal.fields, batches(*rows), counts_rows=True, binary=portal.binary)

    async def _started(self, portal: Portal) -> RowCursor:
        """The portal's rows; a portal that Bind made begins to run."""
        if portal.cursor is None:
            if portal.prepared is None or portal.fields is None:
                raise PgError("34000", f'cursor "{self.statement.name}" has no rows')
            portal.result = await self.session.execute(portal.prepared, portal.params)
            assert portal.result.rows is not None
            portal.cursor = RowCursor(portal.result.rows)
        return portal.cursor


class CloseAction(Action):
    """CLOSE name, CLOSE ALL."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.Close) -> None:
        super().__init__(session)
        self.name = statement.name

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        portals = self.session.client.portals
        if self.name is None:
            await portals.clear_all()
            return Result("CLOSE CURSOR ALL")
        portals.find(self.name, "cursor")
        await portals.drop(self.name)
        return Result("CLOSE CURSOR")


def _timeout(options: list[s.Option]) -> float | None:
    """FETCH … WITH (timeout = '1s') in seconds."""
    found: float | None = None
    for option in options:
        if option.name.lower() != "timeout":
            raise PgError(
                INVALID_PARAMETER_VALUE,
                f'unknown FETCH option "{option.name}"',
                hint="Known options: timeout.",
                position=option.pos or None,
            )
        found = guc.milliseconds("timeout", option.value or "") / 1000
    return found
