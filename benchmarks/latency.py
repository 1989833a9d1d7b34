"""COPY's rate, and the time from an INSERT to the row on a subscriber's socket."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import psycopg

from benchmarks.measure import wait_finished
from tests.harness.server import LaminarServer

COPY_ROWS = 2_000_000
INSERTS = 2_000
LOAD_ROWS = 20_000_000


def copy_rate(laminar: LaminarServer, scale: float) -> float:
    """Rows per second of COPY FROM STDIN in text format, four columns, acknowledged durable."""
    rows = max(10_000, int(COPY_ROWS * scale))
    r = np.random.default_rng(1)
    values = r.integers(0, 1_000_000, rows)
    times = [f"2026-01-01 00:{i // 60:02}:{i % 60:02}" for i in range(3600)]
    lines = [f"{i}\t{v}\tname{v % 1000}\t{times[i % 3600]}" for i, v in enumerate(values)]
    chunks = ["\n".join(lines[i : i + 5000]).encode() + b"\n" for i in range(0, rows, 5000)]
    with laminar.connect() as connection:
        connection.execute("CREATE TABLE c (id bigint, v bigint, name text, ts timestamp)")
        start = time.perf_counter()
        with connection.cursor() as cursor, cursor.copy("COPY c FROM STDIN") as copy:
            for chunk in chunks:
                copy.write(chunk)
        seconds = time.perf_counter() - start
        found = connection.execute("SELECT count(*), sum(v) FROM c").fetchone()
        assert found == (rows, int(values.sum())), found
    return rows / seconds


def push_latency(laminar: LaminarServer, inserts: int = INSERTS) -> list[float]:
    """Seconds from sending a one-row INSERT (autocommit, durable) to its row at a subscriber, sorted."""
    with laminar.connect() as writer, closing(laminar.connect()) as reader:
        writer.execute("CREATE TABLE p (id bigint PRIMARY KEY, v bigint)")
        writer.execute("CREATE MATERIALIZED VIEW pv AS SELECT id, v + 1 AS w FROM p")
        arrived: dict[int, float] = {}
        ready = threading.Event()
        done = threading.Event()

        def listen() -> None:
            with reader.cursor() as cursor, cursor.copy("COPY (SUBSCRIBE pv) TO STDOUT") as copy:
                ready.set()
                while len(arrived) < inserts:
                    row = copy.read()
                    now = time.perf_counter()
                    for line in bytes(row).splitlines():
                        arrived[int(line.split(b"\t")[2])] = now
                done.set()

        listener = threading.Thread(target=_quietly(listen), daemon=True)
        listener.start()
        ready.wait(10)
        time.sleep(0.2)
        sent = {}
        for i in range(inserts):
            sent[i] = time.perf_counter()
            writer.execute("INSERT INTO p VALUES (%s, %s)", [i, i])
        if not done.wait(60):
            raise RuntimeError(f"only {len(arrived)} of {inserts} rows arrived")
    # the first are warm-up
    return sorted(arrived[i] - sent[i] for i in range(inserts // 10, inserts))


def start_load(laminar: LaminarServer, scale: float) -> float:
    """Start a view that takes rows at half of the most it can: returns its rows per second from now on."""
    rows = max(200_000, int(LOAD_ROWS * scale))
    source = (
        "CREATE SOURCE {0} (k bigint, v bigint) WITH (connector = 'datagen', fields.k.max = '999',"
        " fields.v.max = '1000000', {1})"
    )
    view = "CREATE MATERIALIZED VIEW {0}_v AS SELECT k, count(*) AS c, sum(v) AS s FROM {0} GROUP BY k"
    with laminar.connect() as connection:
        connection.execute(source.format("most", f"rows = {rows}"))
        start = time.perf_counter()
        connection.execute(view.format("most"))
        wait_finished(connection, ["most"])
        rate = rows / (time.perf_counter() - start) / 2
        connection.execute(source.format("half", f"rows_per_second = {rate:.0f}"))
        connection.execute(view.format("half"))
    time.sleep(1)
    return rate


def _quietly(work: Callable[[], None]) -> Callable[[], None]:
    """The subscription ends by cancelling it, which raises in the listener."""

    def run() -> None:
        with suppress(psycopg.Error):
            work()

    return run


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def fsync_seconds(folder: Path, times: int = 200) -> float:
    """Median of an fsync of 4 KB on the same file system: the floor of a durable commit."""
    path = folder / "fsync-probe"
    taken = []
    with path.open("wb", buffering=0) as file:
        for _ in range(times):
            start = time.perf_counter()
            file.write(b"x" * 4096)
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - start)
    path.unlink()
    return statistics.median(taken)
