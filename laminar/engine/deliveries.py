"""What checkpoints have promised to sinks, delivered in order by one task per sink.

A delivery is a checkpoint's changes for a sink: files that the manifest names. It is tried until it
succeeds, also after a restart; the target recognises what it has had already (``SinkTarget``). Then the
next manifest leaves it out, and its files go.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from laminar import failpoints, logging
from laminar.connectors.base import DeliveringSink, SinkBatch, SinkSpec, SinkTarget, sink_connector
from laminar.engine.nodes import Sink
from laminar.engine.planformat import from_data, to_data
from laminar.engine.protocol import SpoolReport
from laminar.engine.relations import DataflowSpec
from laminar.engine.spool import read_spool
from laminar.errors import INTERNAL_ERROR, PgError

log = logging.get(__name__)

#: seconds between attempts, growing
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
#: seconds that a target stays open with nothing to deliver
_IDLE_SECONDS = 30.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Delivery:
    """Changes of a sink between two checkpoints; ``number`` is the later one's epoch."""

    sink: int
    number: int
    spec: SinkSpec
    spools: tuple[SpoolReport, ...]

    @property
    def size(self) -> int:
        return sum(spool.size for spool in self.spools)

    @property
    def rows(self) -> int:
        return sum(spool.rows for spool in self.spools)

    def to_json(self) -> dict[str, Any]:
        """Plain data for ``delivery_from_json``."""
        spools = [[s.name, s.size, s.rows] for s in self.spools]
        return {
            "sink": self.sink,
            "number": self.number,
            "spec": to_data(self.spec),
            "spools": spools,
        }


def delivery_from_json(data: dict[str, Any]) -> Delivery:
    """The delivery that ``to_json`` described."""
    spools = tuple(SpoolReport(data["sink"], *spool) for spool in data["spools"])
    return Delivery(data["sink"], data["number"], from_data(data["spec"]), spools)


@dataclass(slots=True)
class SinkProgress:
    """A sink as ``laminar_catalog.sinks`` shows it: rows delivered since the start, bytes promised."""

    rows: int = 0
    delivered: int = 0
    pending: int = 0
    error: str | None = None


class Deliveries:
    """All sinks' deliveries. The event loop's thread calls everything here.

    Args:
        folder: of the spools.
        limit: bytes promised and not delivered from which on the server takes no more rows.
        on_room: called when targets keep up again.
    """

    def __init__(self, folder: Path, limit: int, on_room: Callable[[], None]) -> None:
        self.folder = folder
        self.limit = limit
        self.on_room = on_room
        self.progress: dict[int, SinkProgress] = {}
        self._promised: dict[int, list[Delivery]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._wakes: dict[int, asyncio.Event] = {}
        self._room = asyncio.Event()
        self._room.set()
        self._closing = False

    @property
    def open(self) -> list[Delivery]:
        """Promised and not delivered, each sink's in order."""
        return [delivery for deliveries in self._promised.values() for delivery in deliveries]

    @property
    def behind(self) -> bool:
        """Whether a target cannot keep up and the sources should rest."""
        return not self._room.is_set()

    async def room(self) -> None:
        """Return when targets keep up."""
        await self._room.wait()

    @property
    def delivered(self) -> dict[int, int]:
        """The newest delivery that each sink is known to have had."""
        return {sink: found.delivered for sink, found in self.progress.items() if found.delivered}

    def take_up(self, delivered: dict[int, int], deliveries: Iterable[Delivery]) -> None:
        """Go on from a manifest at a start."""
        for sink, number in delivered.items():
            self.progress[sink] = SinkProgress(delivered=number)
        self.promise(deliveries)

    def promise(self, deliveries: Iterable[Delivery]) -> None:
        """A durable manifest names these: deliver them."""
        for delivery in deliveries:
            self._promised.setdefault(delivery.sink, []).append(delivery)
            self.progress.setdefault(delivery.sink, SinkProgress()).pending += delivery.size
            self._wakes.setdefault(delivery.sink, asyncio.Event()).set()
            if delivery.sink not in self._tasks:
                self._tasks[delivery.sink] = asyncio.create_task(self._deliver(delivery.sink))
        self._measure()

    def _measure(self) -> None:
        if max((p.pending for p in self.progress.values()), default=0) > self.limit:
            self._room.clear()
        elif self.behind:
            self._room.set()
            self.on_room()

    async def _deliver(self, sink: int) -> None:
        """Deliver what is promised, and stay ready for more for a while."""
        promised, wake = self._promised[sink], self._wakes[sink]
        target: SinkTarget | None = None
        pause = _FIRST_PAUSE
        while not self._closing:
            if not promised:
                wake.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), _IDLE_SECONDS)
                if not promised:
                    break
                continue
            delivery = promised[0]
            try:
                if target is None:
                    target = await asyncio.to_thread(open_target, delivery.spec)
                await asyncio.to_thread(target.deliver, delivery.number, self._reader(delivery))
                failpoints.reach("delivery: made")
            except Exception as error:
                self.progress[sink].error = as_pg_error(error).message
                log.warning("a sink cannot deliver", sink=sink, number=delivery.number, error=str(error))
                if target is not None:
                    await asyncio.to_thread(_close, target)
                    target = None
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            pause = _FIRST_PAUSE
            self._delivered(promised.pop(0))
        # From here on a promise starts another task; it must not wait for this one.
        del self._tasks[sink]
        if target is not None:
            await asyncio.to_thread(_close, target)

    def _delivered(self, delivery: Delivery) -> None:
        progress = self.progress[delivery.sink]
        progress.error = None
        progress.rows += delivery.rows
        progress.delivered = delivery.number
        progress.pending -= delivery.size
        self._measure()

    def _reader(self, delivery: Delivery) -> Callable[[], Iterator[SinkBatch]]:
        def changes() -> Iterator[SinkBatch]:
            for spool in delivery.spools:
                yield from read_spool(self.folder / spool.name)

        return changes

    async def settle(self, timeout: float) -> None:
        """Wait until everything promised is delivered, at most ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while self.open and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_SECONDS)

    async def close(self, grace: float) -> None:
        """End after the delivery under way; what is left is delivered after the next start."""
        await self.settle(grace)
        self._closing = True
        for wake in self._wakes.values():
            wake.set()
        tasks = list(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=max(grace, _POLL_SECONDS))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def open_target(spec: SinkSpec) -> SinkTarget:
    """Open where a sink's changes go."""
    connector = sink_connector(spec.connector)
    assert isinstance(connector, DeliveringSink)
    return connector.target(spec)


def interval(flow: DataflowSpec) -> float | None:
    """Seconds between deliveries that a sink asks for; None for other dataflows."""
    if not isinstance(flow.root, Sink):
        return None
    return _interval(flow.root.spec)


@cache
def _interval(spec: SinkSpec) -> float | None:
    connector = sink_connector(spec.connector)
    return connector.interval(spec) if isinstance(connector, DeliveringSink) else None


def as_pg_error(error: Exception) -> PgError:
    """What a target raised, as an error that a statement can have."""
    if isinstance(error, PgError):
        return error
    return PgError(INTERNAL_ERROR, f"{type(error).__name__}: {error}".strip())


def _close(target: SinkTarget) -> None:
    try:
        target.close()
    except Exception as error:
        log.warning("closing a sink's target failed", error=str(error))
