"""Files of a source that go away and come back are neither lost nor read twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.harness.server import LaminarServer
from tests.server.test_restart_reactors import rows, wait_for, write_csv

pytestmark = [pytest.mark.timeout(120)]


def test_a_vanished_file_is_not_read_again(new_laminar: Any, tmp_path: Path) -> None:
    folder = tmp_path / "watched"
    folder.mkdir()
    for i in range(2):
        write_csv(folder / f"{i}.csv", i * 10, 10)
    server: LaminarServer = new_laminar("--reactors", "1")
    with server.connect() as db:
        db.execute(
            "CREATE SOURCE s (k int, v int, at timestamp)"
            f" WITH (connector = 'file', path = '{folder}/*.csv', mode = 'watch')"
        )
        db.execute("CREATE MATERIALIZED VIEW n AS SELECT count(*) AS n, sum(v) AS s FROM s")
        wait_for(db, "SELECT * FROM n", [(20, 190)])
    (folder / "0.csv").rename(tmp_path / "away.csv")
    server.stop()
    server.start()
    with server.connect() as db:
        write_csv(folder / "2.csv", 20, 10)
        wait_for(db, "SELECT * FROM n", [(30, 435)])
        db.execute("CHECKPOINT")
    server.kill()
    (tmp_path / "away.csv").rename(folder / "0.csv")
    server.start()
    with server.connect() as db:
        write_csv(folder / "3.csv", 30, 10)
        wait_for(db, "SELECT * FROM n", [(40, 780)])
        assert rows(db, "SELECT * FROM n") == [(40, 780)]
