"""Set operations, constants, set-returning functions and grouping sets as views, against PostgreSQL.

Seeded, so a failure repeats; the statements that led to it are in the message.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.harness.postgres import Postgres
from tests.harness.server import LaminarServer
from tests.test_joins_property import Pair
from tests.test_views_property import Changes

SIDES = [
    ("SELECT k, g FROM t", "SELECT k, g FROM u"),
    ("SELECT k FROM t WHERE b", "SELECT k FROM p"),
    ("SELECT k, w FROM p", "SELECT k, w FROM u"),
    ("SELECT k, w FROM p", "VALUES (1, 5), (1, 5), (2, null), (null, null)"),
    ("SELECT n FROM t", "SELECT m FROM t"),
    ("SELECT f FROM t", "SELECT w FROM p"),
    ("SELECT k, count(*) AS c FROM t GROUP BY k", "SELECT k, count(*) FROM u GROUP BY k"),
    ("SELECT d, ts FROM t", "SELECT d, ts FROM t WHERE b"),
    ("SELECT ts::date::text AS x FROM t", "SELECT g FROM u"),
]
SETS = [
    "SELECT 1 AS a, 'x' AS b",
    "SELECT 1 AS a WHERE false",
    "VALUES (1, 'a'), (2, null), (1, 'a')",
    "SELECT * FROM (VALUES (1), (2)) AS c (k) JOIN u USING (k)",
    "SELECT count(*) AS c, sum(x) AS s FROM generate_series(1, 100) AS x",
    "SELECT x, o FROM generate_series(5, 1, -2) WITH ORDINALITY AS a (x, o)",
    "SELECT x, o FROM unnest(ARRAY['a', null, 'b']) WITH ORDINALITY AS a (x, o)",
    "SELECT t.id, x FROM t, generate_series(1, t.k) AS x",
    "SELECT t.id, x FROM t LEFT JOIN LATERAL generate_series(1, t.k) AS x ON true",
    "SELECT t.id, x, o FROM t, unnest(ARRAY[t.k, t.id, null]) WITH ORDINALITY AS a (x, o)",
    "SELECT id, unnest(ARRAY[k, id]) AS x, generate_series(1, 3) AS y FROM t WHERE k IS NOT NULL",
    "SELECT x, count(*) AS c FROM p, LATERAL unnest(ARRAY[k, w]) AS x GROUP BY x",
    "SELECT id, generate_series(1, k) + id AS x FROM u",
    "SELECT DISTINCT unnest(string_to_array(g, 'b')) AS x FROM t",
    "SELECT id, x FROM u, regexp_split_to_table(g, '') AS x",
    "SELECT k FROM t UNION ALL SELECT k FROM u UNION ALL SELECT k FROM p UNION ALL SELECT 7",
    "SELECT k FROM t UNION SELECT k FROM u EXCEPT SELECT k FROM p",
    "SELECT k FROM t INTERSECT SELECT k FROM u INTERSECT ALL SELECT k FROM p",
    "SELECT k, count(*) AS c, min(w) AS m FROM"
    " (SELECT k, w FROM u UNION ALL SELECT k, w FROM p) x GROUP BY k",
    "WITH a AS (SELECT k, w FROM p WHERE w > 0) SELECT k FROM a UNION ALL SELECT w FROM a",
    "SELECT a.k, u.id FROM (SELECT k FROM t UNION SELECT k FROM p) a LEFT JOIN u ON u.k = a.k",
]
GROUPINGS = [
    "ROLLUP (k, g)",
    "CUBE (k, b)",
    "GROUPING SETS ((k), (g), ())",
    "GROUPING SETS ((k), (k), (k, b))",
    "k, ROLLUP (b, n)",
    "GROUPING SETS (())",
]
AGGREGATES = ["count(*)", "count(v)", "sum(v)", "avg(n)", "min(g)", "max(m)", "sum(f)", "sum(k)"]
#: of constant state too: sums of numbers and of their squares
SPREADS = ["variance(v)", "var_pop(n)", "stddev(k)", "stddev_pop(m)", "var_samp(m)", "stddev(id % 3)"]


def drawn(r: random.Random) -> list[str]:
    """Views of every kind."""
    queries = r.sample(SETS, 8)
    for left, right in r.sample(SIDES, 6):
        op = r.choice(["UNION", "UNION ALL", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT ALL"])
        queries.append(f"{left} {op} {right}")
    for grouping in r.sample(GROUPINGS, 3):
        keys = [
            k
            for k in ("k", "g", "b", "n")
            if f"({k}" in grouping or f", {k}" in grouping or grouping.startswith(k)
        ]
        calls = [*keys, *r.sample(AGGREGATES, 3), *(f"grouping({k})" for k in keys)]
        having = " HAVING count(*) > 1" if r.random() < 0.3 else ""
        columns = ", ".join(f"{c} AS c{i}" for i, c in enumerate(calls))
        queries.append(f"SELECT {columns} FROM t GROUP BY {grouping}{having}")
    by = r.choice(["", " GROUP BY k", " GROUP BY g, b"])
    calls = [*r.sample(SPREADS, 3), "sum(ts - d)", f"stddev(n) FILTER (WHERE {r.choice(['b', 'v > 0'])})"]
    columns = ", ".join(f"{c} AS c{i}" for i, c in enumerate(calls))
    queries.append(f"SELECT {columns} FROM t{by}")
    return queries


def run(r: random.Random, pair: Pair, steps: int) -> None:
    changes = Changes(r)
    for step in range(steps):
        if step in (0, steps // 2):  # some views early, some over data that is there
            pair.create(drawn(r))
        pair.change(changes)
        pair.compare()


@pytest.mark.parametrize("seed", range(3))
def test_sets_equal_their_queries(seed: int, postgres: Postgres, laminar: LaminarServer) -> None:
    with postgres.connect() as pg, laminar.connect() as own:
        pair = Pair(pg, own)
        run(random.Random(400 + seed), pair, 10)
        own.execute("DROP SCHEMA prop CASCADE")


def test_sets_in_two_reactors_and_after_a_crash(
    postgres: Postgres, new_laminar: Callable[..., LaminarServer]
) -> None:
    r = random.Random(500)
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
            own.execute("FLUSH")  # a new session does not wait for what others wrote
            pair.own = own
            pair.compare()
            changes = Changes(r)
            changes.next_id = 10_000
            for _ in range(3):
                pair.change(changes)
                pair.compare()
