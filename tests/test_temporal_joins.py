"""Temporal joins against a Python model: versions by event time, and the current version."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.harness.server import LaminarServer

START = datetime(2026, 1, 1)
NEVER = -1_000_000


def instant(second: int) -> datetime:
    return START + timedelta(seconds=second)


@dataclass
class Model:
    """A left row waits until both watermarks have passed its time, plus the lateness; then it meets the
    version of that time. Late are left rows and versions from before their own side's watermark less it."""

    lateness: int
    padded: bool
    watermarks: list[int] = field(default_factory=lambda: [NEVER, NEVER])
    waiting: list[tuple[int, str | None, int]] = field(default_factory=list)
    #: by key: time to value, None: no row from then on
    versions: dict[str, dict[int, int | None]] = field(default_factory=lambda: defaultdict(dict))
    out: Counter[Any] = field(default_factory=Counter)
    late: int = 0

    def left(self, rows: list[tuple[int, str | None, int]]) -> None:
        for row in rows:
            if self.watermarks[0] > row[2] + self.lateness:
                self.late += 1
            else:
                self.waiting.append(row)
        self.advance(0, [row[2] for row in rows])

    def right(self, before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> None:
        """The right side's rows (value, second) by key as a transaction found and left them."""
        settled = self.watermarks[1] - self.lateness
        for key in before.keys() | after.keys():
            if before.get(key) == after.get(key):
                continue
            versions = self.versions[key]
            if key not in after:
                for second in [s for s in versions if s >= settled]:
                    del versions[second]
                versions[settled] = None
                continue
            value, second = after[key]
            if second < settled:
                self.late += 1
            else:
                versions[second] = value
        self.advance(1, [after[k][1] for k in after if before.get(k) != after[k]])

    def advance(self, side: int, seconds: list[int]) -> None:
        self.watermarks[side] = max([self.watermarks[side], *seconds])
        mark = min(self.watermarks)
        for row in [row for row in self.waiting if mark > row[2] + self.lateness]:
            self.waiting.remove(row)
            known = [s for s in self.versions.get(row[1] or "", {}) if s <= row[2]]
            value = self.versions[row[1] or ""][max(known)] if known else None
            if value is not None or self.padded:
                self.out[row[0], row[1], value] += 1


@pytest.mark.parametrize("reactors", ["1", "2"])
def test_versions_by_event_time(reactors: str, new_laminar: Any) -> None:
    r = random.Random(int(reactors))
    server: LaminarServer = new_laminar("--reactors", reactors)
    models: dict[str, Model] = {}
    with server.connect() as db:
        db.execute("CREATE SOURCE a (id int, k text, ts timestamp, WATERMARK FOR ts)")
        db.execute("CREATE TABLE t (k text PRIMARY KEY, v int, at timestamp, WATERMARK FOR at)")
        for padded in (False, True):
            for lateness in (0, 5):
                allow = f" ALLOW LATENESS INTERVAL '{lateness} seconds'" if lateness else ""
                db.execute(
                    f"CREATE MATERIALIZED VIEW w{lateness}{padded} AS SELECT a.id, a.k, t.v FROM a"
                    f" {'LEFT' if padded else ''} JOIN t FOR SYSTEM_TIME AS OF a.ts ON a.k = t.k{allow}"
                )
                models[f"w{lateness}{padded}"] = Model(lateness, padded)
    rows: dict[str, tuple[int, int]] = {}
    clock = number = 0
    for step in range(60):
        clock += r.choice([0, 1, 2, 6])
        with server.connect() as db:
            if r.random() < 0.5:
                new = [
                    (number + i, r.choice(["a", "b", "c", None]), clock + r.choice([0, 1, 2, -3, -9]))
                    for i in range(r.randint(1, 5))
                ]
                number += len(new)
                with db.cursor() as cursor, cursor.copy("COPY a FROM STDIN") as copy:
                    for n, key, second in new:
                        copy.write_row((n, key, instant(second)))
                for model in models.values():
                    model.left(new)
            else:
                after = dict(rows)
                with db.transaction():
                    for _ in range(r.randint(1, 3)):
                        key, value, second = (
                            r.choice("abc"),
                            r.randint(0, 99),
                            clock + r.choice([0, 1, -2, -8]),
                        )
                        if key in after and r.random() < 0.3:
                            db.execute("DELETE FROM t WHERE k = %s", (key,))
                            del after[key]
                        else:
                            db.execute(
                                "INSERT INTO t VALUES (%s, %s, %s) ON CONFLICT (k) DO UPDATE"
                                " SET v = excluded.v, at = excluded.at",
                                (key, value, instant(second)),
                            )
                            after[key] = value, second
                for model in models.values():
                    model.right(rows, after)
                rows = after
            for view, model in models.items():
                assert Counter(db.execute(f"SELECT id, k, v FROM {view}")) == model.out, (step, view)
            if step == 20:
                db.execute("CHECKPOINT")
        if step in (30, 45):
            server.kill()
            server.start()
    assert all(model.late and model.out for model in models.values())


@pytest.mark.parametrize("reactors", ["1", "2"])
def test_current_version(reactors: str, new_laminar: Any) -> None:
    r = random.Random(int(reactors) + 10)
    server: LaminarServer = new_laminar("--reactors", reactors)
    expected: dict[str, Counter[Any]] = {"i": Counter(), "l": Counter()}
    with server.connect() as db:
        db.execute("CREATE SOURCE a (id int, k int)")
        db.execute("CREATE TABLE t (k int PRIMARY KEY, v int)")
        for view, kind in (("i", ""), ("l", "LEFT")):
            db.execute(
                f"CREATE MATERIALIZED VIEW {view} AS SELECT a.id, a.k, t.v FROM a {kind} JOIN t"
                " FOR SYSTEM_TIME AS OF PROCTIME() ON t.k = a.k"
            )
    rows: dict[int, int] = {}
    number = 0
    for step in range(40):
        with server.connect() as db:
            if r.random() < 0.5:
                new = [(number + i, r.choice([1, 2, 3, 4, None])) for i in range(r.randint(1, 4))]
                number += len(new)
                with db.cursor() as cursor, cursor.copy("COPY a FROM STDIN") as copy:
                    for row in new:
                        copy.write_row(row)
                for n, key in new:
                    value = None if key is None else rows.get(key)
                    expected["l"][n, key, value] += 1
                    if value is not None:
                        expected["i"][n, key, value] += 1
            elif rows and r.random() < 0.4:
                key = r.choice(list(rows))
                del rows[key]
                db.execute("DELETE FROM t WHERE k = %s", (key,))
            else:
                key, rows[key] = (k := r.randint(1, 4)), r.randint(0, 99)
                db.execute(
                    "INSERT INTO t VALUES (%s, %s) ON CONFLICT (k) DO UPDATE SET v = excluded.v", (k, rows[k])
                )
            for view, content in expected.items():
                assert Counter(db.execute(f"SELECT id, k, v FROM {view}")) == content, (step, view)
            if step == 15:
                db.execute("CHECKPOINT")
        if step in (20, 30):
            server.kill()
            server.start()
    with server.connect() as db:  # a view that is made later meets what is there now
        db.execute(
            "CREATE MATERIALIZED VIEW late AS SELECT a.id, t.v FROM a LEFT JOIN t"
            " FOR SYSTEM_TIME AS OF PROCTIME() ON t.k = a.k"
        )
        plain = "SELECT a.id, t.v FROM a LEFT JOIN t ON t.k = a.k"
        assert Counter(db.execute("SELECT id, v FROM late")) == Counter(db.execute(plain))


def test_what_is_refused(laminar: LaminarServer) -> None:
    with laminar.connect() as db:
        db.execute("DROP SCHEMA IF EXISTS temp_joins CASCADE")
        db.execute("CREATE SCHEMA temp_joins")
        db.execute("SET search_path = temp_joins")
        db.execute("CREATE SOURCE a (id int, k int, ts timestamp, other timestamp, WATERMARK FOR ts)")
        db.execute("CREATE TABLE t (k int PRIMARY KEY, v int, at timestamp, WATERMARK FOR at)")
        db.execute("CREATE TABLE u (k int PRIMARY KEY, v int)")
        for join, message in (
            ("u FOR SYSTEM_TIME AS OF a.ts ON a.k = u.k", "needs a table or source with a watermark"),
            ("t FOR SYSTEM_TIME AS OF a.other ON a.k = t.k", "column of the left side with a watermark"),
            ("t FOR SYSTEM_TIME AS OF a.ts ON a.k = t.v", "whole primary key"),
            ("u FOR SYSTEM_TIME AS OF PROCTIME() ON a.k = u.v", "whole primary key"),
            ("t FOR SYSTEM_TIME AS OF a.ts ON a.k = t.k AND a.id > t.v", "can only be equalities"),
        ):
            with pytest.raises(psycopg.errors.FeatureNotSupported, match=message):
                db.execute(f"CREATE MATERIALIZED VIEW w AS SELECT a.id FROM a JOIN {join}")
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="must only grow"):
            db.execute(
                "CREATE MATERIALIZED VIEW w AS SELECT t.k FROM t JOIN u FOR SYSTEM_TIME AS OF PROCTIME()"
                " ON t.k = u.k"
            )
        db.execute("DROP SCHEMA temp_joins CASCADE")
