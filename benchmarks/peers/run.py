"""The throughput cases beside other engines, one worker each: ``python -m benchmarks.peers.run``.

The engines are installed into environments of their own under the benchmarks' cache folder: LaminarDB and
Apache Flink from PyPI, Flink's Parquet format by Maven (Java 11 or newer). ``--record`` writes PEERS.md.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow.compute as pc

from benchmarks import data
from benchmarks.cases import cases
from benchmarks.data import Dataset
from benchmarks.report import machine
from benchmarks.run import throughput

HERE = Path(__file__).parent
REPORT = HERE / "PEERS.md"
NOTES = "## Notes"
FLINK_JARS = (
    "org.apache.flink:flink-sql-parquet:2.3.0",
    "org.apache.hadoop:hadoop-client-api:3.3.6",
    "org.apache.hadoop:hadoop-client-runtime:3.3.6",
    "commons-logging:commons-logging:1.2",
)
#: case -> ours over Arrow and over Parquet files
OURS = {
    "filter_project": ("filter_project_arrow_view", "filter_project_parquet_view"),
    "tumble_count_sum_1000": ("tumble_count_sum_1000", None),
    "group_by_1000": ("group_by_1000", None),
}


def environment(name: str, *packages: str) -> Path:
    """The Python of an environment with these packages."""
    folder = data.cache_folder() / f"env-{name}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
        (folder / "ready").touch()
    return python


def flink() -> Path:
    """The Python of an environment with Flink and what it needs to read Parquet."""
    python = environment("flink", "apache-flink==2.3.0")
    lib = next((python.parents[1] / "lib").glob("python*")) / "site-packages" / "pyflink" / "lib"
    for artifact in FLINK_JARS:
        if not list(lib.glob(f"{artifact.split(':')[1]}-*.jar")):
            options = [f"-Dartifact={artifact}", f"-DoutputDirectory={lib}"]
            subprocess.run(["mvn", "-q", "-B", "dependency:copy", *options], check=True)
    return python


def output(*command: str | Path) -> str:
    """The last line that a command prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE.parents[1])
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return done.stdout.splitlines()[-1]


def accounted(case: str, events: Dataset) -> int:
    """Input rows that the whole result accounts for: all, or those that pass the filter."""
    if case != "filter_project":
        return events.rows
    return int(pc.sum(pc.less(events.table()["v"], 100_000)).as_py())


def laminardb_rate(case: str, scale: float) -> float:
    """Rows per second; raises when rows are missing from the result."""
    events = data.events(scale)
    wanted = accounted(case, events)
    files = [str(events.folder / f"{events.name}-{part}.arrow") for part in range(data.PARTS)]
    python = environment("laminardb", "laminardb==0.17.0", "pyarrow", "numpy")
    seconds, rows, *_ = output(python, HERE / "laminardb_case.py", case, str(wanted), *files).split()
    if int(rows) != wanted:
        raise RuntimeError(f"{rows} of {wanted} rows came out")
    return events.rows / float(seconds)


def flink_rate(case: str, scale: float) -> float:
    """Rows per second between two sizes, so that the runtime's start does not count."""
    taken = []
    for size in (scale / 5, scale):
        events = data.events(size)
        folder = Path(tempfile.mkdtemp(prefix="laminar-peers-"))
        for path in events.folder.glob(f"{events.name}-*.parquet"):
            os.symlink(path, folder / path.name)
        taken.append((events.rows, float(output(flink(), HERE / "flink_case.py", case, folder))))
        shutil.rmtree(folder)
    (few, short), (many, long) = taken
    return (many - few) / (long - short)


def measured(rate: Callable[[], float], rounds: int) -> str:
    try:
        return f"{statistics.median(rate() for _ in range(rounds)) / 1e6:.2f} M"
    except RuntimeError as error:
        return f"failed: {str(error).strip().splitlines()[-1]}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.peers.run", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="1 is 20 million events")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--record", action="store_true", help="write benchmarks/peers/PEERS.md")
    options = parser.parse_args()
    scale, rounds = options.scale, options.rounds
    every = cases(scale)
    lines = ["| case | Laminar, Arrow | Laminar, Parquet | LaminarDB 0.17, Arrow | Flink SQL 2.3, Parquet |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for case, names in OURS.items():
        ours = ["" if n is None else f"{throughput(every[n], 1, rounds) / 1e6:.2f} M" for n in names]
        theirs = [
            measured(lambda case=case: laminardb_rate(case, scale), rounds),  # type: ignore[misc]
            measured(lambda case=case: flink_rate(case, scale / 4), rounds),  # type: ignore[misc]
        ]
        lines.append("| " + " | ".join([case, *ours, *theirs]) + " |")
        print(lines[-1], flush=True)
    if options.record:
        old = REPORT.read_text() if REPORT.exists() else ""
        notes = old[old.index(NOTES) :] if NOTES in old else NOTES + "\n"
        head = "# Beside other engines\n\nRows of input per second, medians; one reactor, one task slot,"
        head += f" LaminarDB as it comes. {machine()}\n\n"
        REPORT.write_text(head + "\n".join(lines) + "\n\n" + notes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
