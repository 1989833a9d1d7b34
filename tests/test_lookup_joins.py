"""Joins with lookup tables on a real PostgreSQL, which changes, hangs and dies meanwhile.

What a row was given is seen in the view itself: the model is told by the view's first answer, and holds the
view to that for as long as the row is there.
"""

from __future__ import annotations

import random
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.harness import postgres
from tests.harness.processes import stop
from tests.harness.server import LaminarServer

pytestmark = pytest.mark.timeout(240)


class Outside:
    """A PostgreSQL of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server, self.process = postgres.start(folder)

    @property
    def options(self) -> str:
        where = f"host = '127.0.0.1', port = '{self.server.port}', user = 'postgres', dbname = 'postgres'"
        return f"connector = 'postgres', {where}"

    def kill(self) -> None:
        stop(self.process, signal.SIGINT, seconds=20)

    def revive(self) -> None:
        self.server, self.process = postgres.serve(self.folder, self.server.port)

    def run(self, *statements: str) -> None:
        with self.server.connect() as connection:
            for statement in statements:
                connection.execute(statement)


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    folder = Path(tempfile.mkdtemp(prefix="laminar-lookup-"))
    folder.chmod(0o755)
    found = Outside(folder)
    yield found
    found.kill()


def lookup(connection: Any, outside: Outside, name: str, columns: str, **options: str) -> None:
    extra = "".join(f", \"{key.replace('_', '.')}\" = '{value}'" for key, value in options.items())
    connection.execute(
        f"CREATE LOOKUP TABLE {name} ({columns}) WITH ({outside.options}, table = '{name}'{extra})"
    )


def rows(connection: Any, query: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = connection.execute(query).fetchall()
    return sorted(found, key=repr)


def test_kinds_of_joins(outside: Outside, new_laminar: Callable[..., LaminarServer]) -> None:
    """Inner, left, semi and anti joins, with further conditions, in streams, one behind the other."""
    outside.run(
        "DROP TABLE IF EXISTS d, e",
        "CREATE TABLE d (k int PRIMARY KEY, name text, price numeric(10,2), part int)",
        "CREATE TABLE e (a text, b int, label text, PRIMARY KEY (a, b))",
        "INSERT INTO d SELECT i, 'n' || i, i * 1.5, i % 3 FROM generate_series(1, 50) i",
        "INSERT INTO e SELECT 'n' || i, i % 3, 'e' || i FROM generate_series(1, 40) i",
    )
    queries = {
        "inner_": "SELECT t.id, d.name, d.price FROM t JOIN d ON t.k = d.k",
        "left_": "SELECT t.id, d.name, d.price FROM t LEFT JOIN d ON t.k = d.k",
        "where_": "SELECT t.id, d.name FROM t, d WHERE d.k = t.k AND d.price > t.v",
        "residual_": "SELECT t.id, d.name FROM t LEFT JOIN d ON t.k = d.k AND d.price > t.v AND d.part < 2",
        "right_": "SELECT t.id, d.name FROM d RIGHT JOIN t ON t.k = d.k",
        "semi_": "SELECT id FROM t WHERE EXISTS (SELECT FROM d WHERE d.k = t.k AND d.part = 1)",
        "anti_": "SELECT id FROM t WHERE NOT EXISTS (SELECT FROM d WHERE d.k = t.k)",
        "in_": "SELECT id FROM t WHERE k IN (SELECT k FROM d WHERE part <> 0)",
        "computed_": "SELECT t.id, d.name || '!' AS n FROM t JOIN d ON t.k % 10 = d.k",
        "grouped_": "SELECT d.part, count(*), sum(t.v) FROM t JOIN d ON t.k = d.k GROUP BY d.part",
        "two_": "SELECT t.id, d.name, e.label FROM t JOIN d ON t.k = d.k"
        " LEFT JOIN e ON e.a = d.name AND e.b = d.part",
        "twice_": "SELECT t.id, x.name AS x, y.name AS y FROM t JOIN d x ON t.k = x.k"
        " LEFT JOIN d y ON t.v = y.k",
    }
    server = new_laminar("--reactors", "2")
    r = random.Random(5)
    with server.connect() as c, outside.server.connect() as pg:
        lookup(c, outside, "d", "k bigint, name text, price numeric, part int, PRIMARY KEY (k)")
        lookup(c, outside, "e", "a text, b int, label text, PRIMARY KEY (a, b)", cache_ttl="0s")
        for connection in (c, pg):
            connection.execute("DROP TABLE IF EXISTS t")
            connection.execute("CREATE TABLE t (id int PRIMARY KEY, k int, v int)")
        for name, query in queries.items():
            c.execute(f"CREATE MATERIALIZED VIEW {name} AS {query}")
        c.execute("CREATE STREAM st AS SELECT t.id, d.name FROM t JOIN d ON t.k = d.k")
        c.execute("CREATE MATERIALIZED VIEW from_stream AS SELECT name, count(*) AS n FROM st GROUP BY name")
        queries["from_stream"] = "SELECT d.name, count(*) AS n FROM t JOIN d ON t.k = d.k GROUP BY d.name"
        for turn in range(5):
            statements = []
            for _ in range(20):
                key = r.randint(1, 60)
                k, v = (r.choice(["NULL", str(r.randint(1, 60))]) for _ in range(2))
                statements.append(
                    r.choice(
                        [
                            f"INSERT INTO t VALUES ({key}, {k}, {v}) ON CONFLICT (id) DO UPDATE SET k = {k}",
                            f"UPDATE t SET v = {v} WHERE id = {key}",
                            f"DELETE FROM t WHERE id = {key}",
                        ]
                    )
                )
            for connection in (c, pg):
                with connection.transaction():
                    for statement in statements:
                        connection.execute(statement)
            if turn % 2:
                c.execute("FLUSH")  # else the session reads what comes of its own writes
            for name, query in queries.items():
                assert rows(c, f"SELECT * FROM {name}") == rows(pg, query), name
        # data first, then the view
        for name, query in list(queries.items())[-4:]:
            c.execute(f"CREATE MATERIALIZED VIEW late_{name} AS {query}")
            assert rows(c, f"SELECT * FROM late_{name}") == rows(pg, query), name


class World:
    """Random rows of ``t`` in Laminar, and of ``d`` outside, whose names count the versions of each key."""

    def __init__(self, seed: int, ttl: float) -> None:
        self.random = random.Random(seed)
        self.ttl = ttl
        #: id -> key, value, when it was written
        self.table: dict[int, tuple[int, int, float]] = {}
        #: key -> (when, version or None) of each change, the first before everything
        self.versions: dict[int, list[tuple[float, int | None]]] = {k: [(0.0, None)] for k in range(12)}
        #: id -> the row it was, and the version that it was given
        self.given: dict[int, tuple[tuple[int, int, float], int | None]] = {}

    def change_outside(self, connection: Any) -> None:
        for _ in range(4):
            key = self.random.randrange(12)
            version: int | None = len(self.versions[key])
            if self.random.random() < 0.3:
                version = None
                connection.execute("DELETE FROM d WHERE k = %s", (key,))
            else:
                connection.execute(
                    "INSERT INTO d VALUES (%s, %s) ON CONFLICT (k) DO UPDATE SET version = EXCLUDED.version",
                    (key, version),
                )
            self.versions[key].append((time.monotonic(), version))

    def change(self, connection: Any) -> None:
        with connection.transaction():
            for _ in range(self.random.randint(1, 8)):
                row = self.random.randrange(30)
                if row in self.table and self.random.random() < 0.5:
                    connection.execute("DELETE FROM t WHERE id = %s", (row,))
                    del self.table[row]
                    continue
                key, value = self.random.randrange(12), self.random.randrange(3)
                connection.execute(
                    "INSERT INTO t VALUES (%s, %s, %s)"
                    " ON CONFLICT (id) DO UPDATE SET k = EXCLUDED.k, v = EXCLUDED.v",
                    (row, key, value),
                )
                if row not in self.table or self.table[row][:2] != (key, value):
                    self.table[row] = (key, value, time.monotonic())

    def check(self, found: list[tuple[int, int, int, int | None]]) -> None:
        """The view's rows: what they were given before they have still, others could have been given that."""
        assert {(i, k, v) for i, k, v, _ in found} == {(i, k, v) for i, (k, v, _) in self.table.items()}
        given = {}
        for row, key, _, version in found:
            known = self.given.get(row)
            if known is not None and known[0] == self.table[row]:
                assert version == known[1], (row, known)
            else:
                written = self.table[row][2] - self.ttl - 0.5 * (self.ttl > 0)
                again = known is not None and known[0][:2] == self.table[row][:2]
                if again and known is not None and version == known[1]:
                    given[row] = (self.table[row], version)  # taken out and put back in one epoch
                    continue
                possible = [v for i, (_, v) in enumerate(self.versions[key]) if self._held(key, i) >= written]
                assert version in possible, (row, key, version, possible)
            given[row] = (self.table[row], version)
        self.given = given

    def _held(self, key: int, place: int) -> float:
        """When a version was replaced."""
        following = self.versions[key][place + 1 :]
        return following[0][0] if following else time.monotonic()


