"""Feeding a new dataflow with its inputs' past, beside the epochs that go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from laminar.engine.change import Change
from laminar.engine.fleet import Fleet, ReactorsLost
from laminar.engine.relations import DataflowSpec
from laminar.engine.rows import chunks
from laminar.engine.serving import Snapshot

#: called with (rows sent, rows in all)
Progress = Callable[[int, int], None]

#: bytes on the way to a reactor beyond which the backfill waits, so that live rows don't queue behind it
_AHEAD_BYTES = 1 << 20


async def send_past(
    fleet: Fleet,
    dataflow: DataflowSpec,
    inputs: list[tuple[int, Snapshot]],
    epoch: Callable[[], int],
    progress: Progress | None,
) -> int:
    """Send snapshots of stored relations to one dataflow only; returns the number of rows."""
    total = sum(snapshot.num_rows for _, snapshot in inputs)
    sent = 0
    for relation, snapshot in inputs:
        for batch in snapshot.batches(snapshot.layout.attnums):
            for chunk in chunks(Change(batch)):
                await fleet.room(_AHEAD_BYTES)
                await asyncio.sleep(0)
                if fleet.ended:
                    raise ReactorsLost
                fleet.post_rows(sent // 65536 % len(fleet.reactors), relation, dataflow.id, epoch(), chunk)
                sent += len(chunk)
                if progress is not None:
                    progress(sent, total)
    return sent
