"""Installing dataflows, fed with their inputs' past, and removing them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from laminar import logging
from laminar.engine.backfill import Progress, send_past
from laminar.engine.deliveries import interval
from laminar.engine.fleet import ReactorsLost
from laminar.engine.lookups import Lookups
from laminar.engine.messages import Kind
from laminar.engine.partitions import SourcePartitions
from laminar.engine.protocol import Installation
from laminar.engine.publishing import Publisher
from laminar.engine.reactorgroup import ReactorGroup
from laminar.engine.relations import DataflowSpec
from laminar.engine.state import EngineState
from laminar.errors import INTERNAL_ERROR, OBJECT_NOT_IN_PREREQUISITE_STATE, PgError

log = logging.get(__name__)

#: an installation is tried again when reactors die; it may be what kills them
_ATTEMPTS = 3


class Installer:
    """Puts dataflows into the reactors at barriers and takes them out.

    Args:
        checkpoint: writes a checkpoint of all that has been accepted.
    """

    def __init__(
        self,
        state: EngineState,
        group: ReactorGroup,
        publisher: Publisher,
        partitions: SourcePartitions,
        lookups: Lookups,
        checkpoint: Callable[[], Awaitable[None]],
    ) -> None:
        self.state = state
        self.group = group
        self.publisher = publisher
        self.partitions = partitions
        self.lookups = lookups
        self.checkpoint = checkpoint

    async def install(self, spec: DataflowSpec, progress: Progress | None = None) -> int:
        """See ``Coordinator.install``."""
        state = self.state
        self._refuse_failed(spec)
        state.installing[spec.id] = spec
        reason = ""
        try:
            for _ in range(_ATTEMPTS):
                state.check()
                try:
                    return await self._install(spec, progress)
                except ReactorsLost:
                    reason = self.group.last_words or reason
                    self._empty(spec)
                    await self.group.until_live()
            raise PgError(INTERNAL_ERROR, f"the reactors fail at this: {reason}")
        except BaseException:
            self._discard(spec)
            raise
        finally:
            del state.installing[spec.id]

    def _refuse_failed(self, spec: DataflowSpec) -> None:
        """55000 when an input is not kept up to date any more."""
        for oid in spec.inputs:
            known = self.state.relations.get(oid)
            if known is not None and known.paused:
                raise PgError(
                    OBJECT_NOT_IN_PREREQUISITE_STATE,
                    f'materialized view "{known.name}" is paused',
                    hint="ALTER MATERIALIZED VIEW … RESUME it first.",
                )
            if oid in self.state.failed:
                raise PgError(
                    OBJECT_NOT_IN_PREREQUISITE_STATE,
                    f'relation "{self.state.relations[oid].name}" has failed',
                    detail=self.state.failed[oid],
                )

    async def _install(self, spec: DataflowSpec, progress: Progress | None) -> int:
        state, fleet = self.state, self.group.fleet
        assert fleet is not None
        if not self.group.feeding:
            raise ReactorsLost
        await self.partitions.open(spec)
        stored = [oid for oid in spec.inputs if oid in state.store]
        built = self.group.expect(spec.id)
        fleet.broadcast(Kind.INSTALL, extra=Installation(spec, frozenset(stored)))
        await asyncio.gather(*built)
        attached = self.group.attached[spec.id] = asyncio.get_running_loop().create_future()
        state.plan.attach.append(spec.id)
        state.clock.urge()
        _, view = await attached
        past = [(oid, view.snapshot(oid)) for oid in stored]

        async def published(epoch: int) -> None:
            await self.publisher.wait(epoch, None)
            await self.lookups.room(spec.inputs)

        await send_past(fleet, spec, past, lambda: state.open, published, progress)
        while True:
            epoch = state.open
            await self.publisher.wait(epoch, None)
            if self.group.fleet is not fleet:
                raise ReactorsLost
            if spec.id not in self.publisher.behind:
                break
        for _ in self.lookups.joined_by(spec):
            await self.lookups.answered(epoch, self.lookups.joined_by(spec))
            epoch = state.open
            await self.publisher.wait(epoch, None)
        state.plan.complete.append(spec.id)
        await self.checkpoint()
        if spec.id not in state.dataflows:
            raise ReactorsLost
        return epoch + 1

    def _empty(self, spec: DataflowSpec) -> None:
        """Remove what an unfinished dataflow has stored."""
        for relation in spec.outputs:
            self.state.empty(relation)

    def _discard(self, spec: DataflowSpec) -> None:
        """Undo an installation."""
        state, dataflow = self.state, spec.id
        for planned in (state.plan.attach, state.plan.complete):
            if dataflow in planned:
                planned.remove(dataflow)
        self.group.attached.pop(dataflow, None)
        state.plan.detach.append(dataflow)
        state.forget_dataflow(dataflow)
        self._empty(spec)
        state.clock.dirty()

    async def _flush_sinks(self, dataflows: Sequence[int]) -> None:
        """Promise what sinks have gathered: they get everything up to their end."""
        specs = [self.state.dataflows[oid] for oid in dataflows if oid in self.state.dataflows]
        if any(interval(spec) is not None for spec in specs):
            await self.checkpoint()

    async def remove(self, dataflows: Sequence[int]) -> None:
        """See ``Coordinator.remove``."""
        await self._flush_sinks(dataflows)
        for dataflow in dataflows:
            self.state.plan.detach.append(dataflow)
            self.state.forget_dataflow(dataflow)
        try:
            await self.checkpoint()
        except PgError as error:
            self.state.check()
            log.warning("a removal is not in a checkpoint yet", error=str(error))
