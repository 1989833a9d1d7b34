"""Views over rows and user-defined types equal their queries: random changes, every view against PostgreSQL.

Changes are those of test_views_property, seeded as there.
"""

from __future__ import annotations

import random

import pytest

from tests.harness.postgres import Postgres
from tests.harness.server import LaminarServer
from tests.test_views_property import TABLES, Changes, apply, content

ROWS = [
    "SELECT count(DISTINCT (k, g)) AS a, count((k, g)) AS b, count(DISTINCT (n, m, f)) AS c FROM t",
    "SELECT (k, g)::text AS r, count(*) AS c, sum(v) AS s FROM t GROUP BY (k, g), (k, g)::text",
    "SELECT ROW(k, g)::text AS r, count(*) AS c FROM t GROUP BY ROW(k, g)",
    "SELECT ROW(m)::text AS r, count(*) AS c FROM t GROUP BY ROW(m), ROW(m)::text",
    "SELECT x.id AS a, y.id AS b FROM t x JOIN u y ON ROW(x.k, x.g) = ROW(y.k, y.g)",
    "SELECT x.id AS a, count(y.k) AS c FROM t x LEFT JOIN p y ON ROW(x.k, 1) = ROW(y.k, 1) GROUP BY x.id",
    "SELECT DISTINCT (r).f1 AS a, (r).f2 AS b FROM (SELECT ROW(k, b) AS r FROM t) s",
    "SELECT id, t::text AS r, t IS NULL AS a, t IS NOT NULL AS b FROM t",
    "SELECT id, row_to_json(t)::text AS r FROM t",
    "SELECT k, array_agg((g, w) ORDER BY (g, w), id)::text AS r FROM u GROUP BY k",
    "SELECT id FROM t WHERE (k, g) = ANY (ARRAY[ROW(1, 'a'::text), ROW(NULL::int, 'b'::text)])",
    "SELECT id, ROW(k, g) < ROW(1, 'ab'::text) AS a, s < ROW(1, 'ab'::text) AS b"
    " FROM (SELECT id, k, g, ROW(k, g) AS s FROM t) x",
    "SELECT x.id AS a, y.id AS b FROM (SELECT id, ROW(k, g) AS r FROM t) x"
    " JOIN (SELECT id, ROW(k, g) AS r FROM u) y ON x.r = y.r",
    "SELECT id, row_number() OVER (PARTITION BY (k, b) ORDER BY (g, id)) AS n FROM t",
]


@pytest.mark.parametrize("seed", range(3))
def test_views_of_rows(seed: int, postgres: Postgres, laminar: LaminarServer) -> None:
    r = random.Random(700 + seed)
    changes, log = Changes(r), []
    with postgres.connect() as pg, laminar.connect() as own:
        for connection in (pg, own):
            connection.execute("DROP SCHEMA IF EXISTS prop CASCADE")
            connection.execute("CREATE SCHEMA prop")
            connection.execute("SET search_path = prop")
            for name, columns in TABLES.items():
                connection.execute(f"CREATE TABLE {name} ({columns})")
        for step in range(12):
            if step in (0, 5):
                for i, query in enumerate(ROWS):
                    own.execute(f"CREATE MATERIALIZED VIEW v{step}_{i} AS {query}")
            for statement in changes.transaction():
                log.append(statement)
                assert apply(own, statement) == apply(pg, statement), log[-8:]
            for i, query in enumerate(ROWS):
                expected = content(pg, query)
                for first in (0, 5)[: 1 + (step >= 5)]:
                    got = content(own, f"SELECT * FROM v{first}_{i}")
                    assert got == expected, (query, got - expected, expected - got, log)
        own.execute("DROP SCHEMA prop CASCADE")


@pytest.mark.parametrize(
    "value",
    [
        "ROW(1, 'x'::text, NULL::int8, 2.50, true)",
        "ROW(ROW(1::int2, '2026-01-02'::date), ARRAY[1, NULL])",
        "ARRAY[ROW(1, 'x'::text), NULL, ROW(NULL::int, ''::text)]",
        "ROW()",
    ],
)
@pytest.mark.parametrize("binary", [False, True])
def test_rows_on_the_wire(value: str, binary: bool, postgres: Postgres, laminar: LaminarServer) -> None:
    sent = []
    with postgres.connect() as pg, laminar.connect() as own:
        for connection in (pg, own):
            result = connection.cursor(binary=binary).execute(f"SELECT {value}").pgresult
            assert result is not None
            sent.append((result.ftype(0), result.get_value(0, 0)))
    assert sent[0] == sent[1]
