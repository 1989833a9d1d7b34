"""FORMAT UPSERT: views hold the last row of every key, whatever the order of reading and whatever dies."""

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


class Files:
    """Random rows in files, and what a source makes of them."""

    def __init__(self, folder: Path, suffix: str, seed: str) -> None:
        self.folder, self.suffix, self.random = folder, suffix, random.Random(seed)
        self.rows: dict[tuple[str, int], dict[str, Any]] = {}

    def write(self, name: str, count: int) -> None:
        r = self.random
        lines = []
        for number in range(count):
            row = {
                "a": r.randint(1, 4),
                "b": r.choice("xy"),
                "v": r.choice((None, "p", "q")),
                "n": r.choice((None, r.randint(-3, 3))),
                "gone": r.choice((None, False, False, True)),
            }
            self.rows[name, number] = row
            cells = ["" if v is None else str(v).lower() for v in row.values()]
            lines.append(json.dumps(row) if self.suffix == "json" else ",".join(cells))
        scratch = self.folder / f"{name}.tmp"
        scratch.write_text("".join(line + "\n" for line in lines))
        scratch.rename(self.folder / f"{name}.{self.suffix}")

    def last(self) -> list[tuple[Any, ...]]:
        found: dict[tuple[Any, ...], dict[str, Any]] = {}
        for place in sorted(self.rows):
            row = self.rows[place]
            found[row["a"], row["b"]] = row
        return sorted((r["a"], r["b"], r["v"], r["n"]) for r in found.values() if not r["gone"])

    def groups(self) -> Counter[tuple[Any, ...]]:
        counts: dict[Any, list[int]] = {}
        for _, _, v, n in self.last():
            total = counts.setdefault(v, [0, 0])
            total[0] += 1
            total[1] += n or 0
        return Counter((v, c, s) for v, (c, s) in counts.items())


