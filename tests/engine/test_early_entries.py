"""States that hand entries over ahead of checkpoints come back whole."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from laminar.engine.config import EngineConfig
from laminar.engine.coordinator import Coordinator
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
    assert not list((tmp_path / "scratch").rglob("early-*.state"))
    for _ in range(2):
        asyncio.run(run(False))
