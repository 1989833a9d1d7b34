"""now() as a bound in views: rows enter and leave on time, by themselves, as the query says."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.harness.server import LaminarServer

#: of the columns at (timestamptz), local (timestamp), day (date); what each keeps of rows around now
CONDITIONS = {
    "recent": "at > now() - INTERVAL '3 seconds'",
    "recent_inclusive": "at >= now() - INTERVAL '3 seconds'",
    "past": "at <= now()",
    "future": "at > now()",
    "band": "at BETWEEN now() - INTERVAL '2 seconds' AND now() + INTERVAL '2 seconds'",
    "local_past": "local < localtimestamp - INTERVAL '1 second'",
    "age": "now() - finite < INTERVAL '2 seconds'",
    "until": "now() BETWEEN at AND at + INTERVAL '3 seconds'",
    "today": "day = current_date AND v > 0",
    "whole_minutes": "at > date_trunc('minute', now()) - INTERVAL '1 minute'",
    "days": "at > now() - INTERVAL '1 day' AND day >= current_date - 1",
}


def create(db: Any) -> None:
    db.execute(
        "CREATE TABLE t (id int PRIMARY KEY, at timestamptz, local timestamp, day date, v int,"
        " finite timestamptz)"
    )
    for name, condition in CONDITIONS.items():
        db.execute(f"CREATE MATERIALIZED VIEW {name} AS SELECT id, v FROM t WHERE {condition}")
    db.execute(
        "CREATE MATERIALIZED VIEW counted AS SELECT v, count(*) AS n, max(id) AS m FROM t"
        " WHERE at > now() - INTERVAL '3 seconds' GROUP BY v"
    )
    db.execute(
        "CREATE MATERIALIZED VIEW pairs AS SELECT a.id AS a, b.id AS b FROM t AS a JOIN t AS b"
        " ON a.v = b.v AND b.at > now() - INTERVAL '2 seconds' WHERE a.at <= now()"
    )


def agree(db: Any) -> None:
    """Every view equals its query with now() being the epoch's time: with row times apart by more than
    a statement takes, shortly after an epoch they are the same."""
    queries = {name: f"SELECT id, v FROM t WHERE {condition}" for name, condition in CONDITIONS.items()}
    queries["counted"] = (
        "SELECT v, count(*), max(id) FROM t WHERE at > now() - INTERVAL '3 seconds' GROUP BY v"
    )
    queries["pairs"] = (
        "SELECT a.id, b.id FROM t AS a JOIN t AS b"
        " ON a.v = b.v AND b.at > now() - INTERVAL '2 seconds' WHERE a.at <= now()"
    )
    for name, query in queries.items():
        deadline = time.monotonic() + 10
        while sorted(found := db.execute(f"SELECT * FROM {name}").fetchall()) != sorted(
            wanted := db.execute(query).fetchall()
        ):
            assert time.monotonic() < deadline, (name, found, wanted)
            time.sleep(0.05)


def moment(r: random.Random, base: datetime) -> datetime | None:
    """A time around ``base``, at a tenth of a second that no statement runs at for long."""
    if r.random() < 0.05:
        return None
    return base + timedelta(seconds=r.randint(-6, 8) + 0.5, days=r.choice([0, 0, 0, 0, -1, 1]))


@pytest.mark.parametrize("reactors", ["1", "2"])
def test_rows_come_and_go(reactors: str, new_laminar: Any) -> None:
    r = random.Random(int(reactors))
    server: LaminarServer = new_laminar("--reactors", reactors)
    base = datetime.now(UTC).replace(microsecond=0)
    with server.connect() as db:
        create(db)
    for step in range(8):
        with server.connect() as db:
            for number in range(step * 20, step * 20 + 20):
                at = moment(r, base + timedelta(seconds=step))
                local = at.replace(tzinfo=None) if at else None
                row = (number, at, local, at.date() if at else None, r.randint(-1, 3), at)
                db.execute("INSERT INTO t VALUES (%s, %s, %s, %s, %s, %s)", row)
            db.execute("INSERT INTO t VALUES (%s, 'infinity', '-infinity', 'infinity', 1)", (1000 + step,))
            db.execute("DELETE FROM t WHERE id %% 7 = %s", (step,))
            db.execute("UPDATE t SET v = v + 1 WHERE id %% 5 = %s", (step % 5,))
            agree(db)
            if step == 2:
                db.execute("CHECKPOINT")
        if step in (3, 5):
            server.kill()
            server.start()
    with server.connect() as db:
        agree(db)
        time.sleep(9.2)  # everything of the last seconds leaves by itself
        agree(db)
        count = "SELECT count(*) FROM laminar_catalog.epochs"
        before = db.execute(count).fetchone()
        left = "SELECT count(*) FROM t WHERE at BETWEEN now() AND now() + INTERVAL '1 hour'"
        assert db.execute(left).fetchone() == (0,)
        time.sleep(1.5)
        assert db.execute(count).fetchone() == before  # nothing is due: nobody wakes


def test_one_moment_decides(laminar: LaminarServer) -> None:
    """What is refused could turn several times as time passes."""
    with laminar.connect() as db:
        db.execute("CREATE TABLE refused (at timestamptz, local timestamp, day date)")
        for condition, hint in (
            ("at > now() - INTERVAL '1 month'", "days"),
            ("at > now() OR day IS NULL", "Compare a time"),
            ("extract(hour FROM now()) > 3", "Compare a time"),
        ):
            with pytest.raises(Exception, match="now") as caught:
                db.execute(f"CREATE MATERIALIZED VIEW x AS SELECT * FROM refused WHERE {condition}")
            assert caught.value.sqlstate == "0A000"  # type: ignore[attr-defined]
            assert hint in str(caught.value)
        db.execute("SET TimeZone = 'Europe/Berlin'")
        for condition in ("at > now() - INTERVAL '1 day'", "day = current_date", "local < localtimestamp"):
            with pytest.raises(Exception, match="clocks change"):
                db.execute(f"CREATE MATERIALIZED VIEW x AS SELECT * FROM refused WHERE {condition}")
        db.execute(
            "CREATE MATERIALIZED VIEW x AS SELECT * FROM refused WHERE at > now() - INTERVAL '24 hours'"
        )
        db.execute("DROP TABLE refused CASCADE")
