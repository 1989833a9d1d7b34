"""kill -9 at any moment: what was acknowledged is there afterwards, and every view equals its query."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import psycopg
import pytest

from laminar.connectors.base import ScanRequest, SourceSpec, source_connector
from tests.harness.server import LaminarServer

pytestmark = [
    pytest.mark.timeout(300),
]

VIEWS = {
    "sums": "SELECT id % 7 AS g, count(*) AS c, sum(v) AS s, max(v) AS hi FROM t GROUP BY id % 7",
    "odd": "SELECT id, v FROM t WHERE v % 2 = 1",
    "pairs": "SELECT a.id AS a, b.id AS b FROM t a JOIN t b ON a.v = b.id",
}


class Writer(threading.Thread):
    """Changes one row after another until the connection breaks.

    ``known`` is the state as acknowledged, ``pending`` the statement under way.
    """

    def __init__(self, server: LaminarServer, known: dict[int, int], seed: int) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.known = known
        self.pending: tuple[int, int | None] | None = None
        self.random = random.Random(seed)
        self.acknowledged = 0

    def run(self) -> None:
        try:
            with self.server.connect() as connection:
                while True:
                    self.step(connection)
        except psycopg.Error:
            return

    def step(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        r = self.random
        value: int | None = r.randint(0, 1000)
        key = max(self.known, default=0) + 1
        if self.known and r.random() < 0.4:
            key = r.choice(list(self.known))
        if key not in self.known:
            sql = f"INSERT INTO t VALUES ({key}, {value})"
        elif r.random() < 0.5:
            sql = f"UPDATE t SET v = {value} WHERE id = {key}"
        else:
            sql, value = f"DELETE FROM t WHERE id = {key}", None
        self.pending = (key, value)
        connection.execute(sql)
        settle(self.known, self.pending)
        self.pending = None
        self.acknowledged += 1
        if r.random() < 0.01:
            connection.execute("CHECKPOINT")


def settle(known: dict[int, int], change: tuple[int, int | None]) -> None:
    key, value = change
    if value is None:
        known.pop(key, None)
    else:
        known[key] = value


@pytest.mark.slow
@pytest.mark.parametrize("reactors", [1, 2])
def test_acknowledged_is_durable(reactors: int, new_laminar: Callable[..., LaminarServer]) -> None:
    server = new_laminar("--reactors", str(reactors))
    r = random.Random(reactors)
    with server.connect() as connection:
        connection.execute("CREATE TABLE t (id bigint PRIMARY KEY, v bigint)")
        for name, query in VIEWS.items():
            connection.execute(f"CREATE MATERIALIZED VIEW {name} AS {query}")
    known: dict[int, int] = {}
    total = 0
    for round_ in range(4):
        writer = Writer(server, known, round_)
        writer.start()
        time.sleep(r.uniform(0.3, 1.5))
        server.kill()
        writer.join(30)
        assert not writer.is_alive()
        total += writer.acknowledged
        server.start()
        with server.connect() as connection:
            rows = dict(connection.execute("SELECT id, v FROM t").fetchall())
            # the statement under way may have happened or not
            if writer.pending is not None and rows != known:
                settle(known, writer.pending)
            assert rows == known
            for name, query in VIEWS.items():
                kept = set(connection.execute(f"SELECT * FROM {name}"))
                assert kept == set(connection.execute(query)), name
    assert total > 20


@pytest.mark.slow
@pytest.mark.parametrize("reactors", [1, 2])
def test_a_source_resumes_where_it_was(reactors: int, new_laminar: Callable[..., LaminarServer]) -> None:
    """Whatever the moment of the crash, each event counts once."""
    events = 3_000_000
    options = {"connector": "nexmark", "table": "bid", "events": str(events), "rows_per_second": "600000"}
    declared = ", ".join(f"{name} = '{value}'" for name, value in options.items())
    server = new_laminar("--reactors", str(reactors))
    with server.connect() as connection:
        connection.execute(
            "CREATE SOURCE bid (auction bigint, price bigint, date_time timestamp, WATERMARK FOR date_time)"
            f" WITH ({declared})"
        )
        connection.execute(
            "CREATE MATERIALIZED VIEW w AS"
            " SELECT window_start, count(*) AS c, sum(price) AS s, max(auction) AS m"
            " FROM TUMBLE(bid, date_time, INTERVAL '10 seconds') GROUP BY window_start, window_end"
            " EMIT ON WINDOW CLOSE"
        )
    r = random.Random(5)
    for _ in range(3):
        time.sleep(r.uniform(0.5, 1.2))
        if r.random() < 0.5:
            with server.connect() as connection:
                connection.execute("CHECKPOINT")
        with server.connect() as connection:
            seen = set(connection.execute("SELECT * FROM w"))
        server.kill()
        server.start()
        with server.connect() as connection:
            assert seen <= set(connection.execute("SELECT * FROM w")), "what a reader saw was taken back"
    with server.connect() as connection:
        finished = "SELECT count(*) FROM laminar_catalog.sources WHERE name = 'bid' AND state = 'finished'"
        while connection.execute(finished).fetchone() != (1,):
            time.sleep(0.1)
        connection.execute("FLUSH")
        rows = set(connection.execute("SELECT window_start, c, s, m FROM w"))
    assert rows == nexmark_windows(options)


def nexmark_windows(options: dict[str, str]) -> set[tuple[object, ...]]:
    """The same windows from the connector itself."""
    import pyarrow as pa
    import pyarrow.compute as pc

    given = {name: value for name, value in options.items() if name != "rows_per_second"}
    connector = source_connector("nexmark")
    spec = SourceSpec("nexmark", tuple(given.items()))
    spec = SourceSpec("nexmark", spec.options, connector.columns(spec))
    names = [c.name for c in spec.columns]
    wanted = tuple(names.index(n) for n in ("auction", "price", "date_time"))
    reader = connector.open(spec, ScanRequest(wanted))
    batches = []
    while (batch := reader.read("0", 1 << 17)) is not None:
        batches.append(batch)
    table = pa.Table.from_batches(batches)
    starts = pc.floor_temporal(table["date_time"], 10, unit="second")
    grouped = table.append_column("w", starts).group_by("w")
    result = grouped.aggregate([("price", "count"), ("price", "sum"), ("auction", "max")])
    columns = ("w", "price_count", "price_sum", "auction_max")
    return {tuple(row[n] for n in columns) for row in result.to_pylist()}
