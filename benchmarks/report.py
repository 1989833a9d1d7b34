"""Results as a table for the terminal and for RESULTS.md."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
#: what is below this line is written by hand and kept
NOTES = "## Notes"


@dataclass(frozen=True)
class Result:
    """One measured number.

    Args:
        value, target: in ``unit``.
        higher: whether more is better.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    higher: bool = True
    remark: str = ""

    @property
    def verdict(self) -> str:
        """ "met", or by which factor the target is missed."""
        if self.target is None:
            return ""
        ratio = self.value / self.target if self.higher else self.target / self.value
        return "met" if ratio >= 1 else f"missed: {ratio:.2f} of it"


def table(results: list[Result]) -> str:
    """Markdown."""
    rows = [("benchmark", "median", "target", "", "remark"), ("---",) * 5]
    for r in results:
        target = "" if r.target is None else f"{'≥' if r.higher else '≤'} {_number(r.target)} {r.unit}"
        rows.append((r.name, f"{_number(r.value)} {r.unit}", target, r.verdict, r.remark))
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def _number(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:.2f} M"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def machine() -> str:
    """Processor, cores, memory, system."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":")[1].strip() for line in lines if "model name" in line]
    model = models[0] if models else platform.processor()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GB, {platform.system()} {platform.release()}"


def record(results: list[Result], command: str) -> None:
    """Write RESULTS.md, keeping its notes."""
    notes = NOTES + "\n"
    if RESULTS.exists() and NOTES in RESULTS.read_text():
        notes = NOTES + RESULTS.read_text().split(NOTES, 1)[1]
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    RESULTS.write_text(
        "# Benchmark results\n\n"
        f"- Machine: {machine()}\n- Date: {today}\n- Command: `{command}`\n\n"
        "Rates are rows of input per second from CREATE until the last row is in a view that can be\n"
        "queried (or in the sink), server start excluded, answers verified. Medians.\n\n"
        f"{table(results)}\n{notes}"
    )
