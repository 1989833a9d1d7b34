"""A full disk: statements fail with 53100, nothing acknowledged is lost, it goes on when there is room."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from laminar.engine.config import EngineConfig
from laminar.engine.coordinator import Coordinator
from laminar.errors import PgError
from tests.engine.crash_child import FLOW, TABLE, VIEW, value
from tests.engine.plans import grouped_view, rows
from tests.engine.test_coordinator import content, engine, expected_groups


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 40 MB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_full_disk(small_disk: Path) -> None:
    async def run() -> None:
        data = small_disk / "data"
        history = []
        ballast = small_disk / "ballast"
        async with engine(data, [TABLE, VIEW], [FLOW]) as coordinator:
            ballast.write_bytes(bytes(28 << 20))
            refused = 0
            for i in range(5000):
                change = rows([i], [value(i)])
                padding = rows([100_000 + i], ["x" * 5000])
                try:
                    await coordinator.commit([(100, change), (100, padding)])
                except PgError as error:
                    assert error.sqlstate == "53100"
                    refused += 1
                    if refused == 3:
                        break
                    continue
                history += [(i, value(i), 1), (100_000 + i, "x" * 5000, 1)]
            assert refused == 3
            ballast.unlink()
            await coordinator.checkpoint()
            await coordinator.flush()
            assert content(coordinator, 200) == expected_groups(history)
        async with engine(data, [TABLE, VIEW], [FLOW]) as coordinator:
            assert content(coordinator, 200) == expected_groups(history)
            i = 50_000
            await coordinator.commit([(100, rows([i], [value(i)]))])
            history.append((i, value(i), 1))
            await coordinator.flush()
            assert content(coordinator, 200) == expected_groups(history)

    asyncio.run(run())


def test_what_the_disk_refuses_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints fail, so memory keeps what they were to write: commits are refused, until one succeeds."""
    view, flow = grouped_view(200, TABLE)
    limit = 200_000
    config = EngineConfig(reactors=1, store_memory=limit // 2, checkpoint_interval=0.2)

    async def run() -> None:
        history: list[tuple[int, str, int]] = []
        async with engine(tmp_path, [TABLE, view], [flow]):
            pass  # from here on its checkpoint is there
        monkeypatch.setenv("LAMINAR_FAILPOINTS", "state file: begun=full:6")
        coordinator = Coordinator(tmp_path, config)
        await coordinator.start([TABLE, view], [flow])
        try:
            refused = taken = 0
            for i in range(20_000):
                value = f"{i}".rjust(2000, "x")
                try:
                    await coordinator.commit([(100, rows([i], [value]))], sync=False)
                except PgError as error:
                    assert error.sqlstate == "53100"
                    assert "No space left" in (error.detail or "")
                    refused += 1
                    await asyncio.sleep(0.02)
                else:
                    history.append((i, value, 1))
                    taken += bool(refused)
                    await coordinator.flush()
                assert coordinator.refused < 4 * limit
                if taken > 10:
                    break
            assert refused
            assert taken > 10
            await coordinator.flush()
            assert content(coordinator, 200) == expected_groups(history)
        finally:
            await coordinator.stop()
        monkeypatch.delenv("LAMINAR_FAILPOINTS")
        async with engine(tmp_path, [TABLE, view], [flow]) as coordinator:
            assert content(coordinator, 200) == expected_groups(history)

    asyncio.run(run())


def test_a_failed_checkpoint_is_tried_again_though_nobody_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sinks wait for checkpoints: the last rows before a silence must reach them too."""
    view, flow = grouped_view(200, TABLE)

    async def run() -> None:
        async with engine(tmp_path, [TABLE, view], [flow]):
            pass  # from here on its checkpoint is there
        monkeypatch.setenv("LAMINAR_FAILPOINTS", "state file: begun=full:3")
        coordinator = Coordinator(tmp_path, EngineConfig(reactors=1, checkpoint_interval=0.1))
        await coordinator.start([TABLE, view], [flow])
        try:
            epoch = await coordinator.commit([(100, rows([1], ["a"]))])
            async with asyncio.timeout(60):
                while coordinator.checkpoints.manifest.epoch < epoch:
                    await asyncio.sleep(0.02)
        finally:
            await coordinator.stop()

    asyncio.run(run())
