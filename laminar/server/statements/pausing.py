"""ALTER MATERIALIZED VIEW … PAUSE and RESUME.

A paused view keeps its rows and is computed no further, so nothing waits for it and no log is kept for it.
RESUME computes it anew from its inputs; until that is done, readers see the rows that it had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import pyarrow as pa

from laminar.catalog.objects import KIND_NAMES, StoredRelation
from laminar.engine.nodes import LookupJoin, TemporalJoin
from laminar.engine.relations import inputs_of, topological
from laminar.errors import DEPENDENT_OBJECTS, WRONG_OBJECT_TYPE, PgError, not_supported
from laminar.pgwire.backend import Result
from laminar.server import sources
from laminar.server.building import Building
from laminar.server.definitions import defining, refuse_in_block
from laminar.server.session import Session
from laminar.server.statements.base import Action
from laminar.sql import statements as s


class PauseAction(Action):
    """PAUSE or RESUME; doing it again changes nothing."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.Alter) -> None:
        super().__init__(session)
        self.statement = statement
        self.tag = f"ALTER {statement.kind.upper()}"

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        refuse_in_block(self.session, f"{self.tag} … {self.statement.action.upper()}")
        async with defining(self.session, self.tag):
            view = self.session.catalog.stored(self.statement.name)
            position = self.statement.name.pos or None
            if view.kind != "mview" or self.statement.kind != "materialized view":
                what = f'"{view.name}" is a {KIND_NAMES[view.kind]}'
                hint = "Materialized views can be paused."
                raise PgError(
                    WRONG_OBJECT_TYPE, f"{what}, not a materialized view", hint=hint, position=position
                )
            self.session.check_owner(view)
            paused = sources.PAUSED in view.options
            if self.statement.action == "pause" and not paused:
                await self._pause(view, position)
            elif self.statement.action == "resume" and (
                paused or view.oid in self.database.coordinator.failed
            ):
                await self._resume(view)
        return Result(self.tag)

    async def _pause(self, view: StoredRelation, position: int | None) -> None:
        database, coordinator = self.database, self.database.coordinator
        if view.oid in coordinator.failed:
            raise coordinator.view_failure(view.oid)
        readers = [r for r in database.catalog.dependents(view.oid) if r.kind in ("mview", "stream", "sink")]
        if readers:
            raise PgError(
                DEPENDENT_OBJECTS,
                f'cannot pause materialized view "{view.name}" because others are computed from it',
                detail=f'{KIND_NAMES[readers[0].kind]} "{readers[0].name}" reads it.',
                position=position,
            )
        root = database.plans[view.oid]
        if any(
            isinstance(node, LookupJoin) or (isinstance(node, TemporalJoin) and node.versions is None)
            for node in topological(root)
        ):
            raise not_supported(
                "a view that joins with rows as they were at the time cannot be paused",
                hint="RESUME computes it anew, with rows as they are then.",
                position=position,
            )
        coordinator.check_past(node.relation for node in inputs_of(root))
        epoch = await coordinator.pause(view.oid)
        stored = replace(view, options=view.options | {sources.PAUSED: str(epoch)})
        database.catalog.replace(stored)

    async def _resume(self, view: StoredRelation) -> None:
        database, coordinator = self.database, self.database.coordinator
        root = database.plans[view.oid]
        coordinator.check_past(node.relation for node in inputs_of(root))
        options = {name: value for name, value in view.options.items() if name != sources.PAUSED}
        stored = replace(view, options=options)
        database.catalog.replace(stored)
        building = database.building[view.oid] = Building(stored, self.tag)
        try:
            spec = database.add_plan(stored, root)
            epoch = await coordinator.resume(spec, building.sent)
        finally:
            database.building.pop(view.oid, None)
        database.forget_indexes([index.oid for index in database.catalog.indexes_of(view.oid)])
        self.session.committed_epoch = max(self.session.committed_epoch, epoch)
