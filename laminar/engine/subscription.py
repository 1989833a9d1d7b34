"""Subscriptions: a relation's changes, epoch by epoch, through a bounded buffer."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

import numpy as np

from laminar.engine.change import Change
from laminar.engine.serving import EpochView, Layout, Snapshot
from laminar.engine.serving.consolidate import cancel, split
from laminar.errors import CONFIGURATION_LIMIT_EXCEEDED, PgError

#: seconds that others wait for a subscriber that reads nothing
_PATIENCE = 5.0


def consolidated(changes: list[Change], layout: Layout) -> list[Change]:
    """An epoch's changes of a relation without what cancels out: deletions first, then insertions."""
    inserts, deletes = split(changes, layout)
    if deletes is not None:
        inserts, deletes = cancel(inserts, deletes, layout)
    found = []
    if deletes is not None and deletes.num_rows:
        found.append(Change(deletes, np.full(deletes.num_rows, -1, np.int64)))
    if inserts is not None and inserts.num_rows:
        found.append(Change(inserts))
    return found


class Subscription:
    """An async iterator of (epoch, changes) of one relation.

    ``snapshot`` is the relation at ``snapshot_epoch``, None when its rows are not stored; the iterator goes
    on with the epoch after.
    Commits and sources wait for a subscriber that is behind but reads. One that falls behind by more than
    ``buffer_limit`` bytes all the same, because it reads nothing, is ended with 53400.

    Args:
        on_room: called when it is no longer behind.
    """

    def __init__(
        self, relation: int, view: EpochView, buffer_limit: int, on_room: Callable[[], None]
    ) -> None:
        self.relation = relation
        self.snapshot_epoch = view.epoch
        self.snapshot: Snapshot | None = view.snapshots.get(relation)
        self.buffer_limit = buffer_limit
        self.buffered_bytes = 0
        self._on_room = on_room
        self._last_read = time.monotonic()
        #: the newest epoch that the subscriber could know of (for progress rows)
        self.published = view.epoch
        self._queue: deque[tuple[int, list[Change], int]] = deque()
        self._ready = asyncio.Event()
        self._error: PgError | None = None
        self._closed = False

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> tuple[int, list[Change]]:
        while not self._queue:
            if self._error is not None:
                raise self._error
            if self._closed:
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()
        epoch, changes, size = self._queue.popleft()
        before, self.buffered_bytes = self.buffered_bytes, self.buffered_bytes - size
        self._last_read = time.monotonic()
        if before > self._crowded >= self.buffered_bytes:
            self._on_room()
        return epoch, changes

    @property
    def _crowded(self) -> int:
        """Bytes from which on others wait."""
        return self.buffer_limit // 2

    @property
    def behind(self) -> bool:
        """Whether much waits to be read by somebody who does read."""
        if self.closed or self.buffered_bytes <= self._crowded:
            return False
        return time.monotonic() - self._last_read < _PATIENCE

    def feed(self, epoch: int, changes: list[Change]) -> None:
        """Called by the coordinator when an epoch is published."""
        self.published = epoch
        if self._closed or self._error is not None or not changes:
            return
        size = sum(c.batch.nbytes for c in changes)
        if self._queue and self.buffered_bytes + size > self.buffer_limit:
            self._queue.clear()
            self.end(
                PgError(
                    CONFIGURATION_LIMIT_EXCEEDED,
                    "subscription is too far behind",
                    detail=f"More than {self.buffer_limit} bytes of changes were waiting to be read.",
                    hint="Read faster, or raise subscribe_buffer_limit.",
                )
            )
            return
        if not self._queue:
            self._last_read = time.monotonic()  # there was nothing to read before
        self._queue.append((epoch, changes, size))
        self.buffered_bytes += size
        self._ready.set()

    def end(self, error: PgError) -> None:
        """End with an error, after what is buffered."""
        self._error = error
        self._ready.set()

    def close(self) -> None:
        """The subscriber has gone."""
        self._closed = True
        self._queue.clear()
        self._ready.set()
        self._on_room()

    @property
    def closed(self) -> bool:
        return self._closed or self._error is not None