@pytest.mark.parametrize(("suffix", "reactors"), [("json", "2"), ("csv", "1")])
def test_the_last_row_of_every_key(
    suffix: str, reactors: str, new_laminar: Callable[..., LaminarServer], tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    files = Files(folder, suffix, suffix)
    server = new_laminar("--reactors", reactors)
    rows = "SELECT a, b, v, n FROM s"
    groups = "SELECT v, count(*)::int AS c, coalesce(sum(n), 0)::int AS s FROM s GROUP BY v"
    with server.connect() as db:
        db.execute(
            "CREATE SOURCE s (a int, b text, v text, n int, gone boolean, PRIMARY KEY (a, b), INCLUDE offset)"
            f" WITH (connector = 'file', path = '{folder}/*.{suffix}', mode = 'watch',"
            f" upsert.deleted = 'gone') FORMAT UPSERT ENCODE {suffix.upper()}"
        )
        db.execute("CREATE MATERIALIZED VIEW read AS SELECT count(*) FROM s")
        db.execute(f"CREATE MATERIALIZED VIEW g AS {groups}")
    # names in no order: what is in an earlier file comes too late to matter
    for step, name in enumerate(["c", "a", "e", "b", "f", "d"]):
        if step == 3:
            server.kill()
        files.write(name, 12)
        if step == 3:
            server.start()
        with server.connect() as db:
            query = "SELECT rows_read::int FROM laminar_catalog.sources WHERE name = 's'"
            wait_for(db, query, [(len(files.rows),)])
            db.execute("FLUSH")
            if step == 1:
                db.execute(f"CREATE MATERIALIZED VIEW w AS {rows}")
                db.execute("CHECKPOINT")
            assert Counter(db.execute("SELECT * FROM g")) == files.groups()
            assert db.execute("SELECT * FROM read").fetchall() == [(len(files.last()),)]
            if step > 0:
                assert sorted(db.execute("SELECT * FROM w"), key=repr) == sorted(files.last(), key=repr)
    with server.connect() as db:
        db.execute(f"CREATE MATERIALIZED VIEW later AS {rows}")
        assert sorted(db.execute("SELECT * FROM later"), key=repr) == sorted(files.last(), key=repr)


@pytest.fixture(scope="module")
def db(shared_laminar: LaminarServer) -> Iterator[psycopg.Connection[Any]]:
    with shared_laminar.connect() as connection:
        connection.execute("CREATE SCHEMA upsert_sources")
        connection.execute("SET search_path = upsert_sources")
        yield connection
        connection.execute("DROP SCHEMA upsert_sources CASCADE")


def test_windows_follow_replaced_rows(db: psycopg.Connection[Any], tmp_path: Path) -> None:
    """A row that is replaced leaves its window, until the window is closed."""
    path = tmp_path / "rows.csv"
    path.write_text("1,2026-01-01 00:00:01\n2,2026-01-01 00:00:02\n1,2026-01-01 00:00:12\n")
    db.execute(
        "CREATE SOURCE e (k int PRIMARY KEY, ts timestamp, WATERMARK FOR ts)"
        f" WITH (connector = 'file', path = '{path}') FORMAT UPSERT ENCODE CSV"
    )
    db.execute(
        "CREATE MATERIALIZED VIEW e_w AS SELECT extract(second FROM window_start)::int AS s, count(*), min(k)"
        " FROM TUMBLE(e, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end EMIT ON WINDOW CLOSE"
    )
    wait_for(db, "SELECT * FROM e_w ORDER BY 1", [(0, 1, 2), (10, 1, 1)])


def test_generators_can_be_upserts(db: psycopg.Connection[Any]) -> None:
    """The later row is the one of the greater partition, then of the greater number."""
    db.execute(
        "CREATE SOURCE g (k int PRIMARY KEY, v bigint, key3 int AS (k % 3)) WITH (connector = 'datagen',"
        " rows = 5000, splits = 2, fields.k.min = 0, fields.k.max = 20, fields.v.kind = 'sequence')"
        " FORMAT UPSERT"
    )
    db.execute("CREATE MATERIALIZED VIEW g_v AS SELECT k, v, key3 FROM g")
    db.execute(
        "CREATE SOURCE p (k int, v bigint) WITH (connector = 'datagen', rows = 5000, splits = 2,"
        " fields.k.min = 0, fields.k.max = 20, fields.v.kind = 'sequence')"
    )
    db.execute(
        "CREATE MATERIALIZED VIEW p_v AS SELECT k, max(v) AS v, k % 3 FROM p WHERE v % 2 = 0 GROUP BY k"
    )
    wait_for(db, "SELECT max(v) FROM p_v", [(5000,)])
    wait_for(db, "SELECT max(v) FROM g_v", [(5000,)])
    db.execute("FLUSH")
    assert sorted(db.execute("SELECT * FROM g_v")) == sorted(db.execute("SELECT * FROM p_v"))


@pytest.mark.parametrize(
    ("declared", "options", "clause", "sqlstate"),
    [
        ("a int PRIMARY KEY", "", "", "22023"),
        ("a int", "", "FORMAT UPSERT", "22023"),
        ("a int", "", "FORMAT PLAIN ENCODE JSON", "22023"),
        ("a int", ", upsert.deleted = 'a'", "", "22023"),
        ("a int PRIMARY KEY", ", upsert.deleted = 'b'", "FORMAT UPSERT", "42703"),
        ("a int PRIMARY KEY", ", upsert.deleted = 'a'", "FORMAT UPSERT", "42804"),
    ],
)
def test_refusals(
    db: psycopg.Connection[Any], declared: str, options: str, clause: str, sqlstate: str
) -> None:
    with pytest.raises(psycopg.Error) as error:
        db.execute(f"CREATE SOURCE x ({declared}) WITH (connector = 'datagen'{options}) {clause}")
    assert error.value.sqlstate == sqlstate
