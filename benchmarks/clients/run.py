"""Laminar beside PostgreSQL 15 in one run: ``python -m benchmarks.clients.run``.

``--record`` writes CLIENTS.md.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.clients import idle, transactions, transfers
from benchmarks.clients.servers import Server, both
from benchmarks.clients.transactions import Rate
from benchmarks.report import NOTES, machine

REPORT = Path(__file__).with_name("CLIENTS.md")


@dataclass(frozen=True)
class Case:
    """``target``: least share of PostgreSQL's rate."""

    name: str
    target: float
    run: Callable[[Server], Rate]


@dataclass(frozen=True)
class Compared:
    """Medians of both servers in one case."""

    case: Case
    theirs: Rate
    ours: Rate

    @property
    def row(self) -> str:
        """Markdown."""
        ratio = self.ours.per_second / self.theirs.per_second
        cells = [
            self.case.name,
            f"{self.theirs.per_second:,.0f}",
            f"{self.ours.per_second:,.0f}",
            f"{ratio:.2f}",
            f"≥ {self.case.target:g}",
            f"{self.theirs.cpu * 1e6:.3g}",
            f"{self.ours.cpu * 1e6:.3g}",
        ]
        return "| " + " | ".join(cells) + " |"


HEAD = (
    "| case | PostgreSQL 15 /s | Laminar /s | ratio | target | PostgreSQL µs CPU | Laminar µs CPU |\n"
    "| --- | --- | --- | --- | --- | --- | --- |"
)


def compare(case: Case, servers: tuple[Server, Server], rounds: int) -> Compared:
    """Alternately, so that what else the machine does falls on both."""
    theirs, ours = [], []
    for _ in range(rounds):
        theirs.append(case.run(servers[0]))
        ours.append(case.run(servers[1]))
    return Compared(case, _median(theirs), _median(ours))


def _median(rates: list[Rate]) -> Rate:
    return Rate(statistics.median(r.per_second for r in rates), statistics.median(r.cpu for r in rates))


def cases(rows: int, seconds: int, file: Path) -> Iterator[Case]:
    for workload in transactions.WORKLOADS:
        yield Case(workload.name, workload.target, lambda s, w=workload: transactions.run(s, w, seconds))  # type: ignore[misc]
    yield Case("rows as text", 1, lambda s: transfers.select(s, rows, binary=False))
    yield Case("rows as binary", 1, lambda s: transfers.select(s, rows, binary=True))
    yield Case("rows by COPY TO", 1, lambda s: transfers.copy_to(s, rows))
    yield Case("rows by COPY FROM", 1, lambda s: transfers.copy_from(s, rows, file))


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.clients.run", description=__doc__)
    parser.add_argument("--seconds", type=int, default=4, help="of each pgbench run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=transfers.ROWS, help="of reads and COPY")
    parser.add_argument("--idle", type=int, default=1000, help="idle connections; 0 leaves them out")
    parser.add_argument("--only", default="", help="names (or their beginnings), apart by semicolons")
    parser.add_argument("--record", action="store_true", help="write benchmarks/clients/CLIENTS.md")
    options = parser.parse_args()
    chosen = tuple(options.only.split(";"))
    print(HEAD, flush=True)
    lines = HEAD.splitlines()
    with both() as servers, tempfile.TemporaryDirectory(prefix="laminar-bench-") as folder:
        file = Path(folder) / "rows"
        resting = ""
        if options.idle and "idle".startswith(chosen):
            # First, while nothing that was loaded is being given back.
            theirs, ours = (idle.bytes_per_connection(s, options.idle) / 1000 for s in servers)
            resting = f"{options.idle:,} idle connections take {ours:.0f} kB each (< 100),"
            resting += f" {theirs:.0f} kB in PostgreSQL."
        for server in servers:
            transactions.prepare(server)
            transfers.prepare(server, options.rows)
        transfers.write_file(file, servers[0])
        for case in cases(options.rows, options.seconds, file):
            if case.name.startswith(chosen):
                lines.append(compare(case, servers, options.rounds).row)
                print(lines[-1], flush=True)
        if resting:
            lines += ["", resting]
            print(resting, flush=True)
    if options.record:
        record(lines, "python -m benchmarks.clients.run " + shlex.join(sys.argv[1:]))
    return 0


def record(lines: list[str], command: str) -> None:
    """Write CLIENTS.md, keeping its notes."""
    old = REPORT.read_text() if REPORT.exists() else ""
    notes = old[old.index(NOTES) :] if NOTES in old else NOTES + "\n"
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    head = (
        f"# Beside PostgreSQL 15\n\n- Machine: {machine()}\n- Date: {today}\n- Command: `{command}`\n\n"
        "Transactions or rows per second, run alternately on both servers, medians; both durable\n"
        "(fsync on), SCRAM, TCP on loopback, pgbench, libpq and psql as clients on the same cores.\n"
        "CPU is that of the server's processes per transaction or row.\n\n"
    )
    REPORT.write_text(head + "\n".join(lines) + "\n\n" + notes)


if __name__ == "__main__":
    sys.exit(main())
