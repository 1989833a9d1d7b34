"""INCLUDE, computed columns and rate_limit of connector sources: exact rows, whatever dies meanwhile."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.harness.server import LaminarServer

pytestmark = [pytest.mark.timeout(180)]

START = datetime(2026, 1, 1)
SIZE, DELAY = 10, 3
#: k, milliseconds since START, v
Row = tuple[int | None, int, str | None]


def milliseconds(ms: int) -> int:
    return round((START - datetime(1970, 1, 1)).total_seconds() * 1000) + ms


def wait_for(db: psycopg.Connection[Any], query: str, expected: Any) -> None:
    deadline = time.monotonic() + 30
    while (found := db.execute(query).fetchall()) != expected and time.monotonic() < deadline:
        time.sleep(0.02)
    assert found == expected


def rows_of(r: random.Random, count: int, clock: int) -> list[Row]:
    found: list[Row] = []
    for _ in range(count):
        clock += r.choice((0, 200, 1500, 4000))
        key = None if r.random() < 0.1 else r.randint(-5, 5)
        text = r.choice((None, "a", 'q"uo,te\nd é'))
        found.append((key, clock - r.choice((0, 0, 2500, 30_000)), text))
    return found


def write(path: Path, rows: list[Row]) -> list[int]:
    """A file that is there whole or not at all; where its rows are, as ``offset`` counts."""
    offsets: list[int] = []
    scratch = path.with_suffix(".tmp")
    if path.suffix == ".parquet":
        names = [("k", pa.int32()), ("ms", pa.int64()), ("v", pa.string())]
        columns = list(zip(*((k, milliseconds(ms), v) for k, ms, v in rows), strict=True))
        pq.write_table(pa.table(columns, schema=pa.schema(names)), scratch, row_group_size=7)
        offsets = list(range(len(rows)))
    else:
        data = b""
        for i, (k, ms, v) in enumerate(rows):
            data += b"\n" if i % 5 == 0 else b""
            offsets.append(len(data))
            if path.suffix == ".json":
                line = json.dumps({"k": k, "ms": milliseconds(ms), "v": v}, ensure_ascii=False)
            else:
                text = "" if v is None else '"' + v.replace('"', '""') + '"'
                line = f"{'' if k is None else k},{milliseconds(ms)},{text}"
            data += line.encode() + b"\n"
        scratch.write_bytes(data)
    scratch.rename(path)
    return offsets


class Model:
    """What views hold: rows whose computed columns fail (k = 0) or are null against NOT NULL are left out."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.watermark = float("-inf")
        self.windows: dict[int, int] = {}
        self.failed = self.null = 0

    def file(self, path: Path, rows: list[Row], offsets: list[int]) -> None:
        for (k, ms, v), offset in zip(rows, offsets, strict=True):
            if k == 0:
                self.failed += 1
                continue
            if k is None:
                self.null += 1
                continue
            at = START + timedelta(milliseconds=ms)
            self.rows.append((k, 100 // k if k > 0 else -(100 // -k), v, at, str(path), offset))
            start = ms // 1000 // SIZE * SIZE
            if self.watermark < (start + SIZE) * 1000:
                self.windows[start] = self.windows.get(start, 0) + 1
            self.watermark = max(self.watermark, ms - DELAY * 1000)

    def closed(self) -> list[tuple[Any, ...]]:
        done = sorted(s for s in self.windows if self.watermark >= (s + SIZE) * 1000)
        return [(START + timedelta(seconds=s), self.windows[s]) for s in done]


@pytest.mark.parametrize(("suffix", "reactors"), [("json", "1"), ("csv", "2"), ("parquet", "2")])
def test_columns_that_the_data_has_not(
    suffix: str, reactors: str, new_laminar: Callable[..., LaminarServer], tmp_path: Path
) -> None:
    r = random.Random(suffix)
    folder = tmp_path / "in"
    folder.mkdir()
    server = new_laminar("--reactors", reactors)
    model = Model()
    with server.connect() as db:
        db.execute(
            "CREATE SOURCE s (share int NOT NULL AS (100 / k), k int, ms bigint, v text,"
            " at timestamp AS (timestamp '1970-01-01' + ms * interval '1 millisecond'),"
            f" INCLUDE partition AS file, WATERMARK FOR at AS at - INTERVAL '{DELAY} seconds',"
            f" INCLUDE offset) WITH (connector = 'file', path = '{folder}/*.{suffix}', mode = 'watch')"
        )
        db.execute("CREATE MATERIALIZED VIEW n AS SELECT count(*) FROM s")
    windows = (
        "SELECT window_start, count(*) AS n FROM TUMBLE(s, at, INTERVAL '10 seconds')"
        " GROUP BY window_start, window_end EMIT ON WINDOW CLOSE"
    )
    for step in range(5):
        path = folder / f"{step}.{suffix}"
        rows = rows_of(r, 25, step * 30_000)
        if step == 3:
            server.kill()
        model.file(path, rows, write(path, rows))
        if step == 3:
            server.start()
        with server.connect() as db:
            wait_for(db, "SELECT * FROM n", [(len(model.rows),)])
            if step == 0:
                db.execute(f"CREATE MATERIALIZED VIEW w AS {windows}")
                db.execute('CREATE MATERIALIZED VIEW a AS SELECT k, share, v, at, file, "offset" FROM s')
            if step == 1:
                db.execute("CHECKPOINT")
            db.execute("FLUSH")
            assert sorted(db.execute("SELECT * FROM a"), key=repr) == sorted(model.rows, key=repr)
            assert db.execute("SELECT * FROM w ORDER BY 1").fetchall() == model.closed()
    with server.connect() as db:
        db.execute(f"CREATE MATERIALIZED VIEW later AS {windows}")
        assert db.execute("SELECT * FROM later ORDER BY 1").fetchall() == model.closed()
        db.execute('CREATE MATERIALIZED VIEW o AS SELECT file, "offset" FROM s')
        assert sorted(db.execute("SELECT * FROM o")) == sorted((row[4], row[5]) for row in model.rows)
    assert model.failed
    assert model.null


@pytest.fixture(scope="module")
def db(shared_laminar: LaminarServer) -> Iterator[psycopg.Connection[Any]]:
    with shared_laminar.connect() as connection:
        connection.execute("CREATE SCHEMA source_columns")
        connection.execute("SET search_path = source_columns")
        yield connection
        connection.execute("DROP SCHEMA source_columns CASCADE")


def test_failing_rows_do_not_depend_on_who_reads_them(db: psycopg.Connection[Any], tmp_path: Path) -> None:
    """A view that does not read what is malformed leaves the row out all the same, and they are counted."""
    path = tmp_path / "rows.csv"
    path.write_text("1,1,x\n2,zwei,y\n3,3\n,4,z\n5,5,w\n")
    db.execute(
        "CREATE SOURCE bad (a int NOT NULL, b int, c text, d int AS (10 / (b - 5)))"
        f" WITH (connector = 'file', path = '{path}')"
    )
    db.execute("CREATE MATERIALIZED VIEW bad_c AS SELECT c FROM bad")
    wait_for(db, "SELECT * FROM bad_c", [("x",)])
    db.execute("CREATE MATERIALIZED VIEW bad_d AS SELECT a, d FROM bad")
    assert db.execute("SELECT * FROM bad_d").fetchall() == [(1, -2)]
    dropped = "SELECT reason, rows FROM laminar_catalog.dropped_rows WHERE relation = 'bad' ORDER BY 1"
    assert db.execute(dropped).fetchall() == [("error", 1), ("malformed", 2), ("not_null", 1)]


def test_a_computed_column_that_fails_stops_a_source_that_wants_it(
    db: psycopg.Connection[Any], tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("1\n0\n")
    db.execute(
        "CREATE SOURCE strict (a int, b int AS (1 / a))"
        f" WITH (connector = 'file', path = '{path}', on_error = 'fail')"
    )
    db.execute("CREATE MATERIALIZED VIEW strict_v AS SELECT b FROM strict")
    query = "SELECT state, error FROM laminar_catalog.sources WHERE name = 'strict'"
    wait_for(db, query, [("failed", "division by zero")])


def test_generators_number_their_rows(db: psycopg.Connection[Any]) -> None:
    db.execute(
        "CREATE SOURCE g (k bigint) INCLUDE offset AS o INCLUDE partition AS p"
        " WITH (connector = 'datagen', rows = 10, splits = 3, fields.k.kind = 'sequence')"
    )
    db.execute("CREATE MATERIALIZED VIEW g_v AS SELECT k, p, o FROM g")
    expected = [(n + 1, str(n % 3), n // 3) for n in range(10)]
    wait_for(db, "SELECT * FROM g_v ORDER BY k", expected)


def test_computed_columns_beside_a_connectors_own(db: psycopg.Connection[Any]) -> None:
    db.execute(
        "CREATE SOURCE bids (dear boolean AS (price > 1000000)) INCLUDE offset AS o"
        " WITH (connector = 'nexmark', \"table\" = 'bid', events = 1000)"
    )
    db.execute(
        "CREATE MATERIALIZED VIEW dear AS SELECT dear, price > 1000000 AS p, count(*) FROM bids GROUP BY 1, 2"
    )
    found = [("dear", "boolean"), ("o", "bigint")]
    columns = db.execute(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_name = 'bids' ORDER BY ordinal_position"
    ).fetchall()
    assert columns[-2:] == found
    wait_for(db, "SELECT sum(count), bool_and(dear = p) FROM dear", [(920, True)])


def test_rate_limit(db: psycopg.Connection[Any]) -> None:
    db.execute(
        "CREATE SOURCE slow (k bigint) WITH (connector = 'datagen', rows = 300, splits = 2,"
        " rate_limit = 200, fields.k.kind = 'sequence')"
    )
    started = time.monotonic()
    db.execute("CREATE MATERIALIZED VIEW slow_v AS SELECT count(*), sum(k) FROM slow")
    wait_for(db, "SELECT * FROM slow_v", [(300, 45150)])
    assert time.monotonic() - started > 1.2


@pytest.mark.parametrize(
    ("statement", "sqlstate", "hint"),
    [
        (
            "CREATE SOURCE e (a int, INCLUDE timestamp) WITH (connector = 'datagen')",
            "0A000", "It has: offset, partition.",
        ),
        ("CREATE SOURCE e (a int, INCLUDE offset AS a) WITH (connector = 'datagen')", "42701", None),
        ("CREATE SOURCE e (a int, INCLUDE offset)", "0A000", None),
        ("CREATE SOURCE e (a int, b int AS (c + 1)) WITH (connector = 'datagen')", "42703", None),
        ("CREATE SOURCE e (a int, b int AS (a), c int AS (b)) WITH (connector = 'datagen')", "42P17", None),
        ("CREATE SOURCE e (a int, b float AS (random())) WITH (connector = 'datagen')", "42P17", None),
        (
            "CREATE SOURCE e (a int) WITH (connector = 'datagen', rate_limit = 0)",
            "22023", "The least value is 1.",
        ),
    ],
)  # fmt: skip
def test_refusals(db: psycopg.Connection[Any], statement: str, sqlstate: str, hint: str | None) -> None:
    with pytest.raises(psycopg.Error) as error:
        db.execute(statement)
    assert error.value.sqlstate == sqlstate
    if hint is not None:
        assert error.value.diag.message_hint == hint
