"""Random views against PostgreSQL after every batch of changes.

A round is a random schema with views made before and after there are rows. ``LAMINAR_RANDOM_VIEWS`` is
the number of rounds (thousands at night), ``LAMINAR_RANDOM_SEED`` the first round's seed. What Laminar
refuses with 0A000 is counted, and most must be accepted. A counterexample becomes a file in sql_tests.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.harness.postgres import Postgres
from tests.harness.server import LaminarServer
from tests.random_views import Changes, Queries, schema
from tests.test_views_property import apply, content

ROUNDS = int(os.environ.get("LAMINAR_RANDOM_VIEWS", "6"))
FIRST = int(os.environ.get("LAMINAR_RANDOM_SEED", "0"))
#: views of a round, and the least share of them that Laminar must take
VIEWS, ACCEPTED = 20, 0.9

pytestmark = pytest.mark.timeout(120 + 60 * ROUNDS)

Connection = psycopg.Connection[Any]


class Round:
    """One random schema in both databases."""

    def __init__(self, seed: int, pg: Connection, own: Connection) -> None:
        self.r = random.Random(seed)
        self.pg, self.own, self.seed = pg, own, seed
        self.tables = schema(self.r)
        self.queries, self.changes = Queries(self.r, self.tables), Changes(self.r, self.tables)
        self.views: dict[str, str] = {}
        self.log: list[str] = []
        self.refused: list[str] = []
        for connection in (pg, own):
            for statement in (
                "DROP SCHEMA IF EXISTS rnd CASCADE",
                "CREATE SCHEMA rnd",
                "SET search_path = rnd",
            ):
                connection.execute(statement)
        for table in self.tables:
            self.both(table.ddl)

    def both(self, statement: str) -> None:
        self.log.append(statement)
        assert apply(self.own, statement) == apply(self.pg, statement), (self.seed, statement)

    def create(self, count: int) -> None:
        made = 0
        while made < count:
            query, _ = self.queries.select(self.r.choice([0, 1, 1, 2]))
            try:
                self.pg.execute(query)
            except psycopg.Error:
                continue  # PostgreSQL has no such full join, say
            made += 1
            name = f"v{self.seed}_{len(self.log)}"
            statement = f"CREATE MATERIALIZED VIEW {name} AS {query}"
            try:
                self.own.execute(statement)
            except psycopg.errors.FeatureNotSupported as error:
                self.refused.append(f"{error.diag.message_primary}: {query}")
            except psycopg.Error as error:
                raise AssertionError((self.seed, str(error), query)) from error
            else:
                self.views[name] = query
                self.log.append(statement)

    def compare(self) -> None:
        for name, query in self.views.items():
            got, expected = content(self.own, f"SELECT * FROM {name}"), content(self.pg, query)
            script = ";\n".join([s for s in self.log if "VIEW" not in s or f" {name} " in s])
            assert got == expected, f"seed {self.seed}: {got - expected}, not {expected - got}\n{script}"

    def play(self) -> None:
        self.create(VIEWS // 2)
        for _ in range(3):
            self.batch()
        self.create(VIEWS - VIEWS // 2)
        self.compare()
        for _ in range(3):
            self.batch()

    def batch(self) -> None:
        for _ in range(self.r.randint(1, 4)):
            self.both(self.changes.statement())
        self.compare()


def rounds(first: int, count: int, postgres: Postgres, server: LaminarServer) -> Counter[str]:
    """Play rounds; how many views were accepted and refused."""
    found: Counter[str] = Counter()
    with postgres.connect() as pg, server.connect() as own:
        for seed in range(first, first + count):
            one = Round(seed, pg, own)
            one.play()
            found["accepted"] += len(one.views)
            found["refused"] += len(one.refused)
            own.execute("DROP SCHEMA rnd CASCADE")
    return found


def test_random_views_equal_their_queries(postgres: Postgres, laminar: LaminarServer) -> None:
    found = rounds(FIRST, ROUNDS, postgres, laminar)
    assert found["accepted"] >= ACCEPTED * (found["accepted"] + found["refused"]), found


def test_random_views_in_two_reactors(postgres: Postgres, new_laminar: Callable[..., LaminarServer]) -> None:
    rounds(FIRST + 100_000, max(1, ROUNDS // 3), postgres, new_laminar("--reactors", "2"))
