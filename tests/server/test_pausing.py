"""PAUSE keeps a view's rows as they are, across kill -9; RESUME makes it equal to its query again."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.harness.server import LaminarServer

pytestmark = [pytest.mark.timeout(180)]

QUERY = "SELECT v, count(*), sum(k) FROM t GROUP BY v"


def change(db: psycopg.Connection[Any], r: random.Random) -> None:
    for _ in range(20):
        k = r.randint(0, 30)
        db.execute(
            "INSERT INTO t VALUES (%s, %s) ON CONFLICT (k) DO UPDATE SET v = excluded.v", (k, r.randint(1, 4))
        )
        db.execute("DELETE FROM t WHERE k = %s", (r.randint(0, 30),))


def rows(db: psycopg.Connection[Any], query: str) -> Counter[tuple[Any, ...]]:
    return Counter(db.execute(query).fetchall())


@pytest.mark.parametrize("reactors", ["1", "2"])
def test_paused_views(reactors: str, new_laminar: Callable[..., LaminarServer]) -> None:
    r = random.Random(int(reactors))
    server = new_laminar("--reactors", reactors)
    state = (
        "SELECT state, epoch < (SELECT max(epoch) FROM laminar_catalog.epochs)"
        " FROM laminar_catalog.views WHERE name = 'w'"
    )
    with server.connect() as db:
        db.execute("CREATE TABLE t (k int PRIMARY KEY, v int)")
        db.execute(f"CREATE MATERIALIZED VIEW w AS {QUERY}")
        db.execute("CREATE INDEX w_v ON w (v)")
        change(db, r)
        db.execute("ALTER MATERIALIZED VIEW w PAUSE")
        frozen = rows(db, QUERY)
        assert rows(db, "SELECT * FROM w") == frozen
        change(db, r)
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="is paused"):
            db.execute("CREATE MATERIALIZED VIEW x AS SELECT * FROM w")
    server.kill()
    server.start()
    with server.connect() as db:
        change(db, r)
        db.execute("CHECKPOINT")
        assert rows(db, "SELECT * FROM w") == frozen != rows(db, QUERY)
        assert db.execute(state).fetchone() == ("paused", True)
    server.kill()
    server.start()
    with server.connect() as db:
        assert rows(db, "SELECT * FROM w") == frozen
        db.execute("ALTER MATERIALIZED VIEW w RESUME")
        assert rows(db, "SELECT * FROM w") == rows(db, QUERY)
        assert db.execute(state).fetchone() == ("running", False)
        change(db, r)
        assert rows(db, "SELECT * FROM w") == rows(db, QUERY)
        assert rows(db, "SELECT * FROM w WHERE v = 2") == rows(db, f"SELECT * FROM ({QUERY}) q WHERE v = 2")
    server.kill()
    server.start()
    with server.connect() as db:
        change(db, r)
        assert rows(db, "SELECT * FROM w") == rows(db, QUERY)
        db.execute("ALTER MATERIALIZED VIEW w PAUSE")
        db.execute("DROP MATERIALIZED VIEW w")
        db.execute("DROP TABLE t")


def test_refusals(laminar: LaminarServer) -> None:
    with laminar.connect() as db:
        db.execute("CREATE SCHEMA pausing")
        db.execute("SET search_path = pausing")
        db.execute("CREATE TABLE t (k int PRIMARY KEY)")
        db.execute("CREATE MATERIALIZED VIEW a AS SELECT k FROM t")
        db.execute("CREATE MATERIALIZED VIEW b AS SELECT k FROM a")
        for statement, sqlstate in (
            ("ALTER MATERIALIZED VIEW a PAUSE", "2BP01"),
            ("ALTER TABLE t PAUSE", "42809"),
            ("ALTER MATERIALIZED VIEW nowhere PAUSE", "42P01"),
        ):
            with pytest.raises(psycopg.Error) as error:
                db.execute(statement)
            assert error.value.sqlstate == sqlstate
        db.execute("ALTER MATERIALIZED VIEW b RESUME")
