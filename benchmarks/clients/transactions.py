"""Short transactions, driven by pgbench: rates and the server's processor time for each."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clients.servers import Server
from tests.harness.postgres import binaries

KEYS = 100_000
_RATE = re.compile(r"tps = ([\d.]+) \((?:without|including) (?:initial|reconnection)")
_DONE = re.compile(r"transactions actually processed: (\d+)")
_FAILED = re.compile(r"number of failed transactions: (\d+)")

POINT = f"\\set k random(1, {KEYS})\nSELECT * FROM totals WHERE k = :k;\n"
INSERT = "\\set k random(1, 1000000000000)\nINSERT INTO entries VALUES (:k, 1, 'a new entry');\n"
UPDATE = f"\\set k random(1, {KEYS})\nUPDATE accounts SET v = v + 1 WHERE k = :k;\n"
CONNECT = "SELECT 1;\n"


@dataclass(frozen=True)
class Workload:
    """A pgbench script and how it is run.

    Args:
        target: least share of PostgreSQL's rate.
    """

    name: str
    script: str
    mode: str = "simple"
    clients: int = 1
    options: Sequence[str] = ()
    target: float = 0.5


@dataclass(frozen=True)
class Rate:
    """``cpu``: seconds of the server's processes per transaction."""

    per_second: float
    cpu: float


WORKLOADS = [
    *(
        Workload(f"point SELECT, {mode}, {clients} client{'s' * (clients > 1)}", POINT, mode, clients)
        for mode in ("simple", "extended", "prepared")
        for clients in (1, 8)
    ),
    Workload("INSERT of a row, 1 client", INSERT, "prepared", 1, target=0.7),
    Workload("INSERT of a row, 8 clients", INSERT, "prepared", 8, target=0.7),
    Workload("UPDATE by key, 1 client", UPDATE, "prepared", 1),
    Workload("UPDATE by key, 8 clients", UPDATE, "prepared", 8),
    Workload("connecting with SCRAM, SELECT 1", CONNECT, options=("-C",)),
]


def prepare(server: Server) -> None:
    """The tables, and the view that SELECTs look into."""
    key = "CREATE UNIQUE INDEX ON totals (k)" if server.name == "PostgreSQL" else "FLUSH"
    statements = [
        "CREATE TABLE events (k bigint, v bigint)",
        f"INSERT INTO events SELECT i % {KEYS} + 1, i FROM generate_series(1, {4 * KEYS}) AS s (i)",
        "CREATE MATERIALIZED VIEW totals AS SELECT k, count(*) AS n, sum(v) AS v FROM events GROUP BY k",
        key,
        "CREATE TABLE entries (k bigint PRIMARY KEY, v bigint, note text)",
        "CREATE TABLE accounts (k bigint PRIMARY KEY, v bigint)",
        f"INSERT INTO accounts SELECT i, 0 FROM generate_series(1, {KEYS}) AS s (i)",
        "ANALYZE",
        "CHECKPOINT",
    ]
    with server.connect() as connection:
        for statement in statements:
            connection.execute(statement)


def run(server: Server, workload: Workload, seconds: int) -> Rate:
    """Raises RuntimeError when a transaction fails."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(workload.script)
        script.flush()
        command = [str(binaries() / "pgbench"), "-n", "-f", script.name, "-M", workload.mode]
        command += ["-c", str(workload.clients), "-T", str(seconds), *workload.options]
        before = server.cpu_seconds()
        done = subprocess.run(
            command, env=server.environment, capture_output=True, text=True, check=False, cwd=Path("/")
        )
        cpu = server.cpu_seconds() - before
    rate, count = _RATE.search(done.stdout), _DONE.search(done.stdout)
    failed = _FAILED.search(done.stdout)
    if done.returncode or rate is None or count is None or (failed is not None and failed[1] != "0"):
        raise RuntimeError(f"{workload.name} on {server.name}: {done.stdout[-500:]}{done.stderr[-1500:]}")
    return Rate(float(rate[1]), cpu / max(1, int(count[1])))
