"""A full disk: statements fail with 53100, nothing acknowledged is lost, it goes on when there is room."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from laminar.errors import PgError
from tests.engine.crash_child import FLOW, TABLE, VIEW, value
from tests.engine.plans import rows
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
