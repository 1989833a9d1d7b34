"""Connector sources read in reactors: spread, finished, caught up with, replayed after a kill."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pyarrow as pa
import pytest

from laminar.connectors.base import ScanRequest, SourceColumn, SourceSpec, source_connector
from laminar.engine.change import END_OF_TIME
from laminar.engine.coordinator import Coordinator
from laminar.engine.relations import RelationSpec
from laminar.engine.sources import event_times
from laminar.types import DATE, INT8, TIMESTAMP
from tests.engine.plans import BIGINT, TIME, copy_view, grouped_view
from tests.engine.test_coordinator import content, engine


def generator(rows: int, splits: int = 3) -> RelationSpec:
    """(k bigint sequence, g bigint 0..9, ts timestamp one per second, two seconds' delay)."""
    options = {
        "connector": "datagen",
        "rows": str(rows),
        "splits": str(splits),
        "fields.k.kind": "sequence",
        "fields.g.kind": "random",
        "fields.g.min": "0",
        "fields.g.max": "9",
    }
    columns = (SourceColumn("k", BIGINT), SourceColumn("g", BIGINT), SourceColumn("ts", TIME))
    spec = SourceSpec("datagen", tuple(options.items()), columns, 2)
    return RelationSpec(
        300, "gen", "connector", (1, 2, 3), (BIGINT, BIGINT, TIME), (), (3, 2_000_000), True, source=spec
    )


def expected(source: RelationSpec) -> list[tuple[object, ...]]:
    assert source.source is not None
    connector = source_connector("datagen")
    reader = connector.open(source.source, ScanRequest((0, 1)))
    groups: dict[int, list[int]] = {}
    for partition in connector.partitions(source.source):
        while (batch := reader.read(partition, 1 << 16)) is not None:
            for key, group in zip(*(c.to_pylist() for c in batch.columns), strict=True):
                groups.setdefault(group, []).append(key)
    return sorted((g, len(keys), max(keys)) for g, keys in groups.items())


async def finished(coordinator: Coordinator, source: int) -> None:
    while True:
        await coordinator.flush()
        states = coordinator.positions.get(source, {})
        if states and all(s.finished for s in states.values()):
            await coordinator.flush()
            return


@pytest.mark.parametrize("reactors", [1, 2])
def test_bounded_source(tmp_path: Path, reactors: int) -> None:
    async def run() -> None:
        source = generator(300_000)
        view, flow = grouped_view(200, source, group=BIGINT)
        async with engine(tmp_path, [source, view], [flow], reactors) as coordinator:
            await finished(coordinator, 300)
            assert content(coordinator, 200) == expected(source)
            assert coordinator.watermarks[300] == END_OF_TIME
            assert sum(s.rows for s in coordinator.positions[300].values()) == 300_000
        async with engine(tmp_path, [source, view], [flow], reactors) as coordinator:
            await finished(coordinator, 300)
            assert content(coordinator, 200) == expected(source)

    asyncio.run(run())


@pytest.mark.parametrize("reactors", [1, 2])
def test_later_views_catch_up(tmp_path: Path, reactors: int) -> None:
    """A view created while the source is being read sees all of it, and then the same as the first."""

    async def run() -> None:
        source = generator(3_000_000)
        first, first_flow = grouped_view(200, source, group=BIGINT)
        second, second_flow = grouped_view(201, source, group=BIGINT)
        async with engine(tmp_path, [source, first], [first_flow], reactors) as coordinator:
            await coordinator.flush()
            coordinator.register_relation(second)
            await coordinator.install(second_flow)
            for _ in range(5):
                assert content(coordinator, 200) == content(coordinator, 201)
                await coordinator.flush()
            await finished(coordinator, 300)
            assert content(coordinator, 200) == content(coordinator, 201) == expected(source)

    asyncio.run(run())


@pytest.mark.parametrize("reactors", [1, 2])
def test_reactors_killed_while_reading(tmp_path: Path, reactors: int) -> None:
    async def run() -> None:
        source = generator(2_000_000)
        view, flow = grouped_view(200, source, group=BIGINT)
        below, below_flow = copy_view(201, view, (1, 2))
        async with engine(tmp_path, [source, view, below], [flow, below_flow], reactors) as coordinator:
            for i in range(4):
                await asyncio.sleep(0.1)
                if i == 1:
                    await coordinator.checkpoint()
                assert coordinator.fleet is not None
                os.kill(coordinator.fleet.reactors[-1].process.pid, signal.SIGKILL)
                await coordinator.flush()
            await finished(coordinator, 300)
            assert content(coordinator, 200) == expected(source)
            assert content(coordinator, 201) == [row[:2] for row in expected(source)]

    asyncio.run(run())


def test_event_times() -> None:
    """Microseconds; what says nothing about time passing is below everything."""
    lowest = -(1 << 63)
    dates = pa.array([0, 1, -1, None, (1 << 31) - 1, -(1 << 31)], pa.int32()).view(pa.date32())
    day = 86_400_000_000
    assert event_times(dates, DATE).tolist() == [0, day, -day, lowest, lowest, lowest]
    stamps = pa.array([5, None, (1 << 63) - 1, lowest, 7], pa.int64()).view(pa.timestamp("us"))
    assert event_times(stamps, TIMESTAMP).tolist() == [5, lowest, lowest, lowest, 7]
    assert event_times(stamps.slice(1, 2), TIMESTAMP).tolist() == [lowest, lowest]
    millis = pa.array([1, None, 1 << 62], pa.int64())
    assert event_times(millis, INT8).tolist() == [1000, lowest, lowest]
    assert event_times(pa.array([], pa.int64()), INT8).tolist() == []
