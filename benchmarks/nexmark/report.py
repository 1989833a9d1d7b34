"""Results as lines for the terminal and as NEXMARK.md beside the targets and what peers reached."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.nexmark.measure import Run
from benchmarks.report import NOTES, machine

RESULTS = Path(__file__).parents[1] / "NEXMARK.md"
#: millions of events per CPU second: the aim, then Flink 2.3 from memory-mapped columns, LaminarDB 0.17 from
#: memory where its answer is right (q0-q2 hand batches through), DuckDB's batch query on one thread
AIMS: dict[int, tuple[float, float | None, float | None, float | None]] = {
    0: (25, 4.6, 130, 10), 1: (20, 3.2, 84, 9), 2: (80, 3.4, 85, 131), 3: (6, 0.26, 4.1, 27),
    4: (3, 0.16, None, 26), 5: (5, 0.57, None, 6.8), 7: (8, 0.11, None, 22), 8: (4, 0.23, None, 13),
    11: (3, 0.38, None, 1.7), 12: (15, 1.8, 2.0, 36), 15: (5, 0.22, 4.0, 3.8), 18: (2.5, 0.20, None, 5),
    19: (2.5, 0.20, None, 3.8), 20: (8, 0.17, 8.2, 5),
}  # fmt: skip
_COLUMNS = ("query", "from", "events/s", "CPU s", "events per CPU s", "state", "peak memory", "aim", "")


def header() -> str:
    return _row(_COLUMNS) + "\n" + _row(("---",) * len(_COLUMNS))


def line(run: Run) -> str:
    """A run as a row of the table; the aims are for Arrow files."""
    aim = AIMS.get(run.number) if run.format == "arrow" else None
    ratio = run.rate / 1e6 / aim[0] if aim else 0
    return _row(
        (
            f"q{run.number}",
            run.format,
            _millions(run.events / run.seconds),
            f"{run.cpu:.2f}",
            _millions(run.rate),
            _bytes(run.state),
            _bytes(run.memory),
            f"{aim[0]:g} M" if aim else "",
            "" if not aim else "met" if ratio >= 1 else f"missed: {ratio:.2f} of it",
        )
    )


def operators(run: Run) -> str:
    """What each operator did, the node nearest the sink first."""
    return "\n".join(
        f"    {o.node:3} {o.kind:16} {o.busy / 1e6:7.3f} s  in {o.rows_in:>10,} out {o.rows_out:>10,}"
        f"  entries {o.entries:>9,} {_bytes(o.state_bytes)}"
        for o in run.operators
    )


def record(runs: list[Run], smaller: list[Run], events: int, fewer: int) -> None:
    """Write NEXMARK.md, keeping its notes."""
    notes = NOTES + "\n"
    if RESULTS.exists() and NOTES in RESULTS.read_text():
        notes = NOTES + RESULTS.read_text().split(NOTES, 1)[1]
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    lines = "\n".join(line(r) for r in runs)
    command = " ".join(["python -m benchmarks.nexmark.run", *sys.argv[1:]])
    same = " Both formats gave the same changes." if len({r.format for r in runs}) > 1 else ""
    RESULTS.write_text(
        "# Nexmark\n\n"
        f"- Machine: {machine()}\n- Date: {today}\n- Command: `{command}`\n\n"
        f"Queries of `nexmark/queries.py` over {events:,} events in files, one reactor, into the blackhole\n"
        "sink, from CREATE SINK until every row is in it, once the server has run the query over a thousand\n"
        "events. Events are rows of the tables the query reads.\n"
        "CPU seconds are those of all processes, server included; memory is the sum of their resident sets,\n"
        f"mapped input files included.{same}\n\n"
        f"{header()}\n{lines}\n\n{_beside(runs)}\n{_growth(runs, smaller, events, fewer)}{notes}"
    )


def _beside(runs: list[Run]) -> str:
    """The aims and the peers, a column per query."""
    ours = {r.number: r.rate / 1e6 for r in runs if r.format == "arrow"}
    numbers = [n for n in AIMS if n in ours]
    rows = [["", *(f"q{n}" for n in numbers)], ["---"] * (len(numbers) + 1)]
    rows.append(["Laminar", *(f"{ours[n]:.2f}" for n in numbers)])
    for i, name in enumerate(("aim", "Flink 2.3", "LaminarDB 0.17", "DuckDB, batch")):
        rows.append([name, *("-" if AIMS[n][i] is None else f"{AIMS[n][i]:g}" for n in numbers)])
    return (
        "## Beside the aims and peers\n\nMillions of events per CPU second. Flink from memory-mapped columns,"
        " LaminarDB from memory where its\nanswer is right (q0 to q2 hand batches through), DuckDB"
        " one thread; peers' numbers were measured on such a machine,\nnot in this run.\n\n"
        + "".join(_row(tuple(row)) + "\n" for row in rows)
    )


def _growth(runs: list[Run], smaller: list[Run], events: int, fewer: int) -> str:
    """CPU per event at two sizes."""
    if not smaller:
        return ""
    large = {r.number: r for r in runs if r.format == "arrow"}
    head = _row(("query", f"{fewer:,}", f"{events:,}", "ratio")) + "\n" + _row(("---",) * 4)
    text = (
        "## Growth\n\nMicroseconds of CPU per event, from Arrow files. The fixed cost of a statement weighs"
        f" more in the smaller run.\n\n{head}\n"
    )
    for small in smaller:
        if (one := large.get(small.number)) is not None:
            a, b = 1e6 / small.rate, 1e6 / one.rate
            text += _row((f"q{small.number}", f"{a:.3f}", f"{b:.3f}", f"{b / a:.2f}")) + "\n"
    return text + "\n"


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def _millions(value: float) -> str:
    return f"{value / 1e6:.2f} M"


def _bytes(value: int) -> str:
    return f"{value / 1e6:,.0f} MB"
