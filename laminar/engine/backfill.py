"""Feeding a new dataflow with its inputs' past, beside the epochs that go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

from laminar.engine.change import Change
from laminar.engine.fleet import Fleet, ReactorsLost
from laminar.engine.pace import Pace
from laminar.engine.relations import DataflowSpec
from laminar.engine.serving import Snapshot

#: called with (rows sent, rows in all)
Progress = Callable[[int, int], None]

#: bytes on the way to a reactor beyond which the backfill waits, so that live rows don't queue behind it
_AHEAD_BYTES = 1 << 20
#: rows in one message
_CHUNK_ROWS = 1 << 16


async def send_past(
    fleet: Fleet,
    dataflow: DataflowSpec,
    inputs: list[tuple[int, Snapshot]],
    epoch: Callable[[], int],
    published: Callable[[int], Awaitable[None]],
    progress: Progress | None,
) -> None:
    """Send snapshots of stored relations to one dataflow only.

    Args:
        epoch: the one that rows sent now belong to.
        published: waits for an epoch to be seen by readers.
    """
    total = sum(snapshot.num_rows for _, snapshot in inputs)
    sent = turn = in_epoch = 0
    pace = Pace()
    for relation, snapshot in inputs:
        for chunk in _pieces(snapshot, pace):
            await fleet.room(_AHEAD_BYTES)
            await asyncio.sleep(0)
            if fleet.ended:
                raise ReactorsLost
            fleet.post_rows(turn % len(fleet.reactors), relation, dataflow.id, epoch(), chunk)
            turn += 1
            sent += len(chunk)
            in_epoch += len(chunk)
            if progress is not None:
                progress(sent, total)
            if in_epoch >= pace.rows:
                started = time.monotonic()
                await published(epoch())
                pace.took(time.monotonic() - started)
                in_epoch = 0


def _pieces(snapshot: Snapshot, pace: Pace) -> Iterator[Change]:
    """The snapshot's rows in messages that are no larger than an epoch's share."""
    for batch in snapshot.batches(snapshot.layout.attnums):
        start = 0
        while start < batch.num_rows:
            size = min(_CHUNK_ROWS, pace.rows)
            yield Change(batch.slice(start, size))
            start += size
