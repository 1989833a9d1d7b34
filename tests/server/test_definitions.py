"""DDL within transaction blocks: all of it is there after COMMIT, nothing of it after ROLLBACK or a crash."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tests.harness.server import LaminarServer

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def db(laminar: LaminarServer) -> Iterator[Connection]:
    with laminar.connect() as connection:
        connection.execute("CREATE SCHEMA block")
        connection.execute("SET search_path = block")
        yield connection
        connection.execute("ROLLBACK")
        connection.execute("DROP SCHEMA block CASCADE")


def relations(db: Connection) -> list[tuple[Any, ...]]:
    return db.execute(
        "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'block'::regnamespace ORDER BY relname"
    ).fetchall()


def test_commit_keeps_everything(db: Connection) -> None:
    db.execute("CREATE TABLE old (a int)")
    db.execute("BEGIN")
    db.execute("SELECT count(*) FROM old")
    db.execute("CREATE TABLE t (a int PRIMARY KEY, b text)")
    db.execute("INSERT INTO t VALUES (1, 'x'), (2, 'y')")
    assert db.execute("SELECT count(*) FROM t").fetchone() == (2,)
    db.execute("CREATE VIEW v AS SELECT b FROM t")
    db.execute("CREATE MATERIALIZED VIEW m AS SELECT b, count(*) AS n FROM t GROUP BY b")
    assert db.execute("SELECT * FROM m").fetchall() == []
    db.execute("CREATE TABLE c AS SELECT a, b FROM t WHERE a > 1")
    assert db.execute("SELECT * FROM c").fetchall() == [(2, "y")]
    db.execute("DROP TABLE old")
    db.execute("ALTER TABLE c RENAME TO d")
    db.execute("INSERT INTO t VALUES (3, 'z')")
    db.execute("COMMIT")
    assert relations(db) == [("d", "r"), ("m", "m"), ("t", "r"), ("t_pkey", "i"), ("v", "v")]
    assert db.execute("SELECT b, n FROM m ORDER BY b").fetchall() == [("x", 1), ("y", 1), ("z", 1)]
    assert db.execute("SELECT count(*) FROM v").fetchone() == (3,)


def test_rollback_takes_everything_back(db: Connection) -> None:
    db.execute("CREATE TABLE t (a int PRIMARY KEY, b int)")
    db.execute("CREATE MATERIALIZED VIEW m AS SELECT b, count(*) AS n FROM t GROUP BY b")
    db.execute("CREATE SEQUENCE s")
    db.execute("SELECT nextval('s')")
    db.execute("INSERT INTO t VALUES (1, 1)")
    before = relations(db)
    db.execute("BEGIN")
    db.execute("CREATE TABLE u (a serial, b int UNIQUE)")
    db.execute("INSERT INTO u (b) VALUES (7)")
    db.execute("CREATE MATERIALIZED VIEW n AS SELECT a FROM u")
    db.execute("CREATE ROLE nobody_yet")
    db.execute("GRANT SELECT ON t TO nobody_yet")
    db.execute("COMMENT ON TABLE t IS 'changed'")
    db.execute("CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2'")
    db.execute("CREATE SCHEMA block_two")
    db.execute("DROP TABLE t CASCADE")
    db.execute("DROP SEQUENCE s")
    db.execute("CREATE TABLE t (other text)")
    db.execute("INSERT INTO t VALUES ('x')")
    db.execute("ROLLBACK")
    assert relations(db) == before
    db.execute("INSERT INTO t VALUES (2, 1)")
    assert db.execute("SELECT * FROM m").fetchall() == [(1, 2)]
    assert db.execute("SELECT nextval('s')").fetchone() == (2,)
    assert db.execute("SELECT obj_description('t'::regclass)").fetchone() == (None,)
    for gone in (
        "SET ROLE nobody_yet",
        "SELECT twice(1)",
        "CREATE TABLE block_two.x (a int)",
        "SELECT * FROM n",
    ):
        with pytest.raises(psycopg.Error):
            db.execute(gone)
    with pytest.raises(psycopg.errors.UniqueViolation):
        db.execute("INSERT INTO t VALUES (2, 1)")


def test_savepoints_and_failing_statements(db: Connection) -> None:
    db.execute("CREATE TABLE t (a int)")
    db.execute("INSERT INTO t VALUES (1), (1)")
    db.execute("BEGIN")
    db.execute("CREATE TABLE a (x int)")
    db.execute("SAVEPOINT p")
    db.execute("CREATE TABLE b (x int)")
    db.execute("ALTER TABLE a RENAME TO c")
    db.execute("ROLLBACK TO p")
    db.execute("INSERT INTO a VALUES (5)")
    db.execute("SAVEPOINT q")
    with pytest.raises(psycopg.errors.UniqueViolation):
        db.execute("ALTER TABLE t ADD PRIMARY KEY (a)")
    db.execute("ROLLBACK TO q")
    db.execute("COMMIT")
    assert relations(db) == [("a", "r"), ("t", "r")]
    assert db.execute("SELECT * FROM a").fetchall() == [(5,)]
    assert db.execute("SELECT count(*) FROM t").fetchone() == (2,)


def test_columns_that_change_come_back(db: Connection) -> None:
    db.execute("CREATE TABLE t (a int, b text)")
    db.execute("INSERT INTO t VALUES (1, '2'), (3, '4')")
    db.execute("CREATE INDEX by_b ON t (b)")
    db.execute("BEGIN")
    db.execute("ALTER TABLE t DROP COLUMN a")
    db.execute("ALTER TABLE t ALTER COLUMN b TYPE int USING b::int")
    assert db.execute("SELECT sum(b) FROM t").fetchone() == (6,)
    db.execute("ROLLBACK")
    assert db.execute("SELECT a FROM t WHERE b = '4'").fetchall() == [(3,)]
    db.execute("BEGIN")
    db.execute("ALTER TABLE t ADD PRIMARY KEY (a)")
    db.execute("COMMIT")
    with pytest.raises(psycopg.errors.UniqueViolation):
        db.execute("INSERT INTO t VALUES (3, '5')")
    assert db.execute("SELECT a FROM t WHERE b = '4'").fetchall() == [(3,)]


def test_a_commit_that_fails_takes_back_ddl(db: Connection, laminar: LaminarServer) -> None:
    db.execute("CREATE TABLE t (a int PRIMARY KEY, b int)")
    db.execute("INSERT INTO t VALUES (1, 1)")
    with laminar.connect() as other:
        db.execute("BEGIN")
        db.execute("CREATE TABLE u (a int)")
        db.execute("INSERT INTO t VALUES (2, 2)")
        other.execute("INSERT INTO block.t VALUES (2, 3)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            db.execute("COMMIT")
        assert relations(db) == [("t", "r"), ("t_pkey", "i")]
        other.execute("CREATE TABLE block.free (a int)")


def test_others_wait_and_a_lost_connection_takes_back(db: Connection, laminar: LaminarServer) -> None:
    other = laminar.connect()
    other.execute("BEGIN")
    other.execute("CREATE TABLE block.lost (a int)")
    db.execute("SET statement_timeout = '300ms'")
    with pytest.raises(psycopg.errors.QueryCanceled):
        db.execute("CREATE TABLE waits (a int)")
    db.execute("SET statement_timeout = '20s'")
    other.close()
    db.execute("CREATE TABLE waits (a int)")
    assert relations(db) == [("waits", "r")]


def test_what_cannot_be_undone_is_refused(db: Connection) -> None:
    db.execute("CREATE TABLE t (a int)")
    wrong = {
        "CREATE SINK s FROM t WITH (connector = 'blackhole')": "25001",
        "VACUUM": "25001",
    }
    for sql, sqlstate in wrong.items():
        db.execute("BEGIN")
        with pytest.raises(psycopg.Error) as caught:
            db.execute(sql)
        assert caught.value.sqlstate == sqlstate
        db.execute("ROLLBACK")
    db.execute("BEGIN")
    db.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(psycopg.errors.ObjectInUse):
        db.execute("ALTER TABLE t ADD COLUMN b int")
    db.execute("ROLLBACK")
    db.execute("BEGIN READ ONLY")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        db.execute("CREATE TABLE u (a int)")
    db.execute("ROLLBACK")
    db.execute("BEGIN")
    db.execute("INSERT INTO t VALUES (1)")
    db.execute("DROP TABLE t")
    db.execute("COMMIT")
    assert relations(db) == []


def test_a_crash_leaves_all_or_nothing(new_laminar: Callable[..., LaminarServer]) -> None:
    server = new_laminar()
    db = server.connect()
    db.execute("CREATE TABLE kept (a int)")
    db.execute("INSERT INTO kept VALUES (1)")
    db.execute("BEGIN")
    db.execute("CREATE TABLE done (a int)")
    db.execute("INSERT INTO done VALUES (1)")
    db.execute("CREATE MATERIALIZED VIEW total AS SELECT sum(a) AS s FROM done")
    db.execute("COMMIT")
    db.execute("BEGIN")
    db.execute("CREATE TABLE lost (a int)")
    db.execute("CREATE MATERIALIZED VIEW gone AS SELECT a FROM lost")
    db.execute("DROP TABLE kept")
    with server.connect() as other:
        other.execute("CHECKPOINT")
        other.execute("INSERT INTO done VALUES (2)")
    server.kill()
    server.start()
    with server.connect() as db:
        assert db.execute("SELECT * FROM kept").fetchall() == [(1,)]
        assert db.execute("SELECT s FROM total").fetchall() == [(3,)]
        names = db.execute("SELECT relname FROM pg_class WHERE oid >= 16384 ORDER BY 1").fetchall()
        assert names == [("done",), ("kept",), ("total",)]
