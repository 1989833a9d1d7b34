"""Indexes: unique values stay unique whoever comes, and after a crash; views have indexes too."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg import errors

from tests.harness.server import LaminarServer


def test_one_of_many_takes_a_value(laminar: LaminarServer) -> None:
    with laminar.connect() as connection:
        connection.execute("CREATE TABLE taken (id serial PRIMARY KEY, name text UNIQUE)")
        try:

            def insert(_: int) -> int:
                done = 0
                with laminar.connect() as other:
                    for i in range(20):
                        try:
                            other.execute("INSERT INTO taken (name) VALUES (%s)", (f"n{i}",))
                            done += 1
                        except errors.UniqueViolation as error:
                            assert error.diag.constraint_name == "taken_name_key"
                return done

            with ThreadPoolExecutor(4) as pool:
                assert sum(pool.map(insert, range(4))) == 20
            assert connection.execute("SELECT count(*), count(DISTINCT name) FROM taken").fetchone() == (
                20,
                20,
            )
            with laminar.connect() as other, other.transaction():
                other.execute("DELETE FROM taken WHERE name = 'n0'")
                with pytest.raises(errors.UniqueViolation):
                    connection.execute("INSERT INTO taken (name) VALUES ('n0')")
            connection.execute("INSERT INTO taken (name) VALUES ('n0')")
        finally:
            connection.execute("DROP TABLE taken")


def test_after_a_crash(new_laminar: Callable[..., LaminarServer]) -> None:
    server = new_laminar("--reactors", "1")
    with server.connect() as connection:
        connection.execute("CREATE TABLE t (x int, y int)")
        connection.execute("CREATE UNIQUE INDEX ON t (x)")
        connection.execute("CREATE MATERIALIZED VIEW v AS SELECT x % 10 AS k, count(*) FROM t GROUP BY 1")
        connection.execute("CREATE INDEX ON v (count)")
        connection.execute("INSERT INTO t SELECT g, g FROM generate_series(1, 1000) g")
        connection.execute("DELETE FROM t WHERE x = 5")
    server.kill()
    server.start()
    with server.connect() as connection:
        with pytest.raises(errors.UniqueViolation):
            connection.execute("INSERT INTO t VALUES (6, 0)")
        connection.execute("INSERT INTO t VALUES (5, 0)")
        with pytest.raises(errors.UniqueViolation):
            connection.execute("INSERT INTO t VALUES (5, 0)")
        connection.execute("INSERT INTO t VALUES (1007, 0), (1017, 0)")
        assert connection.execute("SELECT k FROM v WHERE count = 102").fetchall() == [(7,)]
        assert connection.execute("SELECT count(*) FROM v WHERE count >= 100").fetchone() == (10,)
