"""Sequences: no number twice, whatever happens."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg
import pytest
from psycopg import errors

from laminar.catalog.sequences import _AHEAD
from tests.harness.server import LaminarServer


def test_no_number_twice_after_a_crash_and_none_lost_by_a_stop(
    new_laminar: Callable[..., LaminarServer],
) -> None:
    server = new_laminar("--reactors", "1")
    given: list[int] = []
    with server.connect() as connection:
        connection.execute("CREATE SEQUENCE s")
        connection.execute("CREATE TABLE t (id serial PRIMARY KEY, v text)")
    for _ in range(2):
        stop = threading.Event()

        def take(into: list[int], until: threading.Event) -> None:
            try:
                with server.connect() as connection:
                    while not until.is_set():
                        row = connection.execute("INSERT INTO t (v) VALUES ('x') RETURNING id").fetchone()
                        assert row is not None
                        into.append(row[0])
            except psycopg.OperationalError:
                pass

        threads = [threading.Thread(target=take, args=(given, stop)) for _ in range(2)]
        for thread in threads:
            thread.start()
        threads[0].join(1.0)
        server.kill()
        stop.set()
        for thread in threads:
            thread.join()
        server.start()
    assert len(set(given)) == len(given) > 0
    with server.connect() as connection:
        stored = {row[0] for row in connection.execute("SELECT id FROM t").fetchall()}
        assert stored >= set(given)
        row = connection.execute("SELECT nextval('t_id_seq')").fetchone()
        assert row is not None
        assert max(stored) < row[0] <= max(stored) + _AHEAD[1] + 2
        assert connection.execute("SELECT nextval('s')").fetchone() == (1,)
    server.restart()
    with server.connect() as connection:
        assert connection.execute("SELECT nextval('s')").fetchone() == (2,)


def test_a_rollback_gives_no_number_back(laminar: LaminarServer) -> None:
    with laminar.connect() as connection:
        connection.execute("CREATE SEQUENCE kept")
        try:
            with pytest.raises(ZeroDivisionError), connection.transaction():
                assert connection.execute("SELECT nextval('kept')").fetchone() == (1,)
                raise ZeroDivisionError
            assert connection.execute("SELECT nextval('kept')").fetchone() == (2,)
            with laminar.connect() as other, pytest.raises(errors.ObjectNotInPrerequisiteState):
                other.execute("SELECT currval('kept')")
        finally:
            connection.execute("DROP SEQUENCE kept")


def test_views_take_no_numbers(laminar: LaminarServer) -> None:
    with laminar.connect() as connection:
        connection.execute("CREATE SEQUENCE refused_here")
        connection.execute("CREATE TABLE read_here (x int)")
        try:
            with pytest.raises(errors.FeatureNotSupported):
                connection.execute(
                    "CREATE MATERIALIZED VIEW v AS SELECT x, nextval('refused_here') FROM read_here"
                )
        finally:
            connection.execute("DROP TABLE read_here")
            connection.execute("DROP SEQUENCE refused_here")
