"""SUBSCRIBE: a relation's rows, then its changes for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from laminar.errors import INVALID_PARAMETER_VALUE, WRONG_OBJECT_TYPE, PgError, not_supported
from laminar.pgwire.backend import Field, Result
from laminar.server import guc
from laminar.server.session import Session
from laminar.server.statements.base import Action
from laminar.sql import statements as s
from laminar.types import INT8, PgType

if TYPE_CHECKING:
    from laminar.engine.change import Change

_OPTIONS = ("snapshot", "progress")


class SubscribeAction(Action):
    """Rows: laminar_epoch, laminar_diff, then the relation's columns."""

    def __init__(self, session: Session, statement: s.Subscribe) -> None:
        super().__init__(session)
        if not isinstance(statement.target, s.QName):
            raise not_supported(
                "SUBSCRIBE to a query is not supported yet",
                hint="Create a materialized view and subscribe to it.",
                position=statement.pos or None,
            )
        if statement.as_of is not None or statement.where is not None:
            raise not_supported(
                "SUBSCRIBE with AS OF or WHERE is not supported yet", position=statement.pos or None
            )
        self.relation = session.catalog.stored(statement.target)
        session.check_access(self.relation)
        if (
            self.relation.kind not in ("mview", "stream", "table", "source")
            or self.relation.connector is not None
        ):
            raise PgError(
                WRONG_OBJECT_TYPE,
                f'cannot subscribe to "{self.relation.name}"',
                hint="Tables, push sources, materialized views and streams can be subscribed to.",
                position=statement.target.pos or None,
            )
        self.snapshot, self.progress = _flags(statement.options)
        asked = self.snapshot and any(option.name.lower() == "snapshot" for option in statement.options)
        if self.relation.kind == "stream" and asked:
            raise not_supported(
                f'stream "{self.relation.name}" keeps no rows for a snapshot',
                hint="Subscribe WITH (snapshot = false).",
                position=statement.pos or None,
            )
        self.fields = [
            Field("laminar_epoch", PgType(INT8)),
            Field("laminar_diff", PgType(INT8)),
            *(
                Field(column.name, column.type, self.relation.oid, attnum)
                for attnum, column in enumerate(self.relation.columns, 1)
            ),
        ]

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        return Result("SUBSCRIBE", self.fields, self.rows(), counts_rows=True)

    async def rows(self) -> AsyncIterator[pa.RecordBatch]:
        """The snapshot, then each epoch's changes as it is published."""
        session = self.session
        coordinator = self.database.coordinator
        limit = guc.subscribe_buffer_limit(session.settings)
        if session.settings["read_your_writes"] == "on":
            await coordinator.wait_published(session.committed_epoch, None)
        coordinator.check_rows(self.relation.oid)
        subscription = coordinator.subscribe(self.relation.oid, limit)
        try:
            if self.snapshot and subscription.snapshot is not None:
                attnums = tuple(range(1, len(self.relation.columns) + 1))
                for batch in subscription.snapshot.batches(attnums):
                    yield self._batch(subscription.snapshot_epoch, batch, None)
            async for epoch, changes in subscription:
                for change in changes:
                    yield self._change(epoch, change)
        finally:
            subscription.close()

    def _change(self, epoch: int, change: Change) -> pa.RecordBatch:
        columns = change.batch.columns[: len(self.relation.columns)]
        batch = pa.RecordBatch.from_arrays(columns, [str(i) for i in range(len(columns))])
        return self._batch(epoch, batch, change.weights)

    @staticmethod
    def _batch(epoch: int, rows: pa.RecordBatch, weights: np.ndarray | None) -> pa.RecordBatch:
        count = rows.num_rows
        epochs = pa.array(np.full(count, epoch, np.int64))
        diffs = pa.array(np.ones(count, np.int64) if weights is None else weights)
        columns = [epochs, diffs, *rows.columns]
        return pa.RecordBatch.from_arrays(columns, [str(i) for i in range(len(columns))])


def _flags(options: list[s.Option]) -> tuple[bool, bool]:
    """The snapshot and progress options."""
    values = {"snapshot": True, "progress": False}
    for option in options:
        name = option.name.lower()
        if name not in _OPTIONS:
            raise PgError(
                INVALID_PARAMETER_VALUE,
                f'unknown SUBSCRIBE option "{option.name}"',
                hint=f"Known options: {', '.join(_OPTIONS)}.",
                position=option.pos or None,
            )
        text = (option.value or "true").lower()
        if text not in ("true", "false", "on", "off"):
            raise PgError(
                INVALID_PARAMETER_VALUE,
                f"{name} requires a Boolean value",
                position=option.value_pos or None,
            )
        values[name] = text in ("true", "on")
    if values["progress"]:
        raise not_supported("SUBSCRIBE WITH (progress) is not supported yet")
    return values["snapshot"], values["progress"]
