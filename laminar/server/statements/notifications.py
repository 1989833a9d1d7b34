"""LISTEN, UNLISTEN, NOTIFY."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pyarrow as pa

from laminar.pgwire.backend import Result
from laminar.server.notifications import check_notification
from laminar.server.session import Session
from laminar.server.statements.base import Action
from laminar.sql import statements as s


class NotificationAction(Action):
    """All three take effect when the transaction commits."""

    transactional: ClassVar[bool] = True

    def __init__(self, session: Session, statement: s.Listen | s.Unlisten | s.Notify) -> None:
        super().__init__(session)
        self.statement = statement

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        transaction = self.session.transaction
        assert transaction is not None
        match self.statement:
            case s.Listen(channel):
                check_notification(channel, "")
                transaction.notifications.listen(channel)
                return Result("LISTEN")
            case s.Unlisten(channel):
                transaction.notifications.unlisten(channel)
                return Result("UNLISTEN")
            case s.Notify(channel, payload):
                check_notification(channel, payload)
                transaction.notifications.notify(channel, payload)
                return Result("NOTIFY")
        raise AssertionError(self.statement)
