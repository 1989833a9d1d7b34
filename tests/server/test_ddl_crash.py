"""kill -9 within a DDL statement: it has happened as a whole or not at all."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.harness.processes import die_with_parent, wait_until
from tests.harness.server import ROOT, LaminarServer

pytestmark = [pytest.mark.timeout(120)]


def crash_in(server: LaminarServer, point: str, *statements: str) -> None:
    """Run statements on a server that dies in the last one; then start the usual one."""
    server.stop()
    child = Path(__file__).with_name("ddl_crash_child.py")
    command = [sys.executable, str(child), point, "server", "--data-dir", str(server.data_dir)]
    with server.log.open("ab") as out:
        process = subprocess.Popen(
            [*command, "--listen", f"127.0.0.1:{server.port}"],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=ROOT,
            preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
    try:
        wait_until(server._answers, process=process, log=server.log, what="Laminar")
        with server.connect() as db:
            for statement in statements[:-1]:
                db.execute(statement)
            with pytest.raises(psycopg.OperationalError):
                db.execute(statements[-1])
    finally:
        process.kill()
        process.wait()
    server.start()


def rows(connection: Any, query: str) -> list[tuple[Any, ...]]:
    return sorted(connection.execute(query).fetchall(), key=repr)


@pytest.fixture
def server(new_laminar: Any) -> LaminarServer:
    started: LaminarServer = new_laminar()
    with started.connect() as db:
        db.execute("CREATE TABLE t (id int PRIMARY KEY, k int)")
        db.execute("INSERT INTO t SELECT g, g % 3 FROM generate_series(1, 20) g")
        db.execute("CREATE MATERIALIZED VIEW a AS SELECT k, count(*) AS n FROM t GROUP BY k")
        db.execute("CREATE MATERIALIZED VIEW b AS SELECT n, count(*) AS c FROM a GROUP BY n")
    return started


def test_between_installation_and_catalog(server: LaminarServer) -> None:
    query = "SELECT k, n + 1 AS m FROM a"
    crash_in(server, "installed", "INSERT INTO t VALUES (21, 7)", f"CREATE MATERIALIZED VIEW c AS {query}")
    with server.connect() as db:
        with pytest.raises(psycopg.errors.UndefinedTable):
            db.execute("SELECT * FROM c")
        # under its number comes something else
        db.execute("CREATE TABLE c (x text)")
        db.execute("INSERT INTO c VALUES ('x')")
        db.execute("INSERT INTO t VALUES (22, 7)")
        assert rows(db, "SELECT * FROM c") == [("x",)]
        db.execute(f"CREATE MATERIALIZED VIEW d AS {query}")
        assert rows(db, "SELECT * FROM d") == rows(db, query)
    server.kill()
    server.start()
    with server.connect() as db:
        assert rows(db, "SELECT * FROM c") == [("x",)]
        assert rows(db, "SELECT * FROM d") == rows(db, query)


def test_between_catalog_and_removal(server: LaminarServer) -> None:
    crash_in(server, "dropped", "INSERT INTO t VALUES (21, 7)", "DROP TABLE t CASCADE")
    with server.connect() as db:
        for name in ("t", "a", "b"):
            with pytest.raises(psycopg.errors.UndefinedTable):
                db.execute(f"SELECT * FROM {name}")
        db.execute("CREATE TABLE t (id int PRIMARY KEY, k int)")
        db.execute("CREATE MATERIALIZED VIEW a AS SELECT k, count(*) AS n FROM t GROUP BY k")
        db.execute("INSERT INTO t VALUES (1, 1)")
        assert rows(db, "SELECT * FROM a") == [(1, 1)]
