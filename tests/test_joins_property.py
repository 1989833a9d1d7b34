"""Every kind of join and subquery as a view, kept equal to PostgreSQL's answer through random changes.

Seeded, so a failure repeats; the statements that led to it are in the message.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.harness.postgres import Postgres
from tests.harness.server import LaminarServer
from tests.test_views_property import TABLES, Changes, apply, content

EQUAL = ["t.k = u.k", "t.g = u.g", "t.k = u.k AND t.g = u.g", "t.k IS NOT DISTINCT FROM u.k", "t.n = u.w"]
RESIDUAL = ["t.v > u.w", "u.w IS NULL", "t.b", "t.id % 2 = u.id % 2", "t.g <> u.g OR t.v = 0"]
RANGE = ["t.v > u.w", "t.k < u.k", "t.id BETWEEN u.id - 3 AND u.id + 3", "true", "t.g <> u.g"]
SUBQUERIES = [
    "SELECT id, v FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k)",
    "SELECT id, v FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.k = t.k)",
    "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k AND u.w > t.v)",
    "SELECT id FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.k = t.k AND u.id <> t.id AND u.w < t.v)",
    "SELECT id FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.w < t.v)",
    "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.w > 50)",
    "SELECT k, w FROM p WHERE EXISTS (SELECT 1 FROM u WHERE u.k = p.k)",
    "SELECT k, w FROM p WHERE k NOT IN (SELECT k FROM u WHERE w > 0)",
    "SELECT id FROM t WHERE k IN (SELECT k FROM u)",
    "SELECT id FROM t WHERE k NOT IN (SELECT k FROM u)",
    "SELECT id FROM t WHERE k NOT IN (SELECT k FROM u WHERE k IS NOT NULL AND u.g = t.g)",
    "SELECT id FROM t WHERE (k, g) IN (SELECT k, g FROM u)",
    "SELECT id FROM t WHERE (k, g) NOT IN (SELECT k, g FROM u WHERE w > 0)",
    "SELECT id, k IN (SELECT k FROM u WHERE w > 0) AS c FROM t",
    "SELECT id FROM t WHERE v > ALL (SELECT w FROM u WHERE u.k = t.k)",
    "SELECT id FROM t WHERE v >= ANY (SELECT w FROM u)",
    "SELECT id FROM t WHERE v > (SELECT avg(w) FROM u)",
    "SELECT id, (SELECT max(w) FROM u WHERE u.k = t.k) AS c, (SELECT count(*) FROM p WHERE p.k = t.k) AS d"
    " FROM t",
    "SELECT t.id, x.c FROM t, LATERAL (SELECT count(*) AS c, sum(w) AS s FROM u WHERE u.k = t.k) x",
    "SELECT t.id, x.w FROM t LEFT JOIN LATERAL (SELECT w FROM u WHERE u.k = t.k AND u.w > t.id) x ON true",
    "SELECT k, count(*) AS c FROM t WHERE v > (SELECT min(w) FROM u WHERE u.k = t.k) GROUP BY k",
]  # fmt: skip
OUTER = [
    "SELECT u.k, count(t.id) AS c, sum(t.v) AS s FROM u LEFT JOIN t ON u.k = t.k GROUP BY u.k",
    "SELECT t.id, u.id AS b, p.w FROM t LEFT JOIN u ON t.k = u.k LEFT JOIN p ON u.k = p.k AND p.w > 0",
    "SELECT a.k, a.c, b.c AS d FROM (SELECT k, count(*) AS c FROM t GROUP BY k) a"
    " FULL JOIN (SELECT k, count(*) AS c FROM u GROUP BY k) b ON a.k = b.k",
    "SELECT a.g, b.g AS h FROM (SELECT DISTINCT g FROM t) a"
    " FULL JOIN (SELECT DISTINCT g FROM u) b ON a.g = b.g",
    "SELECT p.k, p.w, u.g FROM p LEFT JOIN u ON p.k = u.k",
    "SELECT q.w AS a, p.w AS b FROM p FULL JOIN p q ON p.k = q.w",
    "SELECT t.id FROM t LEFT JOIN u ON t.k = u.k WHERE u.id IS NULL",
    "SELECT k, t.id, u.id AS b FROM t FULL JOIN u USING (k)",
    "SELECT t.id, u.g, t.v FROM t LEFT JOIN u ON t.k = u.id",
    "SELECT t.id, u.g, p.w FROM t JOIN u ON t.k = u.id LEFT JOIN p ON p.k = t.id",
]  # fmt: skip


#: views with what PostgreSQL has to say for them
ASOF = {
    f"SELECT t.id, u.id AS b, u.w FROM t ASOF {kind} JOIN u MATCH_CONDITION (t.v {op} u.w) ON t.k = u.k":
    f"SELECT t.id, u.id AS b, u.w FROM t {kind} JOIN LATERAL"
    f" (SELECT * FROM u WHERE t.k = u.k AND t.v {op} u.w ORDER BY w {order}, id {order} LIMIT 1) u ON true"
    for kind in ("", "LEFT")
    for op, order in ((">=", "DESC"), (">", "DESC"), ("<=", ""), ("<", ""))
} | {
    f"SELECT t.id, u.id AS b, u.w FROM t ASOF {kind} JOIN u MATCH_CONDITION (NEAREST(t.v, u.w)) ON t.k = u.k":
    f"SELECT t.id, u.id AS b, u.w FROM t {kind} JOIN LATERAL (SELECT * FROM u WHERE t.k = u.k"
    " AND u.w IS NOT NULL AND t.v IS NOT NULL ORDER BY abs(t.v::numeric - w), w,"
    " CASE WHEN w > t.v THEN id END, id DESC LIMIT 1) u ON true"
    for kind in ("", "LEFT")
}  # fmt: skip


def drawn(r: random.Random) -> list[str]:
    """A view of every kind."""
    queries = r.sample(SUBQUERIES, 6) + r.sample(OUTER, 3) + r.sample(list(ASOF), 3)
    for kind in ("LEFT", "RIGHT", "FULL"):
        equal = [e for e in EQUAL if kind != "FULL" or "DISTINCT" not in e]  # PostgreSQL cannot do that one
        on = r.choice(equal) + (f" AND ({r.choice(RESIDUAL)})" if r.random() < 0.5 else "")
        queries.append(f"SELECT t.id AS a, u.id AS b, t.v, u.w FROM t {kind} JOIN u ON {on}")
    for kind in ("", "LEFT", "RIGHT"):
        on = r.choice(RANGE)
        queries.append(f"SELECT t.id AS a, u.id AS b FROM t {kind} JOIN u ON {on}")
    queries.append("SELECT t.k, count(*) AS c FROM t, p WHERE t.v > p.w GROUP BY t.k")
    return queries


class Pair:
    """The same schema and changes in PostgreSQL and in Laminar."""

    def __init__(self, pg: psycopg.Connection[Any], own: psycopg.Connection[Any]) -> None:
        self.pg, self.own = pg, own
        self.queries: dict[str, str] = {}
        self.log: list[str] = []
        for connection in (pg, own):
            connection.execute("DROP SCHEMA IF EXISTS prop CASCADE")
            connection.execute("CREATE SCHEMA prop")
            connection.execute("SET search_path = prop")
            for name, columns in TABLES.items():
                connection.execute(f"CREATE TABLE {name} ({columns})")

    def create(self, queries: list[str]) -> None:
        for query in queries:
            name = f"v{len(self.queries)}"
            self.queries[name] = query
            self.own.execute(f"CREATE MATERIALIZED VIEW {name} AS {query}")

    def change(self, changes: Changes) -> None:
        for statement in changes.transaction():
            self.log.append(statement)
            assert apply(self.own, statement) == apply(self.pg, statement), self.log[-8:]

    def compare(self) -> None:
        for name, query in self.queries.items():
            got = content(self.own, f"SELECT * FROM {name}")
            expected = content(self.pg, ASOF.get(query, query))
            assert got == expected, (query, got - expected, expected - got, self.log)
            if query in ASOF:
                assert content(self.own, query) == expected, (query, self.log)


def run(r: random.Random, pair: Pair, steps: int) -> None:
    changes = Changes(r)
    for step in range(steps):
        if step in (0, steps // 2):  # some views early, some over data that is there
            pair.create(drawn(r))
        pair.change(changes)
        pair.compare()


@pytest.mark.parametrize("seed", range(3))
def test_joins_equal_their_queries(seed: int, postgres: Postgres, laminar: LaminarServer) -> None:
    with postgres.connect() as pg, laminar.connect() as own:
        pair = Pair(pg, own)
        run(random.Random(200 + seed), pair, 12)
        own.execute("DROP SCHEMA prop CASCADE")


def test_joins_in_two_reactors_and_after_a_crash(
    postgres: Postgres, new_laminar: Callable[..., LaminarServer]
) -> None:
    r = random.Random(300)
    server = new_laminar("--reactors", "2")
    with postgres.connect() as pg:
        with server.connect() as own:
            pair = Pair(pg, own)
            run(r, pair, 6)
            own.execute("CHECKPOINT")
            pair.change(Changes(r))
        server.kill()
        server.start()
        with server.connect() as own:
            own.execute("SET search_path = prop")
            pair.own = own
            pair.compare()
            changes = Changes(r)
            changes.next_id = 10_000
            for _ in range(4):
                pair.change(changes)
                pair.compare()


def test_interval_joins_free_their_state(new_laminar: Callable[..., LaminarServer]) -> None:
    server = new_laminar("--reactors", "2")
    with server.connect() as own:
        for name in ("a", "b"):
            own.execute(f"CREATE SOURCE {name} (k int, ts timestamp, n int, WATERMARK FOR ts)")
        for name, kind in (("i", ""), ("l", "LEFT")):
            own.execute(
                f"CREATE MATERIALIZED VIEW {name} AS SELECT a.k, a.n, b.n AS m FROM a {kind} JOIN b"
                " ON a.k = b.k AND a.ts BETWEEN b.ts - INTERVAL '2 s' AND b.ts + INTERVAL '1 s'"
            )
        times = "timestamp '2026-01-01' + s * INTERVAL '1 s'"
        for start in range(0, 1000, 100):
            span = f"generate_series({start}, {start + 99}) s"
            own.execute(f"INSERT INTO a SELECT s % 3, {times}, s FROM {span}")
            own.execute(f"INSERT INTO b SELECT s % 3, {times}, s FROM {span} WHERE s % 2 = 0")
        own.execute("INSERT INTO a VALUES (0, '2026-01-01', 0)")  # no row of b that it could match is left
        matches = [(n, m) for n in range(1000) for m in range(0, 1000, 2) if n == m]
        assert sorted(own.execute("SELECT n, m FROM i")) == matches
        padded = [(n, n if n % 2 == 0 else None) for n in range(1000)]
        assert sorted(own.execute("SELECT n, m FROM l")) == padded
        own.execute("FLUSH")
        operators = own.execute(
            "SELECT sum(entries) FROM laminar_catalog.operators WHERE operator = 'HashJoin'"
        )
        assert operators.fetchone()[0] < 600
        late = own.execute("SELECT sum(rows) FROM laminar_catalog.dropped_rows WHERE reason = 'late'")
        assert late.fetchone() == (2,)


def test_sides_that_are_spread_by_other_keys(new_laminar: Any) -> None:
    """A side that is spread by some of the join's keys already, or in another order, meets the other side."""
    queries = [
        "SELECT x.a, x.b, u.id FROM (SELECT a, max(b) AS b FROM t GROUP BY a) x JOIN u"
        " ON x.a = u.a AND x.b = u.b",
        "SELECT x.a, x.b, u.id FROM u LEFT JOIN (SELECT b, a, count(*) FROM t GROUP BY b, a) x"
        " ON x.a = u.a AND x.b = u.b",
        "SELECT x.a, y.c FROM (SELECT a, max(b) AS b FROM t GROUP BY a) x"
        " FULL JOIN (SELECT b, max(a) AS a, count(*) AS c FROM u GROUP BY b) y ON x.a = y.a AND x.b = y.b",
    ]
    with new_laminar("--reactors", "2").connect() as db:
        db.execute("CREATE TABLE t (id int PRIMARY KEY, a int, b int)")
        db.execute("CREATE TABLE u (id int PRIMARY KEY, a int, b int)")
        for n, query in enumerate(queries):
            db.execute(f"CREATE MATERIALIZED VIEW v{n} AS {query}")
        db.execute("INSERT INTO t SELECT i, i % 20, i % 7 FROM generate_series(1, 100) AS g (i)")
        db.execute("INSERT INTO u SELECT i, i % 20, i % 7 FROM generate_series(1, 140) AS g (i)")
        for n, query in enumerate(queries):
            expected = sorted(db.execute(query), key=str)
            assert expected and sorted(db.execute(f"SELECT * FROM v{n}"), key=str) == expected
