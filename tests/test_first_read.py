"""The first statement after kill -9 sees every acknowledged commit, in tables and in views."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.harness.server import LaminarServer

pytestmark = pytest.mark.timeout(300)

#: what is read, by a table of (id, v)
READS = {
    "SELECT id, v FROM t ORDER BY id": lambda rows: sorted(rows.items()),
    "SELECT id, v FROM v ORDER BY id": lambda rows: sorted((k, x) for k, x in rows.items() if x % 2),
    "SELECT n, s FROM g": lambda rows: [(len(rows), sum(rows.values()))],
    "SELECT t.id, w.n FROM t JOIN w ON w.m = t.v % 3 ORDER BY 1": lambda rows: sorted(
        (k, sum(1 for y in rows.values() if y % 3 == x % 3)) for k, x in rows.items()
    ),
    "SELECT count(*), max(id) FROM s": lambda rows: [(len(rows), max(rows))],
}


def first_statement(server: LaminarServer, query: str) -> list[tuple[Any, ...]]:
    """The rows of ``query``, sent as soon as anybody listens."""
    deadline = time.monotonic() + 60
    while True:
        try:
            connection = server.connect()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, server.log_tail()
            time.sleep(0.01)
            continue
        with connection:
            return connection.execute(query).fetchall()


@pytest.mark.parametrize("reactors", ["1", "2"])
def test_the_first_read_sees_what_was_acknowledged(
    reactors: str, new_laminar: Callable[..., LaminarServer]
) -> None:
    r = random.Random(reactors)
    server = new_laminar("--reactors", reactors)
    with server.connect() as db:
        db.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
        db.execute("CREATE SOURCE s (id int)")
        db.execute("CREATE MATERIALIZED VIEW v AS SELECT id, v FROM t WHERE v % 2 <> 0")
        db.execute("CREATE MATERIALIZED VIEW g AS SELECT count(*) AS n, sum(v) AS s FROM t")
        db.execute("CREATE MATERIALIZED VIEW w AS SELECT v % 3 AS m, count(*) AS n FROM t GROUP BY v % 3")
    rows: dict[int, int] = {}
    for _ in range(5):
        with server.connect() as db:
            for _ in range(r.randint(1, 4)):
                added = {len(rows) + i: r.randint(0, 9) for i in range(r.choice([1, 1, 3, 500]))}
                rows |= added
                with db.transaction(), db.cursor() as cursor:
                    for relation, values in (("t (id, v)", added.items()), ("s (id)", [(k,) for k in added])):
                        with cursor.copy(f"COPY {relation} FROM STDIN") as copy:
                            for row in values:
                                copy.write_row(row)
            if r.random() < 0.2:
                db.execute("CHECKPOINT")
            server.kill()
        server.launch()
        query = r.choice(list(READS))
        assert first_statement(server, query) == READS[query](rows), query
        for query, expected in READS.items():
            assert first_statement(server, query) == expected(rows), query
