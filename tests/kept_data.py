"""Makes the data directory that later versions must open: tests/data/kept-VERSION.tar.xz.

    python -m tests.kept_data

Views of every kind over tables and push sources with a few rows, a sink, a checkpoint, and rows in the
log behind it. ``queries.json`` in it: what each view that always equals its query was made of.
"""

from __future__ import annotations

import json
import tarfile
import tempfile
from pathlib import Path

from laminar import __version__
from tests.harness.server import LaminarServer
from tests.soak.views import PLAIN, TABLES, TIMED
from tests.soak.workload import execute

FOLDER = Path(__file__).parent / "data"
#: views of every kind that the soak has none of, and a sink
MORE = """
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE TABLE kept (k int PRIMARY KEY, v bigint);
CREATE SINK copied INTO kept AS SELECT k, sum(v) AS v FROM heap WHERE k IS NOT NULL GROUP BY k;
CREATE FUNCTION twice(x int) RETURNS int LANGUAGE sql AS 'SELECT x * 2';
"""
QUERIES = {
    "spread": "SELECT h.k, g FROM heap h, generate_series(1, h.v) g WHERE h.v < 4",
    "colours": "SELECT k, 'red'::colour AS c, ARRAY[k, v] AS a, twice(k) AS w FROM heap",
    "constants": "SELECT 1 AS a, 1.50 AS b, 'x' AS c, NULL::date AS d",
    "latest": "SELECT u.id, v.c FROM u LEFT JOIN sums v ON v.k = u.k",
}
#: depends on the clock
LEFT_OUT = {"recent"}


def rows(first: int) -> str:
    """Statements that put rows with numbers from ``first`` on into every table."""
    t = [
        f"({i}, {i % 5 if i % 7 else 'NULL'}, 's{i % 3}', {i * 37 % 11}, {i % 4}.25,"
        f" timestamp '2026-01-01' + INTERVAL '{i} seconds')"
        for i in range(first, first + 40)
    ]
    u = [
        f"({i}, {i % 6}, {i * 5 % 13}, timestamp '2026-01-01' + INTERVAL '{i} seconds')"
        for i in range(first, first + 30)
    ]
    heap = [f"({i % 4}, {i % 6})" for i in range(first, first + 30)]
    events = [
        f"({i % 3}, {i % 8}, timestamp '2026-01-01' + INTERVAL '{i * 1.5 - i % 4} seconds')"
        for i in range(first, first + 40)
    ]
    return "; ".join(
        f"INSERT INTO {table} VALUES {', '.join(values)}"
        for table, values in (("t", t), ("u", u), ("heap", heap), ("e", events), ("f", events))
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        server = LaminarServer(folder, "--reactors", "1").start()
        queries = {name: q for name, q in (PLAIN | QUERIES).items() if name not in LEFT_OUT}
        with server.connect() as db:
            execute(db, TABLES)
            execute(db, MORE)
            for name, query in (queries | TIMED).items():
                db.execute(f"CREATE MATERIALIZED VIEW {name} AS {query}")  # type: ignore[call-overload]
            execute(db, rows(0))
            execute(db, "DELETE FROM t WHERE id % 9 = 0; UPDATE heap SET v = 7 WHERE v = 3")
            db.execute("CHECKPOINT")
            execute(db, rows(1000))
            execute(db, "DELETE FROM u WHERE id % 9 = 0; UPDATE t SET s = 'new' WHERE id % 8 = 0")
        server.kill()
        (folder / "data" / "queries.json").write_text(json.dumps(queries))
        FOLDER.mkdir(exist_ok=True)
        target = FOLDER / f"kept-{__version__}.tar.xz"
        with tarfile.open(target, "w:xz") as archive:
            archive.add(folder / "data", "data")
        print(target, target.stat().st_size)


if __name__ == "__main__":
    main()
