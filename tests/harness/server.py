"""A real Laminar server for tests: started, awaited, killed and restarted like a user would."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.harness.processes import die_with_parent, free_port, listening, stop, tail, wait_until

ROOT = Path(__file__).parents[2]


class LaminarServer:
    """One server process over one data directory.

    Args:
        folder: holds ``data`` and ``log``.
        options: further command line, e.g. ``"--reactors", "2"``.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.log = folder / "log"
        self.options = options
        #: further environment of the next start
        self.environment: dict[str, str] = {}
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=laminar dbname=laminar"

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def launch(self) -> None:
        """Start without waiting."""
        address = f"127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "laminar", "server"]
        command += ["--data-dir", str(self.data_dir), "--listen", address]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [*command, *self.options], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), **self.environment},
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509
            )  # fmt: skip

    def start(self) -> LaminarServer:
        """Start and wait until it answers a query."""
        self.launch()
        assert self.process is not None
        wait_until(self._answers, process=self.process, log=self.log, what="Laminar")
        return self

    def _answers(self) -> bool:
        if not listening(self.port):
            return False
        try:
            with self.connect() as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def connect(self, **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """A new connection, in autocommit mode unless told otherwise."""
        return psycopg.connect(self.dsn, **{"autocommit": True, "connect_timeout": 30, **options})

    def stop(self) -> int:
        """SIGTERM: drain, checkpoint, end. Returns the exit status."""
        assert self.process is not None
        return stop(self.process, signal.SIGTERM, seconds=60)

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def log_tail(self) -> str:
        return tail(self.log)


@pytest.fixture(scope="session")
def shared_laminar() -> Iterator[LaminarServer]:
    """One server per test worker, for tests that leave nothing behind; started again if one killed it."""
    folder = Path(tempfile.mkdtemp(prefix="laminar-test-"))
    server = LaminarServer(folder).start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def laminar(shared_laminar: LaminarServer) -> LaminarServer:
    """The worker's server, alive."""
    if not shared_laminar.alive:
        shared_laminar.start()
    return shared_laminar


@pytest.fixture
def new_laminar(tmp_path: Path) -> Iterator[Callable[..., LaminarServer]]:
    """Makes servers with a data directory each: ``new_laminar("--reactors", "2")``; stopped afterwards."""
    servers: list[LaminarServer] = []

    def make(*options: str) -> LaminarServer:
        folder = tmp_path / f"server{len(servers)}"
        folder.mkdir()
        server = LaminarServer(folder, *options)
        servers.append(server)
        return server.start()

    yield make
    for server in servers:
        if server.alive:
            server.stop()
