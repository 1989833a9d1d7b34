"""Look-ups by key that are answered at once: byte for byte what the ordinary way answers.

A message that arrives in two pieces is left to the connection's task, so the same bytes sent whole and in
pieces are a look-up at once and one the ordinary way.
"""

from __future__ import annotations

import socket
import struct
import time

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.harness.server import LaminarServer
from tests.pgwire import raw
from tests.pgwire.raw import RawClient


class Both(RawClient):
    """Asks everything both ways, often enough for plans to be kept."""

    def __init__(self, laminar: LaminarServer, **parameters: str) -> None:
        super().__init__(laminar.port, **{"user": "laminar", "database": "laminar"} | parameters)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, *data: bytes) -> list[tuple[str, bytes]]:
        whole = b"".join(data)
        self.send(whole[:3])
        time.sleep(0.02)
        self.send(whole[3:])
        slowly = self.until_ready()
        for _ in range(3):
            assert super().ask(whole) == slowly, whole
        return slowly


@pytest.fixture(scope="module")
def tables(shared_laminar: LaminarServer):
    with shared_laminar.connect() as connection:
        for statement in (
            "CREATE SCHEMA looked",
            "CREATE TABLE looked.small (a int2 PRIMARY KEY, note text)",
            "CREATE TABLE looked.pair (a int, b text, v numeric, at timestamptz, PRIMARY KEY (b, a))",
            "CREATE TABLE looked.named (id varchar(10) PRIMARY KEY, r regclass)",
            "INSERT INTO looked.small VALUES (1, 'one'), (-2, NULL), (32767, 'ü€')",
            "INSERT INTO looked.pair VALUES (1, 'x', 1.50, '2025-01-01 12:00+0'), (2, 'it''s', NULL, NULL)",
            "INSERT INTO looked.named VALUES ('one', 'pg_class')",
            "CREATE MATERIALIZED VIEW looked.sums AS SELECT b, count(*) AS n FROM looked.pair GROUP BY b",
            "FLUSH",
        ):
            connection.execute(statement)
        yield connection
        connection.execute("DROP SCHEMA looked CASCADE")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM looked.small WHERE a = 1",
        "SELECT note, a AS b, note AS c FROM looked.small AS s WHERE 1 = s.a;",
        "SELECT note FROM looked.small WHERE a = 3",
        "SELECT note FROM looked.small WHERE a = 32767",
        "SELECT note FROM looked.small WHERE a = 32768",
        "SELECT note FROM looked.small WHERE a = 65537",
        "SELECT note FROM looked.small WHERE a = 4294967297",
        "SELECT note FROM looked.small WHERE a = 99999999999999999999",
        "SELECT note FROM looked.small WHERE a = -2",
        "SELECT note FROM looked.small WHERE a = '1'",
        "SELECT note FROM looked.small WHERE a = ' 1 '",
        "SELECT note FROM looked.small WHERE a = '1_0'",
        "SELECT note FROM looked.small WHERE a = 'one'",
        "SELECT note FROM looked.small WHERE a = 1.0",
        "SELECT note FROM looked.small WHERE a = 1 AND a = 2",
        "SELECT note FROM looked.small WHERE a = 1 OR a = 2",
        "SELECT note FROM looked.small WHERE a = 1 AND note = 'two'",
        "SELECT note, 5 FROM looked.small WHERE a = 1",
        "SELECT note FROM looked.small WHERE a = 1 ORDER BY 1 LIMIT 0",
        "SELECT note FROM looked.small WHERE a = NULL",
        "SELECT * FROM looked.pair WHERE a = 1 AND b = 'x'",
        "SELECT * FROM looked.pair WHERE b = 'it''s' AND a = 2",
        "SELECT * FROM looked.pair WHERE a = 2 AND b = E'it\\'s'",
        "SELECT * FROM looked.pair WHERE a = 1",
        "SELECT * FROM looked.named WHERE id = 'one'",
        "SELECT id FROM looked.named WHERE id = 'one'",
        "SELECT * FROM looked.sums WHERE b = 'x'",
        "SELECT * FROM looked.sums WHERE b = 'y'",
        "SELECT 1 FROM looked.sums WHERE b = 'x'",
        "SELECT * FROM looked.missing WHERE a = 1",
        "SELECT a FROM looked.small WHERE a = 1; SELECT a FROM looked.small WHERE a = -2",
        'SELECT "a" FROM looked.small WHERE a = 1',
        "SELECT a FROM looked.small WHERE a = 1 -- 5",
        "DELETE FROM looked.small WHERE a = 77",
    ],
)
def test_simple_queries(laminar, tables, sql):
    with Both(laminar) as both:
        both.ask(raw.query(sql))


