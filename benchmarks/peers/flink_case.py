"""One case in Flink SQL, streaming mode, one task slot, over Parquet files into the blackhole sink.

Runs in an environment that has apache-flink. Prints the seconds of the job, start-up of the runtime included.
"""

from __future__ import annotations

import sys
import time

from pyflink.table import EnvironmentSettings, TableEnvironment

SOURCE = (
    "CREATE TABLE e (k BIGINT, v BIGINT, x DOUBLE, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)"
    " WITH ('connector' = 'filesystem', 'path' = 'file://{folder}', 'format' = 'parquet')"
)
CASES = {
    "filter_project": ("k BIGINT, w BIGINT", "SELECT k, v * 2 + 1 FROM e WHERE v < 100000"),
    "tumble_count_sum_1000": (
        "k BIGINT, b TIMESTAMP(3), n BIGINT, s BIGINT",
        "SELECT k, window_start, COUNT(*), SUM(v)"
        " FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECOND))"
        " GROUP BY k, window_start, window_end",
    ),
    "group_by_1000": ("k BIGINT, n BIGINT, s BIGINT", "SELECT k, COUNT(*), SUM(v) FROM e GROUP BY k"),
}


def main(case: str, folder: str, mini_batch: bool) -> None:
    tables = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    config = tables.get_config()
    config.set("parallelism.default", "1")
    config.set("pipeline.object-reuse", "true")
    if mini_batch:
        config.set("table.exec.mini-batch.enabled", "true")
        config.set("table.exec.mini-batch.allow-latency", "1 s")
        config.set("table.exec.mini-batch.size", "50000")
    columns, select = CASES[case]
    tables.execute_sql(SOURCE.format(folder=folder))
    tables.execute_sql(f"CREATE TABLE r ({columns}) WITH ('connector' = 'blackhole')")
    started = time.perf_counter()
    tables.execute_sql(f"INSERT INTO r {select}").wait()
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], mini_batch=sys.argv[1] == "group_by_1000")
