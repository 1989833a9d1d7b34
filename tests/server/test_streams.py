"""CREATE STREAM: a query's changes for subscribers, views and sinks; nothing is kept of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.dataset as ds
import pytest

from tests.harness.server import LaminarServer

pytestmark = [pytest.mark.timeout(180)]


def changes(cursor: Any, count: int) -> list[tuple[Any, ...]]:
    """The next changes of a subscription, without their epochs."""
    found: list[tuple[Any, ...]] = []
    deadline = time.monotonic() + 20
    while len(found) < count:
        assert time.monotonic() < deadline, found
        found += [row[1:] for row in cursor.execute("FETCH 100 FROM c WITH (timeout = '1s')").fetchall()]
    return sorted(found)


@pytest.mark.parametrize("reactors", ["1", "2"])
def test_stream(new_laminar: Any, reactors: str) -> None:
    server: LaminarServer = new_laminar("--reactors", reactors)
    with server.connect() as db:
        db.execute("CREATE TABLE t (k int PRIMARY KEY, v int)")
        db.execute("INSERT INTO t SELECT g, g % 3 FROM generate_series(1, 30) g")
        db.execute("CREATE STREAM s AS SELECT v, count(*) AS n FROM t GROUP BY v")
        db.execute("CREATE MATERIALIZED VIEW above AS SELECT max(n) AS most, count(*) AS groups FROM s")
    for die in (None, server.kill, server.stop):
        if die is not None:
            die()
            server.start()
        with server.connect() as db, server.connect(autocommit=False) as reader:
            reader.execute("DECLARE c CURSOR FOR SUBSCRIBE s")
            reader.execute("FETCH 1 FROM c WITH (timeout = '10ms')")  # which begins it
            db.execute("INSERT INTO t VALUES (100, 0)")
            assert changes(reader, 2) == [(-1, 0, 10), (1, 0, 11)]
            assert db.execute("SELECT * FROM above").fetchall() == [(11, 3)]
            db.execute("DELETE FROM t WHERE k = 100")
            assert changes(reader, 2) == [(-1, 0, 11), (1, 0, 10)]
            assert db.execute("SELECT * FROM above").fetchall() == [(10, 3)]
    with server.connect() as db:
        for query in ("SELECT * FROM s", "COPY (TABLE s) TO STDOUT", "INSERT INTO t SELECT v, n FROM s"):
            with pytest.raises(psycopg.errors.FeatureNotSupported, match='stream "s" keeps no rows'):
                db.execute(query)
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="snapshot"):
            db.execute("SUBSCRIBE s WITH (snapshot = true)")
        assert db.execute("SHOW STREAMS").fetchall()[0][1] == "s"
        with pytest.raises(psycopg.errors.DependentObjectsStillExist):
            db.execute("DROP STREAM s")
        db.execute("DROP STREAM s CASCADE")
        assert db.execute("SELECT count(*) FROM laminar_catalog.views").fetchone() == (0,)


def test_sink_of_a_stream_with_emit(new_laminar: Any, tmp_path: Path) -> None:
    """The sink gets what the stream's EMIT shows; views of it would need the EMIT inside."""
    server: LaminarServer = new_laminar("--reactors", "2")
    with server.connect() as db:
        db.execute("CREATE SOURCE src (k int, ts timestamp, WATERMARK FOR ts)")
        db.execute(
            "CREATE STREAM closed AS SELECT window_end, count(*) AS n FROM TUMBLE(src, ts, INTERVAL '10 s')"
            " GROUP BY window_end EMIT ON WINDOW CLOSE"
        )
        db.execute(
            "CREATE SINK k FROM closed WITH (connector = 'file', format = 'parquet',"
            f" path = '{tmp_path / 'out'}')"
        )
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="has an EMIT clause"):
            db.execute("CREATE MATERIALIZED VIEW v AS SELECT sum(n) AS n FROM closed")
        db.execute(
            "INSERT INTO src SELECT g, timestamp '2026-01-01' + g * INTERVAL '1 s'"
            " FROM generate_series(0, 25) g"
        )
        db.execute("CHECKPOINT")
    server.kill()
    server.start()
    with server.connect() as db:
        db.execute("INSERT INTO src VALUES (1, '2026-01-01 00:00:31')")
        db.execute("CHECKPOINT")
        deadline = time.monotonic() + 20
        while True:
            files = list((tmp_path / "out").glob("*.parquet")) if (tmp_path / "out").exists() else []
            found = sorted(ds.dataset(files).to_table().column("n").to_pylist()) if files else []
            if found == [6, 10, 10]:
                break
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
