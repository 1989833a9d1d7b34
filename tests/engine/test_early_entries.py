"""States that hand entries over ahead of checkpoints come back whole."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from laminar._native.checkpointed import ENTRIES
from laminar.engine import statewriter
from laminar.engine.config import EngineConfig
from laminar.engine.coordinator import Coordinator
from laminar.engine.statefile import read_states, write_states
from laminar.errors import PgError
from tests.engine.plans import grouped_view, rows, table
from tests.engine.test_coordinator import content, expected_groups

TABLE = table(key=(0,))


@pytest.mark.parametrize("reactors", [1, 2])
def test_backfill_and_growth(tmp_path: Path, reactors: int) -> None:
    view, flow = grouped_view(200, TABLE)
    config = EngineConfig(
        reactors=reactors, early_entries=10, checkpoint_interval=1000.0, wal_segment_bytes=1 << 20
    )
    chance = np.random.default_rng(reactors)
    history: list[tuple[int, str, int]] = []

    def change(first: int) -> object:
        keys = list(range(first, first + 200))
        values = [f"v{chance.integers(0, 150)}" for _ in keys]
        history.extend((k, v, 1) for k, v in zip(keys, values, strict=True))
        old = history[int(chance.integers(0, len(history) - 1))]
        weights = [1] * len(keys)
        if (old[0], old[1], -1) not in history:
            keys, values, weights = [*keys, old[0]], [*values, old[1]], [*weights, -1]
            history.append((old[0], old[1], -1))
        return rows(keys, values, weights)

    async def run(install: bool) -> None:
        coordinator = Coordinator(tmp_path, config)
        await coordinator.start([TABLE] if install else [TABLE, view], [] if install else [flow])
        try:
            if install:
                await coordinator.commit([(100, change(0))])  # type: ignore[list-item]
                coordinator.register_relation(view)
                await coordinator.install(flow)
            else:
                assert content(coordinator, 200) == expected_groups(history)
            for i in range(5):
                first = max(k for k, _, _ in history) + 1
                await coordinator.commit([(100, change(first))])  # type: ignore[list-item]
                await coordinator.flush()
                if i == 2:
                    await coordinator.checkpoint()
                    assert not list((tmp_path / "scratch").rglob("early-*.state"))
            assert content(coordinator, 200) == expected_groups(history)
        finally:
            for task in coordinator._tasks:
                task.cancel()
            if coordinator.fleet is not None:
                coordinator.fleet.kill()
            await coordinator.wal.close()
            coordinator.checkpoints.close()

    asyncio.run(run(True))
    assert list((tmp_path / "state").glob("*.early*.state"))
    for _ in range(2):
        asyncio.run(run(False))


def test_who_has_more_than_fits_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries on their way to files never take more than the limit, however slow the disk is."""
    waiting: list[int] = []
    most = 0

    def slow(path: Path, entries: object) -> tuple[int, int]:
        nonlocal most
        most = max(most, len(waiting))
        time.sleep(0.01)
        waiting.pop()
        return write_states(path, entries)  # type: ignore[arg-type]

    monkeypatch.setattr(statewriter, "write_states", slow)
    bell = os.eventfd(0)
    batch = pa.record_batch({"key": pa.array([b"k" * 1000]), "value": pa.array([b"v" * 1000])})
    writer = statewriter.StateWriter(bell, tmp_path, 3 * batch.nbytes)
    for _ in range(20):
        writer.early(1, [(1, 1, [batch])])
        waiting.append(1)
    writer.close()
    os.close(bell)
    assert not waiting
    assert 2 <= most <= 4  # three that may wait, and one that was counted before it was taken
    assert len(list(tmp_path.glob("early-*.state"))) == 20


def test_what_the_disk_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries stay in memory while the disk is full; the next checkpoint that can be written has them."""
    full = True

    def write(path: Path, entries: object) -> tuple[int, int]:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_states(path, entries)  # type: ignore[arg-type]

    monkeypatch.setattr(statewriter, "write_states", write)
    bell = os.eventfd(0)
    batches = [pa.record_batch({"key": [b"%d" % i], "value": [b"v"]}, ENTRIES) for i in range(3)]
    writer = statewriter.StateWriter(bell, tmp_path / "early", 1 << 20)

    def checkpoint(epoch: int, batch: pa.RecordBatch) -> object:
        writer.write(epoch, str(tmp_path / f"{epoch}.state"), [(1, 1, [batch])], 0, [], {1})
        while (found := writer.finished()) is None:
            time.sleep(0.001)
        return found[1]

    writer.early(1, [(1, 1, [batches[0]])])
    assert isinstance(checkpoint(1, batches[1]), PgError)
    assert writer.refused == batches[0].nbytes + batches[1].nbytes
    full = False
    assert not isinstance(checkpoint(2, batches[2]), PgError)
    assert writer.refused == 0
    kept = [batch.column(0)[0].as_py() for _, _, batch in read_states(tmp_path / "2.state")]
    assert kept == [b"0", b"1", b"2"]
    writer.close()
    os.close(bell)
