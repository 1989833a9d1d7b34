"""Nexmark's keyed aggregations and joins on two reactors: ``python -m benchmarks.nexmark.scaling``.

Each query runs on one reactor, on two, and as two servers with one reactor and half of the data each, which
is the most that two cores can give.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading

from benchmarks.data import Dataset
from benchmarks.measure import Source, Wrong, run, server
from benchmarks.nexmark.data import tables
from benchmarks.nexmark.queries import QUERIES, TABLES, emit, reads, text

KEYED = (3, 4, 5, 7, 8, 11, 15, 17, 18, 20)
#: weight and checksum of the changes that reached the sink
Answer = tuple[object, ...]


def _once(
    number: int, data: dict[str, Dataset], reactors: int, part: int | None = None
) -> tuple[float, Answer]:
    """Seconds, and what came out."""
    sources = [
        Source(name, data[name], f"{TABLES[name]}, WATERMARK FOR date_time", part=part)
        for name in reads(number)
    ]
    create = f"CREATE SINK r AS {text(number)}{emit(number)} WITH (connector = 'blackhole')"
    with server(reactors) as laminar:
        seconds = run(laminar, sources, create)
        with laminar.connect() as connection:
            found = connection.execute("SELECT weight, checksum FROM laminar_catalog.sinks WHERE name = 'r'")
            return seconds, found.fetchone() or ()


def _apart(number: int, data: dict[str, Dataset]) -> float:
    """Seconds until both of two servers have their half."""
    seconds: list[float] = []
    threads = [
        threading.Thread(target=lambda part=part: seconds.append(_once(number, data, 1, part)[0]))
        for part in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(seconds) < 2:
        raise Wrong(f"q{number}: a half failed")
    return max(seconds)


def measured(number: int, data: dict[str, Dataset], rounds: int) -> tuple[float, float, float]:
    """Median seconds on one reactor, on two, and of two apart; raises Wrong when two give another answer."""
    taken: list[tuple[float, float, float]] = []
    for _ in range(rounds):
        (one, single), (two, double) = _once(number, data, 1), _once(number, data, 2)
        if single != double:
            raise Wrong(f"q{number}: one reactor {single}, two {double}")
        taken.append((one, two, _apart(number, data)))
    one, two, apart = (statistics.median(kind) for kind in zip(*taken, strict=True))
    return one, two, apart


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.nexmark.scaling", description=__doc__)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", default="", help="numbers of queries, apart by commas")
    options = parser.parse_args()
    numbers = (
        [int(n) for n in options.only.split(",")] if options.only else [n for n in KEYED if n in QUERIES]
    )
    data = tables(options.events, parts=2, formats=("arrow",))
    print(
        "| query | M events/s, one reactor | two | of one (≥ 1.7) | of two apart (≥ 0.9) |\n"
        + "|---" * 5
        + "|"
    )
    for number in numbers:
        events = sum(data[name].rows for name in reads(number)) / 1e6
        one, two, apart = measured(number, data, options.rounds)
        print(
            f"| q{number} | {events / one:.2f} | {events / two:.2f} | {one / two:.2f} | {apart / two:.2f} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
