"""A view equals its query: random changes through a real server, every view against PostgreSQL after each.

Seeded, so a failure repeats; the statements that led to it are in the message.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.harness.postgres import Postgres
from tests.harness.server import LaminarServer

TABLES = {
    "t": """id int PRIMARY KEY, k int, g text, v int8, n numeric(12,2), m numeric, f float8, b bool,
            d date, ts timestamp""",
    "u": "id int PRIMARY KEY, k int, g text, w int",
    "p": "k int, w int2",  # no key: duplicates are kept apart
}
KEYS = ["k", "g", "b", "d", "n", "m", "k % 2", "coalesce(g, '-')", "date_trunc('hour', ts)"]
CONDITIONS = [
    "v > 0", "k = 1", "g LIKE 'a%'", "b", "NOT b", "g IS NULL", "n BETWEEN -1 AND 100", "f < 1.5",
    "k IN (1, 2, null)",
    "v IS NOT NULL AND k <> 2", "d < '2026-01-03' OR b", "id % 3 = 0", "m > 1", "length(g) < 3",
]  # fmt: skip
SCALARS = [
    "id", "v / 3", "k * 2 + 1", "upper(g)", "n * 2", "-n", "m + n", "coalesce(v, 0)",
    "CASE WHEN b THEN k ELSE -1 END",
    "g || 'x'", "ts + INTERVAL '1 day'", "v % nullif(k, 0)",
    "f / 2", "b AND k > 1", "d", "m", "g = 'a'", "k::text",
    "ts::date", "extract(hour FROM ts)", "round(n, 1)", "greatest(k, 2)",
]  # fmt: skip
AGGREGATES = [
    "count(*)", "count(v)", "sum(v)", "avg(v)", "min(v)", "max(v)", "sum(n)", "avg(n)", "min(n)", "max(m)",
    "sum(k)", "avg(k)", "sum(f)", "avg(f)", "min(g)", "max(g)", "min(d)", "max(ts)", "sum(m)",
]  # fmt: skip


class Views:
    """Draws view definitions."""

    def __init__(self, r: random.Random) -> None:
        self.r = r

    def draw(self, i: int) -> str:
        kinds: list[Callable[[], str]] = [self.linear, self.grouped, self.joined, self.joined_grouped]
        kinds.append(self.bag)
        return kinds[i % len(kinds)]()

    def where(self) -> str:
        chosen = self.r.sample(CONDITIONS, self.r.choice([0, 1, 1, 2]))
        return f" WHERE {' AND '.join(f'({c})' for c in chosen)}" if chosen else ""

    def named(self, expressions: list[str]) -> str:
        return ", ".join(f"{e} AS c{i}" for i, e in enumerate(expressions))

    def linear(self) -> str:
        return f"SELECT {self.named(['id', *self.r.sample(SCALARS, 3)])} FROM t{self.where()}"

    def aggregates(self) -> list[str]:
        drawn = self.r.sample(AGGREGATES, 4)
        drawn[0] += f" FILTER (WHERE {self.r.choice(CONDITIONS)})"
        return drawn

    def grouped(self) -> str:
        keys = self.r.sample(KEYS, self.r.choice([0, 1, 1, 2]))
        group = f" GROUP BY {', '.join(keys)}" if keys else ""
        having = " HAVING count(*) > 1" if keys and self.r.random() < 0.3 else ""
        return f"SELECT {self.named([*keys, *self.aggregates()])} FROM t{self.where()}{group}{having}"

    def joined(self) -> str:
        choices = [
            "t.k = u.k",
            "t.g = u.g",
            "t.k = u.k AND t.g = u.g",
            "t.k = u.k AND t.v > u.w",
            "t.n = u.w",
        ]
        on = self.r.choice(choices)
        return f"SELECT t.id AS a, u.id AS b, t.v AS v, u.w / 2 AS w FROM t JOIN u ON {on}"

    def joined_grouped(self) -> str:
        return (
            "SELECT t.k AS k, count(*) AS c, sum(u.w) AS s, max(t.v) AS m, sum(p.w) AS x"
            " FROM t JOIN u ON t.k = u.k JOIN p ON u.k = p.k GROUP BY t.k"
        )

    def bag(self) -> str:
        return self.r.choice(
            [
                "SELECT k, w FROM p WHERE w > 0",
                "SELECT k, count(*) AS c, sum(w) AS s, min(w) AS lo, max(w) AS hi FROM p GROUP BY k",
                "SELECT a.k AS k, b.w AS w FROM p a JOIN p b ON a.k = b.k",
                "SELECT sum(w) AS s, avg(w) AS a, count(*) AS c FROM p",
            ]
        )


class Changes:
    """Draws transactions."""

    def __init__(self, r: random.Random) -> None:
        self.r = r
        self.next_id = 1

    def some(self, *values: str) -> str:
        return "NULL" if self.r.random() < 0.15 else self.r.choice(values)

    def row(self, table: str) -> str:
        r = self.r
        key, text = self.some("0", "1", "2", "3"), self.some("'a'", "'b'", "'ab'", "''", "'ä'")
        if table == "p":
            return f"({key}, {self.some('-1', '0', '5', '32767')})"
        self.next_id += 1
        if table == "u":
            return f"({self.next_id}, {key}, {text}, {self.some('-5', '0', '7', '2147483647')})"
        v = self.some(str(r.randint(-100, 100)), "9223372036854775807", "-9223372036854775808", "0")
        n = self.some("1.50", "-1", "0", "9999999999.99", "0.01", "7")
        m = self.some("1.0", "1.00", "-0.5", "1e20", "0.000001", "0")
        f = self.some("0.25", "-1.5", "1024", "-0.0", "0")
        day = r.randint(1, 5)
        ts = self.some(f"'2026-01-0{day} 0{r.randint(0, 9)}:30:00'", "'1969-12-31 23:59:59.5'")
        columns = [str(self.next_id), key, text, v, n, m, f, self.some("true", "false")]
        columns += [self.some(f"'2026-01-0{day}'", "'0001-01-01'"), ts]
        return f"({', '.join(columns)})"

    def statement(self) -> str:
        r = self.r
        table = r.choice(["t", "t", "t", "u", "p"])
        condition = (
            "k = 1" if table == "p" else r.choice([f"id % {r.randint(2, 5)} = 0", "k = 1", "k IS NULL"])
        )
        match r.random():
            case x if x < 0.55:
                rows = ", ".join(self.row(table) for _ in range(r.randint(1, 12)))
                return f"INSERT INTO {table} VALUES {rows}"
            case x if x < 0.8:
                if table == "p":
                    return f"UPDATE p SET w = {r.randint(0, 9)} WHERE {condition}"
                if table == "u":
                    return f"UPDATE u SET k = {self.some('1', '2')}, w = {r.randint(0, 99)} WHERE {condition}"
                changes = ["v = k, k = 2", "g = 'z'", "n = n / 2", "b = NOT b", "m = m * 2, d = NULL"]
                change = r.choice(changes)
                return f"UPDATE t SET {change} WHERE {condition}"
            case x if x < 0.98:
                return f"DELETE FROM {table} WHERE {condition}"
            case _:
                return f"DELETE FROM {table}"

    def transaction(self) -> list[str]:
        if self.r.random() < 0.5:
            return [self.statement()]
        body = [self.statement() for _ in range(self.r.randint(2, 5))]
        return ["BEGIN", *body, self.r.choice(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"])]


def plain(value: Any) -> Any:
    """A value whose == is PostgreSQL's =: NaN equals itself, the scale of a numeric does not count."""
    if isinstance(value, (float, Decimal)) and value != value:  # noqa: PLR0124
        return "NaN"
    return value


