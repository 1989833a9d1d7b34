"""Every kind of window with every EMIT against a Python model: what appears when.

The rows are drawn at random: out of order, late, without a key, without a time, at infinity; from a
source, or from a table with deletions. The server dies in the middle, twice.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import pytest

from tests.harness.server import LaminarServer

START = datetime(2026, 1, 1)
DELAY = 3
COLUMNS = "k, window_start::text, window_end::text, c, t"
INFINITY = float("inf")
Row = tuple[str | None, float | None, int]
Bounds = tuple[float, float]
#: seconds since START; NULL and infinite times beside them
Window = tuple[str | None, float, float]


def instant(second: float | None) -> str | None:
    if second is None:
        return None
    if abs(second) == INFINITY:
        return "infinity" if second > 0 else "-infinity"
    return str(START + timedelta(seconds=second))


@dataclass(frozen=True)
class Kind:
    """A windowing function: its arguments after the time, and the windows of a moment."""

    name: str
    arguments: str
    step: int
    size: int
    offset: int = 0

    def windows(self, second: float) -> Iterator[Bounds]:
        if abs(second) == INFINITY:
            yield second, second
            return
        at = int(second) - self.offset
        if self.name == "CUMULATE":
            start = at // self.size * self.size
            for end in range(start + self.step, start + self.size + 1, self.step):
                if at < end:
                    yield start + self.offset, end + self.offset
            return
        last = at // self.step * self.step
        for start in range(last, last - self.size, -self.step):
            if start <= at < start + self.size:
                yield start + self.offset, start + self.size + self.offset


KINDS = {
    "tumble": Kind("TUMBLE", "INTERVAL '10 seconds'", 10, 10),
    "shifted": Kind("TUMBLE", "INTERVAL '10 seconds', INTERVAL '3 seconds'", 10, 10, 3),
    "hop": Kind("HOP", "INTERVAL '5 seconds', INTERVAL '15 seconds'", 5, 15),
    "slide": Kind("SLIDE", "INTERVAL '4 seconds', INTERVAL '6 seconds', INTERVAL '1 second'", 4, 6, 1),
    "cumulate": Kind("CUMULATE", "INTERVAL '5 seconds', INTERVAL '20 seconds'", 5, 20),
}
Mode = Literal["update", "watermark", "close", "every"]
#: name, clause, how it behaves, allowed lateness (None: nothing is ever late)
EMITS: list[tuple[str, str, Mode, int | None]] = [
    ("u", "EMIT ON UPDATE", "update", None),
    ("ul", "EMIT CHANGES ALLOW LATENESS INTERVAL '7 seconds'", "update", 7),
    ("c", "EMIT ON WINDOW CLOSE", "close", 0),
    ("cl", "EMIT ON WINDOW CLOSE ALLOW LATENESS INTERVAL '7 seconds'", "close", 7),
    ("f", "EMIT FINAL", "close", 0),
    ("w", "EMIT AFTER WATERMARK", "watermark", 0),
    ("wl", "EMIT ON WATERMARK ALLOW LATENESS INTERVAL '7 seconds'", "watermark", 7),
    ("e", "EMIT EVERY INTERVAL '1000 days'", "every", None),
    ("el", "EMIT PERIODICALLY INTERVAL '1000 days' ALLOW LATENESS INTERVAL '7 seconds'", "every", 7),
]


@dataclass
class Model:
    """What SQL.md says of one view."""

    kind: Kind
    mode: Mode
    lateness: int | None
    late: int = 0
    windows: dict[Window, list[int]] = field(default_factory=lambda: defaultdict(list))

    def change(self, rows: list[Row], weight: int, before: float) -> None:
        """Rows of a transaction that found the watermark at ``before``."""
        for key, second, value in rows:
            for start, end in self.kind.windows(second) if second is not None else ():
                if self.lateness is not None and before >= end + self.lateness:
                    self.late += 1
                elif weight > 0:
                    self.windows[key, start, end].append(value)
                else:
                    self.windows[key, start, end].remove(value)

    def rows(self, watermark: float) -> set[tuple[Any, ...]]:
        """The view's rows at a watermark."""
        return {
            (key, instant(start), instant(end), len(values), sum(values))
            for (key, start, end), values in self.windows.items()
            if values and self.appears(end, watermark)
        }

    def appears(self, end: float, watermark: float) -> bool:
        match self.mode:
            case "update":
                return True
            case "close":
                return watermark >= end + (self.lateness or 0)
            case "watermark":
                return watermark >= end
            case "every":  # no period begins while the test runs: only windows that are over
                return watermark >= end + (self.lateness or 0)


GAP = 6


def parts(session: list[tuple[float, int]]) -> list[list[tuple[float, int]]]:
    """The sessions that rows make."""
    found: list[list[tuple[float, int]]] = []
    for at, value in sorted(session):
        if found and (at == found[-1][-1][0] or at - found[-1][-1][0] < GAP):
            found[-1].append((at, value))
        else:
            found.append([(at, value)])
    return found


