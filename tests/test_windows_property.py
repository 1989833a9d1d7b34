"""TUMBLE and HOP with EMIT ON WINDOW CLOSE against a Python model of watermarks, lateness and closing."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.harness.server import LaminarServer

EPOCH = datetime(1970, 1, 1)
START = datetime(2026, 1, 1)
Row = tuple[str | None, datetime, int]


@dataclass
class Model:
    """What SQL.md says, in seconds: a row is late for a window when the watermark before its
    transaction has reached the window's end plus the allowed lateness; a window appears once, when
    the watermark has."""

    size: int
    slide: int
    delay: int
    lateness: int
    watermark: float = float("-inf")
    late: int = 0
    open: dict[tuple[str | None, int], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    closed: dict[tuple[str | None, int], tuple[int, int]] = field(default_factory=dict)

    def windows(self, second: int) -> list[int]:
        last = second // self.slide * self.slide
        return [s for s in range(last, last - self.size, -self.slide) if s <= second < s + self.size]

    def transaction(self, rows: list[Row]) -> None:
        before = self.watermark
        for key, ts, value in rows:
            second = int((ts - EPOCH).total_seconds())
            for start in self.windows(second):
                if before >= start + self.size + self.lateness:
                    self.late += 1
                else:
                    group = self.open[key, start]
                    group[0] += 1
                    group[1] += value
            self.watermark = max(self.watermark, second - self.delay)
        for at in [at for at in self.open if self.watermark >= at[1] + self.size + self.lateness]:
            assert at not in self.closed
            count, total = self.open.pop(at)
            self.closed[at] = (count, total)

    def rows(self) -> set[tuple[Any, ...]]:
        return {(key, EPOCH + timedelta(seconds=at), *values) for (key, at), values in self.closed.items()}


def draw(r: random.Random, clock: int) -> list[Row]:
    return [
        (
            r.choice(["a", "b", "c", None]),
            START + timedelta(seconds=clock + r.choice([0, 1, -3, -10, -40, r.randint(-100, 5)])),
            r.randint(-5, 5),
        )
        for _ in range(r.randint(1, 8))
    ]


def insert(connection: psycopg.Connection[Any], relation: str, rows: list[Row]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {relation} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


@pytest.mark.parametrize("relation", ["SOURCE", "TABLE"])
@pytest.mark.parametrize(
    ("size", "slide", "delay", "lateness"),
    [(10, 10, 0, 0), (10, 10, 5, 0), (7, 7, 2, 13), (10, 5, 0, 0), (20, 5, 3, 4), (9, 3, 0, 6)],
)
def test_windows_close_as_the_model_says(
    relation: str, size: int, slide: int, delay: int, lateness: int, laminar: LaminarServer
) -> None:
    r = random.Random(size * 1000 + delay)
    model = Model(size, slide, delay, lateness)
    window = f"TUMBLE(s, ts, INTERVAL '{size} seconds')"
    if slide != size:
        window = f"HOP(s, ts, INTERVAL '{slide} seconds', INTERVAL '{size} seconds')"
    allow = f" ALLOW LATENESS INTERVAL '{lateness} seconds'" if lateness else ""
    with laminar.connect() as connection:
        connection.execute("DROP SCHEMA IF EXISTS win CASCADE")
        connection.execute("CREATE SCHEMA win")
        connection.execute("SET search_path = win")
        connection.execute(
            f"CREATE {relation} s (k text, ts timestamp, v int,"
            f" WATERMARK FOR ts AS ts - INTERVAL '{delay} seconds')"
        )
        query = (
            f"SELECT k, window_start, count(*) AS c, sum(v) AS t FROM {window}"
            " GROUP BY k, window_start, window_end"
        )
        connection.execute(f"CREATE MATERIALIZED VIEW w AS {query} EMIT ON WINDOW CLOSE{allow}")
        clock = 0
        for _ in range(40):
            rows = draw(r, clock)
            clock += r.choice([0, 1, 3, 12])
            insert(connection, "s", rows)
            model.transaction(rows)
            assert set(connection.execute("SELECT * FROM w")) == model.rows()
        assert model.closed and model.late
        dropped = connection.execute(
            "SELECT sum(rows) FROM laminar_catalog.dropped_rows WHERE relation = 'w' AND reason = 'late'"
        ).fetchone()
        assert dropped == (model.late,)
        if relation == "SOURCE":  # the log replays with the watermarks that rows had
            connection.execute(f"CREATE MATERIALIZED VIEW again AS {query} EMIT ON WINDOW CLOSE{allow}")
            assert set(connection.execute("SELECT * FROM again")) == model.rows()
        connection.execute("DROP SCHEMA win CASCADE")
