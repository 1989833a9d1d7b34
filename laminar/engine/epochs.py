"""Epochs as the server sees them: what is planned for a barrier, what comes back, when the next is due."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field

from laminar.engine.change import Change
from laminar.engine.protocol import EpochReport, Partitions, Positions

#: (relation, change) of one epoch's commits, in order
Commits = list[tuple[int, Change]]


@dataclass(frozen=True, slots=True)
class EpochEntry:
    """A published epoch: rows committed, changes of views, microseconds from barrier to publication."""

    epoch: int
    now: int
    rows_in: int
    rows_out: int
    duration: int


class Gathering:
    """What the reactors deliver for one epoch."""

    def __init__(self, epoch: int, reactors: int) -> None:
        self.epoch = epoch
        self.missing = reactors
        self.started = time.monotonic()
        self.changes: dict[int, list[Change]] = {}
        self.reports: dict[int, EpochReport] = {}
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def deliver(self, relation: int, change: Change) -> None:
        self.changes.setdefault(relation, []).append(change)

    def report(self, reactor: int, report: EpochReport) -> None:
        self.reports[reactor] = report
        self.missing -= 1
        if not self.missing and not self.done.done():
            self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # whoever waits gets it; nobody waiting is no error

    @property
    def positions(self) -> Positions:
        """Of all partitions of all reactors."""
        found: Positions = {}
        for report in self.reports.values():
            for oid, states in report.positions.items():
                found.setdefault(oid, {}).update(states)
        return found

    @property
    def watermarks(self) -> dict[int, int]:
        """Of connector sources: every reactor says the same."""
        return dict(self.reports[0].watermarks) if self.reports else {}

    @property
    def due(self) -> int | None:
        """When (microseconds since 1970) the next epoch is wanted, data or not."""
        return min((r.due for r in self.reports.values() if r.due is not None), default=None)

    @property
    def refused(self) -> int:
        """Bytes for files that reactors keep in memory because the disk did not take them."""
        return sum(report.refused for report in self.reports.values())

    @property
    def behind(self) -> set[int]:
        """Dataflows that still read the past of a source."""
        return {dataflow for report in self.reports.values() for dataflow in report.behind}


@dataclass(slots=True)
class Plan:
    """What is to happen at the next barrier besides ending the epoch."""

    attach: list[int] = field(default_factory=list)
    complete: list[int] = field(default_factory=list)
    detach: list[int] = field(default_factory=list)
    checkpoint: bool = False
    partitions: dict[int, Partitions] = field(default_factory=dict)


class Clock:
    """Says when the next epoch is due.

    With data and nobody waiting, every ``interval`` seconds; at once when somebody waits; without
    data when an operator has a timer.
    """

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._wanted = asyncio.Event()
        self._urgent = asyncio.Event()
        self._last = 0.0
        self._alarm: int | None = None

    def alarm(self, at: int | None) -> None:
        """An epoch is due at a time (microseconds since 1970) even if nothing happens until then."""
        self._alarm = at

    def dirty(self) -> None:
        """There is something to publish."""
        self._wanted.set()

    def urge(self) -> None:
        """Somebody waits."""
        self._wanted.set()
        self._urgent.set()

    async def due(self, idle_for: float | None) -> bool:
        """Wait for the next epoch; False when ``idle_for`` seconds went by without one being due."""
        alarm = None if self._alarm is None else max(0.0, self._alarm / 1e6 - time.time())
        soonest = min((rest for rest in (idle_for, alarm) if rest is not None), default=None)
        try:
            await asyncio.wait_for(self._wanted.wait(), soonest)
        except TimeoutError:
            if soonest != alarm:
                return False
        rest = self._last + self.interval - time.monotonic()
        if rest > 0 and not self._urgent.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._urgent.wait(), rest)
        return True

    def begin(self) -> None:
        """An epoch begins: what is wanted from now on is for the next one."""
        self._wanted.clear()
        self._urgent.clear()
        self._alarm = None
        self._last = time.monotonic()
