"""Sessions that change the same rows: autocommit just works, blocks get 40001, nothing is lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg import errors

from tests.harness.server import LaminarServer

THREADS, TIMES = 6, 15


@pytest.fixture
def table(laminar: LaminarServer):
    with laminar.connect() as connection:
        connection.execute("CREATE TABLE counters (id int PRIMARY KEY, n int)")
        connection.execute("INSERT INTO counters VALUES (1, 0), (2, 0)")
        connection.execute("FLUSH")
        yield laminar
        connection.execute("DROP TABLE counters CASCADE")


def everywhere(server: LaminarServer, work) -> None:
    """``work(connection)`` in several sessions at once; raises what one of them raised."""

    def one(_: int) -> None:
        with server.connect() as connection:
            for _ in range(TIMES):
                work(connection)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, range(THREADS)))


def value(server: LaminarServer, id_: int) -> list[tuple[int]]:
    with server.connect() as connection:
        connection.execute("FLUSH")
        return connection.execute("SELECT n FROM counters WHERE id = %s", (id_,)).fetchall()


@pytest.mark.parametrize(
    ("statement", "params", "id_"),
    [
        ("UPDATE counters SET n = n + 1 WHERE id = 1", None, 1),
        ("UPDATE counters SET n = n + %s WHERE id = 1", (1,), 1),  # extended protocol
        ("INSERT INTO counters VALUES (9, 1) ON CONFLICT (id) DO UPDATE SET n = counters.n + 1", None, 9),
        ("INSERT INTO counters VALUES (9, %s) ON CONFLICT (id) DO UPDATE SET n = counters.n + 1", (1,), 9),
    ],
)
def test_concurrent_statements_all_count(table, statement, params, id_):
    def work(connection):
        assert connection.execute(statement, params).rowcount == 1

    everywhere(table, work)
    assert value(table, id_) == [(THREADS * TIMES,)]


def test_a_key_that_comes_and_goes(table):
    def work(connection):
        connection.execute("INSERT INTO counters VALUES (5, 0) ON CONFLICT DO NOTHING")
        connection.execute("DELETE FROM counters WHERE id = 5")

    everywhere(table, work)
    assert value(table, 5) == []


def test_blocks_are_refused_or_counted(table):
    """As many increments as COMMITs that succeeded."""
    done = []

    def work(connection):
        try:
            with connection.transaction():
                (n,) = connection.execute("SELECT n FROM counters WHERE id = 2").fetchone()
                connection.execute("UPDATE counters SET n = %s WHERE id = 2", (n + 1,))
            done.append(1)
        except errors.SerializationFailure:
            pass

    everywhere(table, work)
    assert value(table, 2) == [(len(done),)]


def test_a_pipeline_that_stops_halfway_leaves_the_row_free(table):
    with table.connect() as first, table.connect() as second:
        with pytest.raises(errors.DivisionByZero), first.pipeline():
            first.execute("UPDATE counters SET n = 7 WHERE id = %s", (1,))
            first.execute("SELECT 1 / 0")
        second.execute("UPDATE counters SET n = n + 1 WHERE id = 1")
    assert value(table, 1) == [(1,)]


def test_read_only_and_set_local_are_kept(table):
    with table.connect() as connection:
        connection.execute("BEGIN READ ONLY")
        with pytest.raises(errors.ReadOnlySqlTransaction):
            connection.execute("UPDATE counters SET n = 1")
        connection.execute("ROLLBACK")
        connection.execute("BEGIN")
        connection.execute("SET LOCAL timezone = 'Asia/Tokyo'")
        connection.execute("SET application_name = 'kept'")
        connection.execute("COMMIT")
        assert connection.execute("SHOW timezone").fetchone() != ("Asia/Tokyo",)
        assert connection.execute("SHOW application_name").fetchone() == ("kept",)


def test_writes_see_what_other_sessions_were_told(table):
    """Every time: an UPDATE, DELETE or ON CONFLICT right after somebody else's COMMIT finds the row."""
    with table.connect() as first, table.connect() as second:
        for id_ in range(100, 110):
            first.execute("INSERT INTO counters VALUES (%s, 1)", (id_,))
            assert second.execute("UPDATE counters SET n = 2 WHERE id = %s", (id_,)).rowcount == 1
            assert first.execute("DELETE FROM counters WHERE n = 2").rowcount == 1
            second.execute("INSERT INTO counters VALUES (%s, 1) ON CONFLICT DO NOTHING", (id_,))
            first.execute("DELETE FROM counters WHERE id = %s", (id_,))
