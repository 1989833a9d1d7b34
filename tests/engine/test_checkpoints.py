"""Checkpoints against reactors that die at any point of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from laminar.engine.checkpoint import REACTORS_LOST, Checkpoints
from laminar.engine.config import EngineConfig
from laminar.engine.deliveries import Deliveries
from laminar.engine.manifest import Manifest
from laminar.engine.protocol import CheckpointReport
from laminar.engine.serving import ServingStore
from laminar.engine.wal import Wal
from laminar.errors import PgError

STEPS = ["report 0", "report 1", "begin"]


def checkpoint(folder: Path, death: int | None) -> tuple[Manifest, PgError | None]:
    """Run one with two reactors that die before step ``death``; returns the newest manifest."""

    async def run() -> tuple[Manifest, PgError | None]:
        for name in ("state", "store", "spools", "wal"):
            (folder / name).mkdir()
        wal = Wal(folder / "wal", 1 << 20, lambda error: None)
        await wal.open(0)
        checkpoints = Checkpoints(
            folder, EngineConfig(reactors=2), Deliveries(folder / "spools", 1 << 30, lambda: None)
        )
        outcome = checkpoints.result()
        checkpoints.expect()
        for step, what in enumerate(STEPS):
            if step == death:
                checkpoints.lost()
            if what == "begin":
                checkpoints.begin(Manifest(epoch=7, reactors=2), ServingStore(), wal)
            else:
                path = folder / "state" / what
                path.touch()
                checkpoints.reported(int(what[-1]), CheckpointReport(str(path), 0, 0, 0))
        if death == len(STEPS):
            checkpoints.lost()
        await checkpoints.idle()
        await wal.close()
        checkpoints.close()
        error = outcome.exception()
        assert error is None or isinstance(error, PgError)
        return checkpoints.manifest, error

    return asyncio.run(run())


def test_names_the_files_of_all_reactors(tmp_path: Path) -> None:
    manifest, error = checkpoint(tmp_path, None)
    assert error is None
    assert manifest.epoch == 7
    assert [[file.name for file in files] for files in manifest.states] == [["report 0"], ["report 1"]]


@pytest.mark.parametrize("death", range(len(STEPS) + 1))
def test_is_given_up_with_the_reactors(tmp_path: Path, death: int) -> None:
    """Never an epoch without its state files, though all of them had been reported."""
    manifest, error = checkpoint(tmp_path, death)
    assert error is REACTORS_LOST
    assert manifest.epoch == 0


def test_an_unexpected_error_is_the_waiters_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(store: ServingStore, pending: object, directory: Path) -> None:
        raise ValueError("no file can have that name")

    monkeypatch.setattr(ServingStore, "write_checkpoint", broken)
    manifest, error = checkpoint(tmp_path, None)
    assert manifest.epoch == 0
    assert error is not None and error.sqlstate == "XX000"
