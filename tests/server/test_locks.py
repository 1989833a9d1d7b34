"""Locks on rows, tables and numbers: who waits for whom."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.harness.server import LaminarServer

pytestmark = [pytest.mark.timeout(120)]
Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def pair(laminar: LaminarServer) -> Iterator[tuple[Connection, Connection]]:
    """Two sessions over a table of jobs 1 to 20 and a table without a key."""
    with laminar.connect() as one, laminar.connect() as two:
        one.execute("CREATE TABLE job (id int PRIMARY KEY, state text, n int DEFAULT 0)")
        one.execute("CREATE TABLE plain (a int)")
        one.execute("INSERT INTO job SELECT i, 'new' FROM generate_series(1, 20) i")
        one.execute("INSERT INTO plain SELECT generate_series(1, 5)")
        try:
            yield one, two
        finally:
            for db in (one, two):
                db.execute("ROLLBACK")
            one.execute("DROP TABLE job, plain")


def rows(db: Connection, sql: str) -> list[Any]:
    return db.execute(sql).fetchall()  # type: ignore[arg-type]


def waits(db: Connection, sql: str, release: Callable[[], object]) -> Any:
    """The statement's error or rows; it must wait until ``release``."""
    with ThreadPoolExecutor(1) as pool:
        task: Future[Any] = pool.submit(lambda: db.execute(sql))  # type: ignore[arg-type]
        time.sleep(0.3)
        assert not task.done(), "it did not wait"
        release()
        try:
            done = task.result(20)
        except psycopg.Error as error:
            return error
        return done.fetchall() if done.description else done.statusmessage


def test_skip_locked_and_nowait(pair: tuple[Connection, Connection]) -> None:
    one, two = pair
    one.execute("BEGIN")
    two.execute("BEGIN")
    take = "SELECT id FROM job WHERE state = 'new' ORDER BY id LIMIT 2 FOR UPDATE SKIP LOCKED"
    assert rows(one, take) == [(1,), (2,)]
    assert rows(two, take) == [(3,), (4,)]
    assert rows(two, take.replace("LIMIT 2", "OFFSET 1 LIMIT 2")) == [(4,), (5,)]
    with pytest.raises(errors.LockNotAvailable, match='could not obtain lock on row in relation "job"'):
        two.execute("SELECT * FROM job WHERE id = 1 FOR SHARE NOWAIT")


def test_savepoints_let_go(pair: tuple[Connection, Connection]) -> None:
    one, two = pair
    one.execute("BEGIN")
    one.execute("SELECT * FROM job WHERE id = 1 FOR UPDATE")
    one.execute("SAVEPOINT s")
    one.execute("SELECT * FROM job WHERE id = 2 FOR UPDATE")
    one.execute("ROLLBACK TO s")
    assert rows(two, "SELECT id FROM job WHERE id < 4 ORDER BY id FOR UPDATE SKIP LOCKED") == [(2,), (3,)]


def test_modes_of_rows(pair: tuple[Connection, Connection]) -> None:
    one, two = pair
    strengths = ["KEY SHARE", "SHARE", "NO KEY UPDATE", "UPDATE"]
    compatible = {(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0)}
    for i, mine in enumerate(strengths):
        one.execute("BEGIN")
        one.execute(f"SELECT * FROM job WHERE id = 1 FOR {mine}")  # type: ignore[arg-type]
        for j, other in enumerate(strengths):
            found = rows(two, f"SELECT id FROM job WHERE id = 1 FOR {other} SKIP LOCKED")
            assert bool(found) == ((i, j) in compatible), (mine, other)
        one.execute("COMMIT")


