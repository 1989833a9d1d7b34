"""The main job over the wire: sources, tables, views, EMIT, SUBSCRIBE, restarts, errors."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.harness.server import LaminarServer


@pytest.fixture
def db(laminar: LaminarServer) -> Iterator[psycopg.Connection[Any]]:
    """A connection whose objects live in a schema of their own, dropped afterwards."""
    with laminar.connect() as connection:
        connection.execute("CREATE SCHEMA job")
        connection.execute("SET search_path = job")
        try:
            yield connection
        finally:
            connection.execute("DROP SCHEMA job CASCADE")


def rows(connection: psycopg.Connection[Any], query: str) -> list[tuple[Any, ...]]:
    return sorted(connection.execute(query).fetchall(), key=repr)


def test_views_follow_inserts_updates_and_deletes(db: psycopg.Connection[Any]) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, k text, v int)")
    db.execute("INSERT INTO t VALUES (1, 'a', 10), (2, 'a', 20), (3, 'b', NULL)")
    select = (
        "SELECT k, count(*) AS n, sum(v) AS s, min(v) AS lo, max(v) AS hi FROM t WHERE id < 100 GROUP BY k"
    )
    db.execute(f"CREATE MATERIALIZED VIEW agg AS {select}")
    assert (
        rows(db, "SELECT * FROM agg")
        == rows(db, select)
        == [("a", 2, 30, 10, 20), ("b", 1, None, None, None)]
    )
    db.execute("INSERT INTO t VALUES (4, 'b', 7), (200, 'a', 1000)")
    db.execute("UPDATE t SET v = v + 1 WHERE k = 'a'")
    assert rows(db, "SELECT * FROM agg") == rows(db, select) == [("a", 2, 32, 11, 21), ("b", 2, 7, 7, 7)]
    db.execute("DELETE FROM t WHERE id = 1")
    assert rows(db, "SELECT * FROM agg") == rows(db, select) == [("a", 1, 21, 21, 21), ("b", 2, 7, 7, 7)]
    db.execute("DELETE FROM t")
    assert rows(db, "SELECT * FROM agg") == []


def test_join_and_views_on_views(db: psycopg.Connection[Any]) -> None:
    db.execute("CREATE TABLE orders (id int PRIMARY KEY, customer int, amount numeric(10,2))")
    db.execute("CREATE TABLE customers (id int PRIMARY KEY, name text)")
    join = "SELECT c.name, o.id, o.amount FROM orders o JOIN customers c ON o.customer = c.id"
    db.execute(f"CREATE MATERIALIZED VIEW named AS {join}")
    db.execute(
        "CREATE MATERIALIZED VIEW totals AS SELECT name, sum(amount) AS total FROM named GROUP BY name"
    )
    db.execute("INSERT INTO orders VALUES (1, 1, 10.50), (2, 2, 3.00), (3, 1, 0.25)")
    assert rows(db, "SELECT * FROM named") == []
    db.execute("INSERT INTO customers VALUES (1, 'ada'), (2, 'bob')")
    assert rows(db, "SELECT * FROM named") == rows(db, join)
    assert [(n, str(t)) for n, t in rows(db, "SELECT * FROM totals")] == [("ada", "10.75"), ("bob", "3.00")]
    db.execute("UPDATE customers SET name = 'eve' WHERE id = 2")
    assert [(n, str(t)) for n, t in rows(db, "SELECT * FROM totals")] == [("ada", "10.75"), ("eve", "3.00")]


def test_windows_close_once_and_late_rows_are_counted(db: psycopg.Connection[Any]) -> None:
    db.execute("CREATE SOURCE s (k text, v int, at timestamp, WATERMARK FOR at AS at - INTERVAL '5 seconds')")
    db.execute(
        """CREATE MATERIALIZED VIEW per_minute AS
           SELECT k, window_start, count(*) AS n, sum(v) AS s
           FROM TUMBLE(s, at, INTERVAL '1 minute') GROUP BY k, window_start, window_end
           EMIT ON WINDOW CLOSE"""
    )
    db.execute("INSERT INTO s VALUES ('a', 1, '2026-01-01 10:00:01'), ('a', 2, '2026-01-01 10:00:59')")
    db.execute("FLUSH")
    assert rows(db, "SELECT * FROM per_minute") == []
    db.execute("INSERT INTO s VALUES ('a', 4, '2026-01-01 10:01:04')")  # the watermark is at 10:00:59
    db.execute("INSERT INTO s VALUES ('a', 8, '2026-01-01 10:00:30')")  # so this is on time
    db.execute("INSERT INTO s VALUES ('b', 16, '2026-01-01 10:01:05')")  # and this closes the minute
    closed = rows(db, "SELECT k, n, s FROM per_minute")
    assert closed == [("a", 3, 11)]
    db.execute("INSERT INTO s VALUES ('a', 32, '2026-01-01 10:00:59')")
    db.execute("FLUSH")
    assert rows(db, "SELECT k, n, s FROM per_minute") == closed
    dropped = rows(
        db, "SELECT rows FROM laminar_catalog.dropped_rows WHERE relation = 'per_minute' AND reason = 'late'"
    )
    assert dropped == [(1,)]


def test_subscribe_gives_the_snapshot_and_then_every_change(
    laminar: LaminarServer, db: psycopg.Connection[Any]
) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
    db.execute("CREATE MATERIALIZED VIEW total AS SELECT sum(v) AS s FROM t")
    db.execute("INSERT INTO t VALUES (1, 5)")
    db.execute("FLUSH")  # another session would not wait for this one's commit
    seen: list[tuple[Any, ...]] = []
    enough = threading.Event()

    def listen() -> None:
        with laminar.connect() as other:
            other.execute("SET search_path = job")
            for row in other.cursor().stream("SUBSCRIBE TO total"):
                seen.append(row)
                if len(seen) == 1:
                    started.set()
                if row[2] == 12 and row[1] == 1:
                    enough.set()
                    return

    started = threading.Event()
    thread = threading.Thread(target=listen)
    thread.start()
    assert started.wait(30)
    db.execute("INSERT INTO t VALUES (2, 7)")
    assert enough.wait(30)
    thread.join(30)
    assert [(diff, value) for _, diff, value in seen[:1]] == [(1, 5)]
    assert sorted((diff, value) for _, diff, value in seen[1:]) == [(-1, 5), (1, 12)]
    assert len({epoch for epoch, _, _ in seen[1:]}) == 1


def test_transactions(db: psycopg.Connection[Any]) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
    db.execute("CREATE MATERIALIZED VIEW n AS SELECT count(*) AS n FROM t")
    db.execute("BEGIN")
    db.execute("INSERT INTO t VALUES (1, 1)")
    assert rows(db, "SELECT v FROM t") == [(1,)], "reads see the transaction's own writes"
    db.execute("ROLLBACK")
    assert rows(db, "SELECT v FROM t") == []
    db.execute("BEGIN")
    db.execute("INSERT INTO t VALUES (1, 1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        db.execute("INSERT INTO t VALUES (1, 2)")
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        db.execute("SELECT 1")
    db.execute("ROLLBACK")
    db.execute("BEGIN")
    db.execute("INSERT INTO t VALUES (1, 1), (2, 2)")
    db.execute("COMMIT")
    assert rows(db, "SELECT n FROM n") == [(2,)]


def test_a_malformed_copy_leaves_nothing_behind(db: psycopg.Connection[Any]) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
    with (
        pytest.raises(psycopg.errors.InvalidTextRepresentation) as caught,
        db.cursor() as cursor,
        cursor.copy("COPY t FROM STDIN") as copy,
    ):
        copy.write("1\t10\n2\toops\n3\t30\n")
    assert caught.value.diag.context == 'COPY t, line 2, column v: "oops"'
    assert rows(db, "SELECT * FROM t") == []
    with db.cursor() as cursor, cursor.copy("COPY t FROM STDIN") as copy:
        copy.write("1\t10\n2\t\\N\n")
    assert rows(db, "SELECT * FROM t") == [(1, 10), (2, None)]


@pytest.mark.parametrize(
    ("statement", "sqlstate", "hint"),
    [
        ("CREATE MATERIALIZED VIEW v AS SELECT nope FROM t", "42703", None),
        ("CREATE MATERIALIZED VIEW v AS SELECT * FROM nope", "42P01", None),
        ("CREATE TABLE t (id int)", "42P07", None),
        ("CREATE TABLE u (id int, id text)", "42701", None),
        ("CREATE SOURCE u (id int, WATERMARK FOR at)", "42703", "column"),
        ("CREATE SOURCE u (id text, WATERMARK FOR id)", "42804", "timestamp"),
        ("CREATE SOURCE u (id int) WITH (connector = 'kafkaesque')", "22023", "file"),
        ("CREATE SOURCE u (id int) WITH (connector = 'datagen', nonsense = 1)", "22023", "rows"),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT v, count(*) FROM t GROUP BY v EMIT ON WINDOW CLOSE",
            "0A000",
            "TUMBLE",
        ),
        ("CREATE MATERIALIZED VIEW v AS SELECT id FROM t EMIT ON WINDOW CLOSE", "0A000", "WATERMARK"),
        ("CREATE MATERIALIZED VIEW v AS SELECT now() FROM t", "0A000", None),
        ("CREATE MATERIALIZED VIEW v AS SELECT random() FROM t", "0A000", None),
        ("CREATE MATERIALIZED VIEW v AS SELECT id + 'x'::text FROM t", "42883", "type casts"),
        ("INSERT INTO m VALUES (1)", "42809", None),
        ("DROP TABLE t", "2BP01", "CASCADE"),
        ("DROP VIEW m", "42809", "MATERIALIZED VIEW"),
        ("SELEC 1", "42601", None),
    ],
)
def test_errors_come_at_once_and_change_nothing(
    db: psycopg.Connection[Any], statement: str, sqlstate: str, hint: str | None
) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
    db.execute("CREATE MATERIALIZED VIEW m AS SELECT id FROM t WHERE v > 0")
    before = rows(db, "SELECT relname FROM pg_catalog.pg_class WHERE oid >= 16384")
    with pytest.raises(psycopg.Error) as caught:
        db.execute(statement)
    assert caught.value.sqlstate == sqlstate
    if hint is not None:
        assert hint in (caught.value.diag.message_hint or "")
    assert rows(db, "SELECT relname FROM pg_catalog.pg_class WHERE oid >= 16384") == before
    db.execute("INSERT INTO t VALUES (1, 1)")
    assert rows(db, "SELECT * FROM m") == [(1,)]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_everything_is_there_after_a_restart(new_laminar: Any, how: str) -> None:
    server: LaminarServer = new_laminar()
    with server.connect() as db:
        db.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
        db.execute("CREATE SOURCE s (v int, at timestamp, WATERMARK FOR at)")
        db.execute("CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n, sum(v) AS s FROM t")
        db.execute(
            """CREATE MATERIALIZED VIEW w AS SELECT window_start, sum(v) AS s
               FROM TUMBLE(s, at, INTERVAL '1 hour') GROUP BY window_start, window_end EMIT ON WINDOW CLOSE"""
        )
        db.execute("INSERT INTO t SELECT i, i * 10 FROM generate_series(1, 1000) AS i")
        db.execute("INSERT INTO s VALUES (1, '2026-01-01 10:10'), (2, '2026-01-01 11:10')")
        db.execute("CHECKPOINT")
        db.execute("DELETE FROM t WHERE id <= 10")
        db.execute("INSERT INTO s VALUES (4, '2026-01-01 11:20')")
        before = rows(db, "SELECT * FROM total"), rows(db, "SELECT * FROM w")
    getattr(server, how)()
    server.start()
    with server.connect() as db:
        assert (rows(db, "SELECT * FROM total"), rows(db, "SELECT * FROM w")) == before
        assert before[0] == [(990, 5004450)]
        db.execute("INSERT INTO s VALUES (8, '2026-01-01 12:00')")
        assert [s for _, s in rows(db, "SELECT * FROM w")] == [1, 6]
        db.execute("DELETE FROM t WHERE id > 11")
        assert rows(db, "SELECT * FROM total") == [(1, 110)]


def test_a_second_server_on_the_same_data_is_refused(new_laminar: Any) -> None:
    server: LaminarServer = new_laminar()
    second = LaminarServer(server.folder)
    with pytest.raises(Exception, match="Laminar"):
        second.start()
    assert "is in use by another server" in second.log_tail()
    with server.connect() as db:
        assert rows(db, "SELECT 1") == [(1,)]
