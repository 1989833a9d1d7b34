"""CREATE SINK into tables, files and PostgreSQL: every change once, whatever dies."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.dataset as ds
import pytest

from tests.harness.postgres import Postgres
from tests.harness.server import LaminarServer

pytestmark = [pytest.mark.timeout(180)]


def rows(db: Any, query: str) -> list[tuple[Any, ...]]:
    return sorted(db.execute(query).fetchall(), key=repr)


def wait_for(found: Callable[[], Any], wanted: Any, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while (got := found()) != wanted:
        assert time.monotonic() < deadline, got
        time.sleep(0.05)


def postgres_options(postgres: Postgres, **options: str) -> str:
    given = {"connector": "postgres", "host": "127.0.0.1", "port": str(postgres.port), "user": "postgres",
             "dbname": "postgres", "commit_interval": "50ms", **options}  # fmt: skip
    return ", ".join(f"{name} = '{value}'" for name, value in given.items())


def parquet(folder: Path) -> list[int]:
    return sorted(ds.dataset(str(folder), format="parquet").to_table().column("k").to_pylist())


def test_into_a_table(new_laminar: Any) -> None:
    """The table changes in the sink's epoch, and views over it do, also those that came before the sink."""
    server: LaminarServer = new_laminar("--reactors", "2")
    query = "SELECT v, count(*) AS n FROM t GROUP BY v"
    above = "SELECT count(*) AS c, sum(n) AS s FROM target"

    def same(db: Any) -> None:
        assert rows(db, "SELECT * FROM target") == rows(db, query)
        assert rows(db, "SELECT * FROM above") == rows(db, above)

    with server.connect() as db:
        db.execute("CREATE TABLE t (k int PRIMARY KEY, v int)")
        db.execute("INSERT INTO t SELECT g, g % 5 FROM generate_series(1, 100) g")
        db.execute("CREATE TABLE target (v int PRIMARY KEY, n bigint)")
        db.execute(f"CREATE MATERIALIZED VIEW above AS {above}")
        db.execute(f"CREATE SINK filler INTO target AS {query}")
        same(db)
        for statement in [
            "INSERT INTO t VALUES (1000, 9)",
            "DELETE FROM t WHERE v = 3",
            "UPDATE t SET v = v + 1",
        ]:
            db.execute(statement)
            same(db)
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="cannot insert into"):
            db.execute("INSERT INTO target VALUES (1, 1)")
        with pytest.raises(psycopg.errors.DependentObjectsStillExist):
            db.execute("DROP TABLE target")
    for stop in (server.kill, server.stop):
        stop()
        server.start()
        with server.connect() as db:
            same(db)
            db.execute("UPDATE t SET v = v * 2")
            same(db)
    with server.connect() as db:
        before = rows(db, "SELECT * FROM target")
        db.execute("DROP SINK filler")
        db.execute("DELETE FROM t")
        db.execute("INSERT INTO target VALUES (-1, 1)")
        assert rows(db, "SELECT * FROM target") == sorted([*before, (-1, 1)], key=repr)
        assert rows(db, "SELECT * FROM above") == rows(db, above)


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("CREATE SINK k INTO plain FROM t", "0A000"),
        ("CREATE SINK k INTO target AS SELECT v, n, n AS m FROM target2", "42601"),
        ("CREATE SINK k INTO target AS SELECT k, v FROM t", "42804"),
        ("CREATE SINK k INTO target AS SELECT v, k::bigint FROM t", "0A000"),
        ("CREATE SINK k INTO target AS SELECT v, sum(n)::bigint FROM target GROUP BY v", "0A000"),
        ("CREATE SINK k INTO full_ AS SELECT k, v FROM t", "55000"),
        ("CREATE SINK k FROM t WITH (connector = 'file', path = '/tmp/x')", "0A000"),
        (
            "CREATE SINK k FROM t WITH (connector = 'postgres', table = 'x', host = '::1', port = '1')",
            "08006",
        ),
        ("CREATE SINK k FROM t WITH (connector = 'carrier pigeon')", "22023"),
    ],
)
def test_refused(laminar: LaminarServer, statement: str, code: str) -> None:
    with laminar.connect() as db:
        db.execute("CREATE SCHEMA sink_refusals")
        db.execute("SET search_path = sink_refusals")
        try:
            db.execute("CREATE TABLE t (k int PRIMARY KEY, v int)")
            db.execute("CREATE TABLE plain (k int, v int)")
            db.execute("CREATE TABLE full_ (k int PRIMARY KEY, v int)")
            db.execute("INSERT INTO full_ VALUES (1, 1)")
            for name in ("target", "target2"):
                db.execute(f"CREATE TABLE {name} (v int PRIMARY KEY, n bigint)")
            with pytest.raises(psycopg.Error) as caught:
                db.execute(statement)
            assert caught.value.sqlstate == code, caught.value
            assert rows(db, "SELECT name FROM laminar_catalog.sinks WHERE schema = 'sink_refusals'") == []
        finally:
            db.execute("DROP SCHEMA sink_refusals CASCADE")


