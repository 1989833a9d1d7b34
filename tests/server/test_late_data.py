"""LATE DATA TO: what a view leaves out as late is in the table, once, whatever dies meanwhile."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from typing import Any

import psycopg
import pytest

from tests.harness.server import LaminarServer

pytestmark = [pytest.mark.timeout(180)]

TABLE = (
    "(k int, v int, ts timestamp, window_end timestamp, late_by interval, arrived_at timestamptz,"
    " laminar_diff bigint)"
)
#: seconds
DELAY, SIZE, LATENESS, GAP = 2, 10, 5, 3


def moment(second: float) -> str:
    return f"2026-01-01 00:{int(second) // 60:02d}:{second % 60:02.0f}"


class Rows:
    """Transactions of random rows, in and out of order, and what a view finds late of them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 60
        self.watermark = -1e9
        #: (k, v, second, watermark found)
        self.rows: list[tuple[int, int, int, float]] = []
        self.number = 0

    def insert(self, db: Any, relation: str = "s", transactions: int = 8) -> None:
        for _ in range(transactions):
            found = self.watermark
            batch = []
            for _ in range(self.random.randint(1, 6)):
                second = self.now - self.random.choice((0, 0, 1, 3, 14, 30))
                batch.append((self.random.randint(1, 3), self.number, second))
                self.number += 1
                self.now += self.random.choice((0, 1, 2, 6))
            for k, v, second in batch:
                self.rows.append((k, v, second, found))
                self.watermark = max(self.watermark, second - DELAY)
            values = ", ".join(f"({k}, {v}, '{moment(second)}')" for k, v, second in batch)
            db.execute(f"INSERT INTO {relation} VALUES {values}")

    def late(self, step: int) -> Counter[tuple[int, int, int]]:
        """(v, window's end, late by) of rows in windows of SIZE every ``step`` seconds."""
        found: Counter[tuple[int, int, int]] = Counter()
        for _, v, second, mark in self.rows:
            end = second - second % step + step
            while end - SIZE <= second:
                if mark >= end + LATENESS:
                    found[v, end, int(mark - end - LATENESS)] += 1
                end += step
        return found


def seconds(query: str) -> str:
    """The rows of a late table as the model has them."""
    end = "extract(epoch FROM window_end - timestamp '2026-01-01')::int"
    return f"SELECT v, {end}, extract(epoch FROM late_by)::int FROM {query}"


def found(db: Any, query: str) -> Counter[tuple[Any, ...]]:
    return Counter(db.execute(query).fetchall())


def view(name: str, window: str, table: str) -> str:
    # v is not read by the query: late rows have it all the same
    return (
        f"CREATE MATERIALIZED VIEW {name} AS SELECT k, window_end, count(*) AS n FROM {window}"
        f" GROUP BY k, window_end EMIT ON WINDOW CLOSE ALLOW LATENESS INTERVAL '{LATENESS} seconds'"
        f" LATE DATA TO {table}"
    )


WINDOWS = {
    "tumbling": (f"TUMBLE(s, ts, INTERVAL '{SIZE} seconds')", SIZE),
    "hopping": (f"HOP(s, ts, INTERVAL '5 seconds', INTERVAL '{SIZE} seconds')", 5),
}


def create(db: Any, suffix: str = "") -> None:
    for name, (window, _) in WINDOWS.items():
        db.execute(f"CREATE TABLE late_{name}{suffix} {TABLE}")
        db.execute(view(f"{name}{suffix}", window, f"late_{name}{suffix}"))


def check(db: Any, rows: Rows, suffix: str = "") -> None:
    for name, (_, step) in WINDOWS.items():
        wanted = rows.late(step)
        assert found(db, seconds(f"late_{name}{suffix}")) == wanted
        assert wanted


@pytest.mark.parametrize("reactors", ["1", "2"])
def test_late_rows(new_laminar: Any, reactors: str) -> None:
    server: LaminarServer = new_laminar("--reactors", reactors)
    rows = Rows(int(reactors))
    with server.connect() as db:
        db.execute(
            "CREATE SOURCE s (k int, v int, ts timestamp,"
            f" WATERMARK FOR ts AS ts - INTERVAL '{DELAY} seconds')"
        )
        create(db)
        rows.insert(db)
        check(db, rows)
        db.execute("CREATE MATERIALIZED VIEW above AS SELECT k, count(*) AS n FROM late_tumbling GROUP BY k")
        rows.insert(db)
        check(db, rows)
        by_key = found(db, "SELECT k, count(*) FROM late_tumbling GROUP BY k")
        assert found(db, "SELECT * FROM above") == by_key
        dropped = "SELECT sum(rows)::int FROM laminar_catalog.dropped_rows WHERE reason = 'late'"
        assert db.execute(f"{dropped} AND relation = 'tumbling'").fetchone() == (rows.late(SIZE).total(),)
        # a view that comes later finds the same
        create(db, "2")
        check(db, rows, "2")
        rows.insert(db)
    for die in (server.kill, lambda: kill_reactors(server), server.stop, server.kill):
        die()
        if not server.alive:
            server.start()
        with server.connect() as db:
            check(db, rows)
            check(db, rows, "2")
            rows.insert(db)
            check(db, rows)
            check(db, rows, "2")
            by_key = found(db, "SELECT k, count(*) FROM late_tumbling GROUP BY k")
            assert found(db, "SELECT * FROM above") == by_key
    with server.connect() as db:
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="cannot insert into"):
            db.execute("INSERT INTO late_tumbling (k) VALUES (1)")
        with pytest.raises(psycopg.errors.DependentObjectsStillExist):
            db.execute("DROP TABLE late_tumbling")
        db.execute("DROP MATERIALIZED VIEW tumbling")
        before = db.execute("SELECT count(*) FROM late_tumbling").fetchone()
        assert before is not None
        db.execute("INSERT INTO late_tumbling (k) VALUES (1)")
        assert db.execute("SELECT count(*) FROM late_tumbling").fetchone() == (before[0] + 1,)