@pytest.mark.parametrize(("reactors", "ttl"), [("1", 0.0), ("2", 0.3)])
def test_what_rows_were_given_stays(
    reactors: str, ttl: float, outside: Outside, new_laminar: Callable[..., LaminarServer]
) -> None:
    """Right rows change, their server dies, Laminar is killed; deletions take back what was given."""
    outside.run("DROP TABLE IF EXISTS d", "CREATE TABLE d (k int PRIMARY KEY, version int)")
    world = World(int(reactors), ttl)
    server = new_laminar("--reactors", reactors)
    c = server.connect()
    c.execute("CREATE TABLE t (id int PRIMARY KEY, k int, v int)")
    lookup(c, outside, "d", "k int, version int, PRIMARY KEY (k)", cache_ttl=f"{ttl}s", cache_size="5")
    c.execute(
        "CREATE MATERIALIZED VIEW joined AS SELECT t.id, t.k, t.v, d.version FROM t LEFT JOIN d ON t.k = d.k"
    )
    c.execute("CREATE MATERIALIZED VIEW sums AS SELECT version, count(*) AS n FROM joined GROUP BY version")
    c.execute("CREATE MATERIALIZED VIEW others AS SELECT count(*) AS n FROM t")
    failing = "SELECT error IS NOT NULL FROM laminar_catalog.sources WHERE name = 'd' AND state = 'failed'"
    for turn in range(12):
        down = turn % 6 == 3
        if down:
            outside.kill()
        else:
            with outside.server.connect() as connection:
                world.change_outside(connection)
        world.change(c)
        if turn == 3 and not ttl:  # something is asked for certain
            while c.execute(failing).fetchone() != (True,):
                time.sleep(0.05)
        # what does not look things up goes on
        assert c.execute("SELECT n FROM others").fetchone() == (len(world.table),)
        if turn % 10 == 4:
            c.execute("CHECKPOINT")
        if turn % 7 == 3:
            server.kill()
            server.start()
            c = server.connect()
            world.change(c)
        if down:
            outside.revive()
        c.execute("FLUSH")
        world.check(c.execute("SELECT * FROM joined").fetchall())  # type: ignore[arg-type]
        counts = "SELECT version, count(*) FROM joined GROUP BY version"
        assert rows(c, "SELECT * FROM sums") == rows(c, counts)
    c.execute("DELETE FROM t")
    c.execute("FLUSH")
    assert rows(c, "SELECT * FROM joined") == rows(c, "SELECT * FROM sums") == []
    c.close()


