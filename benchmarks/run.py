"""End-to-end benchmarks against a real server: ``make bench``, or with flags
``python -m benchmarks.run --scale 0.1 --rounds 1 --only join_bigint``. ``--record`` writes RESULTS.md."""

from __future__ import annotations

import argparse
import shlex
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from benchmarks.cases import Case, cases
from benchmarks.latency import copy_rate, fsync_seconds, percentile, push_latency, start_load
from benchmarks.measure import expect, run, server
from benchmarks.report import Result, record, table
from benchmarks.state import lookup_percentiles

#: cases that are also run on two reactors
SCALED = ("tumble_count_sum_1000", "group_by_1000")


def throughput(case: Case, reactors: int, rounds: int) -> float:
    """Median rows per second, the answer verified each time."""
    rates = []
    query, answer = case.check()
    for _ in range(rounds):
        with server(reactors) as laminar:
            rates.append(case.rows / run(laminar, case.sources, case.create))
            expect(laminar, query, answer)
    return statistics.median(rates)


def independent(case: Case, rounds: int) -> float:
    """Median rows per second of two servers at once, each with one reactor and half of the data."""
    rates = []
    for _ in range(rounds):
        with server(1) as one, server(1) as two:
            seconds: list[float] = []

            def work(laminar: object, half: Case, seconds: list[float] = seconds) -> None:
                seconds.append(run(laminar, half.sources, half.create))  # type: ignore[arg-type]

            threads = [
                threading.Thread(target=work, args=(laminar, case.half(part)))
                for part, laminar in enumerate((one, two))
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if len(seconds) == 2:
                rates.append(case.rows / max(seconds))
    return statistics.median(rates)


def throughput_results(scale: float, rounds: int, wanted: Callable[[str], bool]) -> list[Result]:
    results = []
    for name, case in cases(scale).items():
        one = None
        if wanted(name):
            one = throughput(case, 1, rounds)
            results.append(Result(name, one, "rows/s", case.target))
            print(table(results[-1:]).splitlines()[-1], flush=True)
        if name in SCALED and wanted(f"{name}_2_reactors"):
            one = one or throughput(case, 1, rounds)
            two, apart = throughput(case, 2, rounds), independent(case, rounds)
            remark = f"{two / one:.2f} of one reactor (≥ 1.5), {two / apart:.2f} of two apart (≥ 0.9)"
            target = min(1.5 * one, 0.9 * apart)
            results.append(Result(f"{name}_2_reactors", two, "rows/s", target, remark=remark))
            print(table(results[-1:]).splitlines()[-1], flush=True)
    return results


def latency_results(scale: float, wanted: Callable[[str], bool]) -> list[Result]:
    results = []
    if wanted("copy_from"):
        with server(1) as laminar:
            results.append(Result("copy_from", copy_rate(laminar, scale), "rows/s", 500e3))
    inserts = max(100, int(2000 * min(scale, 1)))
    if wanted("insert_to_subscriber"):
        with server(1) as laminar:
            taken = push_latency(laminar, inserts)
            remark = f"an fsync takes {fsync_seconds(laminar.folder) * 1e3:.2f} ms"
        results += _percentiles("insert_to_subscriber", taken, remark, {0.5: 3, 0.99: 10})
    if wanted("insert_under_load"):
        with server(1) as laminar:
            rate = start_load(laminar, scale)
            taken = push_latency(laminar, inserts)
        remark = f"beside a view that takes {rate / 1e6:.1f} M rows/s, half of its most"
        results += _percentiles("insert_under_load", taken, remark, {0.5: None, 0.99: 20})
    return results


def _percentiles(
    name: str, taken: list[float], remark: str, limits: dict[float, float | None]
) -> list[Result]:
    return [
        Result(
            f"{name}_p{share * 100:.0f}",
            percentile(taken, share) * 1e3,
            "ms",
            limit,
            higher=False,
            remark=remark,
        )
        for share, limit in limits.items()
    ]


def state_results(scale: float, wanted: Callable[[str], bool]) -> list[Result]:
    if not wanted("state_lookup"):
        return []
    p50, p99 = lookup_percentiles(scale, 0.5, 0.99)
    return [
        Result("state_lookup_p50", p50, "ns", higher=False),
        Result("state_lookup_p99", p99, "ns", 500, higher=False, remark="16-byte keys, 64-byte values"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.run", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="1 is 20 million events")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="names (or their beginnings), apart by commas")
    parser.add_argument("--record", action="store_true", help="write benchmarks/RESULTS.md")
    options = parser.parse_args()
    chosen = tuple(options.only.split(",")) if options.only else ("",)

    def wanted(name: str) -> bool:
        return name.startswith(chosen)

    print(f"data and servers in {tempfile.gettempdir()} and {Path.home() / '.cache'}", flush=True)
    results = throughput_results(options.scale, options.rounds, wanted)
    results += latency_results(options.scale, wanted)
    results += state_results(options.scale, wanted)
    print(table(results))
    if options.record:
        record(results, "python -m benchmarks.run " + shlex.join(sys.argv[1:]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
