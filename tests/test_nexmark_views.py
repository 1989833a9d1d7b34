"""The Nexmark queries as views fed by the generator, against PostgreSQL over the same rows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from benchmarks.nexmark.queries import ON_CLOSE, QUERIES, SMALL, TABLES, emit, text
from tests.harness.postgres import Postgres
from tests.harness.server import LaminarServer
from tests.test_views_property import content

EVENTS = 6000
#: may be empty with so few events
EMPTY = {2, 3}
#: whose windows are of the clock: PostgreSQL has no such thing
OF_THE_CLOCK = {12}

Pair = tuple[psycopg.Connection[Any], psycopg.Connection[Any]]


@pytest.fixture(scope="module")
def both(postgres: Postgres, shared_laminar: LaminarServer) -> Iterator[Pair]:
    """PostgreSQL with the generator's rows, Laminar with the sources."""
    with postgres.connect() as pg, shared_laminar.connect() as own:
        for connection in (pg, own):
            connection.execute("DROP SCHEMA IF EXISTS nexmark CASCADE")
            connection.execute("CREATE SCHEMA nexmark")
            connection.execute("SET search_path = nexmark")
        for table, columns in TABLES.items():
            own.execute(
                f"CREATE SOURCE {table} ({columns}, WATERMARK FOR date_time)"
                f" WITH (connector = 'nexmark', \"table\" = '{table}', events = '{EVENTS}')"
            )
            own.execute(f"CREATE MATERIALIZED VIEW all_{table} AS SELECT * FROM {table}")
            pg.execute(f"CREATE TABLE {table} ({columns})")
            rows = finished(own, f"all_{table}", {"person": 1, "auction": 3, "bid": 46}[table] * EVENTS // 50)
            with pg.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        yield pg, own
        own.execute("DROP SCHEMA nexmark CASCADE")


def finished(own: psycopg.Connection[Any], view: str, count: int) -> list[tuple[Any, ...]]:
    """The view's rows once it has this many."""
    deadline = time.monotonic() + 30
    while True:
        own.execute("FLUSH")
        rows = own.execute(f"SELECT * FROM {view}").fetchall()
        if len(rows) == count or time.monotonic() > deadline:
            assert len(rows) == count
            return rows
        time.sleep(0.05)


@pytest.mark.parametrize("number", QUERIES.keys() - OF_THE_CLOCK)
@pytest.mark.parametrize("closing", [False, True])
def test_query(both: Pair, number: int, closing: bool) -> None:
    if closing and number not in ON_CLOSE:
        pytest.skip("has no windows to close")
    pg, own = both
    expected = content(pg, text(number, SMALL, "postgres"))
    assert expected or number in EMPTY
    own.execute(
        f"CREATE MATERIALIZED VIEW q{number} AS {text(number, SMALL)}{emit(number) if closing else ''}"
    )
    deadline = time.monotonic() + 20
    while (got := content(own, f"SELECT * FROM q{number}")) != expected and time.monotonic() < deadline:
        time.sleep(0.1)
    own.execute(f"DROP MATERIALIZED VIEW q{number}")
    assert got == expected


@pytest.mark.parametrize("number", OF_THE_CLOCK)
@pytest.mark.parametrize("closing", [False, True])
def test_query_of_the_clock(both: Pair, number: int, closing: bool) -> None:
    """Every bid counts once, in the window of the time at which it was read."""
    pg, own = both
    began = own.execute("SELECT now()").fetchone()
    clause = " EMIT ON WINDOW CLOSE" if closing else ""
    own.execute(f"CREATE MATERIALIZED VIEW q{number} AS {text(number, SMALL)}{clause}")
    expected = dict(pg.execute("SELECT bidder, count(*) FROM bid GROUP BY bidder").fetchall())
    sums = f"SELECT bidder, sum(bids)::bigint FROM q{number} GROUP BY bidder"
    deadline = time.monotonic() + 30
    while (got := dict(own.execute(sums).fetchall())) != expected and time.monotonic() < deadline:
        time.sleep(0.1)
    bounds = own.execute(f"SELECT min(window_end), max(window_start) FROM q{number}").fetchone()
    ended = own.execute("SELECT now()").fetchone()
    own.execute(f"DROP MATERIALIZED VIEW q{number}")
    assert got == expected
    assert began and ended and bounds
    assert began[0] < bounds[0] and bounds[1] <= ended[0]
