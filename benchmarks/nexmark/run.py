"""All Nexmark queries over files into the blackhole sink: ``python -m benchmarks.nexmark.run``, or with flags
``--events 500000 --only 5,18 --format arrow --operators``. ``--record`` writes NEXMARK.md."""

from __future__ import annotations

import argparse
import sys

import psycopg

from benchmarks.measure import Wrong
from benchmarks.nexmark import report
from benchmarks.nexmark.data import FORMATS, tables
from benchmarks.nexmark.measure import Run, run
from benchmarks.nexmark.queries import QUERIES

#: its windows are of the clock, so two runs differ
_UNREPEATABLE = {12}


def all_runs(numbers: list[int], events: int, formats: list[str], *, operators: bool) -> list[Run]:
    """Every query from every format; raises Wrong when two formats disagree."""
    runs: list[Run] = []
    data = tables(events, formats=formats)
    print(report.header(), flush=True)
    for number in numbers:
        for format_ in formats:
            try:
                one = run(number, data, format_)
            except psycopg.Error as error:
                print(f"| q{number} | {format_} | {str(error).splitlines()[0]}", flush=True)
                continue
            runs.append(one)
            print(report.line(one), flush=True)
            if operators:
                print(report.operators(one), flush=True)
        if number not in _UNREPEATABLE:
            _agree([r for r in runs if r.number == number and r.events == one.events])
    return runs


def _agree(runs: list[Run]) -> None:
    if len({r.answer for r in runs}) > 1:
        raise Wrong(f"q{runs[0].number}: " + ", ".join(f"{r.format} {r.answer}" for r in runs))


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.nexmark.run", description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--smaller", type=int, default=0, help="also so many events, from Arrow files")
    parser.add_argument("--only", default="", help="numbers of queries, apart by commas")
    parser.add_argument("--format", choices=FORMATS, help="only from files of this format")
    parser.add_argument("--operators", action="store_true", help="print what each operator did")
    parser.add_argument("--record", action="store_true", help="write benchmarks/NEXMARK.md")
    options = parser.parse_args()
    numbers = [int(n) for n in options.only.split(",")] if options.only else list(QUERIES)
    formats = [options.format] if options.format else list(FORMATS)
    runs = all_runs(numbers, options.events, formats, operators=options.operators)
    smaller: list[Run] = []
    if options.smaller:
        smaller = all_runs(numbers, options.smaller, ["arrow"], operators=False)
    if options.record:
        report.record(runs, smaller, options.events, options.smaller)
    return 0


if __name__ == "__main__":
    sys.exit(main())