@pytest.mark.parametrize(
    ("sql", "result"),
    [
        ("UPDATE job SET n = n + 1 WHERE id = 1 RETURNING n", [(101,)]),
        ("SELECT n FROM job WHERE id = 1 FOR UPDATE", [(100,)]),
        ("INSERT INTO job VALUES (1) ON CONFLICT (id) DO UPDATE SET n = job.n + 5 RETURNING n", [(105,)]),
        ("DELETE FROM job WHERE id = 1 RETURNING n", [(100,)]),
        ("MERGE INTO job USING (SELECT 1) s ON id = 1 WHEN MATCHED THEN UPDATE SET n = n + 1", "MERGE 1"),
        ("TRUNCATE job", "TRUNCATE TABLE"),
        ("LOCK TABLE job", None),
    ],
)
@pytest.mark.parametrize("block", [False, True])
def test_waiting_sees_the_row_as_it_is_then(
    pair: tuple[Connection, Connection], sql: str, result: Any, block: bool
) -> None:
    one, two = pair
    one.execute("BEGIN")
    one.execute("SELECT * FROM job WHERE id = 1 FOR UPDATE")
    one.execute("UPDATE job SET n = 100 WHERE id = 1")
    if block or result is None:
        two.execute("BEGIN")
    found = waits(two, sql, lambda: one.execute("COMMIT"))
    assert found == (result or "LOCK TABLE")
    two.execute("COMMIT")


def test_a_row_that_was_changed_meanwhile(pair: tuple[Connection, Connection]) -> None:
    """In a transaction that has read already: 40001; when nothing was changed, the lock."""
    one, two = pair
    for end, expected in (("COMMIT", errors.SerializationFailure), ("ROLLBACK", list)):
        one.execute("BEGIN")
        one.execute("UPDATE job SET n = n + 1 WHERE id = 1")
        two.execute("BEGIN")
        two.execute("SELECT * FROM job WHERE id = 2")
        found = waits(two, "SELECT id FROM job WHERE id = 1 FOR UPDATE", lambda end=end: one.execute(end))
        assert isinstance(found, expected)
        two.execute("ROLLBACK")


def test_a_locked_row_stays_mine(pair: tuple[Connection, Connection]) -> None:
    """Who has locked a row can change it: others wait, whatever else the transaction does."""
    one, two = pair
    one.execute("BEGIN")
    one.execute("SELECT * FROM job WHERE id = 1 FOR UPDATE")

    def finish() -> None:
        one.execute("UPDATE job SET n = n + 1 WHERE id = 1")
        one.execute("COMMIT")

    assert waits(two, "UPDATE job SET n = n + 10 WHERE id = 1", finish) == "UPDATE 1"
    assert rows(two, "SELECT n FROM job WHERE id = 1") == [(11,)]


def test_deadlock(pair: tuple[Connection, Connection]) -> None:
    one, two = pair
    for db, id_ in ((one, 1), (two, 2)):
        db.execute("BEGIN")
        db.execute("UPDATE job SET n = 1 WHERE id = %s", (id_,))

    def close_the_circle() -> None:
        with pytest.raises(errors.DeadlockDetected) as caught:
            two.execute("UPDATE job SET n = 2 WHERE id = 1")
        assert "waits for" in (caught.value.diag.message_detail or "")
        two.execute("ROLLBACK")

    assert waits(one, "UPDATE job SET n = 2 WHERE id = 2", close_the_circle) == "UPDATE 1"
    one.execute("COMMIT")
    assert rows(one, "SELECT id, n FROM job WHERE n > 0 ORDER BY id") == [(1, 1), (2, 2)]


def test_timeouts(pair: tuple[Connection, Connection]) -> None:
    one, two = pair
    one.execute("BEGIN")
    one.execute("SELECT * FROM plain WHERE a = 1 FOR UPDATE")
    two.execute("SET lock_timeout = '100ms'")
    with pytest.raises(errors.LockNotAvailable, match="canceling statement due to lock timeout"):
        two.execute("DELETE FROM plain")
    two.execute("SET lock_timeout = 0")
    two.execute("SET statement_timeout = '100ms'")
    with pytest.raises(errors.QueryCanceled):
        two.execute("DELETE FROM plain")
    assert rows(two, "SELECT count(*) FROM plain") == [(5,)]
    assert rows(two, "SELECT count(*) FROM pg_locks WHERE NOT granted") == [(0,)]


def test_queues(laminar: LaminarServer) -> None:
    """Workers take each job once."""
    with laminar.connect() as db:
        db.execute("CREATE TABLE queue (id int PRIMARY KEY, worker int)")
        db.execute("INSERT INTO queue SELECT generate_series(1, 60)")
        taken: list[int] = []

        def work(worker: int) -> None:
            with laminar.connect() as mine:
                while True:
                    found = mine.execute(
                        "UPDATE queue SET worker = %s WHERE id = (SELECT id FROM queue WHERE worker IS NULL "
                        "ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id",
                        (worker,),
                    ).fetchone()
                    if found is None:
                        return
                    taken.append(found[0])

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(taken) == list(range(1, 61))
        batch = (
            "WITH c AS (SELECT id FROM queue ORDER BY id LIMIT 10 FOR UPDATE SKIP LOCKED) "
            "DELETE FROM queue USING c WHERE c.id = queue.id"
        )
        assert db.execute(batch).statusmessage == "DELETE 10"
        db.execute("DROP TABLE queue")


