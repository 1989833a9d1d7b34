"""``python -m tests.soak [--kills N] [--seed S] [--record FILE]``."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.soak.harness import Outcome, Soak


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Kill it anywhere.")
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=3600, help="stop after this long")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--record", type=Path, help="write the result there")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="laminar-soak-"))
    folder.chmod(0o755)
    print(f"seed {options.seed}, in {folder}", flush=True)
    soak = Soak(folder, options.seed)
    try:
        soak.run(options.kills, options.seconds)
    finally:
        text = report(soak.outcome, options.seed)
        print(text)
        if options.record is not None:
            options.record.write_text(text)
    shutil.rmtree(folder, ignore_errors=True)
    sys.exit(bool(soak.outcome.differences))


def report(outcome: Outcome, seed: int) -> str:
    """The result as a page."""
    lines = [
        "# The last soak",
        "",
        f"`make soak` on {datetime.now(UTC):%Y-%m-%d}, seed {seed}: {outcome.kills.total()} kills in"
        f" {outcome.seconds / 60:.0f} minutes, {outcome.transactions} transactions,"
        f" {outcome.comparisons} comparisons of tables, views and sinks with the model,"
        f" {len(outcome.differences)} differences.",
        "",
        "Transfers between accounts, windowed counts of events (some late) and a join run while this is"
        " broken; sinks go into a table, Parquet files and PostgreSQL (`tests/soak`).",
        "",
        "| what | times |",
        "|---|---|",
        *(f"| {name} | {count} |" for name, count in sorted(outcome.kills.items())),
        *(["", *outcome.differences] if outcome.differences else []),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
