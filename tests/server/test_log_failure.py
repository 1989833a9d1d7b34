"""A log that cannot be made durable ends the server; the next start decides from the disk."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.harness.server import LaminarServer

pytestmark = [pytest.mark.timeout(120)]


@pytest.mark.parametrize("kind", ["error-at", "full-at"])
def test_panic(new_laminar: Any, kind: str) -> None:
    server: LaminarServer = new_laminar("--reactors", "1")
    with server.connect() as db:
        db.execute("CREATE TABLE t (k int PRIMARY KEY)")
    server.stop()
    server.environment["LAMINAR_FAILPOINTS"] = f"wal: written={kind}:12"
    server.start()
    acknowledged = []
    with pytest.raises(psycopg.OperationalError) as caught, server.connect() as db:
        for k in range(1000):
            db.execute("INSERT INTO t VALUES (%s)", (k,))
            acknowledged.append(k)
    assert caught.value.sqlstate in (None, "58030")
    assert server.process is not None and server.process.wait(30) == 1
    assert "could not write to the write-ahead log" in server.log_tail()
    server.environment.clear()
    server.start()
    with server.connect() as db:
        found = [k for (k,) in db.execute("SELECT k FROM t ORDER BY k")]
    # the one whose outcome was not heard may be there
    assert found in (acknowledged, [*acknowledged, len(acknowledged)])
    assert acknowledged