def test_lock_table(pair: tuple[Connection, Connection]) -> None:
    one, two = pair
    one.execute("BEGIN")
    one.execute("LOCK TABLE job IN SHARE MODE")
    with pytest.raises(errors.LockNotAvailable, match='could not obtain lock on relation "job"'):
        two.execute("BEGIN; LOCK TABLE job IN ROW EXCLUSIVE MODE NOWAIT")
    two.execute("ROLLBACK")
    two.execute("BEGIN; LOCK TABLE job IN SHARE MODE; COMMIT")
    assert len(rows(two, "SELECT * FROM job")) == 20
    assert waits(two, "INSERT INTO job VALUES (30)", lambda: one.execute("COMMIT")) == "INSERT 0 1"
    with pytest.raises(errors.NoActiveSqlTransaction):
        two.execute("LOCK TABLE job")


def test_advisory_locks(pair: tuple[Connection, Connection]) -> None:
    one, two = pair
    assert rows(one, "SELECT pg_advisory_lock(5), pg_advisory_lock(5), pg_try_advisory_lock(1, 2)")
    tried = "SELECT pg_try_advisory_lock(5), pg_try_advisory_lock(6), pg_try_advisory_lock_shared(1, 2)"
    assert rows(two, tried) == [(False, True, False)]

    def unlock() -> None:
        one.execute("INSERT INTO plain VALUES (99)")
        assert rows(one, "SELECT pg_advisory_unlock(5)") == [(True,)]
        assert rows(one, "SELECT pg_advisory_unlock(5)") == [(True,)]
        assert rows(one, "SELECT pg_advisory_unlock(5)") == [(False,)]

    assert waits(two, "SELECT pg_advisory_lock(5)", unlock) == [("",)]
    assert rows(two, "SELECT count(*) FROM plain WHERE a = 99") == [(1,)]
    one.execute("BEGIN")
    one.execute("SELECT pg_advisory_xact_lock(7)")
    assert rows(two, "SELECT pg_try_advisory_xact_lock(7)") == [(False,)]
    one.execute("COMMIT")
    assert rows(two, "SELECT pg_try_advisory_xact_lock(7)") == [(True,)]
    assert rows(one, "SELECT pg_try_advisory_xact_lock(7)") == [(True,)]
    one.execute("SELECT pg_advisory_unlock_all()")
    two.execute("SELECT pg_advisory_unlock_all()")
    assert rows(two, "SELECT * FROM pg_locks WHERE locktype = 'advisory'") == []


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT DISTINCT id FROM job FOR UPDATE", "0A000"),
        ("SELECT count(*) FROM job FOR UPDATE", "0A000"),
        ("SELECT id FROM job UNION SELECT 1 FOR UPDATE", "0A000"),
        ("SELECT * FROM plain LEFT JOIN job ON true FOR UPDATE", "0A000"),
        ("SELECT * FROM job FOR UPDATE OF other", "42P01"),
        ("SELECT * FROM job LIMIT -1 FOR UPDATE", "2201W"),
        ("SELECT (SELECT n FROM job j WHERE j.id = job.id FOR UPDATE) FROM job", "0A000"),
        ("BEGIN READ ONLY; SELECT * FROM job FOR UPDATE", "25006"),
    ],
)
def test_refused(pair: tuple[Connection, Connection], sql: str, code: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        pair[0].execute(sql)  # type: ignore[arg-type]
    assert caught.value.sqlstate == code


def test_nothing_to_lock(pair: tuple[Connection, Connection]) -> None:
    assert rows(pair[0], "SELECT 1 FOR UPDATE") == [(1,)]
    assert rows(pair[0], "SELECT a FROM plain JOIN job ON id = a ORDER BY a FOR UPDATE OF plain")[0] == (1,)
