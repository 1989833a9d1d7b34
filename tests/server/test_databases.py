"""Several databases on one server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.harness.server import LaminarServer
from tests.server.test_backup import laminar

pytestmark = [pytest.mark.timeout(180)]


def connect(server: LaminarServer, database: str, **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
    return server.connect(**{"dbname": database, **options})


def refused(server: LaminarServer, database: str, **options: Any) -> str:
    with pytest.raises(psycopg.OperationalError) as caught:
        connect(server, database, **options)
    return str(caught.value)


def fill(server: LaminarServer, database: str) -> None:
    with connect(server, database) as db:
        db.execute("CREATE SCHEMA extra")
        db.execute("CREATE TYPE mood AS ENUM ('low', 'high')")
        db.execute("CREATE TABLE t (k serial PRIMARY KEY, v text, m mood)")
        db.execute("CREATE MATERIALIZED VIEW g AS SELECT count(*) AS n, max(v) AS m FROM t")
        db.execute("INSERT INTO t (v, m) VALUES (%s, 'low'), ('a', 'high')", (database,))


def content(server: LaminarServer, database: str) -> list[Any]:
    with connect(server, database) as db:
        return [
            db.execute("SELECT k, v, m FROM t ORDER BY k").fetchall(),
            db.execute("SELECT * FROM g").fetchall(),
            db.execute("SELECT current_database(), nextval('t_k_seq') > 2").fetchone(),
        ]


def expected(database: str) -> list[Any]:
    rows = [(1, database, "low"), (2, "a", "high")]
    return [rows, [(2, max(database, "a"))], (database, True)]


def test_databases_are_apart_and_last(new_laminar: Any, tmp_path: Path) -> None:
    """The same names mean other things in each; killed, and from a backup, they are as they were."""
    server: LaminarServer = new_laminar()
    with server.connect() as db:
        db.execute("CREATE DATABASE one")
        db.execute("CREATE DATABASE two")
        db.execute("CREATE DATABASE gone")
    for name in ("laminar", "one", "two", "gone"):
        fill(server, name)
    with server.connect() as db:
        db.execute("DROP DATABASE gone")
        db.execute("ALTER DATABASE two RENAME TO three")
        db.execute("ALTER DATABASE three SET TimeZone = 'Asia/Tokyo'")
        db.execute("ALTER DATABASE three CONNECTION LIMIT 7")
        server.kill()
    server.start()
    for name in ("laminar", "one"):
        assert content(server, name) == expected(name)
    assert content(server, "three")[0] == [(1, "two", "low"), (2, "a", "high")]
    assert 'database "gone" does not exist' in refused(server, "gone")
    with connect(server, "three") as db:
        assert db.execute("SHOW TimeZone").fetchone() == ("Asia/Tokyo",)
        found = db.execute("SELECT datname, datconnlimit FROM pg_database ORDER BY 1").fetchall()
        assert found == [("laminar", -1), ("one", -1), ("three", 7)]
        db.execute(f"BACKUP TO 'file://{tmp_path}/backup'")
    status, output = laminar("restore", f"file://{tmp_path}/backup", "--data-dir", str(tmp_path / "again"))
    assert status == 0, output
    server.stop()
    server.data_dir = tmp_path / "again"
    server.start()
    assert content(server, "one") == expected("one")
    assert 'database "two" does not exist' in refused(server, "two")


def test_names_of_other_databases(laminar: LaminarServer) -> None:
    with laminar.connect() as db:
        db.execute("CREATE DATABASE elsewhere")
        try:
            for sql in (
                "SELECT * FROM elsewhere.public.t",
                "INSERT INTO elsewhere.public.t VALUES (1)",
                "CREATE TABLE elsewhere.public.t (a int)",
                "DROP TABLE elsewhere.public.t",
            ):
                with pytest.raises(psycopg.errors.FeatureNotSupported, match="cross-database references"):
                    db.execute(sql)
            with connect(laminar, "elsewhere") as other:
                other.execute("CREATE TABLE t (a int)")
                assert other.execute("SELECT count(*) FROM elsewhere.public.t").fetchone() == (0,)
                who = "SELECT datname FROM pg_stat_activity WHERE pid = %s"
                assert db.execute(who, (other.info.backend_pid,)).fetchone() == ("elsewhere",)
                other.execute("LISTEN c")
                db.execute("NOTIFY c")
                assert list(other.notifies(timeout=0.1)) == []
        finally:
            db.execute("DROP DATABASE elsewhere WITH (FORCE)")


def test_who_may_connect(laminar: LaminarServer) -> None:
    with laminar.connect() as db:
        db.execute("CREATE ROLE guest LOGIN")
        db.execute("CREATE ROLE host LOGIN CREATEDB")
        db.execute("CREATE DATABASE house OWNER host CONNECTION LIMIT 1")
        try:
            with connect(laminar, "house", user="guest"):
                refusal = refused(laminar, "house", user="host")
                assert 'too many connections for database "house"' in refusal
            db.execute("REVOKE CONNECT ON DATABASE house FROM PUBLIC")
            assert 'permission denied for database "house"' in refused(laminar, "house", user="guest")
            db.execute("GRANT CONNECT ON DATABASE house TO guest")
            db.execute("ALTER ROLE guest SET work_mem = '1MB'")
            with connect(laminar, "house", user="guest") as guest:
                assert guest.execute("SHOW work_mem").fetchone() == ("1MB",)
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="must be owner of database"):
                    guest.execute("DROP DATABASE house")
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="to create database"):
                    guest.execute("CREATE DATABASE mine")
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="for database house"):
                    guest.execute("CREATE SCHEMA mine")
            with pytest.raises(psycopg.errors.DependentObjectsStillExist) as caught:
                db.execute("DROP ROLE host")
            assert caught.value.diag.message_detail == "owner of database house"
            db.execute("ALTER DATABASE house ALLOW_CONNECTIONS false")
            assert "not currently accepting connections" in refused(laminar, "house")
        finally:
            db.execute("DROP DATABASE house")
            db.execute("DROP ROLE guest")
            db.execute("DROP ROLE host")


def test_a_database_in_use_is_not_dropped(laminar: LaminarServer) -> None:
    with laminar.connect() as db:
        db.execute("CREATE DATABASE busy")
        with connect(laminar, "busy") as other:
            other.execute("CREATE TEMPORARY TABLE mine (a int)")
            with pytest.raises(psycopg.errors.ObjectInUse) as caught:
                db.execute("ALTER DATABASE busy RENAME TO idle")
            assert caught.value.diag.message_detail == "There is 1 other session using the database."
            db.execute("DROP DATABASE busy WITH (FORCE)")
            with pytest.raises(psycopg.OperationalError):
                other.execute("SELECT 1")
        with pytest.raises(psycopg.errors.InvalidCatalogName):
            db.execute("DROP DATABASE busy")
        db.execute("DROP DATABASE IF EXISTS busy")
        with pytest.raises(psycopg.errors.ObjectInUse, match="currently open"):
            db.execute("DROP DATABASE laminar")
        with pytest.raises(psycopg.errors.ActiveSqlTransaction):
            db.execute("BEGIN; CREATE DATABASE inside")


def test_laminar_catalog_shows_what_is_in_the_database(new_laminar: Any) -> None:
    """The engine knows the relations of all databases."""
    server: LaminarServer = new_laminar()
    with server.connect() as db:
        db.execute("CREATE DATABASE other")
    with connect(server, "other") as db:
        db.execute("CREATE SOURCE s (a int, ts timestamptz, WATERMARK FOR ts)")
        db.execute("CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM s")
        db.execute("INSERT INTO s VALUES (1, now())")
        db.execute("FLUSH")
        shown = {
            name: db.execute(f"SELECT count(*) > 0 FROM laminar_catalog.{name}").fetchone()  # type: ignore[call-overload]
            for name in ("sources", "operators", "watermarks")
        }
        assert set(shown.values()) == {(True,)}, shown
    with server.connect() as db:
        for name in shown:
            assert db.execute(f"SELECT * FROM laminar_catalog.{name}").fetchall() == []  # type: ignore[call-overload]
