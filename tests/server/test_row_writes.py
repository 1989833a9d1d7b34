"""Writes of one row that are accepted as they arrive: what the ordinary way does, alone and among others.

A message that arrives in two pieces is left to the connection's task, so that two equal schemas, one written
to with whole messages and one with pieces, hold the same and get the same answers.
"""

from __future__ import annotations

import itertools
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.harness.server import LaminarServer
from tests.pgwire import raw
from tests.pgwire.raw import RawClient

_TABLES = (
    "CREATE TABLE plain (k int8 PRIMARY KEY, v int DEFAULT 5 CHECK (v < 100), n numeric(6,2),"
    " t varchar(4) NOT NULL)",
    "CREATE TABLE pair (a text, b int2, d date, s double precision, PRIMARY KEY (b, a))",
    "CREATE TABLE keyless (x int, y text)",
    "CREATE TABLE marked (id uuid PRIMARY KEY, v int, u int UNIQUE)",
    "CREATE MATERIALIZED VIEW sums AS SELECT v, count(*) AS n, sum(n) AS s FROM plain GROUP BY v",
)
#: statements with the parameters that they are prepared with
_PREPARED = (
    ("INSERT INTO plain VALUES ($1, $2, $3, $4)", 4),
    ("INSERT INTO plain (k, t) VALUES ($1, 'new')", 1),
    ("UPDATE plain SET v = v + $2 WHERE k = $1", 2),
    ("UPDATE plain SET n = $2, t = t || 'x' WHERE k = $1 AND v < 50", 2),
    ("UPDATE plain SET t = NULL WHERE k = $1", 1),
    ("UPDATE plain SET k = $2 WHERE k = $1", 2),
    ("DELETE FROM plain WHERE k = $1", 1),
    ("INSERT INTO pair VALUES ($1, $2, $3, $4)", 4),
    ("UPDATE pair SET d = d + 1, s = $3 / 2 WHERE a = $1 AND b = $2", 3),
    ("DELETE FROM pair WHERE b = $1 AND a = $2 AND s > 0", 2),
    ("INSERT INTO keyless VALUES ($1, $2)", 2),
    ("DELETE FROM keyless WHERE x = $1", 1),
    ("INSERT INTO marked VALUES ($1, $2, $3)", 3),
)  # fmt: skip
_VALUES = (
    None, b"0", b"1", b"2", b"-3", b"1.5", b"99", b"100", b"a", b"abcde", b"2024-02-29", b"99999999999",
    b"00000000-0000-0000-0000-000000000001",
)  # fmt: skip
_SIMPLE = (
    "INSERT INTO plain VALUES (1, 2, 3, 'a')",
    "INSERT INTO plain VALUES (2, 2, 3.5, 'it''s')",
    "INSERT INTO plain VALUES (1, 200, 3, 'a')",
    "INSERT INTO plain VALUES (3000000000, 2, 12345, 'a')",
    "INSERT INTO plain (t, k) VALUES ('abcdef', 4)",
    "UPDATE plain SET v = 1 / v WHERE k = 2",
    "UPDATE plain SET v = 7, t = 'u' WHERE k = 1",
    "UPDATE plain SET v = -1 WHERE k = 2 AND t = 'a'",
    "DELETE FROM plain WHERE k = 1",
    "DELETE FROM plain WHERE k = '2'",
    "INSERT INTO pair VALUES ('a', 1, '2024-01-01', 0.5)",
    "DELETE FROM pair WHERE a = 'a' AND b = 1",
    "INSERT INTO keyless VALUES (1, 'x')",
    "BEGIN; UPDATE plain SET v = v + 1 WHERE k = 1; ROLLBACK",
)
_STATEMENTS = st.one_of(
    st.sampled_from(_SIMPLE),
    st.sampled_from(_PREPARED).flatmap(
        lambda s: st.tuples(st.just(s[0]), st.tuples(*[st.sampled_from(_VALUES)] * s[1]))
    ),
)


@pytest.fixture(scope="module")
def schemas(shared_laminar: LaminarServer):
    with shared_laminar.connect() as connection:
        for name in ("whole", "pieces"):
            connection.execute(f"CREATE SCHEMA {name}")
            connection.execute(f"SET search_path = {name}")
            for statement in _TABLES:
                connection.execute(statement)
        yield connection
        connection.execute("DROP SCHEMA whole, pieces CASCADE")


class Client(RawClient):
    """Sends everything whole or in pieces, in a schema."""

    def __init__(self, server: LaminarServer, schema: str) -> None:
        super().__init__(server.port, user="laminar", database="laminar", options=f"-c search_path={schema}")
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._schema = schema

    def run(self, statement: str | tuple[str, tuple[bytes | None, ...]]) -> list[tuple[str, bytes]]:
        """The answer, without what tells the schemas apart."""
        if isinstance(statement, str):
            data = raw.query(statement)
        else:
            data = raw.parse(statement[0]) + raw.bind(statement[1]) + raw.execute() + raw.SYNC
        if self._schema == "pieces":
            self.send(data[:3])
            time.sleep(0.002)
            data = data[3:]
        return [(code, body.replace(self._schema.encode(), b"")) for code, body in self.ask(data)]


def contents(connection: psycopg.Connection, schema: str) -> list[list[tuple]]:
    connection.execute("FLUSH")
    names = ("plain", "pair", "keyless", "marked", "sums")
    return [sorted(connection.execute(f"SELECT * FROM {schema}.{n}").fetchall(), key=repr) for n in names]


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(statements=st.lists(_STATEMENTS, min_size=10, max_size=40))
def test_as_the_ordinary_way(shared_laminar, schemas, statements):
    with Client(shared_laminar, "whole") as whole, Client(shared_laminar, "pieces") as pieces:
        for statement in statements:
            for _ in range(2):  # plans are kept from the second time on
                assert whole.run(statement) == pieces.run(statement), statement
    assert contents(schemas, "whole") == contents(schemas, "pieces")


