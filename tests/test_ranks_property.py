"""Top rows, window functions and ordered aggregates equal their queries: random changes, against PostgreSQL.

Orders are made total by the primary key where ties would let the two choose differently.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from tests.harness.postgres import Postgres
from tests.harness.server import LaminarServer
from tests.test_views_property import CONDITIONS, TABLES, Changes, apply, plain

PARTITIONS = ["k", "g", "b", "d", "n", "m", "f", "k % 2", "coalesce(g, '-')", "k, b", "length(g)"]
ORDERS = ["v", "g", "n", "m", "f", "d", "ts", "b", "v % 3", "upper(g)", "k, v", "n / 2"]
DIRECTIONS = ["", " DESC", " NULLS FIRST", " DESC NULLS LAST", " ASC"]
FUNCTIONS = [
    "row_number()", "rank()", "dense_rank()", "percent_rank()", "cume_dist()", "ntile(3)", "lag(v)",
    "lead(g, 2)", "lag(n, 1, 0.5)", "first_value(v)", "last_value(g)", "nth_value(d, 2)", "count(*)",
    "count(v)", "sum(k)", "sum(n)", "avg(k)", "min(v)", "max(g)", "sum(v)", "min(ts)", "avg(n)", "bool_or(b)",
    "count(*) FILTER (WHERE b)", "array_agg(id)", "lag(n)", "first_value(n)",
    "lag(m, 2, n)", "array_agg(n)",
]  # fmt: skip
FRAMES = [
    "", "ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING", "ROWS UNBOUNDED PRECEDING",
    "GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW", "ROWS BETWEEN 2 FOLLOWING AND 3 FOLLOWING",
    "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
    "RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
]  # fmt: skip
ORDERED = [
    "array_agg(id ORDER BY id)", "array_agg(v ORDER BY v DESC, id)", "string_agg(g, ',' ORDER BY id)",
    "string_agg(DISTINCT g, '/')", "count(DISTINCT g)", "sum(DISTINCT k)", "avg(DISTINCT n)",
    "count(DISTINCT v)", "min(DISTINCT v)", "array_agg(DISTINCT k)", "array_agg(DISTINCT g ORDER BY g DESC)",
    "percentile_cont(0.5) WITHIN GROUP (ORDER BY f)", "percentile_disc(0.25) WITHIN GROUP (ORDER BY n)",
    "percentile_disc(1) WITHIN GROUP (ORDER BY g DESC)", "mode() WITHIN GROUP (ORDER BY k)",
    "mode() WITHIN GROUP (ORDER BY ts)", "count(DISTINCT d) FILTER (WHERE b)", "sum(v ORDER BY id)",
    "array_agg(id ORDER BY ts, id) FILTER (WHERE v > 0)", "count(DISTINCT m)", "sum(DISTINCT f)",
    "count(DISTINCT b)", "rank(3) WITHIN GROUP (ORDER BY k)",
    "dense_rank(2, 'b') WITHIN GROUP (ORDER BY k DESC, g)",
    "percent_rank(0.5) WITHIN GROUP (ORDER BY f DESC)",
    "cume_dist(NULL) WITHIN GROUP (ORDER BY n) FILTER (WHERE b)",
    "percentile_disc(ARRAY[0.25, 1]) WITHIN GROUP (ORDER BY n)",
]  # fmt: skip
DISTINCTS = {  # in two phases: one argument
    "g": ["count(DISTINCT g)", "min(DISTINCT g)", "count(DISTINCT g) FILTER (WHERE b)"],
    "n": ["sum(DISTINCT n)", "avg(DISTINCT n) FILTER (WHERE k > 0)", "count(DISTINCT n)"],
    "f": ["count(DISTINCT f)", "sum(DISTINCT f)", "avg(DISTINCT f)"],
    "k": ["count(DISTINCT k + 1)", "sum(DISTINCT k + 1) FILTER (WHERE v > 0)"],
    "m": ["count(DISTINCT m)", "sum(DISTINCT m) FILTER (WHERE NOT b)"],
}
ADDING = ["count(*)", "sum(v)", "count(k) FILTER (WHERE b)", "max(g)", "min(n)", "sum(n)", "bool_and(b)"]
PLAIN = ["count(*)", "sum(v)", "avg(n)", "max(g)", "count(k) FILTER (WHERE b)"]


class Views:
    """Draws view definitions."""

    def __init__(self, r: random.Random) -> None:
        self.r = r

    def draw(self, i: int) -> str:
        kinds = [self.limited, self.ranked, self.distinct, self.over, self.reduced, self.over]
        kinds += [self.distinct_values] * 2
        return kinds[i % len(kinds)]()

    def where(self) -> str:
        return f" WHERE {self.r.choice(CONDITIONS)}" if self.r.random() < 0.4 else ""

    def order(self, unique: bool = True) -> str:
        items = [o + self.r.choice(DIRECTIONS) for o in self.r.sample(ORDERS, self.r.choice([1, 1, 2]))]
        return ", ".join([*items, *(["id"] if unique else [])])

    def limited(self) -> str:
        n, skip = self.r.choice([0, 1, 3, 7]), self.r.choice(["", "", " OFFSET 2"])
        if self.r.random() < 0.3:
            rest = f" ORDER BY {self.order(unique=False)}{skip} FETCH FIRST {n} ROWS WITH TIES"
            # with an offset ties at its edge are open
            rest = rest.replace(skip, "") if skip else rest
        else:
            rest = f" ORDER BY {self.order()} LIMIT {n}{skip}"
        return f"SELECT id, g, upper(g) AS u FROM t{self.where()}{rest}"

    def ranked(self) -> str:
        function = self.r.choice(["row_number()", "rank()", "dense_rank()"])
        order = self.order(unique=function == "row_number()")
        partition = self.r.choice(["", *(f"PARTITION BY {p} " for p in PARTITIONS)])
        shown = self.r.choice(["id, rn", "id", "id, v, rn", "k, rn + 1 AS more"])
        condition = self.r.choice(["rn <= 2", "rn = 1", "rn < 3 AND id > 5", "3 >= rn", "rn = 2", "rn <= 0"])
        inner = f"SELECT *, {function} OVER ({partition}ORDER BY {order}) AS rn FROM t{self.where()}"
        return f"SELECT {shown} FROM ({inner}) x WHERE {condition}"

    def distinct(self) -> str:
        keys = self.r.choice(PARTITIONS)
        return f"SELECT DISTINCT ON ({keys}) id, v, g FROM t{self.where()} ORDER BY {keys}, {self.order()}"

    def over(self) -> str:
        calls = []
        for i, function in enumerate(self.r.sample(FUNCTIONS, 4)):
            partition = self.r.choice(["", *(f"PARTITION BY {p} " for p in PARTITIONS)])
            calls.append(
                f"{function} OVER ({partition}ORDER BY {self.order()} {self.r.choice(FRAMES)}) AS c{i}"
            )
        return f"SELECT id, {', '.join(calls)} FROM t{self.where()}"

    def distinct_values(self) -> str:
        calls = [*self.r.choice(list(DISTINCTS.values())), *self.r.sample(ADDING, 2)]
        if self.r.random() < 0.6:  # of several expressions, beside anything
            every = [call for calls in DISTINCTS.values() for call in calls]
            calls = [
                *self.r.sample([*every, "count(DISTINCT v)"], 4),
                *self.r.sample([*ADDING, "avg(v)", "sum(f)"], 2),
            ]
        return self.grouped(calls)

    def reduced(self) -> str:
        return self.grouped([*self.r.sample(ORDERED, 3), self.r.choice(PLAIN)])

    def grouped(self, calls: list[str]) -> str:
        keys = self.r.sample(PARTITIONS, self.r.choice([0, 1, 1, 1]))
        shown = ", ".join(f"{e} AS c{i}" for i, e in enumerate(calls))
        group = f"GROUP BY {keys[0]}" if keys else ""
        having = " HAVING count(*) > 1" if keys and self.r.random() < 0.3 else ""
        first = f"{keys[0]}, " if keys and "," not in keys[0] else ""
        return f"SELECT {first}{shown} FROM t{self.where()} {group}{having}"


def comparable(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(comparable, value))
    if isinstance(value, float):
        return round(value, 9)
    return plain(value)


def content(connection: psycopg.Connection[Any], query: str) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(comparable(v) for v in row) for row in connection.execute(query))


class Comparison:
    """The same statements on both servers, and every view of ours against its query."""

    def __init__(self, seed: int, postgres: Postgres, laminar: LaminarServer) -> None:
        r = random.Random(seed)
        self.views, self.changes = Views(r), Changes(r)
        self.postgres, self.laminar = postgres, laminar
        self.queries: dict[str, str] = {}
        self.log: list[str] = []
        with self.connections() as (pg, own):
            for connection in (pg, own):
                connection.execute("DROP SCHEMA IF EXISTS ranks CASCADE")
                connection.execute("CREATE SCHEMA ranks")
                for name, columns in TABLES.items():
                    connection.execute(f"CREATE TABLE ranks.{name} ({columns})")

    @contextmanager
    def connections(self) -> Iterator[tuple[psycopg.Connection[Any], psycopg.Connection[Any]]]:
        with self.postgres.connect() as pg, self.laminar.connect() as own:
            for connection in (pg, own):
                connection.execute("SET search_path = ranks")
            yield pg, own

    def create(self, count: int) -> None:
        with self.connections() as (_, own):
            for i in range(count):
                name = f"v{len(self.queries)}"
                self.queries[name] = self.views.draw(i)
                own.execute(f"CREATE MATERIALIZED VIEW {name} AS {self.queries[name]}")

    def change(self, transactions: int) -> None:
        with self.connections() as (pg, own):
            for _ in range(transactions):
                for statement in self.changes.transaction():
                    self.log.append(statement)
                    assert apply(own, statement) == apply(pg, statement), self.log[-8:]
                for name, query in self.queries.items():
                    got, expected = content(own, f"SELECT * FROM {name}"), content(pg, query)
                    if got != expected:
                        pytest.fail(f"{query}\n{got - expected}\n{expected - got}\n{self.log}")

    def drop(self) -> None:
        with self.connections() as (_, own):
            own.execute("DROP SCHEMA ranks CASCADE")


@pytest.mark.parametrize("seed", range(4))
def test_views_equal_their_queries(seed: int, postgres: Postgres, laminar: LaminarServer) -> None:
    both = Comparison(1000 + seed, postgres, laminar)
    both.create(8)
    both.change(5)
    both.create(8)  # over data that is there
    both.change(5)
    both.drop()


@pytest.mark.parametrize("reactors", [1, 2])
def test_state_survives_a_crash(
    reactors: int, postgres: Postgres, new_laminar: Callable[..., LaminarServer]
) -> None:
    server = new_laminar("--reactors", str(reactors))
    both = Comparison(2000 + reactors, postgres, server)
    both.create(10)
    for checkpoint in (True, True, False):
        both.change(3)
        if checkpoint:
            with server.connect() as own:
                own.execute("CHECKPOINT")
        both.change(1)
        server.kill()
        server.start()
    both.change(3)
