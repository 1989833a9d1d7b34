"""Checkpoints and recovery of a view with 10 million entries.

    python -m benchmarks.recovery [--entries N] [--seconds S]

A grouped view is filled; then a tenth of a million random entries change per second, with a checkpoint
every second, while single rows are inserted into another table of the same reactor: how long each takes to
be readable in a view says how long anything stops. At the end the server is killed and started again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.harness.server import LaminarServer

_MB = 1 << 20
#: key columns: entries of about a hundred bytes
WIDTH = 6
CHANGES_PER_SECOND = 100_000
VIEW = (
    "CREATE MATERIALIZED VIEW v AS SELECT sum(c)::bigint AS n, count(*) AS keys FROM (SELECT"
    f" {', '.join(f'k + {i} AS k{i}' for i in range(WIDTH))}, count(*) AS c FROM (SELECT k FROM fill"
    f" UNION ALL SELECT k FROM feed) e GROUP BY {', '.join(map(str, range(1, WIDTH + 1)))}) q"
)


@dataclass
class Measured:
    """Milliseconds of the inserts, bytes of the state, seconds."""

    state: int
    fill_seconds: float
    quiet: list[float]
    busy: list[float]
    #: of the newest checkpoints: longest stops of the reactor, and bytes written per changed entry
    pauses: list[float]
    per_entry: float
    files: int
    restart_seconds: float
    read_seconds: float


def measure(entries: int, seconds: float) -> Measured:
    folder = Path(tempfile.mkdtemp(prefix="laminar-recovery-"))
    server = LaminarServer(folder, "--reactors", "1")
    server.environment["LAMINAR_CHECKPOINT_INTERVAL"] = "1"
    try:
        server.start()
        with server.connect() as db:
            db.execute(
                "CREATE SOURCE fill (k bigint) WITH (connector = 'datagen',"  # type: ignore[arg-type]
                f" rows = '{entries}', fields.k.kind = 'sequence', fields.k.start = '0')"
            )
            db.execute(
                "CREATE SOURCE feed (k bigint) WITH (connector = 'datagen', fields.k.min = '0',"  # type: ignore[arg-type]
                f" fields.k.max = '{entries - 1}', rows_per_second = '{CHANGES_PER_SECOND}')"
            )
            db.execute("CREATE TABLE t (i int PRIMARY KEY)")
            db.execute("CREATE MATERIALIZED VIEW w AS SELECT count(*) AS c FROM t")
            quiet = _inserts(db, 0, 5)
            started = time.perf_counter()
            db.execute(VIEW)  # type: ignore[arg-type]
            while db.execute("SELECT keys FROM v").fetchone() != (entries,):
                time.sleep(0.1)
            filled = time.perf_counter() - started
            time.sleep(2)
            busy = _inserts(db, 1_000_000, seconds)
            db.execute("CHECKPOINT")
            state = _one(db, "SELECT sum(state_bytes)::bigint FROM laminar_catalog.operators")
            # those of the last seconds, when nothing but the changes was going on
            checkpoints = db.execute(
                "SELECT pause_us / 1000.0, entries, written_bytes FROM laminar_catalog.checkpoints"
                " WHERE now > now() - %s * INTERVAL '1 second'", [seconds],
            ).fetchall()  # fmt: skip
            pauses = [float(pause) for pause, _, _ in checkpoints]
            per_entry = sum(c[2] for c in checkpoints) / max(1, sum(c[1] for c in checkpoints))
        server.kill()
        files = sum(path.stat().st_size for path in (folder / "data" / "engine" / "state").iterdir())
        started = time.perf_counter()
        server.start()
        with server.connect() as db:
            assert _one(db, "SELECT keys FROM v") == entries
        restarted = time.perf_counter() - started
        read = _logged(server.log)
        return Measured(state, filled, quiet, busy, pauses, per_entry, files, restarted, read)
    finally:
        if server.alive:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _inserts(db: Any, first: int, seconds: float) -> list[float]:
    """Milliseconds until each of some rows is counted by a view."""
    found, ends = [], time.perf_counter() + seconds
    while time.perf_counter() < ends:
        started = time.perf_counter()
        db.execute(f"INSERT INTO t VALUES ({first + len(found)})")
        db.execute("SELECT c FROM w").fetchone()
        found.append((time.perf_counter() - started) * 1000)
        time.sleep(0.01)
    return found


def _one(db: Any, query: str) -> int:
    found: int = db.execute(query).fetchone()[0]
    return found


def _logged(log: Path) -> float:
    """Seconds that the reactors took for their state at the last start."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return max((line["seconds"] for line in lines if line.get("event") == "state read"), default=0.0)


def report(found: Measured, entries: int) -> str:
    """A table."""

    def spread(name: str, times: list[float]) -> str:
        p50, p99 = np.percentile(times, [50, 99])
        return f"| {name} | {p50:.1f} ms | {p99:.1f} ms | {max(times):.1f} ms |"

    middle, longest = np.percentile(found.pauses, [50, 99])
    return "\n".join(
        [
            f"{entries / 1e6:.1f} million entries, {found.state / _MB:.0f} MB of state,"
            f" {found.files / _MB:.0f} MB of state files; filled in {found.fill_seconds:.0f} s.",
            "",
            "| one-row INSERT until a view shows it | p50 | p99 | max |",
            "|---|---|---|---|",
            spread("nothing else", found.quiet),
            spread("100,000 changes/s, a checkpoint per second", found.busy),
            "",
            f"{len(found.pauses)} checkpoints: the reactor stops for {middle:.1f} ms (p50), {longest:.1f} ms"
            f" (p99); {found.per_entry:.0f} bytes written per entry.",
            "",
            f"Recovery after kill -9: {found.restart_seconds:.1f} s until the view answers,"
            f" {found.read_seconds:.1f} s of it for the reactor's state.",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__)
    parser.add_argument("--entries", type=int, default=10_000_000)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    print(report(measure(options.entries, options.seconds), options.entries))


if __name__ == "__main__":
    main()