def content(connection: psycopg.Connection[Any], query: str) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(plain(v) for v in row) for row in connection.execute(query))


def apply(connection: psycopg.Connection[Any], statement: str) -> str:
    """Run it; the SQLSTATE if it fails."""
    try:
        connection.execute(statement)
    except psycopg.Error as error:
        return error.sqlstate or str(error)
    return ""


@pytest.mark.parametrize("seed", range(6))
def test_views_equal_their_queries(seed: int, postgres: Postgres, laminar: LaminarServer) -> None:
    r = random.Random(seed)
    views, changes, log = Views(r), Changes(r), []
    with postgres.connect() as pg, laminar.connect() as own:
        for connection in (pg, own):
            connection.execute("DROP SCHEMA IF EXISTS prop CASCADE")
            connection.execute("CREATE SCHEMA prop")
            connection.execute("SET search_path = prop")
            for name, columns in TABLES.items():
                connection.execute(f"CREATE TABLE {name} ({columns})")
        queries: dict[str, str] = {}
        for step in range(12):
            if step in (0, 4, 8):  # some views early, some over data that is there
                for i in range(5):
                    name = f"v{step}_{i}"
                    queries[name] = views.draw(i)
                    own.execute(f"CREATE MATERIALIZED VIEW {name} AS {queries[name]}")
            for statement in changes.transaction():
                log.append(statement)
                assert apply(own, statement) == apply(pg, statement), log[-8:]
            for name in TABLES:
                assert content(own, f"SELECT * FROM {name}") == content(pg, f"SELECT * FROM {name}"), log
            for name, query in queries.items():
                got, expected = content(own, f"SELECT * FROM {name}"), content(pg, query)
                assert got == expected, (query, got - expected, expected - got, log)
        own.execute("DROP SCHEMA prop CASCADE")


@pytest.mark.parametrize("seed", range(2))
def test_views_on_views(seed: int, postgres: Postgres, laminar: LaminarServer) -> None:
    r = random.Random(100 + seed)
    changes = Changes(r)
    chain = {
        "a": "SELECT k, g, count(*) AS c, sum(w) AS s FROM u GROUP BY k, g",
        "b": "SELECT k, max(s) AS top, sum(c) AS c FROM a WHERE c > 0 GROUP BY k",
        "c": "SELECT a.k AS k, a.g AS g, b.top - a.s AS short FROM a JOIN b ON a.k = b.k",
        "e": "SELECT count(*) AS n, min(short) AS lo FROM c",
    }
    with postgres.connect() as pg, laminar.connect() as own:
        for connection, kind in ((pg, "VIEW"), (own, "MATERIALIZED VIEW")):
            connection.execute("DROP SCHEMA IF EXISTS prop CASCADE")
            connection.execute("CREATE SCHEMA prop")
            connection.execute("SET search_path = prop")
            for name, columns in TABLES.items():
                connection.execute(f"CREATE TABLE {name} ({columns})")
            for name, query in chain.items():
                connection.execute(f"CREATE {kind} {name} AS {query}")
        log = []
        for _ in range(25):
            for statement in changes.transaction():
                log.append(statement)
                assert apply(own, statement) == apply(pg, statement), log[-8:]
            for name in chain:
                assert content(own, f"SELECT * FROM {name}") == content(pg, f"SELECT * FROM {name}"), (
                    name,
                    log,
                )
        own.execute("DROP SCHEMA prop CASCADE")
