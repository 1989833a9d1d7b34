"""Kill -9 of reactors and of the whole server, restarts, damaged logs."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from laminar.engine.config import EngineConfig
from laminar.engine.coordinator import Coordinator
from laminar.engine.walformat import segments
from laminar.errors import PgError
from tests.engine.crash_child import CONFIG, FLOW, TABLE, VIEW, value
from tests.engine.plans import copy_view, rows
from tests.engine.test_coordinator import content, engine, expected_groups

ROOT = Path(__file__).parents[2]


def run_and_kill(path: Path, reactors: int, first: int, seconds: float) -> tuple[int, int]:
    """Let a server commit for a while, kill it; (last acknowledged, last seen) transaction."""
    command = [sys.executable, "-m", "tests.engine.crash_child", str(path), str(reactors), str(first)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline()]  # the first transaction: the server is up
        time.sleep(seconds)
        child.kill()
        lines += child.stdout.readlines()
    acknowledged = [int(line.split()[1]) for line in lines if line.startswith("ack") and line.endswith("\n")]
    seen = [int(line.split()[1]) for line in lines if line.startswith("saw") and line.endswith("\n")]
    assert acknowledged, lines
    return acknowledged[-1], max(seen, default=-1)


async def check(path: Path, reactors: int, acknowledged: int) -> int:
    """Recover and compare table and view with the model; returns the number of transactions there."""
    coordinator = Coordinator(path, EngineConfig(reactors=reactors, **CONFIG))
    await coordinator.start([TABLE, VIEW], [FLOW])
    try:
        await coordinator.flush()
        keys = [row[0] for row in content(coordinator, 100)]
        last = max(keys)  # type: ignore[type-var]
        assert last >= acknowledged
        assert last <= acknowledged + 1
        assert keys == list(range(max(0, last - 9), last + 1))
        history = [(k, value(k), 1) for k in keys]
        assert content(coordinator, 200) == expected_groups(history)  # type: ignore[arg-type]
        return int(last) + 1  # type: ignore[call-overload]
    finally:
        await coordinator.stop()


@pytest.mark.parametrize("reactors", [1, 2])
def test_kill_the_server(tmp_path: Path, reactors: int) -> None:
    chance = random.Random(reactors)
    count = 0
    for _ in range(4):
        acknowledged, seen = run_and_kill(tmp_path, reactors, count, chance.uniform(0.0, 0.5))
        count = asyncio.run(check(tmp_path, reactors, acknowledged))
        assert count > seen


@pytest.mark.parametrize("reactors", [1, 2])
def test_kill_a_reactor(tmp_path: Path, reactors: int) -> None:
    """Statements wait, nothing is lost, nothing appears twice."""

    async def run() -> None:
        chance = random.Random(reactors)
        async with engine(tmp_path, [TABLE, VIEW], [FLOW], reactors) as coordinator:
            history = []
            for i in range(60):
                epoch = await coordinator.commit([(100, rows([i], [value(i)]))], sync=i % 2 == 0)
                history.append((i, value(i), 1))
                if i % 15 == 7:
                    await coordinator.checkpoint()
                if i % 12 == 5:
                    assert coordinator.fleet is not None
                    victim = chance.choice(coordinator.fleet.reactors)
                    os.kill(victim.process.pid, signal.SIGKILL)
                if chance.random() < 0.5:
                    await coordinator.wait_published(epoch, 30)
                    assert content(coordinator, 200) == expected_groups(history)
            await coordinator.flush()
            assert content(coordinator, 200) == expected_groups(history)

    asyncio.run(run())


def committed(path: Path, count: int) -> None:
    """A log with ``count`` transactions and no checkpoint of them: the server is killed, not stopped."""

    async def run() -> None:
        coordinator = Coordinator(path, EngineConfig(reactors=1, wal_segment_bytes=1 << 18))
        await coordinator.start([TABLE, VIEW], [FLOW])
        for i in range(count):
            await coordinator.commit([(100, rows([i], [value(i)]))])
        await coordinator.flush()
        assert coordinator.fleet is not None
        for task in coordinator._tasks:
            task.cancel()
        coordinator.fleet.kill()
        await coordinator.wal.close()
        coordinator.checkpoints.close()

    asyncio.run(run())


def log_bytes(path: Path) -> tuple[Path, bytearray]:
    (_, file), *_ = segments(path / "wal")
    return file, bytearray(file.read_bytes())


def test_torn_tail_is_cut(tmp_path: Path) -> None:
    committed(tmp_path, 5)
    file, data = log_bytes(tmp_path)
    end = len(data.rstrip(b"\0"))
    data[end - 3] ^= 0xFF  # in the last record: the epoch that nothing later vouches for
    file.write_bytes(data)

    async def run() -> None:
        async with engine(tmp_path, [TABLE, VIEW], [FLOW]) as coordinator:
            await coordinator.flush()
            assert len(content(coordinator, 100)) == 5

    asyncio.run(run())


def test_damage_before_the_end_stops_the_start(tmp_path: Path) -> None:
    committed(tmp_path, 5)
    file, data = log_bytes(tmp_path)
    end = len(data.rstrip(b"\0"))
    data[end // 2] ^= 0xFF
    file.write_bytes(data)

    async def run() -> None:
        with pytest.raises(PgError, match=f"{file.name} is damaged at byte") as caught:
            async with engine(tmp_path, [TABLE, VIEW], [FLOW]):
                pass
        assert caught.value.sqlstate == "XX001"

    asyncio.run(run())


def test_another_number_of_reactors(tmp_path: Path) -> None:
    """State is divided among the reactors: with another number views are computed anew."""

    async def run() -> None:
        history = []
        for reactors in (1, 3, 2):
            async with engine(tmp_path, [TABLE, VIEW], [FLOW], reactors) as coordinator:
                assert content(coordinator, 200) == expected_groups(history)
                start = len(history)
                for i in range(start, start + 20):
                    await coordinator.commit([(100, rows([i], [value(i)]))])
                    history.append((i, value(i), 1))
                await coordinator.flush()
                assert content(coordinator, 200) == expected_groups(history)

    asyncio.run(run())


def test_a_changed_plan_is_computed_anew(tmp_path: Path) -> None:
    async def run() -> None:
        below, below_flow = copy_view(201, VIEW, (1, 2))
        relations = [TABLE, VIEW, below]
        async with engine(tmp_path, relations, [FLOW, below_flow]) as coordinator:
            await coordinator.commit([(100, rows([1, 2], ["a", "b"]))])
        changed = replace(FLOW, fingerprint="other")
        async with engine(tmp_path, relations, [changed, below_flow]) as coordinator:
            assert content(coordinator, 200) == [("a", 1, 1), ("b", 1, 2)]
            assert content(coordinator, 201) == [("a", 1), ("b", 1)]

    asyncio.run(run())


def test_state_of_an_earlier_plan_is_gone_for_good(tmp_path: Path) -> None:
    """What a view had kept before it was computed anew does not come back with the start after that."""

    async def run() -> None:
        async with engine(tmp_path, [TABLE, VIEW], [FLOW]) as coordinator:
            await coordinator.commit([(100, rows([1, 2], ["a", "b"]))])
        changed = replace(FLOW, fingerprint="other")
        async with engine(tmp_path, [TABLE], []) as coordinator:
            await coordinator.commit([(100, rows([1], ["a"], [-1]))])
        for _ in range(2):
            async with engine(tmp_path, [TABLE, VIEW], [changed]) as coordinator:
                assert content(coordinator, 200) == [("b", 1, 2)]
        async with engine(tmp_path, [TABLE, VIEW], [changed]) as coordinator:
            await coordinator.commit([(100, rows([3], ["a"]))])
            await coordinator.flush()
            assert content(coordinator, 200) == [("a", 1, 3), ("b", 1, 2)]

    asyncio.run(run())


def test_dropped_while_stopped(tmp_path: Path) -> None:
    """A dataflow that the catalog no longer has goes at the start; its checkpointed state too."""

    async def run() -> None:
        async with engine(tmp_path, [TABLE, VIEW], [FLOW]) as coordinator:
            await coordinator.commit([(100, rows([1], ["a"]))])
        async with engine(tmp_path, [TABLE], []) as coordinator:
            assert not coordinator.dataflows
            assert len(content(coordinator, 100)) == 1
        async with engine(tmp_path, [TABLE, VIEW], [FLOW]) as coordinator:
            assert content(coordinator, 200) == [("a", 1, 1)]

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(3))
def test_kill_a_reactor_while_installing(tmp_path: Path, seed: int) -> None:
    """CREATE MATERIALIZED VIEW goes on with new reactors; cancelled, it leaves nothing."""

    async def run() -> None:
        chance = random.Random(seed)
        async with engine(tmp_path, [TABLE], [], 2) as coordinator:
            history = [(i, value(i), 1) for i in range(30_000)]
            await coordinator.commit([(100, rows([k for k, _, _ in history], [v for _, v, _ in history]))])
            coordinator.register_relation(VIEW)
            installing = asyncio.create_task(coordinator.install(FLOW))
            await asyncio.sleep(chance.uniform(0, 0.03))
            assert coordinator.fleet is not None
            os.kill(coordinator.fleet.reactors[seed % 2].process.pid, signal.SIGKILL)
            await installing
            assert content(coordinator, 200) == expected_groups(history)

            second, flow = copy_view(201, TABLE)
            coordinator.register_relation(second)
            cancel = lambda sent, total: installing.cancel()  # noqa: E731
            installing = asyncio.create_task(coordinator.install(flow, cancel))
            with pytest.raises(asyncio.CancelledError):
                await installing
            await coordinator.flush()
            await coordinator.checkpoint()
            assert 201 not in coordinator.dataflows
            assert content(coordinator, 201) == []
            await coordinator.commit([(100, rows([50_000], ["z"]))])
            await coordinator.install(flow)
            assert len(content(coordinator, 201)) == 30_001
        async with engine(tmp_path, [TABLE, VIEW, second], [FLOW, flow], 2) as coordinator:
            assert content(coordinator, 200) == expected_groups([*history, (50_000, "z", 1)])
            assert len(content(coordinator, 201)) == 30_001

    asyncio.run(run())
