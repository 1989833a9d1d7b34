"""TPC-H's 22 queries as views, equal to PostgreSQL's answers after every batch of changes.

Both ways: views first, then the data in parts; the data first, then the views. LIMIT's ties, which SQL
leaves open, are settled by a key.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.harness.postgres import Postgres
from tests.harness.server import LaminarServer
from tests.sql.tpch import QUERIES, SCHEMA
from tests.test_views_property import content

TABLES = ("region", "nation", "supplier", "part", "partsupp", "customer", "orders", "lineitem")
TIES = {
    3: ("o_orderdate LIMIT 10", "o_orderdate, l_orderkey LIMIT 10"),
    10: ("revenue DESC LIMIT 20", "revenue DESC, c_custkey LIMIT 20"),
    18: ("o_orderdate LIMIT 100", "o_orderdate, o_orderkey LIMIT 100"),
}
CHANGES = [
    "DELETE FROM lineitem WHERE l_orderkey % 7 = {n}",
    "DELETE FROM orders WHERE o_orderkey % 11 = {n}",
    "DELETE FROM partsupp WHERE (ps_partkey + ps_suppkey) % 13 = {n}",
    "DELETE FROM customer WHERE c_custkey % 17 = {n}",
    "UPDATE lineitem SET l_quantity = l_quantity % 50 + 7, l_shipdate = l_shipdate - 40"
    " WHERE l_orderkey % 5 = {n}",
    "UPDATE lineitem SET l_suppkey = l_suppkey % 30 + 1, l_returnflag = 'R' WHERE l_linenumber = {n}",
    "UPDATE lineitem SET l_discount = l_discount / 2, l_extendedprice = l_extendedprice + 0.01"
    " WHERE l_partkey % 6 = {n}",
    "UPDATE orders SET o_orderdate = o_orderdate + 45, o_orderstatus = 'F' WHERE o_orderkey % 6 = {n}",
    "UPDATE orders SET o_custkey = o_custkey % 100 + 1, o_totalprice = o_totalprice / 3"
    " WHERE o_orderkey % 9 = {n}",
    "UPDATE customer SET c_acctbal = -c_acctbal, c_nationkey = (c_nationkey + 3) % 25"
    " WHERE c_custkey % 8 = {n}",
    "UPDATE customer SET c_mktsegment = 'BUILDING' WHERE c_custkey % 4 = {n}",
    "UPDATE supplier SET s_nationkey = 20 - s_nationkey % 20, s_comment = 'Customer Complaints'"
    " WHERE s_suppkey % 12 = {n}",
    "UPDATE part SET p_size = 15, p_brand = 'Brand#23', p_container = 'MED BOX' WHERE p_partkey % 10 = {n}",
    "UPDATE part SET p_name = 'forest green', p_type = 'PROMO BRASS' WHERE p_partkey % 7 = {n}",
    "UPDATE partsupp SET ps_supplycost = ps_supplycost * 1.07, ps_availqty = ps_availqty / 2"
    " WHERE ps_partkey % 4 = {n}",
    "UPDATE nation SET n_regionkey = 4 - n_regionkey WHERE n_nationkey % 5 = {n}",
]  # fmt: skip

Rows = list[tuple[Any, ...]]


def view(number: int) -> str:
    old, new = TIES.get(number, ("", ""))
    assert old in QUERIES[number]
    return QUERIES[number].replace(old, new) if old else QUERIES[number]


@pytest.fixture(scope="module")
def rows(postgres: Postgres) -> Iterator[dict[str, Rows]]:
    """The tables' rows."""
    with postgres.connect() as connection:
        connection.execute("CREATE SCHEMA made; SET search_path = made")
        connection.execute(SCHEMA)
        yield {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in TABLES}
        connection.execute("DROP SCHEMA made CASCADE")


class Both:
    """The same tables in PostgreSQL and in Laminar."""

    def __init__(self, *connections: psycopg.Connection[Any]) -> None:
        self.connections = connections
        self.log: list[str] = []
        for connection in connections:
            connection.execute("DROP SCHEMA IF EXISTS tpch CASCADE")
            connection.execute("CREATE SCHEMA tpch")
            connection.execute("SET search_path = tpch")
            for statement in SCHEMA.split(";"):
                if "CREATE TABLE" in statement:
                    connection.execute(statement)

    def load(self, name: str, rows: Rows) -> None:
        for connection in self.connections:
            with connection.cursor() as cursor, cursor.copy(f"COPY {name} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)

    def create_views(self) -> None:
        for number in QUERIES:
            self.connections[1].execute(f"CREATE MATERIALIZED VIEW q{number} AS {view(number)}")

    def change(self, r: random.Random, rows: dict[str, Rows]) -> None:
        for statement in r.sample(CHANGES, 3):
            self.log.append(statement.format(n=r.randrange(4)))
            for connection in self.connections:
                connection.execute(self.log[-1])
        for name in ("lineitem", "orders", "partsupp"):
            self.load(name, r.sample(rows[name], 15))

    def compare(self) -> set[int]:
        """Check all views; the numbers of those with rows."""
        found = set()
        for number in QUERIES:
            expected = content(self.connections[0], view(number))
            got = content(self.connections[1], f"SELECT * FROM q{number}")
            assert got == expected, (number, got - expected, expected - got, self.log)
            if expected:
                found.add(number)
        return found


def test_views_first(rows: dict[str, Rows], postgres: Postgres, laminar: LaminarServer) -> None:
    r = random.Random(1)
    with postgres.connect() as pg, laminar.connect() as own:
        both = Both(pg, own)
        both.create_views()
        both.compare()
        for name in TABLES:
            half = len(rows[name]) // 2
            both.load(name, rows[name][:half])
        both.compare()
        for name in TABLES:
            half = len(rows[name]) // 2
            both.load(name, rows[name][half:])
        assert both.compare() == set(QUERIES)
        for _ in range(4):
            both.change(r, rows)
            both.compare()
        for name in ("customer", "lineitem", "part"):
            both.log.append(f"DELETE FROM {name}")
            for connection in both.connections:
                connection.execute(f"DELETE FROM {name}")
            both.compare()
        own.execute("DROP SCHEMA tpch CASCADE")


def test_data_first(rows: dict[str, Rows], postgres: Postgres, laminar: LaminarServer) -> None:
    r = random.Random(2)
    with postgres.connect() as pg, laminar.connect() as own:
        both = Both(pg, own)
        for name in TABLES:
            both.load(name, rows[name])
        both.create_views()
        assert both.compare() == set(QUERIES)
        for _ in range(5):
            both.change(r, rows)
            both.compare()
        own.execute("DROP SCHEMA tpch CASCADE")