_NUMBERS = [b"1", b"-2", b"+1", b"32767", b"32768", b"99999999999999999999", b"", b" 1", b"1_0", b"x", None]
_BINARY = [struct.pack("!h", 1), struct.pack("!h", -2), b"\0\0\0\1", b"", None]


@pytest.mark.parametrize("describe", [True, False])
@pytest.mark.parametrize("results", [(), (0,), (1,), (1, 0), (0, 0, 0), (2,)])
def test_parameters(laminar, tables, describe, results):
    tail = (raw.describe(b"P") if describe else b"", raw.execute(), raw.SYNC)
    with Both(laminar) as both:
        sql = "SELECT a, note FROM looked.small WHERE a = $1"
        for formats, values in (((), _NUMBERS), ((0,), _NUMBERS), ((1,), _BINARY), ((2,), [b"1"])):
            for value in values:
                both.ask(raw.parse(sql), raw.bind((value,), formats=formats, result_formats=results), *tail)
        both.ask(raw.parse(sql), raw.bind((b"1", b"2")), *tail)
        both.ask(raw.parse(sql), raw.bind(()), *tail)
        both.ask(raw.parse(sql, oids=(20,)), raw.bind((b"70000",)), *tail)


def test_named_statements_and_text_keys(laminar, tables):
    with Both(laminar) as both:
        RawClient.ask(both, raw.parse("SELECT v, at FROM looked.pair WHERE b = $2 AND a = $1", "s"), raw.SYNC)
        for a, b in ((b"1", b"x"), (b"2", b"it's"), (b"2", b"\xff"), (b"2", b"it\0s"), (b"2", None)):
            both.ask(raw.bind((a, b), statement="s"), raw.describe(b"P"), raw.execute(), raw.SYNC)
        both.ask(raw.bind((b"1", b"x"), statement="t"), raw.execute(), raw.SYNC)
        RawClient.ask(both, raw.query("SET TimeZone = 'Asia/Tokyo'"))
        tokyo = both.ask(raw.bind((b"1", b"x"), statement="s"), raw.execute(), raw.SYNC)
        assert raw.row_values(tokyo[1][1]) == [b"1.50", b"2025-01-01 21:00:00+09"]


def test_own_writes_are_seen(laminar, tables):
    with laminar.connect() as connection:
        connection.execute("INSERT INTO looked.small VALUES (100, '0')")
        for i in range(1, 30):
            connection.execute(f"UPDATE looked.small SET note = '{i}' WHERE a = 100")
            assert connection.execute("SELECT note FROM looked.small WHERE a = 100").fetchone() == (str(i),)
            with connection.transaction():
                connection.execute("UPDATE looked.small SET note = 'own' WHERE a = 100")
                got = connection.execute("SELECT note FROM looked.small WHERE a = 100").fetchone()
                assert got == ("own",)
                raise psycopg.Rollback
        connection.execute("DELETE FROM looked.small WHERE a = 100")
        assert connection.execute("SELECT note FROM looked.small WHERE a = 100").fetchone() is None


def test_a_transaction_keeps_its_view(laminar, tables):
    ask = "SELECT note FROM looked.small WHERE a = 1"
    with laminar.connect() as reader:
        for _ in range(4):
            assert reader.execute(ask).fetchone() == ("one",)
        with reader.transaction():
            reader.execute("SELECT count(*) FROM looked.small")
            tables.execute("UPDATE looked.small SET note = 'uno' WHERE a = 1")
            tables.execute("FLUSH")
            assert reader.execute(ask).fetchone() == ("one",)
        assert reader.execute(ask).fetchone() == ("uno",)
        tables.execute("UPDATE looked.small SET note = 'one' WHERE a = 1")
        tables.execute("FLUSH")


