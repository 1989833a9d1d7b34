"""Temporary tables go with their session, however it ends; comments are kept."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.harness.server import LaminarServer


def test_they_go_with_the_session(laminar: LaminarServer) -> None:
    with laminar.connect() as connection:
        with laminar.connect() as other:
            other.execute("CREATE TEMP TABLE gone AS SELECT 1 AS x")
            assert other.execute("SELECT x FROM gone").fetchall() == [(1,)]
        for _ in range(100):
            row = connection.execute("SELECT count(*) FROM pg_class WHERE relname = 'gone'").fetchone()
            if row == (0,):
                break
            time.sleep(0.05)
        assert row == (0,)


def test_they_go_with_a_crash(new_laminar: Callable[..., LaminarServer]) -> None:
    server = new_laminar("--reactors", "1")
    with server.connect() as connection:
        connection.execute("CREATE TABLE stays (x int)")
        connection.execute("CREATE TEMP TABLE gone (x int)")
        connection.execute("INSERT INTO gone VALUES (1)")
        connection.execute("COMMENT ON TABLE stays IS 'it''s here'")
        connection.execute("COMMENT ON COLUMN stays.x IS 'a number'")
        connection.execute("CREATE TABLE made AS SELECT g FROM generate_series(1, 1000) g")
        connection.execute("ALTER TABLE made ADD COLUMN h int DEFAULT 5")
    with server.connect() as connection:
        connection.execute("CREATE TEMP TABLE gone_too (x int)")
        server.kill()
    server.start()
    with server.connect() as connection:
        names = connection.execute(
            "SELECT relname FROM pg_class WHERE oid >= 16384 AND relkind = 'r' ORDER BY 1"
        )
        assert names.fetchall() == [("made",), ("stays",)]
        assert connection.execute("SELECT count(*), sum(h) FROM made").fetchone() == (1000, 5000)
        connection.execute("CREATE TEMP TABLE gone (x int)")
        assert connection.execute("SELECT count(*) FROM gone").fetchone() == (0,)
