"""A real PostgreSQL for the tests of one worker: PostgreSQL decides what is right."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.harness.processes import die_with_parent, free_port, listening, stop, wait_until

#: no durability needed; a fixed environment, so that results are the same everywhere
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "lc_messages": "C",
    "max_connections": "50",
}


@dataclass(frozen=True)
class Postgres:
    port: int

    @property
    def dsn(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres"

    def connect(self, **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """A new connection, in autocommit mode unless told otherwise."""
        return psycopg.connect(self.dsn, **{"autocommit": True, **options})


def binaries() -> Path:
    """The folder with initdb and postgres: $LAMINAR_PG_BIN, else the oldest installed release from 15 on."""
    if chosen := os.environ.get("LAMINAR_PG_BIN"):
        return Path(chosen)
    found = sorted(Path("/usr/lib/postgresql").glob("1[5-9]/bin/postgres"))
    if not found:
        raise RuntimeError("no PostgreSQL 15 here: run tools/install_test_deps.sh, or set LAMINAR_PG_BIN")
    return found[0].parent


def start(folder: Path) -> tuple[Postgres, subprocess.Popen[bytes]]:
    """Make a cluster in ``folder`` and start it on a free port.

    PostgreSQL refuses to run as root, so root's tests run it as user postgres.
    """
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        account = pwd.getpwnam("postgres")
        os.chown(folder, account.pw_uid, account.pw_gid)
        user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    data = folder / "data"
    initdb = [binaries() / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "-N"]
    initdb += ["-E", "UTF8", "--locale=C.UTF-8"]
    subprocess.run(initdb, check=True, capture_output=True, cwd="/", **user)
    return serve(folder, free_port())


def serve(folder: Path, port: int, **settings: str) -> tuple[Postgres, subprocess.Popen[bytes]]:
    """Start the cluster that ``start`` has made."""
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        account = pwd.getpwnam("postgres")
        user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    bin_, data, log = binaries(), folder / "data", folder / "log"
    flags = [f"-c{name}={value}" for name, value in (SETTINGS | settings).items()]
    with log.open("ab") as out:
        process = subprocess.Popen(
            [bin_ / "postgres", "-D", data, "-p", str(port), *flags],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/",
            preexec_fn=die_with_parent(signal.SIGINT), **user,  # noqa: PLW1509
        )  # fmt: skip
    server = Postgres(port)
    wait_until(lambda: _accepts(server), process=process, log=log, what="PostgreSQL")
    return server, process


def _accepts(server: Postgres) -> bool:
    if not listening(server.port):
        return False
    try:
        server.connect().close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """PostgreSQL 15, one per test worker; connect with ``postgres.connect()``."""
    folder = Path(tempfile.mkdtemp(prefix="laminar-pg-"))
    process = None
    try:
        server, process = start(folder)
        yield server
    finally:
        if process is not None:
            stop(process, signal.SIGINT)
        shutil.rmtree(folder, ignore_errors=True)
