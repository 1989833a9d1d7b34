"""psql 15 itself: what its backslash commands show is what they show of PostgreSQL 15."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.harness.postgres import Postgres, binaries
from tests.harness.server import LaminarServer

OBJECTS = """
CREATE SCHEMA psql; SET search_path = psql;
CREATE TABLE t (a int PRIMARY KEY CHECK (a > 0), b text NOT NULL DEFAULT 'x', c numeric(5,2), d varchar(10));
CREATE TABLE "Odd name" (x timestamptz, y int[], z bool);
CREATE VIEW w AS SELECT a, b FROM t;
CREATE MATERIALIZED VIEW m AS SELECT b, count(*) AS n FROM t GROUP BY b;
COMMENT ON TABLE t IS 'a table';
COMMENT ON COLUMN t.a IS 'its key';
"""
#: shown alike by both
COMMANDS = r"""
\d
\d t
\d+ t
\d "Odd name"
\d w
\d m
\d t_pkey
\dt
\dm
\dv
\dv+
\di
\ds
\df
\df abs
\df *to_char*
\da sum
\da percent*
\do
\do ~*
\dT
\dTS int*
\dTS
\dC
\dCS+
\doS
\dfS pg_get_*
\dp
\z t
\ddp
\dc
\dO
\dA
\dA+
\dAc hash
\dd
\dD
\des
\dew
\det
\deu
\dF
\dFd
\dFp
\dFt
\dE
\dP
\dX
\dRp
\dRs
\drds
\dconfig search_path
\d pg_tables
\d information_schema.columns
SELECT a, b FROM t \gdesc
SELECT 1 AS "row", 2 AS col, 3 AS v \crosstabview
"""
#: server's names or sizes in them differ: they run
RUNNING = r"""
\d+
\d+ m
\dt+
\l
\l+
\dn
\dn+
\du
\du+
\dg
\dx
\dL
\db
\db+
\df+ abs
\dAf btree
\dAo btree
\sv w
\sf now
\d pg_class
\conninfo
"""


def psql(dsn: str, script: str) -> str:
    """What psql prints, errors included."""
    command = [binaries() / "psql", "-X", "-d", dsn]
    done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=100, check=False)
    return (done.stdout + done.stderr).strip()


@pytest.fixture(scope="module")
def dsns(postgres: Postgres, shared_laminar: LaminarServer) -> Iterator[tuple[str, str]]:
    with postgres.connect() as connection:
        connection.execute("CREATE ROLE laminar SUPERUSER LOGIN")
        connection.execute("CREATE DATABASE laminar OWNER laminar")
    there = postgres.dsn.replace("user=postgres dbname=postgres", "user=laminar dbname=laminar")
    for dsn in (there, shared_laminar.dsn):
        psql(dsn, OBJECTS)
    yield there, shared_laminar.dsn
    with shared_laminar.connect() as connection:
        connection.execute("DROP SCHEMA psql CASCADE")
    with postgres.connect() as connection:
        connection.execute("DROP DATABASE laminar")
        connection.execute("DROP ROLE laminar")


@pytest.mark.parametrize("command", COMMANDS.split("\n")[1:-1])
def test_command_shows_what_postgresql_shows(dsns: tuple[str, str], command: str) -> None:
    there, here = (psql(dsn, f"SET search_path = psql;\n{command}\n") for dsn in dsns)
    assert here == there


@pytest.mark.parametrize("command", RUNNING.split("\n")[1:-1])
def test_command_runs(dsns: tuple[str, str], command: str) -> None:
    shown = psql(dsns[1], f"\\set ON_ERROR_STOP on\nSET search_path = psql;\n{command}\n\\echo done")
    assert shown.endswith("done"), shown
    assert len(shown.splitlines()) > 2
