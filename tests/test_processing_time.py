"""PROCTIME() in views: rows have the time of their epoch, for ever; windows of it close without input."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.harness.server import LaminarServer

WINDOWS = {
    "tumbled": "TUMBLE({}, at, INTERVAL '1 second')",
    "hopped": "HOP({}, at, INTERVAL '500 milliseconds', INTERVAL '1 second')",
    "grown": "CUMULATE({}, at, INTERVAL '500 milliseconds', INTERVAL '1 second')",
    "sessions": "SESSION({}, at, INTERVAL '300 milliseconds' PARTITION BY k)",
}
EMITS = {
    "update": "ON UPDATE",
    "close": "ON WINDOW CLOSE",
    "final": "FINAL",
    "watermark": "AFTER WATERMARK",
    "every": "EVERY INTERVAL '200 milliseconds'",
}
INPUT = "(SELECT id, k, PROCTIME() AS at FROM s)"


def expected(kind: str, rows: list[tuple[int, str, datetime]]) -> Counter[tuple[Any, ...]]:
    """Rows by key and window, as an independent reading of the windows' definitions has them."""
    found: Counter[tuple[Any, ...]] = Counter()
    second, half = timedelta(seconds=1), timedelta(milliseconds=500)
    if kind == "sessions":
        gap = timedelta(milliseconds=300)
        for key in {k for _, k, _ in rows}:
            times = sorted(at for _, k, at in rows if k == key)
            start = 0
            for i, at in enumerate(times):
                if i + 1 == len(times) or times[i + 1] - at >= gap:
                    found[key, times[start], at + gap] = i + 1 - start
                    start = i + 1
        return found
    for _, key, at in rows:
        base = at.replace(microsecond=0)
        late = at.microsecond >= 500_000
        if kind == "tumbled":
            windows = [(base, base + second)]
        elif kind == "hopped":
            last = base + half * late
            windows = [(last - half, last + half), (last, last + second)]
        else:
            windows = [(base, base + half)] * (not late) + [(base, base + second)]
        for window in windows:
            found[key, *window] += 1
    return found


@pytest.mark.parametrize("reactors", ["1", "2"])
def test_windows_of_processing_time(reactors: str, new_laminar: Callable[..., LaminarServer]) -> None:
    server = new_laminar("--reactors", reactors)
    c = server.connect()
    c.execute("CREATE SOURCE s (id int, k text)")
    c.execute(
        "CREATE MATERIALIZED VIEW timed AS"
        " SELECT id, k, PROCTIME() AS at FROM s WHERE PROCTIME() > '2020-01-01'"
    )
    modes = list(EMITS) if reactors == "2" else ["close"]
    names = [f"{kind}_{mode}" for kind in WINDOWS for mode in modes]
    for name in names:
        kind, mode = name.split("_")
        c.execute(
            f"CREATE MATERIALIZED VIEW {name} AS SELECT k, window_start, window_end, count(*) AS n"
            f" FROM {WINDOWS[kind].format(INPUT)} w GROUP BY k, window_start, window_end EMIT {EMITS[mode]}"
        )
    for turn in range(12):
        for key in "ab"[: 1 + turn % 2]:
            c.execute(f"INSERT INTO s VALUES ({turn}, '{key}'), ({turn}, '{key}')")
        if turn == 5:
            before = sorted(c.execute("SELECT * FROM timed").fetchall())
            server.kill()
            server.start()
            c = server.connect()
            assert sorted(c.execute("SELECT * FROM timed").fetchall())[: len(before)] == before
        time.sleep(0.12 * (turn % 4))
    rows: list[Any] = c.execute("SELECT * FROM timed").fetchall()
    deadline = time.monotonic() + 15
    for name in names:
        wanted = expected(name.split("_")[0], rows)
        query = f"SELECT k, window_start, window_end, n FROM {name}"
        while (got := Counter({r[:3]: r[3] for r in c.execute(query).fetchall()})) != wanted:
            assert time.monotonic() < deadline, (name, got - wanted, wanted - got)
            time.sleep(0.1)
    c.close()


def test_rows_that_go_have_no_time(laminar: LaminarServer) -> None:
    with laminar.connect() as c:
        c.execute("CREATE TABLE changing (id int PRIMARY KEY)")
        with pytest.raises(psycopg.Error, match="never updated or deleted") as caught:
            c.execute("CREATE MATERIALIZED VIEW w AS SELECT id, PROCTIME() AS at FROM changing")
        assert caught.value.diag.sqlstate == "0A000"
        c.execute("DROP TABLE changing")