def test_messages_behind_a_write_wait_for_it(shared_laminar, schemas):
    """Pipelined statements are answered in order, each seeing those before it."""
    schemas.execute("INSERT INTO whole.plain VALUES (500, 0, 0, 'p')")
    with Client(shared_laminar, "whole") as client:
        update = raw.query("UPDATE plain SET v = v + 1 WHERE k = 500")
        for _ in range(3):
            client.ask(update)
        client.send(update * 20 + raw.query("SELECT v FROM plain WHERE k = 500"))
        for _ in range(20):
            assert [code for code, _ in client.until_ready()] == ["C", "Z"]
        assert raw.row_values(client.until_ready()[1][1]) == [b"23"]
        client.send(update, raw.TERMINATE)
        assert client.receive() == ("C", b"UPDATE 1\0")
    schemas.execute("DELETE FROM whole.plain WHERE k = 500")


def test_writers_of_every_kind_on_few_rows(shared_laminar, schemas):
    """No increment is lost between statements accepted at once, ordinary ones and blocks."""
    schemas.execute("INSERT INTO whole.pair SELECT 'w', g, NULL, 0 FROM generate_series(1, 3) AS g")
    done = itertools.count()
    statements = (
        ("UPDATE whole.pair SET s = s + 1 WHERE a = 'w' AND b = %s", True),
        ("UPDATE whole.pair SET s = s + 1 WHERE a = 'w' AND b = %s RETURNING s", True),
        ("UPDATE whole.pair SET s = s + 1 WHERE a = 'w' AND b = %s", False),
    )

    def work(number: int) -> None:
        with shared_laminar.connect() as connection:
            for i in range(20):
                statement, alone = statements[(number + i // 7) % 3]
                if alone:
                    assert connection.execute(statement, (i % 3 + 1,)).rowcount == 1
                    next(done)
                    continue
                try:
                    with connection.transaction():
                        connection.execute(statement, (i % 3 + 1,))
                    next(done)
                except psycopg.errors.SerializationFailure:
                    pass

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    schemas.execute("FLUSH")
    assert schemas.execute("SELECT sum(s) FROM whole.pair WHERE a = 'w'").fetchall() == [(next(done),)]
    schemas.execute("DELETE FROM whole.pair")


def test_a_row_that_a_block_has_locked_is_waited_for(shared_laminar, schemas):
    schemas.execute("INSERT INTO whole.plain VALUES (600, 0, 0, 'p')")
    update = "UPDATE whole.plain SET v = v + 1 WHERE k = %s"
    with shared_laminar.connect() as block, shared_laminar.connect() as other, ThreadPoolExecutor(1) as pool:
        for _ in range(3):
            other.execute(update, (600,))
        with block.transaction():
            block.execute(update, (600,))
            waiting = pool.submit(other.execute, update, (600,))
            time.sleep(0.3)
            assert not waiting.done()
        assert waiting.result().rowcount == 1
        with block.transaction():
            block.execute("LOCK TABLE whole.plain IN SHARE MODE")
            waiting = pool.submit(other.execute, "INSERT INTO whole.plain (k, t) VALUES (%s, 'q')", (601,))
            time.sleep(0.3)
            assert not waiting.done()
        assert waiting.result().rowcount == 1
        other.execute("FLUSH")
        assert other.execute("SELECT v FROM whole.plain WHERE k = 600").fetchall() == [(5,)]
        other.execute("DELETE FROM whole.plain WHERE k >= 600")


@pytest.mark.parametrize("checkpoint", [True, False])
def test_what_was_acknowledged_survives_a_kill(new_laminar, checkpoint):
    server = new_laminar("--reactors", "1")
    with server.connect() as connection:
        connection.execute("CREATE TABLE counted (k int PRIMARY KEY, n int)")
        connection.execute("INSERT INTO counted SELECT g, 0 FROM generate_series(0, 3) AS g")
        connection.execute("CREATE TABLE added (writer int, i int, PRIMARY KEY (writer, i))")
        connection.execute("CREATE MATERIALIZED VIEW total AS SELECT sum(n) AS n FROM counted")
    told = [[0, 0] for _ in range(4)]

    def write(number: int) -> None:
        try:
            with server.connect() as connection:
                for i in itertools.count(1):
                    connection.execute("INSERT INTO added VALUES (%s, %s)", (number, i))
                    told[number][0] = i
                    connection.execute("UPDATE counted SET n = n + 1 WHERE k = %s", (i % 4,))
                    told[number][1] = i
        except psycopg.OperationalError:
            pass

    writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for writer in writers:
        writer.start()
    while min(i for i, _ in told) < 20:
        time.sleep(0.05)
    if checkpoint:
        with server.connect() as connection:
            connection.execute("CHECKPOINT")
    time.sleep(0.2)
    server.kill()
    for writer in writers:
        writer.join()
    server.start()
    with server.connect() as connection:
        rows = dict(
            connection.execute("SELECT writer, count(*) FROM added WHERE i > 0 GROUP BY 1").fetchall()
        )
        for number, (inserted, _) in enumerate(told):
            assert inserted <= rows[number] <= inserted + 1
        (n,) = connection.execute("SELECT sum(n) FROM counted").fetchone()
        assert sum(u for _, u in told) <= n <= sum(u + 1 for _, u in told)
        assert connection.execute("SELECT n FROM total").fetchall() == [(n,)]
