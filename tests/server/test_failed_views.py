"""A view that reactors die of is given up with its reason; the others go on."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.harness.server import LaminarServer

pytestmark = [pytest.mark.timeout(180)]
FAILED = psycopg.errors.ObjectNotInPrerequisiteState


@pytest.mark.parametrize("action", ["kill", "error"])
def test_a_deadly_view(new_laminar: Any, action: str) -> None:
    server: LaminarServer = new_laminar("--reactors", "2")
    with server.connect() as db:
        db.execute("CREATE TABLE t (k int PRIMARY KEY, v int)")
        db.execute("INSERT INTO t SELECT g, g % 3 FROM generate_series(1, 30) g")
        db.execute("CREATE MATERIALIZED VIEW good AS SELECT count(*) AS n FROM t")
        db.execute("CREATE MATERIALIZED VIEW bad AS SELECT v, count(*) AS n FROM t GROUP BY v")
        db.execute("CREATE MATERIALIZED VIEW above AS SELECT sum(n) AS n FROM bad")
        (oid,) = db.execute("SELECT 'bad'::regclass::oid::int").fetchone()  # type: ignore[misc]
    server.kill()
    server.environment["LAMINAR_FAILPOINTS"] = f"dataflow {oid}={action}"
    server.start()
    states = "SELECT name, state, error FROM laminar_catalog.views ORDER BY name"
    reason = "killed by SIGKILL" if action == "kill" else "Input/output error"
    with server.connect() as db:
        db.execute("INSERT INTO t VALUES (31, 1)")
        assert db.execute("SELECT n FROM good").fetchall() == [(31,)]
        (above, bad, good) = db.execute(states).fetchall()
        assert good == ("good", "running", None)
        assert bad[1] == "failed" and reason in bad[2]
        assert above == ("above", "failed", 'it reads "bad", which has failed')
        for statement in ("SELECT * FROM bad", "SELECT * FROM above", "SUBSCRIBE TO bad"):
            with pytest.raises(FAILED, match="has failed"):
                db.execute(statement)
        with pytest.raises(FAILED, match='"bad" has failed'):
            db.execute("CREATE MATERIALIZED VIEW another AS SELECT max(n) AS n FROM bad")
        db.execute("CHECKPOINT")
    del server.environment["LAMINAR_FAILPOINTS"]
    server.restart()
    with server.connect() as db:
        # nothing kills it any more: computed anew
        assert db.execute("SELECT sum(n)::int FROM bad").fetchall() == [(31,)]
        assert db.execute("SELECT n::int FROM above").fetchall() == [(31,)]
        db.execute("DROP MATERIALIZED VIEW bad CASCADE")
        assert db.execute(states).fetchall() == [("good", "running", None)]


def test_several_deadly_views(new_laminar: Any) -> None:
    """Each has its strikes; their sum does not end the server."""
    server: LaminarServer = new_laminar()
    with server.connect() as db:
        db.execute("CREATE TABLE t (k int PRIMARY KEY, v int)")
        names = ["bad1", "bad2", "bad3"]
        for name in [*names, "good"]:
            db.execute(f"CREATE MATERIALIZED VIEW {name} AS SELECT v, count(*) AS n FROM t GROUP BY v")
        oids = [db.execute(f"SELECT '{name}'::regclass::oid::int").fetchone()[0] for name in names]  # type: ignore[index]
    server.kill()
    server.environment["LAMINAR_FAILPOINTS"] = ";".join(f"dataflow {oid}=error" for oid in oids)
    server.start()
    with server.connect() as db:
        db.execute("INSERT INTO t VALUES (1, 1)")
        assert db.execute("SELECT * FROM good").fetchall() == [(1, 1)]
        found = db.execute("SELECT name, state FROM laminar_catalog.views ORDER BY name").fetchall()
        assert found == [(name, "failed") for name in names] + [("good", "running")]