def test_outside(new_laminar: Any, postgres: Postgres, tmp_path: Path) -> None:
    """Files and PostgreSQL have every row once after kills of the server and of a reactor."""
    server: LaminarServer = new_laminar("--reactors", "2")
    folder = tmp_path / "out"
    with postgres.connect() as outside:
        outside.execute("CREATE TABLE sink_added (k int)")
        outside.execute("CREATE TABLE sink_groups (v int PRIMARY KEY, n bigint, s bigint)")

        def same(db: Any, count: int) -> None:
            wait_for(lambda: rows(outside, "SELECT * FROM sink_groups"), rows(db, "SELECT * FROM g"))
            wait_for(lambda: rows(outside, "SELECT k FROM sink_added"), rows(db, "SELECT k FROM s"))
            wait_for(lambda: parquet(folder), list(range(count)))

        with server.connect() as db:
            db.execute("CREATE SOURCE s (k int)")
            db.execute("INSERT INTO s SELECT generate_series(0, 99)")
            db.execute("CREATE TABLE t (k int PRIMARY KEY, v int)")
            db.execute("CREATE MATERIALIZED VIEW g AS SELECT v, count(*) n, sum(k) s FROM t GROUP BY v")
            db.execute(f"CREATE SINK a FROM s WITH ({postgres_options(postgres, table='sink_added')})")
            db.execute(f"CREATE SINK u FROM g WITH ({postgres_options(postgres, table='sink_groups')})")
            db.execute(
                f"CREATE SINK f FROM s WITH (connector = 'file', path = '{folder}', commit_interval = '50ms')"
            )
        for step in range(1, 4):
            with server.connect() as db:
                db.execute(f"INSERT INTO s SELECT generate_series({step * 100}, {step * 100 + 99})")
                db.execute(f"INSERT INTO t SELECT {step * 100} + g, g % 7 FROM generate_series(1, 50) g")
                db.execute(f"UPDATE t SET v = v + 1 WHERE k % {step + 1} = 0")
                db.execute(f"DELETE FROM t WHERE v = {step}")
                if step == 2:
                    same(db, 300)
                    pid = db.execute("SELECT process_id FROM laminar_catalog.reactors LIMIT 1").fetchone()
                    os.kill(int(pid[0]), signal.SIGKILL)
            if step != 2:
                server.kill()
                server.start()
        with server.connect() as db:
            same(db, 400)
            db.execute("INSERT INTO s VALUES (400)")
            for name in "auf":
                db.execute(f"DROP SINK {name}")
            same(db, 401)
            db.execute("INSERT INTO s VALUES (401)")
            time.sleep(0.3)
            assert parquet(folder) == list(range(401))


def test_a_target_that_is_away(new_laminar: Any, postgres: Postgres) -> None:
    """The sink says what is wrong, and goes on when it can."""
    server: LaminarServer = new_laminar("--reactors", "1")
    with postgres.connect() as outside, server.connect() as db:
        outside.execute("CREATE TABLE sink_away (k int)")
        db.execute("CREATE SOURCE s (k int)")
        db.execute(f"CREATE SINK a FROM s WITH ({postgres_options(postgres, table='sink_away')})")
        db.execute("INSERT INTO s VALUES (1)")
        wait_for(lambda: rows(outside, "SELECT * FROM sink_away"), [(1,)])
        outside.execute("ALTER TABLE sink_away RENAME TO sink_back")
        db.execute("INSERT INTO s VALUES (2)")
        query = "SELECT pending_bytes > 0, error LIKE '%sink_away%' FROM laminar_catalog.sinks"
        wait_for(lambda: rows(db, query), [(True, True)])
        outside.execute("ALTER TABLE sink_back RENAME TO sink_away")
        wait_for(lambda: rows(outside, "SELECT * FROM sink_away"), [(1,), (2,)])
        wait_for(lambda: rows(db, "SELECT pending_bytes, error FROM laminar_catalog.sinks"), [(0, None)])


