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


TYPES = [
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')",
    "CREATE TYPE pair AS (a int, b text)",
    "CREATE TYPE deep AS (m mood, p pair, n numeric(6,2))",
    "CREATE DOMAIN few AS int CHECK (VALUE BETWEEN 0 AND 9)",
    "CREATE TABLE e (id int PRIMARY KEY, m mood, ms mood[], p pair, d deep, f few)",
]
USER_VIEWS = [
    "SELECT m::text AS m, count(*) AS c, min(id) AS a FROM e GROUP BY m",
    "SELECT min(m)::text AS a, max(m)::text AS b, count(DISTINCT m) AS c, count(DISTINCT (p, m)) AS d FROM e",
    "SELECT f, min(m)::text AS a, max(m)::text AS b FROM e GROUP BY f",
    "SELECT x.id AS a, y.id AS b FROM e x JOIN e y ON x.m = y.m AND x.p = y.p",
    "SELECT p::text AS p, count(*) AS c, sum((p).a) AS s FROM e GROUP BY p",
    "SELECT id, (p).a AS a, ((d).p).b AS b, (d).m::text AS m, (d).n AS n, d IS NULL AS x, f + 1 AS f FROM e",
    "SELECT id, m > 'sad' AS a, m = ANY (ms) AS b, ms::text AS c, to_json(m)::text AS j FROM e",
    "SELECT id, d::text AS d, d < ROW('ok', ROW(1, 'x'), 1)::deep AS b, to_json(d)::text AS j FROM e",
    "SELECT DISTINCT ON (m) m::text AS m, id FROM e ORDER BY m, id",
    "SELECT id, rank() OVER (ORDER BY m DESC, p) AS r FROM e",
    "SELECT p::text AS p, m::text AS m FROM (SELECT p, m FROM e ORDER BY p DESC, m, id LIMIT 3) x",
    "SELECT id, u.x::text AS x FROM e, unnest(ms) AS u(x)",
]


class UserRows:
    """Draws changes of the table with users' types."""

    def __init__(self, r: random.Random) -> None:
        self.r = r
        self.labels = ["sad", "ok", "happy"]

    def some(self, *values: str) -> str:
        return "NULL" if self.r.random() < 0.2 else self.r.choice(values)

    def values(self) -> tuple[str, str, str, str, str]:
        label = self.some(*(f"'{x}'" for x in self.labels))
        labels = self.some("'{}'", *(f"'{{{x},NULL,{y}}}'" for x in self.labels for y in self.labels))
        pair = self.some("ROW(1, 'x')", "'(1,x)'", "'(,\"a b\")'", "ROW(NULL, NULL)", "ROW(2, '')")
        inner = f"ROW({label}, {pair}, {self.r.choice(['1', '1.005', 'NULL', '-0.5'])})"
        return (
            label,
            labels,
            pair,
            self.some(inner),
            self.some("0", "3", "9", "10" if self.r.random() < 0.1 else "4"),
        )

    def statement(self) -> str:
        r, key = self.r, self.r.randint(1, 12)
        m, ms, p, d, f = self.values()
        match r.random():
            case x if x < 0.6:
                return f"INSERT INTO e VALUES ({key}, {m}, {ms}, {p}, {d}, {f}) ON CONFLICT DO NOTHING"
            case x if x < 0.7:
                return f"UPDATE e SET p = {p}, f = {f} WHERE id % 3 = {r.randint(0, 2)}"
            case x if x < 0.8:
                return f"UPDATE e SET m = {m}, d = {d} WHERE m > 'sad' OR id = {key}"
            case x if x < 0.95:
                return f"DELETE FROM e WHERE id = {key} OR m = {m}"
            case _:
                return "DELETE FROM e"


@pytest.mark.parametrize("seed", range(3))
def test_views_of_users_types(seed: int, postgres: Postgres, laminar: LaminarServer) -> None:
    r = random.Random(900 + seed)
    rows, log = UserRows(r), []
    with postgres.connect() as pg, laminar.connect() as own:
        for connection in (pg, own):
            connection.execute("DROP SCHEMA IF EXISTS prop CASCADE")
            connection.execute("CREATE SCHEMA prop")
            connection.execute("SET search_path = prop")
            for sql in TYPES:
                connection.execute(sql)
        for step in range(16):
            if step in (0, 6):
                for i, query in enumerate(USER_VIEWS):
                    own.execute(f"CREATE MATERIALIZED VIEW v{step}_{i} AS {query}")
            if step == 9:
                for connection in (pg, own):
                    connection.execute("ALTER TYPE mood ADD VALUE 'meh' BEFORE 'ok'")
                rows.labels.append("meh")
            for _ in range(r.randint(1, 4)):
                log.append(rows.statement())
                assert apply(own, log[-1]) == apply(pg, log[-1]), log[-8:]
            for i, query in enumerate(USER_VIEWS):
                expected = content(pg, query)
                for first in (0, 6)[: 1 + (step >= 6)]:
                    got = content(own, f"SELECT * FROM v{first}_{i}")
                    assert got == expected, (query, got - expected, expected - got, log)
        own.execute("DROP SCHEMA prop CASCADE")


