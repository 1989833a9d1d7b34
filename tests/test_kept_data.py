"""Data directories that earlier versions have left behind open, with their views' states taken up."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import psycopg
import pytest

from tests.harness.server import LaminarServer
from tests.kept_data import FOLDER, rows
from tests.soak.workload import difference, execute

KEPT = sorted(FOLDER.glob("kept-*.tar.xz"))


def compare(db: psycopg.Connection[tuple[object, ...]], queries: dict[str, str]) -> None:
    """Every view equals its query, and the sink's table what it copies."""
    for name, query in (
        queries | {"kept": "SELECT k, sum(v) AS v FROM heap WHERE k IS NOT NULL GROUP BY k"}
    ).items():
        found = db.execute(f"SELECT * FROM {name}").fetchall()  # type: ignore[call-overload]
        wanted = db.execute(query).fetchall()  # type: ignore[call-overload]
        assert sorted(map(repr, found)) == sorted(map(repr, wanted)), (name, difference(found, wanted))


@pytest.mark.parametrize("kept", KEPT, ids=[path.name for path in KEPT])
def test_opens_and_goes_on(kept: Path, tmp_path: Path) -> None:
    with tarfile.open(kept) as archive:
        archive.extractall(tmp_path, filter="data")
    queries = json.loads((tmp_path / "data" / "queries.json").read_text())
    server = LaminarServer(tmp_path, "--reactors", "1").start()
    try:
        with server.connect() as db:
            failed = db.execute("SELECT name, error FROM laminar_catalog.views WHERE error IS NOT NULL")
            assert failed.fetchall() == []
            # A version may plan some in another way; most have the state that was kept.
            assert server.log.read_text().count("computed anew") < len(queries) / 2
            compare(db, queries)
            closed = db.execute("SELECT count(*) FROM closed").fetchone()
            assert closed is not None
            assert closed[0] > 0
            execute(db, rows(2000))
            execute(db, "DELETE FROM t WHERE id % 5 = 1; UPDATE heap SET v = 2 WHERE k = 1")
            compare(db, queries)
            db.execute("CHECKPOINT")
    finally:
        server.stop()
    shutil.rmtree(tmp_path / "data")


def test_one_is_kept() -> None:
    assert KEPT
