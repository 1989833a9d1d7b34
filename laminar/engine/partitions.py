"""Partitions of connector sources: found, spread over the reactors, watched for new ones."""

from __future__ import annotations

import asyncio

from laminar import logging
from laminar.connectors.base import source_connector
from laminar.engine.protocol import Partitions
from laminar.engine.relations import DataflowSpec
from laminar.engine.state import EngineState
from laminar.errors import PgError

log = logging.get(__name__)

#: seconds between looks for new partitions of sources
_WATCH_INTERVAL = 1.0


class SourcePartitions:
    """Keeps ``EngineState.partitions`` up to date."""

    def __init__(self, state: EngineState) -> None:
        self.state = state

    async def find(self) -> None:
        """Enumerate the partitions of connector sources that dataflows read, and spread new ones.

        Sources that have been read before stay where they are, though nobody may read them now.
        """
        state = self.state
        for oid in {i for flow in state.dataflows.values() for i in flow.inputs}:
            if oid in state.known and state.known[oid].kind == "connector":
                state.partitions[oid] = await self._enumerate(oid)
        for oid, states in state.checkpoints.manifest.positions.items():
            source = state.known[oid].source if oid in state.known else None
            if source is not None and oid not in state.partitions:
                bounded = source_connector(source.connector).bounded(source)
                state.partitions[oid] = self._spread(oid, list(states), bounded)

    async def open(self, spec: DataflowSpec) -> None:
        """Find the partitions of connector sources that nobody has read so far, from the next barrier on."""
        state = self.state
        found = {}
        for oid in spec.inputs:
            if state.relations[oid].kind == "connector" and oid not in state.partitions:
                found[oid] = await self._enumerate(oid)
        state.partitions |= found
        state.plan.partitions |= found

    async def watch(self) -> None:
        """Look for new partitions of sources that may get some, until cancelled."""
        state = self.state
        while not state.stopping:
            await asyncio.sleep(_WATCH_INTERVAL)
            for oid, known in list(state.partitions.items()):
                if known.complete or oid not in state.known:
                    continue
                try:
                    found = await self._enumerate(oid)
                except PgError as error:
                    name = state.known[oid].name
                    log.warning("cannot look for partitions", source=name, error=str(error))
                    continue
                if found.owners.keys() != known.owners.keys():
                    state.partitions[oid] = state.plan.partitions[oid] = found
                    state.clock.dirty()

    async def _enumerate(self, oid: int) -> Partitions:
        source = self.state.known[oid].source
        assert source is not None
        connector = source_connector(source.connector)
        names = await asyncio.to_thread(connector.partitions, source)
        return self._spread(oid, names, connector.bounded(source))

    def _spread(self, oid: int, names: list[str], complete: bool) -> Partitions:
        known = self.state.partitions.get(oid, Partitions({}, complete))
        owners = dict(known.owners)
        read = self.state.checkpoints.manifest.positions.get(oid, {}) | self.state.positions.get(oid, {})
        # What has been read stays, though it may not be there now: it must not be read twice.
        for name in [*read, *names]:
            owners.setdefault(name, len(owners) % self.state.config.reactors)
        return Partitions(owners, complete)