def kill_reactors(server: LaminarServer) -> None:
    with server.connect() as db:
        for (process,) in db.execute("SELECT process_id FROM laminar_catalog.reactors").fetchall():
            os.kill(process, signal.SIGKILL)


def test_retractions_and_sessions(new_laminar: Any) -> None:
    """Deletions can be late; sessions judge by the session that a row is alone."""
    server: LaminarServer = new_laminar("--reactors", "2")
    with server.connect() as db:
        db.execute("CREATE TABLE t (k int PRIMARY KEY, v int, ts timestamp, WATERMARK FOR ts)")
        db.execute("CREATE TABLE late_t (k int, v int, laminar_diff bigint)")
        db.execute("CREATE TABLE late_few (k int)")
        window = f"TUMBLE(t, ts, INTERVAL '{SIZE} seconds')"
        tumbled = (
            f"AS SELECT window_end, sum(v) AS v FROM {window} GROUP BY window_end"
            " EMIT ON WINDOW CLOSE LATE DATA TO"
        )
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="needs a column laminar_diff"):
            db.execute(f"CREATE MATERIALIZED VIEW few {tumbled} late_few")
        db.execute(f"CREATE MATERIALIZED VIEW w {tumbled} late_t")
        db.execute(f"INSERT INTO t VALUES (1, 10, '{moment(1)}'), (2, 20, '{moment(2)}')")
        db.execute(f"INSERT INTO t VALUES (3, 30, '{moment(15)}')")
        db.execute(f"INSERT INTO t VALUES (4, 40, '{moment(3)}')")
        db.execute("DELETE FROM t WHERE k = 1")
        db.execute("UPDATE t SET v = 21 WHERE k = 2")
        db.execute("UPDATE t SET v = 31 WHERE k = 3")
        assert found(db, "SELECT * FROM late_t") == Counter(
            [(4, 40, 1), (1, 10, -1), (2, 20, -1), (2, 21, 1)]
        )

        db.execute("CREATE SOURCE s (k int, v int, ts timestamp, WATERMARK FOR ts)")
        db.execute("CREATE TABLE late_s (v int, ts timestamp, late_by interval)")
        db.execute(
            "CREATE MATERIALIZED VIEW v AS SELECT k, window_start, window_end, count(*) AS n"
            f" FROM SESSION(s, ts, INTERVAL '{GAP} seconds' PARTITION BY k)"
            " GROUP BY k, window_start, window_end EMIT ON WINDOW CLOSE LATE DATA TO late_s"
        )
        db.execute("CREATE TABLE late_rows (v int, window_start timestamp)")
        db.execute(
            f"CREATE MATERIALIZED VIEW plain AS SELECT k FROM TUMBLE(s, ts, INTERVAL '{SIZE} seconds')"
            " EMIT ON WINDOW CLOSE LATE DATA TO late_rows"
        )
        for k, v, second in ((1, 1, 10), (1, 2, 20), (3, 3, 15), (1, 4, 18), (1, 5, 16), (2, 6, 11)):
            db.execute(f"INSERT INTO s VALUES ({k}, {v}, '{moment(second)}')")
        # 16 would end at 19, but reaches 18, whose session is open
        late = "SELECT v, extract(epoch FROM late_by)::int FROM late_s"
        assert found(db, late) == Counter([(3, 2), (6, 6)])
        assert found(db, "SELECT v, window_start::text FROM late_rows") == Counter(
            [(v, "2026-01-01 00:00:10") for v in (3, 4, 5, 6)]
        )


def test_refusals(laminar: LaminarServer) -> None:
    with laminar.connect() as db:
        db.execute("CREATE SCHEMA late_refusals")
        db.execute("SET search_path = late_refusals")
        db.execute("CREATE SOURCE s (k int, ts timestamp, WATERMARK FOR ts)")
        view_ = "CREATE MATERIALIZED VIEW v AS SELECT window_end, count(*) AS n"
        tumbled = f"{view_} FROM TUMBLE(s, ts, INTERVAL '1 s') GROUP BY window_end"
        closing = f"{tumbled} EMIT ON WINDOW CLOSE LATE DATA TO"
        db.execute("CREATE TABLE unknown (k int, x int)")
        db.execute("CREATE TABLE other (k text)")
        db.execute("CREATE TABLE keyed (k int PRIMARY KEY)")
        db.execute("CREATE TABLE full_ (k int)")
        db.execute("INSERT INTO full_ VALUES (1)")
        with pytest.raises(psycopg.errors.UndefinedColumn, match='column "x" of table "unknown"'):
            db.execute(f"{closing} unknown")
        with pytest.raises(psycopg.errors.DatatypeMismatch):
            db.execute(f"{closing} other")
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="cannot have a primary key"):
            db.execute(f"{closing} keyed")
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="is not empty"):
            db.execute(f"{closing} full_")
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="needs a window"):
            db.execute("CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM s LATE DATA TO full_")
        db.execute("TRUNCATE full_")
        db.execute(f"{closing} full_")
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="filled by materialized view"):
            db.execute(f"{closing} full_".replace("VIEW v", "VIEW v2"))
        db.execute("DROP SCHEMA late_refusals CASCADE")