RANGE_VIEWS = [
    "SELECT i::text AS i, count(*) AS c, max(lower(n)) AS n FROM r GROUP BY i",
    "SELECT x.id AS a, y.id AS b FROM r x JOIN r y ON x.n = y.n",
    "SELECT x.id AS a, y.id AS b FROM r x JOIN r y ON x.i && y.i AND x.id < y.id",
    "SELECT x.id AS a, count(y.id) AS b FROM r x LEFT JOIN r y ON x.i @> lower(y.i) GROUP BY x.id",
    "SELECT id, lower(i) AS a, upper(n) AS b, isempty(t) AS c, (i * '[2,5]')::text AS d, t::text AS e FROM r",
    "SELECT id, i < '[2,5)' AS a, n @> 2.0 AS b, i -|- '[5,9)' AS c, n << '[3,4]' AS d, upper_inf(t) AS e"
    " FROM r",
    "SELECT count(DISTINCT n) AS a, count(DISTINCT (i, t)) AS b FROM r",
    "SELECT id, i::text AS i FROM r ORDER BY i DESC, n, id LIMIT 4",
    "SELECT id, rank() OVER (ORDER BY n) AS a FROM r",
]


def a_range(r: random.Random, low: str, high: str) -> str:
    if r.random() < 0.15:
        return "NULL"
    if r.random() < 0.15:
        return "'empty'"
    bounds = "".join(
        [r.choice("[("), low if r.random() < 0.85 else "", ",", high if r.random() < 0.85 else ""]
    )
    return f"'{bounds}{r.choice('])')}'"


@pytest.mark.parametrize("seed", range(3))
def test_views_of_ranges(seed: int, postgres: Postgres, laminar: LaminarServer) -> None:
    r = random.Random(500 + seed)
    log: list[str] = []

    def values() -> str:
        a, b = r.randint(0, 6), r.choice(["1.5", "1.50", "2", "2.25"])
        i = a_range(r, str(a), str(a + r.randint(-1 if r.random() < 0.1 else 0, 4)))
        n = a_range(r, b, r.choice(["2.250", "3", "4"]))
        t = a_range(r, f"2026-01-0{a + 1}", f"2026-01-0{a + 2} 10:00")
        return f"{i}, {n}, {t}"

    def statement() -> str:
        match r.random():
            case x if x < 0.6:
                return f"INSERT INTO r VALUES ({r.randint(1, 15)}, {values()}) ON CONFLICT DO NOTHING"
            case x if x < 0.8:
                i, n, t = (
                    a_range(r, "1", "3"),
                    a_range(r, "1.0", "2.0"),
                    a_range(r, "2026-01-01", "2026-01-03"),
                )
                return f"UPDATE r SET i = {i}, n = {n}, t = {t} WHERE id % 3 = {r.randint(0, 2)}"
            case _:
                return f"DELETE FROM r WHERE i @> {r.randint(0, 6)} OR id = {r.randint(1, 15)}"

    with postgres.connect() as pg, laminar.connect() as own:
        for connection in (pg, own):
            connection.execute("DROP SCHEMA IF EXISTS prop CASCADE")
            connection.execute("CREATE SCHEMA prop")
            connection.execute("SET search_path = prop")
            connection.execute("CREATE TABLE r (id int PRIMARY KEY, i int4range, n numrange, t tsrange)")
        for step in range(12):
            if step in (0, 5):
                for i, query in enumerate(RANGE_VIEWS):
                    own.execute(f"CREATE MATERIALIZED VIEW v{step}_{i} AS {query}")
            for _ in range(r.randint(1, 5)):
                log.append(statement())
                assert apply(own, log[-1]) == apply(pg, log[-1]), log[-8:]
            for i, query in enumerate(RANGE_VIEWS):
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
        "'[1,5)'::int4range",
        "'(1.50,]'::numrange",
        "'empty'::daterange",
        "ARRAY['(,2026-01-01]'::tsrange, NULL, '[,]']",
        "ROW('[1,5)'::int8range, 2)",
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
