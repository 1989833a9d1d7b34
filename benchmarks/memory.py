"""A view whose state is several times ``memory_limit``: memory of all processes, and the rates.

    python -m benchmarks.memory [--limit MB] [--entries N] [--events M] [--record FILE]

A grouped view is filled with every key once, then events follow with uniform or Zipf-distributed keys.
Anonymous memory of the process tree is sampled all the while. Where this process may make a memory
cgroup, the server runs in one that is narrowed to the limit and a fifth once the view is filled, so that
the page cache is part of it.
"""

from __future__ import annotations

import argparse
import errno
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from tests.harness.server import LaminarServer

CGROUPS = Path("/sys/fs/cgroup/memory")
_MB = 1 << 20
_BATCH = 1 << 16
Keys = Literal["uniform", "zipf"]
#: 16 key columns make wide entries of narrow files
WIDTH = 16
VIEW = (
    "CREATE MATERIALIZED VIEW v AS SELECT sum(c)::bigint AS n, count(*) AS keys FROM (SELECT"
    f" {', '.join(f'k + {i} AS k{i}' for i in range(WIDTH))}, count(*) AS c, sum(v) AS s FROM e GROUP BY"
    f" {', '.join(map(str, range(1, WIDTH + 1)))}) q"
)


@dataclass
class Measured:
    """One run: bytes, and rows per second."""

    keys: Keys
    limit: int | None
    fill_rate: float = 0.0
    rate: float = 0.0
    state: int = 0
    peak: int = 0
    peaks: dict[str, int] = field(default_factory=dict)
    cgroup: bool = False


def processes(pid: int) -> dict[int, str]:
    """The tree below and with ``pid``: a word for each process."""
    found = {pid: "server"}
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return found | {int(line): "reactor" for line in listed.stdout.split()}