SESSION = Kind("SESSION", f"INTERVAL '{GAP} seconds'", 0, 0)


@dataclass
class SessionModel(Model):
    """Sessions: lists of (second, value) by key. One that is over stays as it is, whatever comes."""

    sessions: dict[str | None, list[list[tuple[float, int]]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def over(self, last: float, before: float) -> bool:
        return self.lateness is not None and before >= last + GAP + self.lateness

    def change(self, rows: list[Row], weight: int, before: float) -> None:
        left = [row for row in rows if row[1] is not None]
        if weight < 0:
            self.delete(left, before)
            return
        on_time = [row for row in left if not self.over(row[1] or 0.0, before)]
        for row in on_time:
            self.join(*row, before)
            left.remove(row)
        while found := [row for row in left if self.reached(row[0], row[1] or 0.0, before)]:
            self.join(*found[0], before)
            left.remove(found[0])
        self.late += len(left)

    def reached(self, key: str | None, second: float, before: float) -> list[list[tuple[float, int]]]:
        """Sessions of the key that are not over and that the moment belongs to."""
        found = []
        for session in self.sessions[key]:
            times = [at for at, _ in session]
            if not self.over(max(times), before) and any(
                second == at or abs(second - at) < GAP for at in times
            ):
                found.append(session)
        return found

    def join(self, key: str | None, second: float | None, value: int, before: float) -> None:
        assert second is not None
        merged = [(second, value)]
        for session in self.reached(key, second, before):
            merged += session
            self.sessions[key].remove(session)
        self.sessions[key].append(merged)

    def delete(self, rows: list[Row], before: float) -> None:
        """Take rows out of sessions that are not over; then see what is left of those."""
        held = {
            key: [session for session in sessions if not self.over(max(session)[0], before)]
            for key, sessions in self.sessions.items()
        }
        for key, second, value in rows:
            assert second is not None
            found = next((s for s in held.get(key, []) if (second, value) in s), None)
            if found is None:
                self.late += 1
            else:
                found.remove((second, value))
        for key, sessions in held.items():
            for session in sessions:
                # by identity: another session may hold equal rows
                at = next(i for i, other in enumerate(self.sessions[key]) if other is session)
                self.sessions[key][at : at + 1] = parts(session)

    def rows(self, watermark: float) -> set[tuple[Any, ...]]:
        found = set()
        for key, sessions in self.sessions.items():
            for session in sessions:
                start, end = min(session)[0], max(session)[0] + GAP
                if self.appears(end, watermark):
                    total = sum(value for _, value in session)
                    found.add((key, instant(start), instant(end), len(session), total))
        return found


def draw(r: random.Random, clock: int) -> list[Row]:
    seconds = [clock + r.choice([0, 1, -3, -10, -20, r.randint(-60, 5)]) for _ in range(r.randint(1, 8))]
    times: list[float | None] = [r.choice([s, s, s, s, s, s, None, INFINITY, -INFINITY]) for s in seconds]
    return [(r.choice(["a", "b", None]), second, r.randint(-5, 5)) for second in times]


def create(db: Any, relation: str) -> dict[str, Model]:
    key = ", id bigint PRIMARY KEY" if relation == "TABLE" else ", id bigint"
    db.execute(
        f"CREATE {relation} s (k text, ts timestamp, v int{key},"
        f" WATERMARK FOR ts AS ts - INTERVAL '{DELAY} seconds')"
    )
    models = {}
    for name, kind in [*KINDS.items(), ("session", SESSION)]:
        for emit, clause, mode, lateness in EMITS:
            view = f"{name}_{emit}"
            models[view] = (SessionModel if kind is SESSION else Model)(kind, mode, lateness)
            if emit in ("cl", "w"):
                query = (
                    f"SELECT k, window_start, window_end, count(*) AS c, sum(v) AS t FROM s"
                    f" GROUP BY k, {kind.name}(ts, {kind.arguments})"
                )
            else:
                of = " PARTITION BY k" if kind is SESSION else ""
                query = (
                    "SELECT k, window_start, window_end, count(*) AS c, sum(v) AS t"
                    f" FROM {kind.name}(s, ts, {kind.arguments}{of}) GROUP BY k, window_start, window_end"
                )
            db.execute(f"CREATE MATERIALIZED VIEW {view} AS {query} {clause}")
        db.execute(f"CREATE VIEW {name}_query AS {query}")
    return models


def contents(db: Any, models: dict[str, Model]) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of all views and of their queries."""
    found: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    views = [*models, *(f"{name}_query" for name in ("session", *KINDS))]
    for start in range(0, len(views), 20):
        parts = [f"SELECT '{view}' AS view, {COLUMNS} FROM {view}" for view in views[start : start + 20]]
        for view, *row in db.execute(" UNION ALL ".join(parts)):
            found[view].append(tuple(row))
    return found


def apply(db: Any, rows: list[tuple[int, Row]], gone: list[int]) -> None:
    with db.transaction():
        with db.cursor() as cursor, cursor.copy("COPY s (id, k, ts, v) FROM STDIN") as copy:
            for number, (key, second, value) in rows:
                copy.write_row((number, key, instant(second), value))
        for number in gone:
            db.execute("DELETE FROM s WHERE id = %s", (number,))


@pytest.mark.parametrize("reactors", ["1", "2"])
@pytest.mark.parametrize("relation", ["SOURCE", "TABLE"])
def test_what_appears_when(relation: str, reactors: str, new_laminar: Any) -> None:
    r = random.Random(f"{relation}{reactors}")
    server: LaminarServer = new_laminar("--reactors", reactors)
    with server.connect() as db:
        models = create(db, relation)
    watermark, clock, number = -INFINITY, 0, 0
    present: dict[int, Row] = {}
    for step in range(20):
        rows = draw(r, clock)
        clock += r.choice([0, 1, 3, 12])
        gone = r.sample(sorted(present), min(len(present), 2)) if relation == "TABLE" else []
        numbered = list(enumerate(rows, number))
        number += len(rows)
        with server.connect() as db:
            apply(db, numbered, gone)
            for model in models.values():
                model.change(rows, 1, watermark)
                model.change([present[n] for n in gone], -1, watermark)
            for n in gone:
                del present[n]
            present |= dict(numbered)
            known = [second for _, second, _ in rows if second is not None and abs(second) != INFINITY]
            watermark = max([watermark, *(second - DELAY for second in known)])
            found = contents(db, models)
            for view, model in models.items():
                assert len(found[view]) == len(set(found[view])), (step, view)
                assert set(found[view]) == model.rows(watermark), (step, view, watermark)
            for name in ("session", *KINDS):  # where nothing is late, a view equals its query
                assert set(found[f"{name}_query"]) == set(found[f"{name}_u"]), (step, name)
            if step == 6:
                db.execute("CHECKPOINT")
        if step in (9, 15):
            server.kill()
            server.start()
    assert all(m.late for m in models.values() if m.lateness is not None)
    assert all(m.rows(watermark) for m in models.values())


def test_windows_of_windows(new_laminar: Any) -> None:
    """The lateness counts once, however many windows are on top of each other."""
    server: LaminarServer = new_laminar("--reactors", "2")
    with server.connect() as db:
        db.execute("CREATE SOURCE s (k text, ts timestamp, WATERMARK FOR ts)")
        db.execute(
            "CREATE MATERIALIZED VIEW w AS SELECT window_start, sum(n)::int AS n FROM TUMBLE((SELECT k,"
            " window_start AS at, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '5 seconds')"
            " GROUP BY k, window_start, window_end), at, INTERVAL '10 seconds')"
            " GROUP BY window_start, window_end EMIT ON WINDOW CLOSE ALLOW LATENESS INTERVAL '4 seconds'"
        )
        for second, appeared in ((1, 0), (7, 0), (13, 0), (8, 0), (19, 1)):
            db.execute("INSERT INTO s VALUES ('a', %s)", (instant(second),))
            found = db.execute("SELECT window_start, n FROM w").fetchall()
            assert found == [(START, 3)][:appeared], second


@pytest.mark.parametrize("reactors", ["1", "2"])
def test_periods(reactors: str, new_laminar: Any) -> None:
    """EMIT EVERY shows the current result when a period begins, though nothing comes in then."""
    server: LaminarServer = new_laminar("--reactors", reactors)
    with server.connect() as db:
        db.execute("CREATE TABLE t (k int PRIMARY KEY, v int)")
        db.execute("INSERT INTO t SELECT i, i FROM generate_series(1, 100) AS g (i)")
        db.execute(
            "CREATE MATERIALIZED VIEW w AS SELECT k % 7 AS m, sum(v) AS t FROM t GROUP BY k % 7"
            " EMIT EVERY INTERVAL '2 seconds'"
        )
        query = "SELECT k % 7 AS m, sum(v) AS t FROM t GROUP BY k % 7"
        assert set(db.execute("SELECT * FROM w")) == set(db.execute(query))  # filled when it is created
        at_boundary(2)
        db.execute("DELETE FROM t WHERE k % 7 = 3")
        before = set(db.execute(query))
        assert set(db.execute("SELECT * FROM w")) == before  # a period's first changes
        db.execute("DELETE FROM t WHERE k % 7 = 4")
        db.execute("UPDATE t SET v = 0 WHERE k > 50")
        assert set(db.execute("SELECT * FROM w")) == before  # nothing more in this period
        server.kill()
        server.start()
    with server.connect() as db:
        deadline = time.monotonic() + 10
        while set(db.execute("SELECT * FROM w")) != set(db.execute(query)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        epochs = "SELECT count(*) FROM laminar_catalog.epochs"
        at_boundary(2)
        quiet = db.execute(epochs).fetchone()
        time.sleep(3)
        assert db.execute(epochs).fetchone() == quiet  # nothing held, nothing to wake up for


def at_boundary(period: float) -> None:
    """Wait until a period has just begun."""
    time.sleep(period - time.time() % period + 0.3)
