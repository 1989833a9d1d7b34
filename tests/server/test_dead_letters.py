"""Rows that fail: kept once each in a dead-letter table, or the view's readers are told, whatever dies."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.harness.server import LaminarServer
from tests.server.test_source_columns import wait_for

pytestmark = [pytest.mark.timeout(180)]

LETTERS = (
    "(source text, partition text, position bigint, raw text, reason text, sqlstate text,"
    " arrived_at timestamptz, laminar_diff bigint)"
)


@pytest.mark.parametrize("reactors", ["1", "2"])
def test_rows_that_a_source_cannot_read(
    reactors: str, new_laminar: Callable[..., LaminarServer], tmp_path: Path
) -> None:
    r = random.Random(int(reactors))
    folder = tmp_path / "in"
    folder.mkdir()
    server = new_laminar("--reactors", reactors)
    good: list[tuple[int, int]] = []
    bad: Counter[tuple[Any, ...]] = Counter()
    with server.connect() as db:
        db.execute(f"CREATE TABLE letters {LETTERS}")
        db.execute(
            "CREATE SOURCE s (a int NOT NULL, b int, c int AS (100 / b)) WITH (connector = 'file',"
            f" path = '{folder}/*.csv', mode = 'watch', on_error = 'dead_letter',"
            " dead_letter_table = 'letters')"
        )
        db.execute("CREATE MATERIALIZED VIEW n AS SELECT count(*)::int FROM s")
    for step in range(5):
        path = folder / f"{step}.csv"
        lines, offset = [], 0
        for _ in range(30):
            a, b = r.choice(("", "x", *map(str, range(8)))), r.choice(("0", "1", "7,8", "y"))
            line = f"{a},{b}"
            raw, reason = line, None
            if b == "7,8":
                reason, state = "expected 2 fields, found 3", "22P04"
            elif a == "x":
                reason, state = 'invalid input syntax for type integer: "x"', "22P02"
            elif not a:
                reason, state = 'null value in column "a" violates not-null constraint', "23502"
            elif b == "y":
                reason, state = 'invalid input syntax for type integer: "y"', "22P02"
            elif b == "0":
                raw, reason, state = json.dumps({"a": int(a), "b": 0}), "division by zero", "22012"
            if reason is None:
                good.append((int(a), int(b)))
            else:
                bad["s", str(path), offset, raw, reason, state, 1] += 1
            lines.append(line)
            offset += len(line) + 1
        if step == 3:
            server.kill()
        path.with_suffix(".tmp").write_text("\n".join(lines) + "\n")
        path.with_suffix(".tmp").rename(path)
        if step == 3:
            server.start()
        with server.connect() as db:
            wait_for(db, "SELECT * FROM n", [(len(good),)])
            db.execute("FLUSH")
            if step == 1:
                db.execute("CREATE MATERIALIZED VIEW v AS SELECT a, b FROM s")
                db.execute("CHECKPOINT")
            query = "SELECT source, partition, position, raw, reason, sqlstate, laminar_diff FROM letters"
            assert Counter(db.execute(query)) == bad
            if step > 0:
                assert Counter(db.execute("SELECT * FROM v")) == Counter(good)
    with server.connect() as db:
        assert db.execute("SELECT count(DISTINCT arrived_at) > 3, min(arrived_at) > '2020-01-01' FROM letters"
                          ).fetchone() == (True, True)  # fmt: skip
        with pytest.raises(psycopg.Error, match="cannot insert"):
            db.execute("INSERT INTO letters (raw) VALUES ('x')")
        db.execute("DROP SOURCE s CASCADE")
        db.execute("INSERT INTO letters (raw) VALUES ('x')")
        db.execute("DROP TABLE letters")


VIEWS = {
    "projected": "SELECT id, 100 / k AS x FROM t",
    "filtered": "SELECT id FROM t WHERE 100 / k > 30",
    "grouped": "SELECT v, sum(100 / k) FROM t GROUP BY v",
    "joined": "SELECT a.id AS a, b.id AS b FROM t a JOIN u b ON a.id = b.id AND 100 / a.k > b.w",
}


def model(name: str, rows: dict[int, tuple[int, int]], other: dict[int, int]) -> Counter[tuple[Any, ...]]:
    fine = {i: (k, v) for i, (k, v) in rows.items() if k}
    match name:
        case "projected":
            return Counter((i, int(100 / k)) for i, (k, _) in fine.items())
        case "filtered":
            return Counter((i,) for i, (k, _) in fine.items() if int(100 / k) > 30)
        case "grouped":
            groups = {v for _, v in fine.values()}
            return Counter((v, sum(int(100 / k) for k, w in fine.values() if w == v)) for v in groups)
    return Counter((i, i) for i, (k, _) in fine.items() if i in other and int(100 / k) > other[i])


@pytest.mark.parametrize("reactors", ["1", "2"])
def test_rows_that_a_view_cannot_compute(reactors: str, new_laminar: Callable[..., LaminarServer]) -> None:
    r = random.Random(int(reactors))
    server = new_laminar("--reactors", reactors)
    rows: dict[int, tuple[int, int]] = {}
    other = {i: r.randint(-50, 50) for i in range(0, 20, 2)}
    with server.connect() as db:
        db.execute("CREATE TABLE t (id int PRIMARY KEY, k int, v int)")
        db.execute("CREATE TABLE u (id int PRIMARY KEY, w int)")
        for i, w in other.items():
            db.execute("INSERT INTO u VALUES (%s, %s)", (i, w))
        for name, query in VIEWS.items():
            db.execute(f"CREATE TABLE {name}_letters {LETTERS}")
            db.execute(
                f"CREATE MATERIALIZED VIEW {name} WITH (dead_letter_table = '{name}_letters') AS {query}"
            )
            db.execute(f"CREATE MATERIALIZED VIEW {name}_fails WITH (on_error = 'fail') AS {query}")
    for step in range(6):
        with server.connect() as db:
            for _ in range(25):
                i = r.randint(0, 19)
                if i in rows and r.random() < 0.4:
                    db.execute("DELETE FROM t WHERE id = %s", (i,))
                    del rows[i]
                    continue
                rows[i] = r.choice((0, 0, 1, 3, -2)), r.randint(1, 3)
                db.execute(
                    "INSERT INTO t VALUES (%s, %s, %s) ON CONFLICT (id) DO UPDATE"
                    " SET k = excluded.k, v = excluded.v",
                    (i, *rows[i]),
                )
            if step == 1:
                db.execute("CHECKPOINT")
        if step in (2, 4):
            server.kill()
            server.start()
        with server.connect() as db:
            if step == 5:
                db.execute("DELETE FROM t WHERE k = 0")
                rows = {i: row for i, row in rows.items() if row[0]}
            db.execute("FLUSH")
            for name in VIEWS:
                expected = model(name, rows, other)
                assert Counter(db.execute(f"SELECT * FROM {name}")) == expected
                failing = sorted(
                    i for i, (k, _) in rows.items() if not k and (name != "joined" or i in other)
                )
                found = db.execute(
                    f"SELECT source, reason, sqlstate, sum(laminar_diff)::int FROM {name}_letters"
                    " GROUP BY 1, 2, 3 HAVING sum(laminar_diff) <> 0"
                ).fetchall()
                assert found == [(name, "division by zero", "22012", len(failing))] * bool(failing)
                if name == "filtered":
                    ids = db.execute(
                        "SELECT (raw::jsonb ->> 'id')::int FROM filtered_letters"
                        " GROUP BY 1 HAVING sum(laminar_diff) = 1 ORDER BY 1"
                    ).fetchall()
                    assert [i for (i,) in ids] == failing
                if failing:
                    with pytest.raises(psycopg.errors.DivisionByZero):
                        db.execute(f"SELECT * FROM {name}_fails")
                else:
                    assert Counter(db.execute(f"SELECT * FROM {name}_fails")) == expected


@pytest.fixture(scope="module")
def db(shared_laminar: LaminarServer) -> Iterator[psycopg.Connection[Any]]:
    with shared_laminar.connect() as connection:
        connection.execute("CREATE SCHEMA dead_letters")
        connection.execute("SET search_path = dead_letters")
        connection.execute("CREATE TABLE plain (a int)")
        connection.execute("CREATE TABLE ok (raw text)")
        connection.execute("CREATE TABLE keyed (raw text PRIMARY KEY)")
        connection.execute("CREATE TABLE unknown (raw text, why text)")
        connection.execute("CREATE TABLE mistyped (raw int)")
        yield connection
        connection.execute("DROP SCHEMA dead_letters CASCADE")


@pytest.mark.parametrize(
    ("options", "sqlstate"),
    [
        ("dead_letter_table = 'nowhere'", "42P01"),
        ("dead_letter_table = 'keyed'", "0A000"),
        ("dead_letter_table = 'unknown'", "42703"),
        ("dead_letter_table = 'mistyped'", "42804"),
        ("on_error = 'dead_letter'", "22023"),
        ("on_error = 'explode'", "22023"),
        ("dead_leter_table = 'ok'", "22023"),
    ],
)
def test_refusals(db: psycopg.Connection[Any], options: str, sqlstate: str) -> None:
    for statement in (
        f"CREATE MATERIALIZED VIEW v WITH ({options}) AS SELECT 1 / a FROM plain",
        f"CREATE SOURCE s (a int) WITH (connector = 'datagen', rows = 1, {options})",
    ):
        with pytest.raises(psycopg.Error) as error:
            db.execute(statement)
        assert error.value.sqlstate == sqlstate


def test_deletions_need_a_column(db: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="laminar_diff"):
        db.execute("CREATE MATERIALIZED VIEW v WITH (dead_letter_table = ok) AS SELECT 1 / a FROM plain")
