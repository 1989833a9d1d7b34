"""A deterministic workload whose result is known: transfers, events in windows, a join, four sinks.

Transaction i moves an amount between two accounts and writes a journal row; every third one brings an
event. All numbers come from i alone, so the state after the first n transactions is known without
asking the database. A transaction whose outcome was not heard is looked up in the journal.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.dataset as ds

ACCOUNTS = 50
BALANCE = 1000
START = datetime(2026, 1, 1)
#: events are a second apart, windows ten seconds long, rows up to five seconds late are on time
WINDOW = 10
DELAY = 5

TABLES = f"""
CREATE TABLE accounts (id int PRIMARY KEY, branch int NOT NULL, balance bigint NOT NULL);
INSERT INTO accounts SELECT g, g % 7, {BALANCE} FROM generate_series(0, {ACCOUNTS - 1}) g;
CREATE TABLE journal (i int PRIMARY KEY, debit int, credit int, amount int);
CREATE SOURCE events (i int, k int, at timestamp, WATERMARK FOR at AS at - INTERVAL '{DELAY} seconds');
CREATE TABLE mirror (branch int PRIMARY KEY, n bigint, s bigint);
CREATE MATERIALIZED VIEW total AS SELECT sum(balance)::bigint AS s FROM accounts;
CREATE MATERIALIZED VIEW branches AS
    SELECT branch, count(*) AS n, sum(balance)::bigint AS s FROM accounts GROUP BY branch;
CREATE MATERIALIZED VIEW flows AS
    SELECT a.branch, count(*) AS n, sum(j.amount) AS s
    FROM journal j JOIN accounts a ON a.id = j.debit GROUP BY a.branch;
CREATE MATERIALIZED VIEW windows AS
    SELECT k, window_start, count(*) AS n, sum(i) AS s
    FROM TUMBLE(events, at, INTERVAL '{WINDOW} seconds') GROUP BY k, window_start, window_end
    EMIT ON WINDOW CLOSE;
