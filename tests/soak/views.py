"""Views of every kind while the server is killed and state files are merged all the time.

After each round every view is held against its query over the same tables, where the query alone says
what the view has, and against a new view of the same text: answers do not depend on when a view was made.

    python -m tests.soak.views [--rounds N] [--seconds S] [--seed S]
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.harness.processes import tail
from tests.harness.server import LaminarServer
from tests.random_views import Changes, Queries, schema
from tests.soak.workload import difference, execute

TABLES = """
CREATE TABLE t (id int PRIMARY KEY, k int, s text, v bigint, n numeric(10,2), at timestamp);
CREATE TABLE u (id int PRIMARY KEY, k int, w int, at timestamp);
CREATE TABLE heap (k int, v int);
CREATE SOURCE e (k int, v int, at timestamp, WATERMARK FOR at AS at - INTERVAL '5 seconds');
CREATE SOURCE f (k int, v int, at timestamp, WATERMARK FOR at AS at - INTERVAL '3 seconds')
"""
#: views that always equal their query
PLAIN = {
    "sums": "SELECT k, count(*) AS c, sum(v) AS s, sum(n) AS n, avg(v) AS a FROM t GROUP BY k",
    "extremes": "SELECT k, min(v) AS a, max(v) AS b, min(s) AS c, max(n) AS d FROM t GROUP BY k",
    "whole": "SELECT count(*) AS c, min(at) AS a, max(at) AS b, stddev_pop(n) AS d FROM t",
    "kinds": "SELECT DISTINCT s, k FROM t",
    "distincts": "SELECT k, count(DISTINCT s) AS c, sum(DISTINCT v) AS d FROM t GROUP BY k",
    "cubes": "SELECT k, s, count(*) AS c, grouping(k, s) AS g FROM t GROUP BY CUBE (k, s)",
    "rolled": "SELECT k, s, max(v) AS m FROM t GROUP BY ROLLUP (k, s)",
    "lists": "SELECT k, string_agg(s, ',' ORDER BY s) AS l, array_agg(id ORDER BY id) AS i FROM t GROUP BY k",
    "middles": "SELECT k, percentile_disc(0.5) WITHIN GROUP (ORDER BY v) AS m FROM t GROUP BY k",
    "inners": "SELECT t.id, u.id AS uid, t.v + u.w AS z FROM t JOIN u ON t.k = u.k AND u.w > t.v",
    "lefts": "SELECT t.id, t.s, u.id AS uid, u.w FROM t LEFT JOIN u ON t.k = u.k AND t.id % 3 = u.id % 3",
    "fulls": "SELECT t.k AS a, h.k AS b, h.v FROM t FULL JOIN heap h ON t.k = h.k",
    "anti": "SELECT id, k FROM t WHERE k NOT IN (SELECT k FROM u WHERE w > 5)",
    "semi": "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM heap h WHERE h.k = t.k AND h.v > t.v)",
    "scalars": "SELECT id, (SELECT max(w) FROM u WHERE u.k = t.k) AS m FROM t",
    "tops": "SELECT id, k, v FROM t ORDER BY v DESC NULLS LAST, id LIMIT 7 OFFSET 2",
    "firsts": "SELECT DISTINCT ON (k) k, id, v FROM t ORDER BY k, v, id",
    "ranks": "SELECT * FROM (SELECT id, k, v, rank() OVER (PARTITION BY k ORDER BY v) AS r FROM t) q"
    " WHERE r <= 2",
    "numbers": "SELECT * FROM (SELECT id, k, row_number() OVER (PARTITION BY k ORDER BY at DESC, id) AS r"
    " FROM t) q WHERE r = 1",
    "running": "SELECT id, sum(v) OVER (PARTITION BY k ORDER BY id) AS r, lag(v) OVER (PARTITION BY k"
    " ORDER BY id) AS l FROM t",
    "unions": "SELECT k, v FROM t UNION SELECT k, v FROM heap",
    "excepts": "SELECT k, v FROM heap EXCEPT ALL SELECT k, w FROM u",
    "intersects": "SELECT k FROM heap INTERSECT ALL SELECT k FROM t",
    "nested": "SELECT c, count(*) AS n FROM (SELECT k, count(*) AS c FROM heap GROUP BY k) q GROUP BY c",
    "havings": "SELECT k, sum(v) AS s FROM heap GROUP BY k HAVING count(*) > 2",
    "copies": "SELECT k, v FROM heap WHERE v % 2 = 0",
    "recent": "SELECT id, k FROM t WHERE at > now()::timestamp - INTERVAL '6 seconds'",
    "hops": "SELECT k, window_start, count(*) AS c, sum(v) AS s FROM HOP(t, at, INTERVAL '5 seconds',"
    " INTERVAL '15 seconds') GROUP BY k, window_start, window_end",
    "sessions": "SELECT k, window_start, window_end, count(*) AS c, max(v) AS m FROM SESSION(t, at,"
    " INTERVAL '4 seconds' PARTITION BY k) GROUP BY k, window_start, window_end",
    "steps": "SELECT window_start, window_end, count(*) AS c FROM CUMULATE(t, at, INTERVAL '5 seconds',"
    " INTERVAL '20 seconds') GROUP BY window_start, window_end",
    "all_events": "SELECT k, count(*) AS c, sum(v) AS s, max(at) AS m FROM e GROUP BY k",
    "of_view": "SELECT c, sum(s) AS s FROM sums GROUP BY c",
}
#: views whose rows depend on what was late and which windows are closed
TIMED = {
    "closed": "SELECT k, window_start, count(*) AS c, sum(v) AS s FROM TUMBLE(e, at, INTERVAL '10 seconds')"
    " GROUP BY k, window_start, window_end EMIT ON WINDOW CLOSE",
    "hops_closed": "SELECT k, window_start, count(*) AS c, min(v) AS s FROM HOP(e, at, INTERVAL '5 seconds',"
    " INTERVAL '15 seconds') GROUP BY k, window_start, window_end EMIT ON WINDOW CLOSE"
    " ALLOW LATENESS INTERVAL '4 seconds'",
    "corrected": "SELECT window_start, count(*) AS c, max(v) AS s FROM TUMBLE(e, at, INTERVAL '10 seconds')"
    " GROUP BY window_start, window_end EMIT AFTER WATERMARK ALLOW LATENESS INTERVAL '7 seconds'",
    "finals": "SELECT k, window_start, count(DISTINCT v) AS c FROM TUMBLE(e, at, INTERVAL '7 seconds')"
    " GROUP BY k, window_start, window_end EMIT FINAL",
    "sessions_closed": "SELECT k, window_start, window_end, count(*) AS c, sum(v) AS s FROM SESSION(e, at,"
    " INTERVAL '2 seconds' PARTITION BY k) GROUP BY k, window_start, window_end EMIT ON WINDOW CLOSE",
    "sessions_late": "SELECT k, window_start, window_end, count(*) AS c FROM SESSION(e, at,"
    " INTERVAL '1 second' PARTITION BY k) GROUP BY k, window_start, window_end"
    " ALLOW LATENESS INTERVAL '6 seconds'",
    "asof": "SELECT t.id, u.id AS uid, u.w FROM t ASOF LEFT JOIN u MATCH_CONDITION (t.at >= u.at)"
    " ON t.k = u.k",
    "near": "SELECT e.k, e.v, f.v AS w, e.at FROM e JOIN f ON e.k = f.k AND e.at BETWEEN f.at"
    " - INTERVAL '4 seconds' AND f.at + INTERVAL '6 seconds'",
    "near_left": "SELECT e.k, e.v, f.v AS w FROM e LEFT JOIN f ON e.k = f.k AND e.at >= f.at"
    " AND e.at <= f.at + INTERVAL '3 seconds'",
    "first_of_window": "SELECT * FROM (SELECT window_start, k, v, row_number() OVER (PARTITION BY"
    " window_start, window_end ORDER BY v, k, at) AS r FROM TUMBLE(e, at, INTERVAL '10 seconds')) q"
    " WHERE r <= 2 EMIT ON WINDOW CLOSE",
}
KILL_POINTS = (
    "checkpoint: begun", "checkpoint: reported", "checkpoint: stored", "checkpoint: compacted",
    "checkpoint: saved", "checkpoint: swept", "state file: begun", "state file: written", "wal: written",
)  # fmt: skip
_PATIENCE = 20.0
Connection = psycopg.Connection[Any]


@dataclass
class Outcome:
    """What a run did and found."""

    seconds: float = 0.0
    done: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)


class ViewSoak:
    """One run in a folder; everything comes from ``seed`` but the moments of the kills."""

    def __init__(self, folder: Path, seed: int, reactors: int = 1, random_views: int = 12) -> None:
        self.chance = random.Random(seed)
        self.once = folder / "once"
        self.once.mkdir()
        self.outcome = Outcome()
        self.server = LaminarServer(folder, "--reactors", str(reactors))
        self.server.environment = {"LAMINAR_CHECKPOINT_INTERVAL": "0.1", "LAMINAR_MAX_STATE_FILES": "3"}
        tables = schema(self.chance)
        self.drawn = Changes(self.chance, tables)
        queries = Queries(self.chance, tables)
        self.setup = [table.ddl for table in tables]
        self.plain = PLAIN | {f"drawn{i}": queries.select(i % 3)[0] for i in range(random_views)}
        self.there: set[str] = set()
        self.next_id = 0
        self.second = 0.0
        self.fresh = 0

    def run(self, rounds: int, seconds: float) -> Outcome:
        """Work, break and compare ``rounds`` times, or until the time is up."""
        started = time.monotonic()
        self.server.start()
        try:
            with self.server.connect() as db:
                execute(db, TABLES)
                for statement in self.setup:
                    db.execute(statement)
                for name in [*self.plain, *TIMED]:
                    self.create(db, name)
            while rounds > 0 and time.monotonic() - started < seconds:
                rounds -= 1
                self.round()
        finally:
            self.outcome.seconds = time.monotonic() - started
            if self.server.alive:
                self.server.stop()
        return self.outcome

    def round(self) -> None:
        """Change rows until something breaks, then compare."""
        with suppress(psycopg.OperationalError), self.server.connect() as db:
            for _ in range(self.chance.randrange(5, 60)):
                self.change(db)
            for _ in range(self.chance.choice([0, 0, 1, 2])):
                self.replace(db)
            self.strike()
        if not self.server.alive:
            self.start()
        self.outcome.done["rounds"] += 1
        self.compare()

    # --- the workload -------------------------------------------------------------------

    def change(self, db: Connection) -> None:
        """One transaction; what it does is seen in the tables."""
        with suppress(psycopg.IntegrityError, psycopg.errors.DataError), db.transaction():
            for _ in range(self.chance.choice([1, 1, 1, 2, 4])):
                db.execute(self.statement())  # type: ignore[call-overload]

    def statement(self) -> str:
        chance = self.chance
        match chance.random():
            case x if x < 0.25:
                return f"INSERT INTO t VALUES {self.several(self.row_of_t)}"
            case x if x < 0.35:
                return f"INSERT INTO u VALUES {self.several(self.row_of_u)}"
            case x if x < 0.45:
                return f"INSERT INTO heap VALUES {self.several(lambda: f'({self.key()}, {self.number()})')}"
            case x if x < 0.6:
                return f"INSERT INTO {chance.choice('ef')} VALUES {self.several(self.event)}"
            case x if x < 0.66:
                return f"UPDATE t SET v = {self.number()}, s = {self.text()} WHERE id % 11 = {self.digit(11)}"
            case x if x < 0.7:
                return f"UPDATE {chance.choice('tu')} SET k = {self.key()} WHERE id % 13 = {self.digit(13)}"
            case x if x < 0.76:
                return f"DELETE FROM {chance.choice('tu')} WHERE id % 7 = {self.digit(7)}"
            case x if x < 0.8:
                return f"DELETE FROM heap WHERE v = {self.number()}"
            case x if x < 0.82:
                return f"TRUNCATE {chance.choice(['t', 'u', 'heap', 't, u'])}"
            case _:
                return self.drawn.statement()

    def several(self, row: Any) -> str:
        return ", ".join(row() for _ in range(self.chance.choice([1, 2, 8])))

    def digit(self, end: int) -> int:
        return self.chance.randrange(end)

    def key(self) -> str:
        return self.chance.choice(["NULL", *map(str, range(6))])

    def number(self) -> str:
        return self.chance.choice(["NULL", "-3", *map(str, range(9)), "2000000000"])

    def text(self) -> str:
        return self.chance.choice(["NULL", "''", "'a'", "'b'", "'ü'", "repeat('long ', 20)"])

    def when(self) -> str:
        return "now()::timestamp" + self.chance.choice(
            ["", " - INTERVAL '7 seconds'", " - INTERVAL '1 hour'"]
        )

    def row_of_t(self) -> str:
        self.next_id += 1
        number = self.chance.choice(["NULL", "1.50", "-2.25", "99999999.99"])
        return f"({self.next_id}, {self.key()}, {self.text()}, {self.number()}, {number}, {self.when()})"

    def row_of_u(self) -> str:
        self.next_id += 1
        return f"({self.next_id}, {self.key()}, {self.number()}, {self.when()})"

    def event(self) -> str:
        """An event a little later than the last one, or late."""
        self.second += self.chance.choice([0, 0.25, 0.5, 1])
        at = self.second - self.chance.choice([0, 0, 0, 1, 2, 4, 6, 9, 30])
        return f"({self.key()}, {self.number()}, timestamp '2026-01-01' + INTERVAL '{at} seconds')"

    # --- views come and go --------------------------------------------------------------

    def text_of(self, name: str) -> str:
        return self.plain.get(name) or TIMED[name]

    def create(self, db: Connection, name: str) -> None:
        try:
            db.execute(f"CREATE MATERIALIZED VIEW {name} AS {self.text_of(name)}")  # type: ignore[call-overload]
        except psycopg.errors.DuplicateTable:
            pass
        except psycopg.Error as error:
            if not name.startswith("drawn") or isinstance(error, psycopg.OperationalError):
                raise
            del self.plain[name]  # a query that has no answer, such as some full joins
            return
        self.there.add(name)

    def replace(self, db: Connection) -> None:
        """Drop a view, later make it again."""
        name = self.chance.choice([*self.plain, *TIMED])
        self.outcome.done["views replaced"] += 1
        for other in (name, "of_view") if name == "sums" else (name,):
            self.there.discard(other)
        db.execute(f"DROP MATERIALIZED VIEW IF EXISTS {name} CASCADE")  # type: ignore[call-overload]
        for _ in range(self.chance.randrange(5)):
            self.change(db)

    # --- what is broken -----------------------------------------------------------------

    def strike(self) -> None:
        for left in self.once.iterdir():
            left.unlink()
        what = self.chance.choices(["nothing", "server", "reactor", "restart", "point"], [2, 3, 2, 1, 3])[0]
        self.outcome.done[what] += 1
        match what:
            case "server":
                self.server.kill()
            case "restart":
                self.server.stop()
                if self.chance.random() < 0.3:
                    self.server.options = ("--reactors", str(self.chance.randrange(1, 4)))
                    self.outcome.done["other number of reactors"] += 1
            case "reactor":
                with suppress(psycopg.OperationalError), self.server.connect() as db:
                    found = db.execute("SELECT process_id FROM laminar_catalog.reactors").fetchall()
                    with suppress(ProcessLookupError):
                        os.kill(self.chance.choice(found)[0], signal.SIGKILL)
            case "point":
                self.server.kill()
                point = f"{self.chance.choice(KILL_POINTS)}=kill:{self.chance.randrange(1, 6)}"
                self.start(LAMINAR_FAILPOINTS=point, LAMINAR_FAILPOINTS_ONCE=str(self.once))
            case _:
                pass

    def start(self, **environment: str) -> None:
        """Start; a failpoint may kill the server before it is up, then it starts again without."""
        self.server.environment |= environment
        try:
            self.server.start()
        except RuntimeError:
            if not any(self.once.iterdir()):
                raise
        for name in environment:
            del self.server.environment[name]
        if not self.server.alive:
            self.server.start()

    # --- what must be there -------------------------------------------------------------

    def compare(self) -> None:
        """Every view equals its query and some equal a new view."""
        deadline = time.monotonic() + _PATIENCE
        left = {*self.plain, *TIMED}
        while left:
            try:
                with self.server.connect() as db:
                    for name in sorted({*self.plain, *TIMED} - self.there, key=lambda n: n == "of_view"):
                        self.create(db, name)
                    left = {name for name in left if self.differs(db, name, deadline)}
                    self.compare_new(db)
            except psycopg.OperationalError:
                if time.monotonic() > deadline + 100:
                    raise
                if not self.server.alive:
                    self.server.start()

    def differs(self, db: Connection, name: str, deadline: float) -> bool:
        """Whether the view shall be looked at again; a difference that stays is noted."""
        if name not in self.plain:
            return False
        with db.transaction():
            found = rows(db, f"SELECT * FROM {name}")
            wanted = rows(db, self.plain[name])
        if found == wanted:
            return False
        if name == "recent" and time.monotonic() < deadline:
            return True  # the clock goes on between the two
        self.note(name, found, wanted)
        return False

    def compare_new(self, db: Connection) -> None:
        for name in {*self.chance.sample(sorted(self.there), 3), *self.chance.sample(sorted(TIMED), 3)}:
            self.fresh += 1
            new = f"new{self.fresh}"
            try:
                db.execute(f"CREATE MATERIALIZED VIEW {new} AS {self.text_of(name)}")  # type: ignore[call-overload]
                found, wanted = rows(db, f"SELECT * FROM {name}"), rows(db, f"SELECT * FROM {new}")
                if found != wanted and name != "recent":
                    self.note(f"{name}, older than {new}", found, wanted)
            finally:
                with suppress(psycopg.OperationalError):
                    db.execute(f"DROP MATERIALIZED VIEW IF EXISTS {new}")  # type: ignore[call-overload]
        self.outcome.done["comparisons"] += 1

    def note(self, name: str, found: list[Any], wanted: list[Any]) -> None:
        text = f"round {self.outcome.done['rounds']}, {name}: {difference(found, wanted)}"
        self.outcome.differences.append(text)
        raise AssertionError(
            "\n".join([text, self.text_of(name.split(",", maxsplit=1)[0]), tail(self.server.log, 40)])
        )


def rows(db: Connection, query: str) -> list[tuple[Any, ...]]:
    """A query's rows in some order of their own; what cannot be hashed as text."""
    try:
        found = db.execute(query).fetchall()  # type: ignore[call-overload]
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise AssertionError(f"{error}: {query}") from error
    return sorted((tuple(str(v) if isinstance(v, list) else v for v in row) for row in found), key=repr)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.views", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--reactors", type=int, default=1)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="laminar-views-"))
    print(f"seed {options.seed}, in {folder}", flush=True)
    soak = ViewSoak(folder, options.seed, options.reactors)
    try:
        soak.run(options.rounds, options.seconds)
    finally:
        print(f"{soak.outcome.seconds:.0f} s: {dict(soak.outcome.done)}", *soak.outcome.differences, sep="\n")
    shutil.rmtree(folder, ignore_errors=True)
    sys.exit(bool(soak.outcome.differences))


if __name__ == "__main__":
    main()