def anonymous(pid: int) -> int:
    """Bytes of a process's memory that are no file's: its own and shared memory."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("RssAnon:", "RssShmem:")))
    return 0


class Watch:
    """Samples memory while it is open."""

    def __init__(self, server: LaminarServer) -> None:
        assert server.process is not None
        self.tree = processes(server.process.pid)
        self.peak = 0
        self.peaks: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            now = {pid: anonymous(pid) for pid in self.tree}
            self.peak = max(self.peak, sum(now.values()))
            for pid, size in now.items():
                name = self.tree[pid]
                self.peaks[name] = max(self.peaks.get(name, 0), size)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


@contextmanager
def cgroup(wanted: bool) -> Iterator[Path | None]:
    """What is started inside runs in a memory cgroup of its own, if that can be made."""
    folder = CGROUPS / f"laminar-{os.getpid()}"
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    mine = next((line.split(":", 2)[2] for line in lines if ":memory:" in line), None)
    if not wanted or mine is None:
        yield None
        return
    try:
        folder.mkdir()
        (folder / "cgroup.procs").write_text(str(os.getpid()))
    except OSError:
        with suppress(OSError):
            folder.rmdir()
        yield None
        return
    try:
        yield folder
    finally:
        (CGROUPS / mine.lstrip("/") / "cgroup.procs").write_text(str(os.getpid()))


def narrow(group: Path, limit: int) -> None:
    """Give a cgroup a limit; what it has beyond it goes first."""
    while True:
        try:
            (group / "memory.limit_in_bytes").write_text(str(limit))
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            time.sleep(0.2)


def write_fill(folder: Path, entries: int) -> None:
    _write(folder / "fill.arrow", np.random.default_rng(1).permutation(entries))


def write_events(folder: Path, keys: Keys, entries: int, events: int) -> None:
    """The file that comes second; under another name until it is wanted."""
    r = np.random.default_rng(2)
    if keys == "uniform":
        chosen = r.integers(0, entries, events)
    else:
        weights = np.cumsum(1 / np.arange(1, entries + 1))
        ranks = np.searchsorted(weights, r.random(events) * weights[-1])
        chosen = np.random.default_rng(3).permutation(entries)[ranks]
    _write(folder / "more", chosen)


def _write(path: Path, keys: np.ndarray[Any, Any]) -> None:
    schema = pa.schema([("k", pa.int64()), ("v", pa.int64())])
    with pa.ipc.new_file(str(path), schema) as writer:
        for first in range(0, len(keys), _BATCH):
            part = pa.array(keys[first : first + _BATCH])
            writer.write_batch(pa.record_batch([part, part], schema=schema))


def measure(keys: Keys, limit: int | None, entries: int, events: int, confined: bool = True) -> Measured:
    """One server, one view; ``limit`` None is the default limit."""
    result = Measured(keys, limit)
    folder = Path(tempfile.mkdtemp(prefix="laminar-memory-"))
    (folder / "in").mkdir()
    write_fill(folder / "in", entries)
    write_events(folder / "in", keys, entries, events)
    server = LaminarServer(folder, "--reactors", "1")
    if limit is not None:
        server.environment["LAMINAR_MEMORY_LIMIT"] = str(limit)
    with cgroup(confined and limit is not None) as group:
        server.start()
    result.cgroup = group is not None
    watch = Watch(server)
    try:
        with server.connect() as db:
            path = folder / "in" / "*.arrow"
            db.execute(
                "CREATE SOURCE e (k bigint, v bigint)"  # type: ignore[arg-type]
                f" WITH (connector = 'file', path = '{path}', mode = 'watch')"
            )
            started = time.perf_counter()
            db.execute(VIEW)
            wait(db, entries)
            result.fill_rate = entries / (time.perf_counter() - started)
            db.execute("CHECKPOINT")
            if group is not None and limit is not None:
                narrow(group, limit * 6 // 5)
            (folder / "in" / "more").rename(folder / "in" / "more.arrow")
            wait(db, entries + 1)
            started = time.perf_counter()
            first = wait(db, entries + 1)
            last = wait(db, entries + events)
            result.rate = (last - first) / (time.perf_counter() - started)
            result.state = size(db)
            assert db.execute("SELECT keys FROM v").fetchall() == [(entries,)]
    finally:
        watch.close()
        server.stop()
        if group is not None:
            with suppress(OSError):
                group.rmdir()
        shutil.rmtree(folder, ignore_errors=True)
    result.peak, result.peaks = watch.peak, watch.peaks
    return result


def wait(db: Any, rows: int) -> int:
    """Poll until the view has counted that many events; returns how many it has."""
    while True:
        found: int = db.execute("SELECT coalesce(max(n), 0) FROM v").fetchone()[0]
        if found >= rows:
            return found
        time.sleep(0.05)


def size(db: Any) -> int:
    """Bytes of the operators' state."""
    query = "SELECT sum(state_bytes)::bigint FROM laminar_catalog.operators"
    found: int = db.execute(query).fetchone()[0]
    return found


def report(runs: list[Measured]) -> str:
    """A table; rates in thousands of rows per second."""
    base = {run.keys: run for run in runs if run.limit is None}
    lines = [
        "| keys | limit | state | anonymous memory, at most | server | reactor"
        " | filling | events | of in memory |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        limit = (
            "–"
            if run.limit is None
            else f"{run.limit / _MB:.0f} MB" + (", in a cgroup" if run.cgroup else "")
        )
        share = "" if run.limit is None or run.keys not in base else f"{run.rate / base[run.keys].rate:.0%}"
        lines.append(
            f"| {run.keys} | {limit} | {run.state / _MB:.0f} MB | {run.peak / _MB:.0f} MB"
            f" | {run.peaks.get('server', 0) / _MB:.0f} MB | {run.peaks.get('reactor', 0) / _MB:.0f} MB"
            f" | {run.fill_rate / 1e3:.0f} k/s | {run.rate / 1e3:.0f} k/s | {share} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--limit", type=int, default=400, help="MB")
    parser.add_argument("--entries", type=int, default=8_000_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--keys", choices=("uniform", "zipf"), nargs="*", default=["zipf", "uniform"])
    parser.add_argument("--no-cgroup", action="store_true")
    parser.add_argument("--no-base", action="store_true", help="without the runs in memory")
    options = parser.parse_args()
    runs = []
    for keys in options.keys:
        for limit in (options.limit * _MB,) if options.no_base else (None, options.limit * _MB):
            runs.append(measure(keys, limit, options.entries, options.events, not options.no_cgroup))
            print(report(runs[-1:]).splitlines()[-1], flush=True)
    print(report(runs))


if __name__ == "__main__":
    main()
