"""Another number of reactors at a restart: views are computed anew, to the same rows."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.harness.server import LaminarServer
from tests.test_crash import nexmark_windows

pytestmark = [pytest.mark.timeout(300)]

START = datetime(2026, 1, 1)
CHANGES = [1, 2, 1]
WINDOWS = """SELECT k, window_start, count(*) AS n, sum(v) AS s
             FROM TUMBLE({source}, at, INTERVAL '10 seconds') GROUP BY k, window_start, window_end
             EMIT ON WINDOW CLOSE"""


def rows(connection: Any, query: str) -> list[tuple[Any, ...]]:
    return sorted(connection.execute(query).fetchall(), key=repr)


def restart(server: LaminarServer, reactors: int, *, crash: bool = False) -> None:
    server.kill() if crash else server.stop()
    server.options = ("--reactors", str(reactors))
    server.start()


class Windows:
    """The closed windows of a push source without delay, each transaction one step of its watermark."""

    def __init__(self) -> None:
        self.windows: dict[tuple[int, int], list[int]] = {}
        self.watermark = -1

    def insert(self, batch: list[tuple[int, int, int]]) -> str:
        """Take (k, v, seconds) in; returns them as VALUES."""
        for k, v, at in batch:
            if at // 10 * 10 + 10 > self.watermark:
                self.windows.setdefault((k, at // 10 * 10), []).append(v)
        self.watermark = max(self.watermark, *(at for _, _, at in batch))
        return ", ".join(f"({k}, {v}, '{START + timedelta(seconds=at)}')" for k, v, at in batch)

    def closed(self) -> list[tuple[Any, ...]]:
        found = [
            (k, START + timedelta(seconds=start), len(values), sum(values))
            for (k, start), values in self.windows.items()
            if start + 10 <= self.watermark
        ]
        return sorted(found, key=repr)


@pytest.mark.parametrize("crash", [False, True])
def test_push_source(new_laminar: Any, crash: bool) -> None:
    server: LaminarServer = new_laminar("--reactors", "1")
    model = Windows()
    with server.connect() as db:
        db.execute("CREATE SOURCE s (k int, v int, at timestamp, WATERMARK FOR at)")
        db.execute(f"CREATE MATERIALIZED VIEW w AS {WINDOWS.format(source='s')}")
        db.execute("CREATE MATERIALIZED VIEW ww AS SELECT k, count(*) AS n, sum(s) AS s FROM w GROUP BY k")
    for round_, reactors in enumerate([2, 1, 3]):
        with server.connect() as db:
            for step in range(6):
                at = round_ * 60 + step * 7
                late = [(0, 1, max(0, at - 25))] if step % 3 == 2 else []
                values = model.insert([(i % 3, i, at + i) for i in range(9)] + late)
                db.execute(f"INSERT INTO s VALUES {values}")
            assert rows(db, "SELECT * FROM w") == model.closed()
        restart(server, reactors, crash=crash)
        with server.connect() as db:
            assert rows(db, "SELECT * FROM w") == model.closed(), reactors
            total = "SELECT k, count(*) AS n, sum(s) AS s FROM w GROUP BY k"
            assert rows(db, "SELECT * FROM ww") == rows(db, total)
            db.execute(f"INSERT INTO s VALUES {model.insert([(1, 5, round_ * 60 + 50)])}")
            assert rows(db, "SELECT * FROM w") == model.closed(), reactors
            assert rows(db, "SELECT * FROM ww") == rows(db, total)


def test_rows_past_retention_keep_the_number(new_laminar: Any) -> None:
    """What cannot be computed anew is not lost in silence: the server refuses to start."""
    server: LaminarServer = new_laminar("--reactors", "1")
    with server.connect() as db:
        db.execute("CREATE SOURCE s (k int) WITH (retention_bytes = 1)")
        db.execute("CREATE MATERIALIZED VIEW n AS SELECT count(*) AS n FROM s")
        db.execute("INSERT INTO s SELECT g FROM generate_series(1, 100) g")
        db.execute("FLUSH")
        db.execute("INSERT INTO s VALUES (101)")
        assert rows(db, "SELECT count(*) < 101 FROM s") == [(True,)]
    with pytest.raises(Exception, match=r"(?s)number of reactors cannot change"):
        restart(server, 2)
    server.options = ("--reactors", "1")
    server.start()
    with server.connect() as db:
        db.execute("INSERT INTO s VALUES (102)")
        assert rows(db, "SELECT * FROM n") == [(102,)]


def write_csv(path: Path, first: int, count: int) -> None:
    lines = (f"{i % 3},{i},{START + timedelta(seconds=i)}" for i in range(first, first + count))
    path.write_text("".join(line + "\n" for line in lines))


def expected(count: int, closed_until: int) -> list[tuple[Any, ...]]:
    model: dict[tuple[int, int], list[int]] = {}
    for i in range(count):
        model.setdefault((i % 3, i // 10 * 10), []).append(i)
    found = [
        (k, START + timedelta(seconds=start), len(values), sum(values))
        for (k, start), values in model.items()
        if start + 10 <= closed_until
    ]
    return sorted(found, key=repr)


def test_files(new_laminar: Any, tmp_path: Path) -> None:
    """A bounded source that is at its end, and one that goes on."""
    done, watched = tmp_path / "done.csv", tmp_path / "watched"
    watched.mkdir()
    write_csv(done, 0, 95)
    write_csv(watched / "0.csv", 0, 95)
    server: LaminarServer = new_laminar("--reactors", "1")
    columns = "(k int, v int, at timestamp, WATERMARK FOR at)"
    with server.connect() as db:
        db.execute(f"CREATE SOURCE done {columns} WITH (connector = 'file', path = '{done}')")
        db.execute(
            "CREATE SOURCE watched (k int, v int, at timestamp)"
            f" WITH (connector = 'file', path = '{watched}/*.csv', mode = 'watch')"
        )
        db.execute(f"CREATE MATERIALIZED VIEW w_done AS {WINDOWS.format(source='done')}")
        for source in ("done", "watched"):
            db.execute(f"CREATE MATERIALIZED VIEW n_{source} AS SELECT count(*) AS n FROM {source}")
        wait_for(db, "SELECT * FROM n_done", [(95,)])
        wait_for(db, "SELECT * FROM n_watched", [(95,)])
    for step, reactors in enumerate((2, 1), 1):
        restart(server, reactors)
        with server.connect() as db:
            # at once: what a reader saw before the restart is there
            assert rows(db, "SELECT * FROM n_watched") == [(95 * step,)]
            assert rows(db, "SELECT * FROM n_done") == [(95,)]
            assert rows(db, "SELECT * FROM w_done") == expected(95, 1000)
            write_csv(watched / f"{step}.csv", step * 95, 95)
            wait_for(db, "SELECT * FROM n_watched", [(95 * (step + 1),)])


def wait_for(connection: Any, query: str, wanted: list[tuple[Any, ...]]) -> None:
    while rows(connection, query) != wanted:
        time.sleep(0.05)


def test_nexmark(new_laminar: Any) -> None:
    """In the middle of a source: no window comes in parts, none is taken back."""
    options = {"connector": "nexmark", "table": "bid", "events": "600000", "rows_per_second": "200000"}
    declared = ", ".join(f"{name} = '{value}'" for name, value in options.items())
    server: LaminarServer = new_laminar("--reactors", "1")
    query = """SELECT window_start, count(*) AS c, sum(price) AS s, max(auction) AS m
               FROM TUMBLE(bid, date_time, INTERVAL '10 seconds') GROUP BY window_start, window_end
               EMIT ON WINDOW CLOSE"""
    with server.connect() as db:
        db.execute(
            "CREATE SOURCE bid (auction bigint, price bigint, date_time timestamp, WATERMARK FOR date_time)"
            f" WITH ({declared})"
        )
        db.execute(f"CREATE MATERIALIZED VIEW w AS {query}")
    for reactors, crash in ((2, False), (1, True)):
        time.sleep(0.7)
        with server.connect() as db:
            seen = set(rows(db, "SELECT * FROM w"))
        restart(server, reactors, crash=crash)
        with server.connect() as db:
            assert seen <= set(rows(db, "SELECT * FROM w")), "what a reader saw was taken back"
    with server.connect() as db:
        finished = "SELECT count(*) FROM laminar_catalog.sources WHERE name = 'bid' AND state = 'finished'"
        wait_for(db, finished, [(1,)])
        db.execute("FLUSH")
        assert set(rows(db, "SELECT * FROM w")) == nexmark_windows(options)


def test_a_view_made_again_after_a_restart(new_laminar: Any, tmp_path: Path) -> None:
    """Nobody read the source when the server started: the new view still gets it whole."""
    path = tmp_path / "done.csv"
    write_csv(path, 0, 95)
    server: LaminarServer = new_laminar("--reactors", "1")
    with server.connect() as db:
        db.execute(
            "CREATE SOURCE done (k int, v int, at timestamp, WATERMARK FOR at)"
            f" WITH (connector = 'file', path = '{path}')"
        )
        db.execute(f"CREATE MATERIALIZED VIEW w AS {WINDOWS.format(source='done')}")
        wait_for(db, "SELECT * FROM w", expected(95, 1000))
        db.execute("DROP MATERIALIZED VIEW w")
    for reactors in (1, 2):
        restart(server, reactors)
        with server.connect() as db:
            db.execute(f"CREATE MATERIALIZED VIEW w AS {WINDOWS.format(source='done')}")
            assert rows(db, "SELECT * FROM w") == expected(95, 1000)
            db.execute("DROP MATERIALIZED VIEW w")


VIEWS = {
    "g": "SELECT k, count(*) AS n, sum(v) AS s, min(v) AS lo FROM t GROUP BY k",
    "j": "SELECT a.id, b.id AS other FROM t a JOIN t b ON a.k = b.k AND a.id < b.id",
    "gg": "SELECT n, count(*) AS c FROM g GROUP BY n",
}


@pytest.mark.parametrize("crash", [False, True])
def test_table(new_laminar: Any, crash: bool) -> None:
    server: LaminarServer = new_laminar("--reactors", "1")
    with server.connect() as db:
        db.execute("CREATE TABLE t (id int PRIMARY KEY, k int, v int)")
    restart(server, 2)
    with server.connect() as db:
        for name, query in VIEWS.items():
            db.execute(f"CREATE MATERIALIZED VIEW {name} AS {query}")
    for reactors in CHANGES:
        with server.connect() as db:
            db.execute("INSERT INTO t SELECT g, g % 7, g * 3 FROM generate_series(0, 60) g WHERE g NOT IN"
                       " (SELECT id FROM t)")  # fmt: skip
            db.execute("DELETE FROM t WHERE id % 5 = 1")
            before = {name: rows(db, f"SELECT * FROM {name}") for name in VIEWS}
        restart(server, reactors, crash=crash)
        with server.connect() as db:
            for name, query in VIEWS.items():
                assert rows(db, f"SELECT * FROM {name}") == before[name] == rows(db, query), (reactors, name)
            db.execute("UPDATE t SET k = k + 1 WHERE id % 3 = 0")
            db.execute("DELETE FROM t WHERE id % 4 = 2")
            for name, query in VIEWS.items():
                assert rows(db, f"SELECT * FROM {name}") == rows(db, query), (reactors, name)
