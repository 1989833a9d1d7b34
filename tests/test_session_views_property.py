"""First rows, window functions and aggregates of whole groups over sessions, against a Python model.

Rows come late and are deleted, which can leave sessions that are past already; what the sessions hold
has been judged by then, and counts.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tests.harness.server import LaminarServer
from tests.test_emit_property import (
    DELAY,
    EMITS,
    GAP,
    INFINITY,
    SESSION,
    Row,
    SessionModel,
    apply,
    draw,
    instant,
)

SOURCE = f"SESSION(s, ts, {SESSION.arguments} PARTITION BY k)"
BOUNDS = "k, window_start, window_end"
#: per kind of view: its query, and the rows of one session's values in order
QUERIES: dict[str, tuple[str, Callable[[list[int]], Iterator[tuple[Any, ...]]]]] = {
    "first": (
        f"SELECT {BOUNDS}, v, n FROM (SELECT *, row_number() OVER (PARTITION BY {BOUNDS} ORDER BY v) AS n"
        f" FROM {SOURCE}) AS x WHERE n <= 2",
        lambda values: ((v, n) for n, v in enumerate(values[:2], 1)),
    ),
    "over": (
        f"SELECT {BOUNDS}, v, count(*) OVER (PARTITION BY {BOUNDS} ORDER BY v) AS n FROM {SOURCE}",
        lambda values: ((v, sum(other <= v for other in values)) for v in values),
    ),
    "whole": (
        f"SELECT {BOUNDS}, array_agg(v ORDER BY v) AS v, count(DISTINCT v) AS n FROM {SOURCE}"
        f" GROUP BY {BOUNDS}",
        lambda values: iter([(values, len(set(values)))]),
    ),
    "different": (
        f"SELECT {BOUNDS}, count(DISTINCT v) AS v, count(*) AS n FROM {SOURCE} GROUP BY {BOUNDS}",
        lambda values: iter([(len(set(values)), len(values))]),
    ),
    "above": (
        f"SELECT {BOUNDS}, c AS v, n FROM (SELECT *, row_number() OVER (PARTITION BY k, window_end) AS n FROM"
        f" (SELECT {BOUNDS}, count(*) AS c FROM {SOURCE} GROUP BY {BOUNDS}) AS g) AS x WHERE n <= 1",
        lambda values: iter([(len(values), 1)]),
    ),
}


def expected(model: SessionModel, query: str, watermark: float) -> list[tuple[Any, ...]]:
    found = []
    for key, sessions in model.sessions.items():
        for session in sessions:
            start, end = min(session)[0], max(session)[0] + GAP
            if model.appears(end, watermark):
                values = sorted(value for _, value in session)
                found += [(key, instant(start), instant(end), *r) for r in QUERIES[query][1](values)]
    return sorted(found, key=str)


@pytest.mark.parametrize("reactors", ["1", "2"])
def test_views_of_sessions(reactors: str, new_laminar: Any) -> None:
    r = random.Random(int(reactors))
    server: LaminarServer = new_laminar("--reactors", reactors)
    models: dict[str, tuple[str, SessionModel]] = {}
    with server.connect() as db:
        db.execute(
            "CREATE TABLE s (k text, ts timestamp, v int, id bigint PRIMARY KEY,"
            f" WATERMARK FOR ts AS ts - INTERVAL '{DELAY} seconds')"
        )
        for emit, clause, mode, lateness in EMITS:
            for query, (select, _) in QUERIES.items():
                if mode == "every" or (query == "above" and emit == "wl"):
                    continue
                db.execute(f"CREATE MATERIALIZED VIEW {query}_{emit} AS {select} {clause}")
                models[f"{query}_{emit}"] = query, SessionModel(SESSION, mode, lateness)
    watermark, clock, number = -INFINITY, 0, 0
    present: dict[int, Row] = {}
    for step in range(40):
        rows = [(k, s if s is not None and abs(s) != INFINITY else clock, v) for k, s, v in draw(r, clock)]
        clock += r.choice([0, 1, 2, 5])
        gone = r.sample(sorted(present)[-12:], min(len(present), 3))
        numbered: list[tuple[int, Row]] = list(enumerate(rows, number))
        number += len(rows)
        with server.connect() as db:
            apply(db, numbered, gone)
            for _, model in models.values():
                model.change(list(rows), 1, watermark)
                model.change([present[n] for n in gone], -1, watermark)
            for n in gone:
                del present[n]
            present |= dict(numbered)
            watermark = max([watermark, *((second or 0) - DELAY for _, second, _ in rows)])
            for view, (query, model) in models.items():
                select = f"SELECT k, window_start::text, window_end::text, v, n FROM {view}"
                found = sorted(db.execute(select), key=str)
                assert found == expected(model, query, watermark), (step, view, watermark)
            if step == 10:
                db.execute("CHECKPOINT")
        if step in (15, 25):
            server.kill()
            server.start()
    assert all(m.late for _, m in models.values() if m.lateness is not None)


def test_sessions_of_several_keys_in_one_group(laminar: LaminarServer) -> None:
    """Of deletions a session can be left that ended before others of that time have been forgotten."""
    with laminar.connect() as db:
        db.execute("DROP SCHEMA IF EXISTS sess CASCADE")
        db.execute("CREATE SCHEMA sess")
        db.execute("SET search_path = sess")
        db.execute("CREATE TABLE s (id int PRIMARY KEY, k text, ts timestamp, v int, WATERMARK FOR ts)")
        for query in (
            f"SELECT window_end, count(*) FROM {SOURCE} GROUP BY window_end",
            "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY window_end ORDER BY v) AS n"
            f" FROM {SOURCE}) AS x WHERE n <= 2",
            f"SELECT k, rank() OVER (PARTITION BY window_end ORDER BY v) FROM {SOURCE}",
        ):
            db.execute(f"CREATE MATERIALIZED VIEW u AS {query}")
            with pytest.raises(psycopg.errors.FeatureNotSupported, match="several keys"):
                db.execute(f"CREATE MATERIALIZED VIEW w AS {query} EMIT ON WINDOW CLOSE")
            db.execute("DROP MATERIALIZED VIEW u")
        db.execute("DROP SCHEMA sess CASCADE")
