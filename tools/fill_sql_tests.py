#!/usr/bin/env python3
"""Fill in what PostgreSQL answers: types and rows of ``query``, SQLSTATE and message of ``statement error``.

    python tools/fill_sql_tests.py sql_tests/portable/types/int4/*.test

Starts a PostgreSQL of its own, runs every record of each file and writes the file back. A ``query`` that
fails becomes a ``statement error``. Look at the difference before you commit it: PostgreSQL decides what is
right, but not whether the file asks what it means to ask. ``--check`` only tells which files would change.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.harness.postgres import start
from tests.harness.processes import stop
from tests.harness.sqllogic import EVENTUALLY, SORT_MODES, Outcome, Record, Runner, lines_of, parse


def fill(record: Record, outcome: Outcome) -> Record:
    """The record with PostgreSQL's answer."""
    if outcome.failed:
        position = (f"@{outcome.position}",) if _wants_position(record) else ()
        message = " ".join(outcome.message.split())
        kind = "copy" if record.kind == "copy" else "statement"
        body = record.body if kind == "copy" else None
        return replace(record, kind=kind, args=("error", outcome.sqlstate, *position, message), body=body)
    if record.kind == "copy":
        return replace(record, args=("ok",))
    if not outcome.types:
        return replace(record, kind="statement", args=("ok",), body=None)
    sort = tuple(word for word in record.args if word in (*SORT_MODES, EVENTUALLY))
    rows = tuple(lines_of(outcome, record.sort_mode))
    return replace(record, kind="query", args=(*outcome.types, *sort), body=rows)


def _wants_position(record: Record) -> bool:
    return any(word.startswith("@") for word in record.args)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail if a file would change")
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="laminar-fill-"))
    server, process = start(folder)
    changed = 0
    try:
        for path in options.files:
            changed += fill_file(path, server.dsn, write=not options.check)
    finally:
        stop(process, signal.SIGINT)
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if changed and options.check else 0


def fill_file(path: Path, dsn: str, write: bool) -> bool:
    """Whether the file changes."""
    file = parse(path)
    runner = Runner(dsn, "simple", "postgres")
    filled: list[str | Record] = []
    with runner:
        for part in file.parts:
            if not isinstance(part, Record) or not part.runs_for(runner.labels):
                filled.append(part)
                continue
            done = fill(part, runner.run(part))
            if done.kind != part.kind or (part.args[:1] == ("ok",) and done.args[:1] == ("error",)):
                print(f"{path}:{part.line}: {part.header()} became {done.header()}")
            filled.append(done)
    before = path.read_text()
    file.parts = filled
    after = file.render()
    if after != before and write:
        path.write_text(after)
    elif after != before:
        print(f"{path} would change")
    return after != before


if __name__ == "__main__":
    sys.exit(main())
