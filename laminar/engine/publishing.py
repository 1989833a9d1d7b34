"""Publication: an epoch becomes visible to readers, subscribers and those who wait for it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress

from laminar.engine.change import Change
from laminar.engine.epochs import Commits, EpochEntry, Gathering
from laminar.engine.protocol import EpochReport
from laminar.engine.state import EngineState
from laminar.engine.subscription import Subscription, consolidated
from laminar.errors import PgError

#: seconds between looks at subscribers that are behind
_LOOK_SECONDS = 0.5


class Publisher:
    """Applies epochs to the serving store, in order, and tells everybody."""

    def __init__(self, state: EngineState) -> None:
        self.state = state
        self.subscriptions: list[Subscription] = []
        #: the newest report of each reactor
        self.reports: dict[int, EpochReport] = {}
        self.log: deque[EpochEntry] = deque(maxlen=100)
        #: dataflows that still read the past of a connector source
        self.behind: set[int] = set()
        self._room = asyncio.Event()
        self._waiting: dict[int, list[asyncio.Future[None]]] = {}

    def publish(self, epoch: int, now: int, commits: Commits, gathering: Gathering) -> None:
        """Make an epoch visible: rows committed into it and what the reactors computed."""
        state = self.state
        changes: dict[int, list[Change]] = {}
        for relation, change in commits:
            changes.setdefault(relation, []).append(change)
        flows = (*state.dataflows.values(), *state.installing.values())
        fed = {oid for flow in flows for oid in flow.outputs}
        appended = {oid for flow in flows for oid in flow.outputs if oid != flow.feeds}
        for relation, delivered in gathering.changes.items():
            # A dataflow that has been cancelled goes on until the next barrier; nobody wants its rows.
            if relation in fed:
                changes.setdefault(relation, []).extend(delivered)
                state.count_rows([(relation, change) for change in delivered if relation in appended])
        stored = {oid: found for oid, found in changes.items() if oid in state.store}
        state.store.publish(epoch, stored, now)
        self.reports.update(gathering.reports)
        self._enter(epoch, now, commits, gathering)
        self.behind = gathering.behind
        state.clock.alarm(gathering.due)
        self._feed_subscriptions(epoch, changes)
        for waited in [e for e in self._waiting if e <= epoch]:
            for future in self._waiting.pop(waited):
                if not future.done():
                    future.set_result(None)
        if self._waiting:
            state.clock.urge()

    def _enter(self, epoch: int, now: int, commits: Commits, gathering: Gathering) -> None:
        rows_in = sum(len(change) for _, change in commits)
        rows_out = sum(len(c) for changes in gathering.changes.values() for c in changes)
        taken = time.monotonic() - gathering.started
        self.log.append(EpochEntry(epoch, now, rows_in, rows_out, int(taken * 1_000_000)))

    async def wait(self, epoch: int, timeout: float | None) -> None:
        """Return when readers see ``epoch``; asks for it to be soon. Raises TimeoutError."""
        if epoch <= self.state.store.epoch:
            return
        self.state.check()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(epoch, []).append(future)
        self.state.clock.urge()
        await asyncio.wait_for(future, timeout)

    def fail(self, error: PgError) -> None:
        """No epoch will be published any more."""
        for future in [future for waiters in self._waiting.values() for future in waiters]:
            if not future.done():
                future.set_exception(error)
        for subscription in self.subscriptions:
            subscription.end(error)

    # --- subscribers ------------------------------------------------------------------------

    def subscribe(self, relation: int, buffer_limit: int) -> Subscription:
        """Changes of a stored relation from the epoch after the newest one."""
        self.state.check()
        subscription = Subscription(relation, self.state.store.read(), buffer_limit, self._room_again)
        self.subscriptions.append(subscription)
        return subscription

    def end_subscriptions(self, relation: int, error: PgError) -> None:
        """The relation is gone."""
        for subscription in [s for s in self.subscriptions if s.relation == relation]:
            subscription.end(error)

    @property
    def subscribed(self) -> bool:
        """Whether anybody waits for changes."""
        return any(not s.closed for s in self.subscriptions)

    @property
    def crowded(self) -> bool:
        """Whether a subscriber is behind: sources rest and commits wait for it."""
        return any(s.behind for s in self.subscriptions)

    async def room(self) -> None:
        """Return when no subscriber that reads is behind."""
        while self.crowded:
            self._room.clear()
            with suppress(TimeoutError):  # one that stops reading does not say so
                await asyncio.wait_for(self._room.wait(), _LOOK_SECONDS)

    def _room_again(self) -> None:
        self._room.set()
        self.state.clock.urge()  # sources may go on

    def _feed_subscriptions(self, epoch: int, changes: dict[int, list[Change]]) -> None:
        self.subscriptions = [s for s in self.subscriptions if not s.closed]
        for relation in {s.relation for s in self.subscriptions}:
            found = changes.get(relation, [])
            if found:
                found = consolidated(found, self.state.relations[relation].layout)
            for subscription in self.subscriptions:
                if subscription.relation == relation:
                    subscription.feed(epoch, found)
