"""The engine end to end: real reactor processes, commits, epochs, views, restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from laminar.engine.config import EngineConfig
from laminar.engine.coordinator import Coordinator
from laminar.engine.relations import DataflowSpec, RelationSpec
from tests.engine.plans import copy_view, grouped_view, rows, table


@asynccontextmanager
async def engine(
    path: Path, relations: list[RelationSpec], dataflows: list[DataflowSpec], reactors: int = 1
) -> AsyncIterator[Coordinator]:
    coordinator = Coordinator(
        path, EngineConfig(reactors=reactors, wal_segment_bytes=1 << 20, ring_bytes=1 << 16)
    )
    await coordinator.start(relations, dataflows)
    try:
        yield coordinator
    finally:
        await coordinator.stop()


def content(coordinator: Coordinator, oid: int) -> list[tuple[object, ...]]:
    snapshot = coordinator.read().snapshot(oid)
    visible = tuple(a for a in snapshot.layout.attnums if a > 0)
    return sorted(tuple(row.values()) for row in snapshot.table(visible).to_pylist())


@pytest.mark.parametrize("reactors", [1, 2])
def test_commit_to_view(tmp_path: Path, reactors: int) -> None:
    async def run() -> None:
        t = table()
        view, flow = copy_view(200, t)
        async with engine(tmp_path, [t, view], [flow], reactors) as coordinator:
            epoch = await coordinator.commit([(100, rows([1, 2], ["a", "b"]))])
            await coordinator.wait_published(epoch, 10)
            assert content(coordinator, 200) == [(1, "a"), (2, "b")]
        async with engine(tmp_path, [t, view], [flow], reactors) as coordinator:
            assert content(coordinator, 200) == [(1, "a"), (2, "b")]
            epoch = await coordinator.commit([(100, rows([3], ["c"]))])
            await coordinator.wait_published(epoch, 10)
            assert content(coordinator, 200) == [(1, "a"), (2, "b"), (3, "c")]

    asyncio.run(run())


def test_install_backfills(tmp_path: Path) -> None:
    async def run() -> None:
        t = table()
        view, flow = copy_view(200, t)
        async with engine(tmp_path, [t], []) as coordinator:
            await coordinator.commit([(100, rows([1, 2], ["a", "b"]))])
            coordinator.register_relation(view)
            await coordinator.install(flow)
            assert content(coordinator, 200) == [(1, "a"), (2, "b")]
            epoch = await coordinator.commit([(100, rows([3], ["c"]))])
            await coordinator.wait_published(epoch, 10)
            assert content(coordinator, 200) == [(1, "a"), (2, "b"), (3, "c")]

    asyncio.run(run())


def expected_groups(history: list[tuple[int, str, int]]) -> list[tuple[object, ...]]:
    """What grouped_view shows after these (key, value, weight)."""
    live: dict[tuple[int, str], int] = {}
    for key, value, weight in history:
        live[key, value] = live.get((key, value), 0) + weight
    groups: dict[str, list[int]] = {}
    for (key, value), weight in live.items():
        groups.setdefault(value, []).extend([key] * weight)
    return sorted((value, len(keys), max(keys)) for value, keys in groups.items() if keys)


@pytest.mark.parametrize("reactors", [1, 2, 3])
def test_grouping_with_updates_and_deletes(tmp_path: Path, reactors: int) -> None:
    """Random changes in random transactions; the view equals the model after every one."""

    async def run() -> None:
        t = table(key=(0,))
        view, flow = grouped_view(200, t)
        below, below_flow = copy_view(201, view, (1, 2))
        random = Random(7)
        state: dict[int, str] = {}
        history: list[tuple[int, str, int]] = []
        async with engine(tmp_path, [t, view, below], [flow, below_flow], reactors) as coordinator:
            for _ in range(40):
                changed: list[tuple[int, str, int]] = []
                for key in random.sample(range(200), random.randint(1, 60)):
                    if key in state:
                        changed.append((key, state.pop(key), -1))
                    if random.random() < 0.7:
                        state[key] = random.choice("abcdefgh")
                        changed.append((key, state[key], 1))
                keys, values, weights = zip(*changed, strict=True)
                change = rows(list(keys), list(values), list(weights))
                epoch = await coordinator.commit([(100, change)], sync=random.random() < 0.3)
                history += changed
                if random.random() < 0.5:
                    await coordinator.wait_published(epoch, 20)
                    assert content(coordinator, 200) == expected_groups(history)
            await coordinator.flush()
            assert content(coordinator, 200) == expected_groups(history)
            assert content(coordinator, 201) == [row[:2] for row in expected_groups(history)]

    asyncio.run(run())


def test_commits_wait_for_a_slow_subscriber(tmp_path: Path) -> None:
    """Who reads slowly gets everything, and never are more than its buffer's bytes waiting for it."""

    async def run() -> None:
        coordinator = Coordinator(tmp_path, EngineConfig(reactors=1, epoch_interval=0.001))
        await coordinator.start([table(key=(0,))], [])
        subscription = coordinator.subscribe(100, 100_000)
        most = 0

        async def read() -> int:
            nonlocal most
            found = 0
            async for _, changes in subscription:
                most = max(most, subscription.buffered_bytes)
                await asyncio.sleep(0.02)
                found += sum(len(change) for change in changes)
                if found == 600:
                    break
            return found

        reader = asyncio.create_task(read())
        for i in range(60):
            keys = list(range(i * 10, i * 10 + 10))
            await coordinator.commit([(100, rows(keys, ["x" * 1000] * 10))])
            await coordinator.flush()
        assert await asyncio.wait_for(reader, 30) == 600
        assert 20_000 < most <= 70_000
        subscription.close()
        await coordinator.stop()

    asyncio.run(run())
