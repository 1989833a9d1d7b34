"""A watched folder's watermark: files come one after the other, servers die, views come later."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.harness.server import LaminarServer

START = datetime(2026, 1, 1)
SIZE, DELAY = 10, 3
Row = tuple[str, int, int]


class Model:
    """Rows of a file begin at the watermark that the source had; it is the maximum of what has been read."""

    def __init__(self) -> None:
        self.watermark = float("-inf")
        self.late = 0
        self.windows: dict[tuple[str, int], list[int]] = defaultdict(list)

    def files(self, *files: list[Row]) -> None:
        """Files that the source finds at the same moment."""
        marks = []
        for rows in files:
            mark = self.watermark
            for key, second, value in rows:
                start = second // SIZE * SIZE
                if mark >= start + SIZE:
                    self.late += 1
                else:
                    self.windows[key, start].append(value)
                mark = max(mark, second - DELAY)
            marks.append(mark)
        self.watermark = max(marks)

    def closed(self) -> set[tuple[Any, ...]]:
        return {
            (key, START + timedelta(seconds=start), len(values), sum(values))
            for (key, start), values in self.windows.items()
            if self.watermark >= start + SIZE
        }


def draw(r: random.Random, clock: int) -> list[Row]:
    times = sorted(clock + r.randint(0, 30) for _ in range(20))
    return [(r.choice("ab"), t + r.choice([0, 0, -2, -15, -40]), r.randint(0, 9)) for t in times]


def write(folder: Path, name: str, rows: list[Row]) -> None:
    """A file that is there whole or not at all; Parquet in several row groups."""
    values = [(key, START + timedelta(seconds=second), value) for key, second, value in rows]
    hidden = folder / f".{name}"
    if name.endswith("parquet"):
        schema = pa.schema([("k", pa.string()), ("ts", pa.timestamp("us")), ("v", pa.int32())])
        records = [dict(zip(schema.names, row, strict=True)) for row in values]
        pq.write_table(pa.Table.from_pylist(records, schema), hidden, row_group_size=6)
    else:
        hidden.write_text("".join(f"{key},{time},{value}\n" for key, time, value in values))
    hidden.rename(folder / name)


def wait_for(connection: Any, query: str, wanted: Any) -> None:
    deadline = time.monotonic() + 20
    while (found := connection.execute(query).fetchall()) != wanted:
        assert time.monotonic() < deadline, (found, wanted)
        time.sleep(0.05)


@pytest.mark.parametrize(("reactors", "suffix"), [("1", "csv"), ("2", "csv"), ("1", "parquet")])
def test_files_arrive_over_time(reactors: str, suffix: str, new_laminar: Any, tmp_path: Path) -> None:
    """The windowed view comes second; of Parquet, nobody has looked at event times before."""
    r = random.Random(int(reactors))
    folder = tmp_path / "in"
    folder.mkdir()
    server: LaminarServer = new_laminar("--reactors", reactors)
    model, count = Model(), 0
    query = (
        "SELECT k, window_start, count(*) AS n, sum(v) AS t FROM TUMBLE(s, ts, INTERVAL '10 seconds')"
        " GROUP BY k, window_start, window_end EMIT ON WINDOW CLOSE"
    )
    with server.connect() as db:
        db.execute(
            "CREATE SOURCE s (k text, ts timestamp, v int, WATERMARK FOR ts AS ts - INTERVAL '3 seconds')"
            f" WITH (connector = 'file', path = '{folder}/*.{suffix}', mode = 'watch')"
        )
        db.execute("CREATE MATERIALIZED VIEW n AS SELECT count(*) AS n FROM s")
    for step in range(6):
        files = [draw(r, step * 25) for _ in range(2 if step == 3 else 1)]
        if step == 2:
            server.kill()  # the file comes while nobody runs
        for part, rows in enumerate(files):
            write(folder, f"{step}{part}.{suffix}", rows)
        if step == 2:
            server.start()
        model.files(*files)
        count += sum(map(len, files))
        with server.connect() as db:
            wait_for(db, "SELECT * FROM n", [(count,)])
            if step == 0:
                db.execute(f"CREATE MATERIALIZED VIEW w AS {query}")
            db.execute("FLUSH")
            assert set(db.execute("SELECT * FROM w")) == model.closed()
            if step == 1:
                db.execute("CHECKPOINT")
            if step == 4:
                server.kill()
                server.start()
    assert model.late
    with server.connect() as db:
        db.execute(f"CREATE MATERIALIZED VIEW later AS {query}")
        assert set(db.execute("SELECT * FROM later")) == model.closed()
        late = "SELECT sum(rows) FROM laminar_catalog.dropped_rows WHERE relation = 'later'"
        assert db.execute(late).fetchone() == (model.late,)
