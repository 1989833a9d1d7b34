"""TPC-H's 22 queries against PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.postgres import Postgres
from tests.sql.adhoc_database import Database
from tests.sql.tpch import QUERIES, SCHEMA

TABLES = ("region", "nation", "supplier", "part", "partsupp", "customer", "orders", "lineitem")


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> Iterator[Database]:
    with postgres.connect() as connection:
        connection.execute("CREATE SCHEMA tpch; SET search_path = tpch")
        connection.execute(SCHEMA)
        made = Database(connection)
        for name in TABLES:
            made.mirror(name)
        yield made
        connection.execute("DROP SCHEMA tpch CASCADE")


@pytest.mark.parametrize("number", QUERIES)
def test_query(database: Database, number: int) -> None:
    sql = QUERIES[number]
    assert len(database.rows(sql)) > 0, "the data should give the query something to find"
    database.check(sql)