def test_statements_about_lookup_tables(outside: Outside, new_laminar: Callable[..., LaminarServer]) -> None:
    outside.run("DROP TABLE IF EXISTS d", "CREATE TABLE d (k int PRIMARY KEY, n numeric(8,2), f float8)")
    server = new_laminar()
    with server.connect() as c:
        for columns, options, state in (
            ("k int, n numeric", "", "0A000"),  # no key
            ("k int, x text, PRIMARY KEY (k)", "", "42703"),
            ("k smallint, PRIMARY KEY (k)", "", "42804"),
            ("k int, n numeric(5,1), PRIMARY KEY (k)", "", "42804"),
            ("f float8, PRIMARY KEY (f)", "", "0A000"),
            ("k int, n numeric DEFAULT 1, PRIMARY KEY (k)", "", "0A000"),
            ("k int, PRIMARY KEY (k)", ", \"cache.ttl\" = 'soon'", "22023"),
            ("k int, PRIMARY KEY (k)", ", colour = 'red'", "22023"),
        ):
            with pytest.raises(psycopg.Error) as caught:
                c.execute(f"CREATE LOOKUP TABLE w ({columns}) WITH ({outside.options}, table = 'd'{options})")
            assert caught.value.diag.sqlstate == state, columns
        lookup(c, outside, "d", "k bigint, n numeric(8,2), PRIMARY KEY (k)", password="hidden one")
        c.execute("CREATE TABLE t (id int PRIMARY KEY, k int)")
        c.execute("CREATE MATERIALIZED VIEW v AS SELECT t.id, d.n FROM t LEFT JOIN d ON t.k = d.k")
        assert c.execute("SHOW LOOKUP TABLES").fetchall() == [("public", "d", "laminar")]
        kind = "SELECT relkind, obj_description(oid, 'pg_class') FROM pg_class WHERE relname = 'd'"
        assert c.execute(kind).fetchone() == ("f", "lookup table, connector postgres")
        for query in ("SELECT * FROM d", "SELECT * FROM t JOIN d ON t.k = d.k"):
            with pytest.raises(psycopg.errors.FeatureNotSupported, match="cannot be queried"):
                c.execute(query)
        with pytest.raises(psycopg.Error) as caught:
            c.execute("DROP LOOKUP TABLE d")
        assert caught.value.diag.sqlstate == "2BP01"
        c.execute("CREATE ROLE other LOGIN")
        c.execute("GRANT CREATE ON SCHEMA public TO other")
        c.execute("GRANT SELECT ON t TO other")
        with server.connect(user="other") as o:
            view = "CREATE MATERIALIZED VIEW o AS SELECT t.id, d.n FROM t JOIN d ON t.k = d.k"
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                o.execute(view)
            c.execute("GRANT SELECT ON d TO other")
            o.execute(view)
            text = o.execute("SHOW CREATE LOOKUP TABLE d").fetchone()
            assert text is not None
            assert "hidden one" not in str(text)
            assert "CREATE LOOKUP TABLE d" in str(text)
        server.restart()
    with server.connect() as c:
        outside.run("INSERT INTO d VALUES (1, 2.5)")
        c.execute("INSERT INTO t VALUES (1, 1), (2, 2), (3, NULL)")
        assert rows(c, "SELECT id, n::text FROM v") == [(1, "2.50"), (2, None), (3, None)]
        c.execute("DROP LOOKUP TABLE d CASCADE")
        assert c.execute("SELECT count(*) FROM pg_class WHERE relname IN ('d', 'v', 'o')").fetchone() == (0,)