CREATE SINK filler INTO mirror FROM branches
"""
SINKS = """
CREATE SINK files FROM events WITH (connector = 'file', path = '{folder}', commit_interval = '100ms');
CREATE SINK upserts FROM branches WITH (connector = 'postgres', {postgres}, table = 'branches');
CREATE SINK appends FROM windows WITH (connector = 'postgres', {postgres}, table = 'windows')
"""
OUTSIDE = """
CREATE TABLE branches (branch int PRIMARY KEY, n bigint, s bigint);
CREATE TABLE windows (k int, window_start timestamp, n bigint, s bigint)
"""


def transfer(i: int) -> tuple[int, int, int]:
    """(debit, credit, amount) of transaction i."""
    chance = random.Random(i)
    debit, credit = chance.sample(range(ACCOUNTS), 2)
    return debit, credit, chance.randrange(1, 20)


def event(i: int) -> tuple[int, int, int] | None:
    """(i, key, seconds after START) of transaction i, if it has one; some come late."""
    if i % 3:
        return None
    back = random.Random(-i).choice([0, 0, 1, 3, 4, 9, 40])
    return i, i % 4, max(0, i - back)


@dataclass
class Model:
    """What must be there after the first ``count`` transactions."""

    count: int

    def balances(self) -> dict[int, int]:
        found = dict.fromkeys(range(ACCOUNTS), BALANCE)
        for i in range(self.count):
            debit, credit, amount = transfer(i)
            found[debit] -= amount
            found[credit] += amount
        return found

    def branches(self) -> list[tuple[Any, ...]]:
        groups: dict[int, list[int]] = {}
        for account, balance in self.balances().items():
            groups.setdefault(account % 7, []).append(balance)
        return sorted((branch, len(found), sum(found)) for branch, found in groups.items())

    def flows(self) -> list[tuple[Any, ...]]:
        groups: dict[int, list[int]] = {}
        for i in range(self.count):
            debit, _, amount = transfer(i)
            groups.setdefault(debit % 7, []).append(amount)
        return sorted((branch, len(found), sum(found)) for branch, found in groups.items())

    def events(self) -> list[int]:
        return [i for i in range(self.count) if event(i)]

    def windows(self) -> list[tuple[Any, ...]]:
        """Closed ones, without rows that were late: each event is a transaction of its own."""
        groups: dict[tuple[int, int], list[int]] = {}
        watermark = -DELAY
        for i in range(self.count):
            found = event(i)
            if found is None:
                continue
            _, k, at = found
            if at // WINDOW * WINDOW + WINDOW > watermark:
                groups.setdefault((k, at // WINDOW * WINDOW), []).append(i)
            watermark = max(watermark, at - DELAY)
        return sorted(
            (k, START + timedelta(seconds=start), len(found), sum(found))
            for (k, start), found in groups.items()
            if start + WINDOW <= watermark
        )


def execute(db: psycopg.Connection[Any], script: str) -> None:
    """Several statements, one by one."""
    for statement in script.split(";"):
        if statement.strip():
            db.execute(statement)  # type: ignore[call-overload]


def commit(db: psycopg.Connection[Any], i: int) -> None:
    """Run transaction i."""
    debit, credit, amount = transfer(i)
    found = event(i)
    with db.transaction():
        db.execute("UPDATE accounts SET balance = balance - %s WHERE id = %s", (amount, debit))
        db.execute("UPDATE accounts SET balance = balance + %s WHERE id = %s", (amount, credit))
        db.execute("INSERT INTO journal VALUES (%s, %s, %s, %s)", (i, debit, credit, amount))
        if found is not None:
            at = START + timedelta(seconds=found[2])
            db.execute("INSERT INTO events VALUES (%s, %s, %s)", (found[0], found[1], at))


def happened(db: psycopg.Connection[Any], i: int) -> bool:
    """Whether transaction i has been committed."""
    return db.execute("SELECT 1 FROM journal WHERE i = %s", (i,)).fetchone() is not None


def differences(
    db: psycopg.Connection[Any], outside: psycopg.Connection[Any], folder: Path, count: int
) -> list[str]:
    """What is not as it must be after ``count`` transactions; sinks may need a moment."""
    model = Model(count)

    def rows(connection: psycopg.Connection[Any], query: str) -> list[tuple[Any, ...]]:
        return sorted(connection.execute(query).fetchall())  # type: ignore[call-overload]

    files = ds.dataset(str(folder), format="parquet") if any(folder.glob("*.parquet")) else None
    pairs = {
        "accounts": (rows(db, "SELECT id, balance FROM accounts"), sorted(model.balances().items())),
        "journal": (rows(db, "SELECT i FROM journal"), [(i,) for i in range(count)]),
        "total": (rows(db, "SELECT s FROM total"), [(ACCOUNTS * BALANCE,)]),
        "branches": (rows(db, "SELECT * FROM branches"), model.branches()),
        "flows": (rows(db, "SELECT * FROM flows"), model.flows()),
        "windows": (rows(db, "SELECT * FROM windows"), model.windows()),
        "mirror": (rows(db, "SELECT * FROM mirror"), model.branches()),
        "upserts": (rows(outside, "SELECT * FROM branches"), model.branches()),
        "appends": (rows(outside, "SELECT * FROM windows"), model.windows()),
        "files": (sorted(files.to_table().column("i").to_pylist()) if files else [], model.events()),
    }
    unequal = ((name, found, wanted) for name, (found, wanted) in pairs.items() if found != wanted)
    return [f"{name}: {difference(found, wanted)}" for name, found, wanted in unequal]


def difference(found: list[Any], wanted: list[Any]) -> str:
    """A few rows too many and a few missing."""
    extra, missing = Counter(found) - Counter(wanted), Counter(wanted) - Counter(found)
    few = {"too many": list(extra.elements())[:5], "missing": list(missing.elements())[:5]}
    return f"{extra.total()} rows too many, {missing.total()} missing: {few}"
