"""Both servers, set up alike: durable commits, SCRAM passwords, TCP on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.harness import postgres
from tests.harness.processes import stop
from tests.harness.server import LaminarServer

PASSWORD = "benchmark"
#: idle connections that either server has to admit
CONNECTIONS = 6000
_TICKS = os.sysconf("SC_CLK_TCK")
#: durable, and with memory enough that the tables stay in it
_POSTGRES = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "max_connections": str(CONNECTIONS),
}


@dataclass(frozen=True)
class Server:
    """A running server.

    Args:
        process: the first process of its tree.
    """

    name: str
    port: int
    user: str
    database: str
    process: int

    @property
    def environment(self) -> dict[str, str]:
        """For libpq's programs."""
        return {
            **os.environ,
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGDATABASE": self.database,
            "PGPASSWORD": PASSWORD,
            "PGSSLMODE": "disable",
        }

    @property
    def dsn(self) -> str:
        return (
            f"host=127.0.0.1 port={self.port} user={self.user} dbname={self.database}"
            f" password={PASSWORD} sslmode=disable"
        )

    def connect(self) -> psycopg.Connection[Any]:
        """A connection in autocommit mode."""
        return psycopg.connect(self.dsn, autocommit=True)

    def cpu_seconds(self) -> float:
        """Of all its processes so far, those that have ended included."""
        return sum(_cpu_ticks(pid) for pid in self._processes()) / _TICKS

    def memory(self) -> int:
        """Bytes of all its processes, shared pages by parts (PSS)."""
        return sum(_pss(pid) for pid in self._processes())

    def _processes(self) -> list[int]:
        found = [self.process]
        for pid in found:
            try:
                for task in Path(f"/proc/{pid}/task").glob("*/children"):
                    found += map(int, task.read_text().split())
            except (FileNotFoundError, ProcessLookupError):  # it has just ended
                continue
        return found


def _cpu_ticks(pid: int) -> int:
    """Its own and its reaped children's, user and system."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(map(int, fields[11:15]))


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


@contextmanager
def both() -> Iterator[tuple[Server, Server]]:
    """PostgreSQL and Laminar (one reactor), empty, gone afterwards."""
    with ExitStack() as stack:
        yield stack.enter_context(_postgres()), stack.enter_context(_laminar())


@contextmanager
def _postgres() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="laminar-bench-pg-"))
    process = None
    try:
        trusting, process = postgres.start(folder)
        with trusting.connect() as connection:
            connection.execute(f"ALTER ROLE postgres PASSWORD '{PASSWORD}'")
        stop(process, signal.SIGINT)
        os.environ["PGPASSWORD"] = PASSWORD
        (folder / "data" / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
        running, process = postgres.serve(folder, trusting.port, **_POSTGRES)
        yield Server("PostgreSQL", running.port, "postgres", "postgres", process.pid)
    finally:
        if process is not None:
            stop(process, signal.SIGINT)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _laminar() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="laminar-bench-"))
    password = folder / "password"
    password.write_text(PASSWORD)
    running = LaminarServer(folder, "--reactors", "1")
    running.environment = {
        "LAMINAR_AUTH": "scram-sha-256",
        "LAMINAR_SUPERUSER_PASSWORD_FILE": str(password),
        "LAMINAR_MAX_CONNECTIONS": str(CONNECTIONS),
    }
    os.environ["PGPASSWORD"] = PASSWORD
    try:
        running.start()
        assert running.process is not None
        yield Server("Laminar", running.port, "laminar", "laminar", running.process.pid)
    finally:
        if running.alive:
            running.stop()
        shutil.rmtree(folder, ignore_errors=True)
