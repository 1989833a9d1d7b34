"""A view over much data is built beside the others, can be watched and cancelled; DROP frees what it held."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from tests.harness.server import LaminarServer

pytestmark = [pytest.mark.timeout(180)]

ROWS = 600_000
PROGRESS = "SELECT name, rows_done, rows_total FROM laminar_catalog.ddl_progress"
VIEW = "CREATE MATERIALIZED VIEW v AS SELECT g, count(*) AS n, sum(k) AS s FROM big GROUP BY g"


@pytest.fixture(params=["1", "2"])
def server(new_laminar: Any, request: Any) -> LaminarServer:
    """With a table of many rows and a view of a small one."""
    made: LaminarServer = new_laminar("--reactors", request.param)
    with made.connect() as db:
        db.execute("CREATE TABLE big (k bigint PRIMARY KEY, g bigint)")
        for start in range(0, ROWS, 300_000):
            db.execute(
                f"INSERT INTO big SELECT k, k % 400000 FROM generate_series({start + 1}, {start + 300_000}) k"
            )
        db.execute("CREATE TABLE small (k int PRIMARY KEY)")
        db.execute("CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM small")
    return made


class Probe:
    """Writes a row and reads it from a running view, again and again."""

    def __init__(self, server: LaminarServer) -> None:
        self.server = server
        self.seconds: list[float] = []
        self.progress: list[tuple[Any, ...]] = []
        self.over = threading.Event()

    def run(self) -> None:
        with self.server.connect() as db:
            while not self.over.is_set():
                started = time.monotonic()
                db.execute("INSERT INTO small SELECT count(*) FROM small")
                count = db.execute("SELECT n FROM counted").fetchone()
                self.seconds.append(time.monotonic() - started)
                assert count == (len(self.seconds),)
                row = db.execute(PROGRESS).fetchone()
                self.progress += [row] if row is not None else []


@contextmanager
def probing(server: LaminarServer) -> Iterator[Probe]:
    probe = Probe(server)
    thread = threading.Thread(target=probe.run)
    thread.start()
    try:
        yield probe
    finally:
        probe.over.set()
        thread.join()


def state(db: Any) -> tuple[Any, ...]:
    """Entries and bytes of operators, by view."""
    query = "SELECT sum(entries)::int, sum(state_bytes)::int FROM laminar_catalog.operators WHERE view = 'v'"
    found: tuple[Any, ...] = db.execute(query).fetchone()
    return found


def nothing_left(db: Any) -> None:
    for _ in range(2):
        db.execute("FLUSH")
    assert db.execute("SELECT count(*) FROM laminar_catalog.ddl_progress").fetchone() == (0,)
    assert db.execute("SELECT count(*) FROM pg_class WHERE relname = 'v'").fetchone() == (0,)
    # operators of a dataflow without a name are shown by its number
    named = "SELECT count(*) FROM laminar_catalog.operators WHERE view <> 'counted'"
    assert db.execute(named).fetchone() == (0,)


def test_beside_running_views(server: LaminarServer) -> None:
    with probing(server) as probe, server.connect() as db:
        db.execute(VIEW)
        assert db.execute("SELECT count(*), sum(n), sum(s) FROM v").fetchone() == (
            400_000, ROWS, ROWS * (ROWS + 1) // 2,
        )  # fmt: skip
    # on a slow machine a round takes its time; without pacing it was as long as half of the backfill
    assert len(probe.seconds) > 8
    assert max(probe.seconds) < 2.5
    done = [row[1] for row in probe.progress]
    assert {(row[0], row[2]) for row in probe.progress} <= {("v", None), ("v", ROWS)}
    assert done == sorted(done)
    assert len(set(done)) > 3
    with server.connect() as db:
        entries, size = state(db)
        assert entries >= 400_000
        assert size > 0
        db.execute("DROP MATERIALIZED VIEW v")
        nothing_left(db)


def test_cancel(server: LaminarServer) -> None:
    """By timeout, by pg_cancel_backend and by a lost client: nothing is left, and it can be made again."""
    with server.connect() as db, server.connect() as other:
        db.execute("SET statement_timeout = '300ms'")
        with pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout"):
            db.execute(VIEW)
        nothing_left(other)
        db.execute("RESET statement_timeout")

        def cancel() -> None:
            while not other.execute(f"{PROGRESS} WHERE rows_done > 0").fetchone():
                time.sleep(0.01)
            other.execute("SELECT pg_cancel_backend(%s)", (db.info.backend_pid,))

        thread = threading.Thread(target=cancel)
        thread.start()
        with pytest.raises(psycopg.errors.QueryCanceled, match="user request"):
            db.execute(VIEW)
        thread.join()
        nothing_left(other)
        db.execute(VIEW.replace("FROM big", "FROM big WHERE k <= 1000"))
        assert db.execute("SELECT sum(n) FROM v").fetchone() == (1000,)
    server.kill()
    server.start()
    with server.connect() as db:
        assert db.execute("SELECT sum(n) FROM v").fetchone() == (1000,)
        db.execute("DROP MATERIALIZED VIEW v")
        nothing_left(db)
