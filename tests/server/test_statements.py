"""Statements that a client may send at any time, whatever they find."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg import errors

from tests.harness.server import LaminarServer


def test_null_parameters(laminar: LaminarServer):
    with laminar.connect() as connection:
        assert connection.execute("SELECT %s", (None,)).fetchall() == [(None,)]
        assert connection.execute("SELECT %s::int, 1", (None,)).fetchall() == [(None, 1)]
        query = "SELECT g, %s::text FROM generate_series(1, 2) g"
        assert connection.execute(query, (None,)).fetchall() == [(1, None), (2, None)]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) FROM generate_series(1, 9223372036854775807)",
        "SELECT string_agg(g::text, ',') FROM generate_series(1, 1000000000) g",
        "SELECT a FROM generate_series(1, 1000000000) a WHERE a < 0",
    ],
)
def test_a_long_query_is_cancelled_and_holds_nobody_up(laminar: LaminarServer, query):
    """Other sessions go on meanwhile; less than the query would take by orders of magnitude."""
    with laminar.connect() as connection, laminar.connect() as other:
        connection.execute("SET statement_timeout = 200")
        slowest = 0.0
        with ThreadPoolExecutor(1) as pool:
            long = pool.submit(connection.execute, query)
            while not long.done():
                asked = time.monotonic()
                other.execute("SELECT 1")
                slowest = max(slowest, time.monotonic() - asked)
            with pytest.raises(errors.QueryCanceled):
                long.result()
        # a held-up event loop took as long as the whole query's columns: several seconds
        assert slowest < 3
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_series_of_integers(laminar: LaminarServer):
    with laminar.connect() as connection:

        def series(arguments: str) -> list[int]:
            return [
                v for (v,) in connection.execute(f"SELECT * FROM generate_series({arguments})").fetchall()
            ]

        assert series("1, 100000") == list(range(1, 100001))
        assert series("5, 1, -2") == [5, 3, 1]
        assert series("1, 0") == series("NULL, 5") == []
        low, high = -(2**63), 2**63 - 1
        assert series(f"{low}, {high}, {2**62}") == list(range(low, high + 1, 2**62))
        assert series(f"{high - 1}, {high}") == [high - 1, high]
        with pytest.raises(errors.InvalidParameterValue):
            series("1, 2, 0")
        numbered = "SELECT max(o), count(*) FROM generate_series(11, 100010) WITH ORDINALITY AS t (g, o)"
        assert connection.execute(numbered).fetchall() == [(100000, 100000)]
