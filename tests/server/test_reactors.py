"""The same answers whatever the number of reactors."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import pytest

from tests.harness.server import LaminarServer

VIEWS = {
    "totals": "SELECT k, count(*) AS n, count(v) AS c, sum(v) AS s, min(v) AS lo, max(v) AS hi "
    "FROM t GROUP BY k",
    "averages": "SELECT k, avg(v) AS a, sum(v) FILTER (WHERE v > 0) AS p FROM t GROUP BY k",
    "everything": "SELECT count(*) AS n, sum(v) AS s, bool_and(v > -50) AS b FROM t",
    "kinds": "SELECT DISTINCT k FROM t",
    "joined": "SELECT a.k, count(*) AS n FROM t a JOIN t b ON a.k = b.k AND a.id < b.id GROUP BY a.k",
    "counts": "SELECT n, count(*) AS groups FROM totals GROUP BY n",
}


def rows(connection: Any, query: str) -> list[tuple[Any, ...]]:
    return sorted(connection.execute(query).fetchall(), key=repr)


@pytest.mark.parametrize("reactors", [1, 2, 3])
def test_views_equal_their_queries(new_laminar: Any, reactors: int) -> None:
    server: LaminarServer = new_laminar("--reactors", str(reactors))
    chance = random.Random(reactors)
    with server.connect() as db:
        db.execute("CREATE TABLE t (id int PRIMARY KEY, k text, v int)")
        for name, query in VIEWS.items():
            db.execute(f"CREATE MATERIALIZED VIEW {name} AS {query}")
        for step in range(12):
            values = ", ".join(
                f"({step * 100 + i}, {chance.choice(['NULL', repr('a'), repr('b'), repr('c')])},"
                f" {chance.choice(['NULL', str(chance.randint(-60, 60))])})"
                for i in range(40)
            )
            db.execute(f"INSERT INTO t VALUES {values}")
            db.execute(f"UPDATE t SET v = v + 1, k = 'd' WHERE id % 7 = {step % 7}")
            db.execute(f"DELETE FROM t WHERE id % 5 = {chance.randint(0, 4)}")
            for name, query in VIEWS.items():
                assert rows(db, f"SELECT * FROM {name}") == rows(db, query), (step, name)
        db.execute("DELETE FROM t")
        for name, query in VIEWS.items():
            assert rows(db, f"SELECT * FROM {name}") == rows(db, query), name


@pytest.mark.parametrize("reactors", [1, 2, 3])
def test_windows_close_alike(new_laminar: Any, reactors: int) -> None:
    server: LaminarServer = new_laminar("--reactors", str(reactors))
    chance = random.Random(5)
    open_windows: dict[tuple[int, int], list[int]] = defaultdict(list)
    watermark, late = -1, 0
    with server.connect() as db:
        db.execute(
            "CREATE SOURCE s (k int, v bigint, at timestamp, WATERMARK FOR at AS at - INTERVAL '3 seconds')"
        )
        db.execute(
            """CREATE MATERIALIZED VIEW w AS SELECT k, window_start, count(*) AS n, sum(v) AS s, max(v) AS m
               FROM TUMBLE(s, at, INTERVAL '10 seconds') GROUP BY k, window_start, window_end
               EMIT ON WINDOW CLOSE"""
        )
        for step in range(60):
            batch = [(chance.randint(0, 3), chance.randint(0, 9), max(0, step * 2 + chance.randint(-12, 2)))
                     for _ in range(5)]  # fmt: skip
            text = ", ".join(
                f"({k}, {v}, timestamp '2026-01-01' + {at} * interval '1 second')" for k, v, at in batch
            )
            db.execute(f"INSERT INTO s VALUES {text}")
            for k, v, at in batch:
                start = at // 10 * 10
                if start + 10 <= watermark:
                    late += 1
                else:
                    open_windows[k, start].append(v)
            watermark = max(watermark, *(at - 3 for _, _, at in batch))
        want = sorted(
            (k, start, len(vs), sum(vs), max(vs))
            for (k, start), vs in open_windows.items()
            if start + 10 <= watermark
        )
        got = sorted(
            (k, int((start - start.replace(hour=0, minute=0, second=0)).total_seconds()), n, int(s), m)
            for k, start, n, s, m in db.execute("SELECT * FROM w").fetchall()
        )
        assert late > 0
        assert got == want
        query = "SELECT sum(rows) FROM laminar_catalog.dropped_rows WHERE relation = 'w' AND reason = 'late'"
        assert db.execute(query).fetchall() == [(late,)]