def test_privileges_names_and_columns_may_change(laminar, tables):
    ask = "SELECT * FROM small WHERE a = 1"
    tables.execute("CREATE ROLE looker LOGIN")
    tables.execute("GRANT USAGE ON SCHEMA looked TO looker")
    tables.execute("GRANT SELECT ON looked.small TO looker")
    with psycopg.connect(laminar.dsn.replace("user=laminar", "user=looker"), autocommit=True) as looker:
        looker.execute("SET search_path = looked")
        for _ in range(4):
            assert looker.execute(ask).fetchone() == (1, "one")
        tables.execute("ALTER TABLE looked.small ADD COLUMN more int DEFAULT 7")
        assert looker.execute(ask).fetchone() == (1, "one", 7)
        tables.execute("ALTER TABLE looked.small DROP COLUMN more")
        tables.execute("REVOKE SELECT ON looked.small FROM looker")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            looker.execute(ask)
        tables.execute("GRANT SELECT ON looked.small TO looker")
        for _ in range(4):
            assert looker.execute(ask).fetchone() == (1, "one")
        looker.execute("SET search_path = public")
        with pytest.raises(psycopg.errors.UndefinedTable):
            looker.execute(ask)
    tables.execute("REVOKE ALL ON looked.small FROM looker")
    tables.execute("REVOKE ALL ON SCHEMA looked FROM looker")
    tables.execute("DROP ROLE looker")


def test_a_failed_transaction_stays_failed(laminar, tables):
    ask = raw.query("SELECT note FROM looked.small WHERE a = 1")
    with Both(laminar) as both:
        both.ask(ask)
        RawClient.ask(both, raw.query("BEGIN"))
        RawClient.ask(both, raw.query("SELECT 1 / 0"))
        assert [code for code, _ in both.ask(ask)] == ["E", "Z"]


def test_only_queries_are_looked_at(laminar, tables):
    with laminar.connect() as connection:
        for _ in range(4):
            create = "CREATE MATERIALIZED VIEW looked.first AS SELECT a FROM looked.small ORDER BY a LIMIT 1"
            connection.execute(create, prepare=False)
            assert connection.execute("TABLE looked.first", prepare=False).fetchall() == [(-2,)]
            connection.execute("DROP MATERIALIZED VIEW looked.first", prepare=False)


def test_errors_in_a_pipeline_skip_to_sync(laminar, tables):
    sql = "SELECT note FROM looked.small WHERE a = $1"
    good = raw.parse(sql) + raw.bind((b"1",)) + raw.execute() + raw.SYNC
    with RawClient(laminar.port, user="laminar", database="laminar") as client:
        for _ in range(4):
            assert client.codes(good) == "12DCZ"
        client.send(raw.parse("SELECT wrong"))
        time.sleep(0.05)
        assert client.codes(good) == "EZ"
        assert client.codes(good) == "12DCZ"


def test_two_statements_in_one_write(laminar, tables):
    sql = "SELECT note FROM looked.small WHERE a = $1"
    with RawClient(laminar.port, user="laminar", database="laminar") as client:
        one = raw.parse(sql) + raw.bind((b"1",)) + raw.execute() + raw.SYNC
        for _ in range(4):
            client.ask(one)
        client.send(one * 100 + raw.query("SELECT note FROM looked.small WHERE a = 1"))
        answers = ["".join(code for code, _ in client.until_ready()) for _ in range(101)]
        assert answers == ["12DCZ"] * 100 + ["TDCZ"]


def _answers(laminar: LaminarServer, warm: bytes, pause: float, *pieces: bytes) -> bytes:
    """What the server sends after some statements that make the shortcuts known, and a pause: when the
    client stops sending it has left."""
    with RawClient(laminar.port, user="laminar", database="laminar") as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(3):
            client.ask(warm)
        for piece in pieces:
            client.send(piece)
            time.sleep(pause)
        client.socket.shutdown(socket.SHUT_WR)
        taken = b""
        while received := client.receive():
            taken += received[0].encode() + received[1]
        return taken


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["simple", "parsed", "named"]),
    changes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=2),
    cut=st.one_of(st.just(0), st.integers(1, 40)),
)
def test_damaged_messages_are_answered_alike(laminar, tables, kind, changes, cut):
    sql = "SELECT a, note FROM looked.small WHERE a = $1"
    tail = raw.describe(b"P") + raw.execute() + raw.SYNC
    named = raw.parse(sql, "n") + raw.bind((b"1",), statement="n") + tail
    data, warm = {
        "simple": (raw.query("SELECT a, note FROM looked.small WHERE a = 1"),) * 2,
        "parsed": (raw.parse(sql) + raw.bind((b"1",)) + tail,) * 2,
        "named": (raw.bind((b"1",), statement="n") + tail, raw.close(b"S", "n") + named),
    }[kind]
    damaged = bytearray(data)
    for at, value in changes:
        damaged[at % len(damaged)] = value
    sent = bytes(damaged[: len(damaged) - cut % len(damaged)])
    for pause in (0.02, 0.2, 1.0):
        whole = _answers(laminar, warm, pause, sent)
        pieces = _answers(laminar, warm, pause, sent[:2], sent[2:])
        if whole == pieces:
            break
    assert whole == pieces
