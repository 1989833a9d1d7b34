"""One case in LaminarDB, embedded, fed with Arrow batches. Runs in an environment that has laminardb.

Prints seconds from the first batch until every row's result has come out of the subscription, and what came.
"""

from __future__ import annotations

import sys
import time

import laminardb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

BATCH = 65_536
#: seconds without anything new after which the results are taken to be all
QUIET = 5.0
SOURCE = (
    "CREATE SOURCE e (k BIGINT NOT NULL, v BIGINT NOT NULL, x DOUBLE NOT NULL, ts BIGINT NOT NULL,"
    # rows older than the newest of their batch less this are dropped
    " WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)"
)
STREAMS = {
    "filter_project": "SELECT k, v * 2 + 1 AS w FROM e WHERE v < 100000",
    "tumble_count_sum_1000": "SELECT k, CAST(tumble(ts, INTERVAL '10' SECOND) AS BIGINT) AS b, COUNT(*) AS n,"
    " SUM(v) AS s FROM e GROUP BY k, tumble(ts, INTERVAL '10' SECOND) EMIT ON WINDOW CLOSE",
    "group_by_1000": "SELECT k, COUNT(*) AS n, SUM(v) AS s FROM e GROUP BY k EMIT ON UPDATE",
}


def batches(paths: list[str]) -> list[pa.RecordBatch]:
    """The files' rows in turn, event time in milliseconds, as LaminarDB wants it."""
    tables = [pa.ipc.open_file(pa.memory_map(path)).read_all().to_batches(BATCH) for path in paths]
    found = []
    for i in range(max(map(len, tables))):
        for parts in tables:
            if i < len(parts):
                k, v, x, ts = parts[i].columns
                millis = pc.divide(ts.cast(pa.int64()), 1000)
                found.append(pa.RecordBatch.from_arrays([k, v, x, millis], names=["k", "v", "x", "ts"]))
    return found


class Progress:
    """How many input rows the results so far account for."""

    def __init__(self, case: str) -> None:
        self.case = case
        self.rows = 0
        self._latest = np.zeros(1000, np.int64)

    def take(self, batch: pa.RecordBatch) -> None:
        if self.case == "filter_project":
            self.rows += batch.num_rows
        elif self.case == "tumble_count_sum_1000":
            self.rows += pc.sum(batch.column("n")).as_py() or 0
        else:
            self._latest[batch.column("k").to_numpy()] = batch.column("n").to_numpy()
            self.rows = int(self._latest.sum())


def main(case: str, wanted: int, paths: list[str]) -> None:
    connection = laminardb.open(":memory:")
    connection.execute(SOURCE)
    connection.execute(f"CREATE STREAM r AS {STREAMS[case]}")
    connection.start()
    results = connection.subscribe_stream("r")
    rows = batches(paths)
    progress = Progress(case)
    started = moved = time.perf_counter()

    def drain() -> bool:
        result = results.try_next()
        if result is None:
            return False
        for batch in pa.table(result.to_arrow()).to_batches():
            progress.take(batch)
        return True

    for batch in rows:
        connection.insert("e", batch)
        while drain():
            moved = time.perf_counter()
    if case == "tumble_count_sum_1000":  # a row far ahead closes the last windows
        ahead = [pa.array([0]), pa.array([0]), pa.array([0.0]), pa.array([1 << 42])]
        connection.insert("e", pa.RecordBatch.from_arrays(ahead, names=["k", "v", "x", "ts"]))
    while progress.rows < wanted and time.perf_counter() - moved < QUIET:
        if drain():
            moved = time.perf_counter()
        else:
            time.sleep(0.001)
    print(moved - started, progress.rows, connection.metrics())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
