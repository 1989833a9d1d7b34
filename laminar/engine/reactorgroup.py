"""The reactors through all their generations: what is sent to them, what they answer, their deaths."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from laminar import logging
from laminar.engine.epochs import Commits, Gathering
from laminar.engine.failures import Failures, describe_death
from laminar.engine.fleet import Fleet, ReactorsLost
from laminar.engine.messages import Kind, Message
from laminar.engine.protocol import BarrierMessage
from laminar.engine.relations import RelationSpec
from laminar.engine.rows import chunks
from laminar.engine.serving import EpochView
from laminar.engine.state import EngineState
from laminar.errors import PgError
from laminar.types import PgType

log = logging.get(__name__)


class ReactorGroup:
    """All reactors; when one dies the others are ended too, and whoever waited for them gets ReactorsLost."""

    def __init__(self, state: EngineState, failures: Failures) -> None:
        self.state = state
        self.failures = failures
        self.fleet: Fleet | None = None
        #: rows may be handed to the reactors as they are committed
        self.feeding = False
        #: deaths since the last published epoch, and why the last one was
        self.deaths = 0
        self.last_words = ""
        #: what a reactor said that is about to end
        self._said = ""
        self.gatherings: dict[int, Gathering] = {}
        #: by dataflow: its barrier has been published as the given view
        self.attached: dict[int, asyncio.Future[tuple[int, EpochView]]] = {}
        #: takes what reactors ask lookup tables: the table, keys, the epoch
        self.asked: Callable[[int, pa.RecordBatch, int], None] | None = None
        self._revived = asyncio.Event()
        self._ready: dict[tuple[int, int], asyncio.Future[None]] = {}
        self._turn = 0

    def begin(self) -> Fleet:
        """Start a new generation; it is not fed before ``live``."""
        self.gatherings.clear()
        self._said = ""
        self.fleet = Fleet(self.state.config, self.state.data_dir, self._received, self._died)
        self.fleet.start()
        return self.fleet

    def live(self) -> None:
        """The reactors are up to date: from now on they get rows as they are committed."""
        assert self.fleet is not None
        self.fleet.broadcast(Kind.LIVE)
        self.feeding = True
        self._revived.set()

    async def until_live(self) -> None:
        """Return when reactors work again, or the engine has failed."""
        waiting: asyncio.Future[Any] = asyncio.ensure_future(self._revived.wait())
        either: list[asyncio.Future[Any]] = [waiting, self.state.failure]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    # --- sending ---------------------------------------------------------------------------

    def announce(self, spec: RelationSpec) -> None:
        """Tell running reactors of a relation; new ones are told when they start."""
        if self.fleet is not None and self.feeding:
            self.fleet.broadcast(Kind.RELATION, extra=spec)

    def announce_type(self, type_: PgType) -> None:
        """Tell running reactors what a user's type is now; new ones read it with their dataflows."""
        if self.fleet is not None and self.feeding:
            self.fleet.broadcast(Kind.TYPE, extra=type_)

    def withdraw(self, oid: int) -> None:
        """Tell running reactors that a relation is gone."""
        if self.fleet is not None and self.feeding:
            self.fleet.broadcast(Kind.DROP_RELATION, oid)

    def feed(self, changes: Commits, epoch: int) -> None:
        """Hand rows to the reactors, chunk by chunk in turn."""
        assert self.fleet is not None
        for relation, change in changes:
            if not self.state.readers.get(relation):
                continue
            for chunk in chunks(change):
                self.fleet.post_rows(self._turn, relation, 0, epoch, chunk)
                self._turn = (self._turn + 1) % self.state.config.reactors

    def barrier(self, message: BarrierMessage) -> Gathering:
        """Send a barrier to all reactors; returns what will gather their answers."""
        assert self.fleet is not None
        gathering = self.gathering(message.epoch)
        self.fleet.broadcast(Kind.BARRIER, extra=message)
        return gathering

    # --- answers ------------------------------------------------------------------------------

    def gathering(self, epoch: int) -> Gathering:
        """Changes may come before the barrier has been sent."""
        found = self.gatherings.get(epoch)
        if found is None:
            found = self.gatherings[epoch] = Gathering(epoch, self.state.config.reactors)
        return found

    def expect(self, dataflow: int) -> list[asyncio.Future[None]]:
        """Per reactor: it has built the dataflow; with 0: it has taken up its state."""
        loop = asyncio.get_running_loop()
        found = [loop.create_future() for _ in range(self.state.config.reactors)]
        for reactor, future in enumerate(found):
            self._ready[reactor, dataflow] = future
        return found

    def _received(self, reactor: int, message: Message) -> None:
        match message.kind:
            case Kind.CHANGES:
                assert message.change is not None
                self.gathering(message.c).deliver(message.a, message.change)
            case Kind.ASKED:
                assert message.change is not None and self.asked is not None
                self.asked(message.a, message.change.batch, message.c)
            case Kind.DONE:
                self.gathering(message.c).report(reactor, message.object())
            case Kind.DIRTY:
                self.state.clock.dirty()
            case Kind.READY:
                future = self._ready.pop((reactor, message.a), None)
                if future is not None and not future.done():
                    if message.b:
                        future.set_result(None)
                    else:
                        future.set_exception(PgError(**message.object()))
            case Kind.CHECKPOINTED:
                result = message.object()
                if isinstance(result, dict):
                    result = PgError(**result)
                self.state.checkpoints.reported(reactor, result)
            case Kind.FAILED:
                self._said = message.object()["message"]
                log.error("reactor failed", reactor=reactor, error=self._said)

    # --- the end --------------------------------------------------------------------------------

    def _died(self, reactor: int, code: int) -> None:
        """A reactor is gone: end the others; the clock's task starts new ones."""
        assert self.fleet is not None
        dataflow = self.fleet.working_on(reactor)
        log.error("reactor died", reactor=reactor, exit_code=code, dataflow=dataflow)
        self.deaths += 1
        self.last_words = self._said or describe_death(code)
        self.failures.blame(dataflow, self.last_words)
        self._revived.clear()
        self.kill()
        self._release(ReactorsLost(f"reactor {reactor} died"))
        self.state.checkpoints.lost()
        self.state.clock.urge()

    def kill(self) -> None:
        """End all reactors at once."""
        self.feeding = False
        if self.fleet is not None:
            self.fleet.kill()

    def fail(self, error: PgError) -> None:
        """The engine cannot go on."""
        self.kill()
        self._release(error)

    def _release(self, error: Exception) -> None:
        """Let go whoever waits for reactors."""
        for gathering in self.gatherings.values():
            gathering.fail(error)
        waiting: list[asyncio.Future[Any]] = [*self._ready.values(), *self.attached.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(error)
        self._ready.clear()
        self.attached.clear()
