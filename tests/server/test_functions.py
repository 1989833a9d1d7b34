"""Users' functions over a server's life: restarts, reactors, roles, failing rows."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import psycopg
import pytest

from tests.harness.postgres import binaries
from tests.harness.server import LaminarServer

SETUP = [
    """CREATE FUNCTION squared(x int) RETURNS int LANGUAGE python IMMUTABLE AS $$
if x == 13:
    raise ValueError('unlucky')
return x * x
$$""",
    "CREATE FUNCTION plus_one(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x + 1'",
    "CREATE TABLE t (id int PRIMARY KEY, x int DEFAULT squared(3), CHECK (squared(x) < 1000000))",
    "CREATE MATERIALIZED VIEW v AS SELECT plus_one(squared(x)) AS y, count(*) AS n FROM t GROUP BY 1",
]


@pytest.mark.parametrize("reactors", [1, 2])
def test_views_keep_their_functions_after_kill(
    new_laminar: Callable[..., LaminarServer], reactors: int
) -> None:
    server = new_laminar("--reactors", str(reactors))
    with server.connect() as session:
        for statement in SETUP:
            session.execute(statement)
        session.execute("INSERT INTO t (id) SELECT i FROM generate_series(1, 5) i")
        assert session.execute("SELECT * FROM v").fetchall() == [(82, 5)]
    server.kill()
    server.start()
    with server.connect() as session:
        session.execute("INSERT INTO t VALUES (6, 2), (7, 3)")
        assert sorted(session.execute("SELECT * FROM v").fetchall()) == [(5, 1), (10, 1), (82, 5)]
        with pytest.raises(psycopg.errors.DependentObjectsStillExist):
            session.execute("DROP FUNCTION squared")


def test_a_failing_row_leaves_the_view_alone(new_laminar: Callable[..., LaminarServer]) -> None:
    server = new_laminar("--reactors", "1")
    with server.connect() as session:
        session.execute(SETUP[0])
        session.execute("CREATE TABLE t (id int PRIMARY KEY, x int)")
        session.execute("CREATE MATERIALIZED VIEW v AS SELECT id, squared(x) AS y FROM t")
        session.execute("INSERT INTO t VALUES (1, 2), (2, 13), (3, 4)")
        assert sorted(session.execute("SELECT * FROM v").fetchall()) == [(1, 4), (3, 16)]
        with pytest.raises(
            psycopg.errors.ExternalRoutineException, match="function squared, line 3: ValueError"
        ):
            session.execute("SELECT squared(x) FROM t")
        session.execute("UPDATE t SET x = 1 WHERE id = 2")
        assert sorted(session.execute("SELECT * FROM v").fetchall()) == [(1, 4), (2, 1), (3, 16)]


def test_python_is_for_superusers(laminar: LaminarServer) -> None:
    with laminar.connect() as session:
        session.execute("CREATE ROLE somebody LOGIN")
        try:
            with (
                psycopg.connect(laminar.dsn, user="somebody", autocommit=True) as other,
                pytest.raises(psycopg.errors.InsufficientPrivilege, match="language python"),
            ):
                other.execute("CREATE FUNCTION f() RETURNS int LANGUAGE python AS $$ return 1 $$")
        finally:
            session.execute("DROP ROLE somebody")


AGGREGATE = """CREATE AGGREGATE spread(x int) RETURNS int STRICT LANGUAGE python AS $$
def create_state():
    return []
def accumulate(state, x):
    if x == 13:
        raise ValueError('unlucky')
    return state + [x]
def finish(state):
    return max(state) - min(state) if state else None
$$"""
TOTAL = """CREATE AGGREGATE total(x int) RETURNS int STRICT LANGUAGE python AS $$
def create_state(): return 0
def accumulate(state, x): return state + x
def retract(state, x): return state - x
$$"""


@pytest.mark.parametrize("reactors", [1, 2])
def test_views_keep_their_aggregates_after_kill(
    new_laminar: Callable[..., LaminarServer], reactors: int
) -> None:
    server = new_laminar("--reactors", str(reactors))
    with server.connect() as session:
        session.execute(AGGREGATE)
        session.execute("CREATE TABLE t (id int PRIMARY KEY, k int, x int)")
        session.execute("CREATE MATERIALIZED VIEW v AS SELECT k, spread(x) FROM t GROUP BY k")
        session.execute(TOTAL)
        folded = "SELECT k::numeric AS k, total(x), count(*), approx_count_distinct(x) FROM l GROUP BY 1"
        session.execute("CREATE TABLE l (k int, x int) APPEND ONLY")
        session.execute(f"CREATE MATERIALIZED VIEW w AS {folded}")
        session.execute("CREATE MATERIALIZED VIEW a AS SELECT total(x) FROM t")
        session.execute("INSERT INTO l SELECT i % 3, i FROM generate_series(1, 10000) i")
        session.execute("INSERT INTO t SELECT i, i % 3, i FROM generate_series(1, 9) i")
        session.execute("CHECKPOINT")
        session.execute("INSERT INTO t VALUES (10, 0, 13), (11, 1, null), (12, 2, 20)")
        session.execute("INSERT INTO l SELECT i % 3, i + 5000 FROM generate_series(1, 10000) i")
        # a group for which the code raises has no row until what it raises for is gone
        assert sorted(session.execute("SELECT * FROM v").fetchall()) == [(1, 6), (2, 18)]
    server.kill()
    server.start()
    with server.connect() as session:
        session.execute("DELETE FROM t WHERE id IN (2, 10)")
        assert sorted(session.execute("SELECT * FROM v").fetchall()) == [(0, 6), (1, 6), (2, 15)]
        session.execute("INSERT INTO l VALUES (0, 1), (4, 4)")
        found = sorted(session.execute("SELECT * FROM w").fetchall())
        assert len(found) == 4 and found == sorted(session.execute(folded).fetchall())
        assert session.execute("SELECT * FROM a").fetchone() == (sum(range(1, 10)) - 2 + 20,)
        with pytest.raises(psycopg.errors.DependentObjectsStillExist):
            session.execute("DROP AGGREGATE spread(int)")


def test_psql_lists_aggregates(laminar: LaminarServer) -> None:
    with laminar.connect() as session:
        session.execute(AGGREGATE)
        try:
            command = [binaries() / "psql", "-X", "-A", "-t", "-d", laminar.dsn, "-c"]
            listed = [subprocess.check_output([*command, f"\\{c} spread"], text=True) for c in ("da", "df")]
        finally:
            session.execute("DROP AGGREGATE spread(int)")
    assert listed == ["public|spread|integer|x integer|\n", "public|spread|integer|x integer|agg\n"]