def test_passwords_are_the_owners(laminar: LaminarServer, postgres: Postgres) -> None:
    """SHOW CREATE SINK leaves out what is secret for whoever does not own the sink."""
    options = postgres_options(postgres, table="sink_secret", password="it''s; a secret")
    query = "SELECT k, k = '********' AS password FROM sink_secret"
    with postgres.connect() as outside, laminar.connect() as db:
        outside.execute("CREATE TABLE sink_secret (k text PRIMARY KEY, password boolean)")
        db.execute("CREATE TABLE sink_secret (k text PRIMARY KEY)")
        db.execute(f"CREATE SINK hush AS {query} WITH ({options})")
        db.execute("CREATE ROLE curious LOGIN")
        db.execute("GRANT SELECT ON hush TO curious")
        try:
            assert f"AS {query} WITH ({options})" in db.execute("SHOW CREATE SINK hush").fetchall()[0][1]
            with laminar.connect(user="curious") as other:
                shown = other.execute("SHOW CREATE SINK hush").fetchall()[0][1]
                assert f"{query} WITH (" in shown and "password = '********'" in shown
                assert "secret;" not in shown and "a secret" not in shown
                tables = [
                    f"{schema}.{name}"
                    for schema, name in other.execute(
                        "SELECT schemaname, viewname FROM pg_views WHERE schemaname = 'laminar_catalog'"
                    ).fetchall()
                ]
                for table in [*tables, "laminar_catalog.sinks", "pg_class", "pg_foreign_table", "pg_rewrite"]:
                    assert "a secret" not in str(other.execute(f"TABLE {table}").fetchall())
        finally:
            db.execute("DROP SINK hush")
            db.execute("DROP TABLE sink_secret")
            db.execute("DROP ROLE curious")


def test_another_number_of_reactors_is_refused(new_laminar: Any, tmp_path: Path) -> None:
    """A sink outside would deliver everything once more; with the old number it goes on."""
    server: LaminarServer = new_laminar("--reactors", "1")
    folder = tmp_path / "out"
    with server.connect() as db:
        db.execute("CREATE SOURCE s (k int)")
        db.execute("INSERT INTO s VALUES (0)")
        db.execute(
            f"CREATE SINK f FROM s WITH (connector = 'file', path = '{folder}', commit_interval = '50ms')"
        )
    server.stop()
    server.options = ("--reactors", "2")
    with pytest.raises(RuntimeError):
        server.start()
    assert "cannot change from 1 to 2 while there are sinks outside" in server.log_tail()
    server.options = ("--reactors", "1")
    server.start()
    with server.connect() as db:
        db.execute("INSERT INTO s VALUES (1)")
        wait_for(lambda: parquet(folder), [0, 1])
        db.execute("DROP SINK f")
    server.stop()
    server.options = ("--reactors", "2")
    server.start()
    with server.connect() as db:
        assert rows(db, "SELECT k FROM s") == [(0,), (1,)]


def test_others_need_a_password_outside(laminar: LaminarServer, postgres: Postgres) -> None:
    """Whom the server outside trusts for the sake of the machine, users of this one cannot be."""
    with postgres.connect() as outside:
        outside.execute("DROP TABLE IF EXISTS guarded; CREATE TABLE guarded (k int PRIMARY KEY, v text)")
        outside.execute("DROP ROLE IF EXISTS asked; CREATE ROLE asked LOGIN SUPERUSER PASSWORD 'secret'")
        found = outside.execute("SHOW hba_file").fetchone()
        assert found is not None
        hba = Path(found[0])
        before = hba.read_text()
    with laminar.connect() as db:
        db.execute("CREATE ROLE joe LOGIN; GRANT CREATE ON SCHEMA public TO joe")
    try:
        hba.write_text("host all asked 127.0.0.1/32 scram-sha-256\n" + before)
        with postgres.connect() as outside:
            outside.execute("SELECT pg_reload_conf()")
        with laminar.connect(user="joe") as db:
            db.execute("CREATE TABLE public.mine (k int PRIMARY KEY, v text)")
            for options in (
                postgres_options(postgres, table="guarded"),
                postgres_options(postgres, table="guarded", password="any"),
                postgres_options(postgres, table="guarded", password_required="off"),
            ):
                with pytest.raises(psycopg.Error, match="password is required"):
                    db.execute(f"CREATE SINK public.k FROM mine WITH ({options})")
                lookup = options.replace(", commit_interval = '50ms'", "")
                with pytest.raises(psycopg.Error, match="password is required"):
                    db.execute(f"CREATE LOOKUP TABLE public.l (k int PRIMARY KEY, v text) WITH ({lookup})")
            options = postgres_options(postgres, table="guarded", user="asked", password="secret")
            db.execute(f"CREATE SINK public.k FROM mine WITH ({options})")
            db.execute("INSERT INTO mine VALUES (1, 'x')")
            with postgres.connect() as outside:
                wait_for(lambda: rows(outside, "SELECT * FROM guarded"), [(1, "x")])
            db.execute("DROP SINK public.k; DROP TABLE public.mine")
    finally:
        hba.write_text(before)
        with postgres.connect() as outside:
            outside.execute("SELECT pg_reload_conf()")
    with laminar.connect() as db:
        db.execute("REVOKE CREATE ON SCHEMA public FROM joe; DROP ROLE joe")
