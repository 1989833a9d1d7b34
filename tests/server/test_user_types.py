"""Users' types across restarts, in functions, parameters, sinks and psql."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import psycopg
import pytest
from psycopg.types.composite import CompositeInfo, register_composite
from psycopg.types.enum import EnumInfo, register_enum

from tests.harness.server import LaminarServer


def rows(connection: psycopg.Connection, query: str) -> list[tuple[object, ...]]:
    return connection.execute(query).fetchall()  # type: ignore[arg-type]


def test_types_survive_kill(tmp_path: Path) -> None:
    server = LaminarServer(tmp_path).start()
    try:
        with server.connect() as c:
            c.execute("CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')")
            c.execute("CREATE TYPE pair AS (a int, m mood)")
            c.execute("CREATE DOMAIN few AS int CHECK (VALUE < 10)")
            c.execute("CREATE TABLE t (id int PRIMARY KEY, m mood, p pair, f few)")
            c.execute(
                "CREATE MATERIALIZED VIEW v AS SELECT m, p, count(*) AS c, max(m) AS x FROM t GROUP BY m, p"
            )
            c.execute(
                "INSERT INTO t VALUES (1, 'ok', ROW(1, 'sad'), 1), (2, 'sad', NULL, 2),"
                " (3, 'ok', '(1,sad)', 3)"
            )
            c.execute("CHECKPOINT")
            c.execute("ALTER TYPE mood ADD VALUE 'meh' AFTER 'sad'")
            c.execute("INSERT INTO t VALUES (4, 'meh', ROW(2, 'meh'), 4)")
        server.kill()
        server.start()
        with server.connect() as c:
            expected = [("sad", None, 1), ("meh", "(2,meh)", 1), ("ok", "(1,sad)", 2)]
            query = "SELECT m::text, p::text, c FROM v ORDER BY v.m"
            assert rows(c, query) == expected
            with pytest.raises(psycopg.errors.CheckViolation):
                c.execute("INSERT INTO t VALUES (5, 'ok', NULL, 10)")
            c.execute("INSERT INTO t VALUES (5, 'happy', ROW(2, 'meh'), 4)")
            assert rows(c, query) == [*expected, ("happy", "(2,meh)", 1)]
    finally:
        server.stop()


def test_new_values_reach_running_views(laminar: LaminarServer) -> None:
    with laminar.connect() as c:
        c.execute("CREATE SCHEMA late")
        c.execute("SET search_path = late")
        c.execute("CREATE TYPE mood AS ENUM ('sad', 'ok')")
        c.execute("CREATE TABLE t (id int PRIMARY KEY, s text)")
        c.execute("CREATE MATERIALIZED VIEW v AS SELECT id, s::mood AS m, s::mood > 'sad' AS b FROM t")
        c.execute("INSERT INTO t VALUES (1, 'ok')")
        c.execute("ALTER TYPE mood ADD VALUE 'glad'")
        c.execute("INSERT INTO t VALUES (2, 'glad')")
        assert rows(c, "SELECT id, m::text, b FROM v ORDER BY id") == [(1, "ok", True), (2, "glad", True)]
        c.execute("DROP SCHEMA late CASCADE")


def test_drivers_know_the_types(laminar: LaminarServer) -> None:
    with laminar.connect() as c:
        c.execute("CREATE SCHEMA drv")
        c.execute("SET search_path = drv")
        c.execute("CREATE TYPE mood AS ENUM ('sad', 'ok')")
        c.execute("CREATE TYPE pair AS (a int, b text)")
        c.execute("CREATE TABLE t (m mood, p pair)")
        mood = EnumInfo.fetch(c, "mood")
        pair = CompositeInfo.fetch(c, "pair")
        assert mood is not None and list(mood.labels) == ["sad", "ok"]
        assert pair is not None and list(pair.field_names) == ["a", "b"]
        register_enum(mood, c)
        register_composite(pair, c)
        assert mood.enum is not None and pair.python_type is not None
        for binary in (False, True):
            c.execute("INSERT INTO t VALUES (%s, %t)", (mood.enum["ok"], pair.python_type(1, "x")))
            cursor = c.cursor(binary=binary)
            found = cursor.execute("SELECT m, p, ARRAY[m, NULL] FROM t").fetchone()
            assert found == (mood.enum["ok"], pair.python_type(1, "x"), [mood.enum["ok"], None])
        assert rows(c, "SELECT count(*) FROM t WHERE m = 'ok' AND (p).a = 1") == [(2,)]
        c.execute("DROP SCHEMA drv CASCADE")


def test_functions_and_sinks(laminar: LaminarServer, tmp_path: Path) -> None:
    with laminar.connect() as c:
        c.execute("CREATE SCHEMA fun")
        c.execute("SET search_path = fun")
        c.execute("CREATE TYPE mood AS ENUM ('sad', 'ok')")
        c.execute("CREATE TYPE pair AS (a int, m mood)")
        c.execute(
            "CREATE FUNCTION better(x mood) RETURNS mood LANGUAGE sql AS $$ SELECT greatest(x, 'ok') $$"
        )
        c.execute(
            "CREATE FUNCTION other(x mood) RETURNS mood LANGUAGE python IMMUTABLE AS"
            " $$\nreturn 'ok' if x == 'sad' else 'sad'\n$$"
        )
        c.execute(
            "CREATE TABLE t (id int PRIMARY KEY, m mood, p pair, ms mood[], CHECK (m <> 'sad' OR id > 0))"
        )
        c.execute("INSERT INTO t VALUES (1, 'sad', ROW(7, 'ok'), '{ok,NULL}')")
        query = "SELECT better(m)::text, other(m)::text FROM t"
        assert rows(c, query) == [("ok", "ok")]
        with pytest.raises(psycopg.errors.CheckViolation) as caught:
            c.execute("INSERT INTO t VALUES (-1, 'sad', ROW(7, 'ok'), NULL)")
        assert caught.value.diag.message_detail == "Failing row contains (-1, sad, (7,ok), null)."
        path = tmp_path / "out"
        c.execute(
            f"CREATE SINK s AS SELECT id, m, p FROM t WITH (connector = 'file', path = '{path}',"
            " format = 'json', envelope = 'diff', commit_interval = '100ms')"
        )
        c.execute("DROP SINK s")
        lines = [line for file in path.rglob("*.json*") for line in file.read_text().splitlines()]
        found = json.loads(lines[0])
        assert (found["m"], found["p"]) == ("sad", "(7,ok)")
        with pytest.raises(psycopg.errors.DependentObjectsStillExist):
            c.execute("DROP TYPE mood")
        c.execute("DROP SCHEMA fun CASCADE")


def test_psql_lists_types(laminar: LaminarServer) -> None:
    with laminar.connect() as c:
        c.execute("CREATE SCHEMA lst")
        c.execute("CREATE TYPE lst.mood AS ENUM ('sad', 'ok')")
        c.execute("CREATE TYPE lst.pair AS (a int, b text)")
        c.execute("CREATE DOMAIN lst.few AS int DEFAULT 1 CHECK (VALUE < 10)")
        psql = ["psql", "-X", "-A", "-t", laminar.dsn]

        def run(command: str) -> str:
            return subprocess.run([*psql, "-c", command], capture_output=True, check=True, text=True).stdout

        listed = run(r"\dT+ lst.*")
        assert "lst.mood" in listed and "sad" in listed and "lst.pair" in listed
        domains = run(r"\dD lst.*")
        assert "few|integer" in domains and "CHECK (VALUE < 10)" in domains
        assert "a|integer" in run(r"\d lst.pair")
        c.execute("DROP SCHEMA lst CASCADE")