@pytest.mark.parametrize("reactors", ["1", "2"])
def test_windows_wait_for_what_waits(
    reactors: str, outside: Outside, new_laminar: Callable[..., LaminarServer]
) -> None:
    """Rows that wait hold the watermark, through a crash too: their windows close with them, none is late."""
    outside.run("DROP TABLE IF EXISTS d", "CREATE TABLE d (k int PRIMARY KEY, name text)")
    outside.run("INSERT INTO d SELECT i, 'n' || i % 2 FROM generate_series(1, 9) i")
    server = new_laminar("--reactors", reactors)
    c = server.connect()
    c.execute("CREATE SOURCE s (k int, at timestamp, WATERMARK FOR at)")
    lookup(c, outside, "d", "k int, name text, PRIMARY KEY (k)", cache_ttl="1h")
    c.execute(
        "CREATE MATERIALIZED VIEW closed AS SELECT window_start AS w, d.name, count(*) AS n"
        " FROM TUMBLE(s, at, INTERVAL '1 minute') JOIN d USING (k) GROUP BY 1, 2 EMIT ON WINDOW CLOSE"
    )
    c.execute("INSERT INTO s VALUES (1, '2026-01-01 00:00:10'), (2, '2026-01-01 00:00:20')")
    c.execute("FLUSH")
    outside.kill()
    for second in (30, 50):  # 1 and 2 are known, 3 and 4 wait
        values = ", ".join(f"({k}, '2026-01-01 00:00:{second}')" for k in range(1, 5))
        c.execute(f"INSERT INTO s VALUES {values}")
    c.execute("INSERT INTO s VALUES (1, '2026-01-01 00:02:00')")
    c.execute("CHECKPOINT")
    c.execute("SET read_your_writes = off")  # which would wait
    assert c.execute("SELECT * FROM closed").fetchall() == [] or reactors == "2"
    server.kill()
    server.start()
    outside.revive()
    c = server.connect()
    c.execute("FLUSH")
    c.execute("FLUSH")
    assert rows(c, "SELECT w::text, name, n FROM closed") == [
        ("2026-01-01 00:00:00", f"n{i}", 5) for i in (0, 1)
    ]
    lost = "SELECT count(*) FROM laminar_catalog.dropped_rows WHERE relation = 'closed' AND rows > 0"
    assert c.execute(lost).fetchone() == (0,)
    c.close()
