"""Hostile bytes, slow and vanishing clients, limits, shutdown."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laminar import types as t
from laminar.errors import PgError
from laminar.pgwire import messages as m
from laminar.pgwire.constants import Limits
from laminar.types import PgType

from .conftest import Running, run_server
from .raw import SYNC, TERMINATE, RawClient, bind, error_fields, execute, message, parse, query, startup


def eventually(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("never happened")


@pytest.mark.parametrize(
    ("garbage", "text"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "invalid frontend message type 71"),
        (b"Q\0\0\0\0", "invalid message length"),
        (b"Q\xff\xff\xff\xff", "invalid message length"),
        (b"Q\x7f\xff\xff\xff", "invalid message length"),
        (b"E\0\1\0\0", "invalid message length"),
        (b"S\0\0\0\3", "invalid message length"),
        (b"p\0\0\0\4", "invalid frontend message type 112"),
    ],
)
def test_garbage_ends_its_connection_only(running: Running, garbage: bytes, text: str) -> None:
    with RawClient(running.port) as other, RawClient(running.port) as client:
        fields = error_fields(client.ask(garbage)[-1][1])
        assert (fields["S"], fields["C"], fields["M"]) == ("FATAL", "08P01", text)
        assert client.at_end()
        assert other.codes(query("SELECT 1")) == "TDCZ"
    eventually(lambda: all(session.closed for session in running.db.sessions))


@pytest.fixture
def small() -> Iterator[Running]:
    yield from run_server(
        Limits(
            max_message=100_000, read_buffer=10_000, write_buffer=10_000, max_statements=5, max_connections=3
        )
    )


def test_messages_longer_than_allowed_are_refused_before_they_are_read(small: Running) -> None:
    with RawClient(small.port) as client:
        assert client.codes(query("SELECT '" + "x" * 90_000 + "'")) == "TDCZ"
        client.send(b"Q" + struct.pack("!i", 100_001))
        assert error_fields(client.until_ready()[-1][1])["M"] == "invalid message length"


def test_statements_are_limited(small: Running) -> None:
    with RawClient(small.port) as client:
        for i in range(5):
            assert client.codes(parse("SELECT 1", f"s{i}"), SYNC) == "1Z"
        answer = client.ask(parse("SELECT 1", "s6"), SYNC)
        assert error_fields(answer[0][1])["C"] == "53400"


def test_connections_are_limited(small: Running) -> None:
    clients = [RawClient(small.port, log_in=i > 0) for i in range(3)]
    with pytest.raises(psycopg.OperationalError, match="sorry, too many clients already"):
        psycopg.connect(small.dsn)
    for client in clients:
        client.close()
    eventually(lambda: small.server.connections == 0)
    with RawClient(small.port) as client:
        assert client.codes(query("SELECT 1")) == "TDCZ"


def test_a_pipeline_longer_than_the_buffers_goes_through(small: Running) -> None:
    one = parse("SELECT $1::text") + bind((b"x" * 1000,)) + execute()
    with RawClient(small.port) as client:
        client.socket.setblocking(False)
        sent, received, count = 0, b"", 300
        data = one * count + SYNC
        while not received.endswith(b"Z\0\0\0\5I"):  # send and receive as the sockets allow
            with contextlib.suppress(BlockingIOError):
                sent += client.socket.send(data[sent:]) if sent < len(data) else 0
            try:
                received += client.socket.recv(1 << 16)
            except BlockingIOError:
                time.sleep(0.001)
        assert received.count(b"SELECT 1\0") == count


def test_encoding_waits_for_a_client_that_does_not_read(running: Running) -> None:
    with RawClient(running.port) as client:
        client.send(query("ENDLESS"))
        (wire,) = list(running.server._wires)
        eventually(lambda: wire._writing_paused)
        time.sleep(0.3)
        held = wire._transport.get_write_buffer_size() + wire._output_size
        assert held < 2_000_000
    eventually(lambda: running.db.sessions[0].closed)


@pytest.mark.parametrize("messages", [(query("TRICKLE"),), (parse("TRICKLE"), bind(), execute(), SYNC)])
def test_rows_leave_while_the_result_goes_on(running: Running, messages: tuple[bytes, ...]) -> None:
    with RawClient(running.port) as client:
        client.send(*messages)
        codes = ""
        while not codes.endswith("D"):
            received = client.receive()
            assert received is not None
            codes += received[0]
        running.loop.call_soon_threadsafe(running.db.sessions[0].cancel)
        assert [code for code, _ in client.until_ready()] == ["E", "Z"]


def test_a_vanished_client_cancels_its_statement(running: Running) -> None:
    client = RawClient(running.port)
    client.send(query("SLEEP"))
    eventually(lambda: "SLEEP" in running.db.log)
    client.socket.shutdown(socket.SHUT_RDWR)
    client.socket.close()
    eventually(lambda: running.db.sessions[0].closed and running.server.connections == 0)


def test_terminate_closes(running: Running) -> None:
    with RawClient(running.port) as client:
        client.send(TERMINATE)
        assert client.at_end()
    assert running.db.sessions[0].closed


def test_shutdown_says_so(running: Running) -> None:
    with RawClient(running.port) as idle, RawClient(running.port) as busy:
        busy.send(query("SLEEP"))
        eventually(lambda: "SLEEP" in running.db.log)
        running.call(running.server.close(5.0))
        for client in (idle, busy):
            fields = error_fields(client.until_ready()[-1][1])
            assert (fields["S"], fields["C"]) == ("FATAL", "57P01")
        with pytest.raises(ConnectionRefusedError):
            RawClient(running.port)


def test_shutdown_does_not_wait_for_clients_that_do_not_read(running: Running) -> None:
    with RawClient(running.port) as client:
        client.send(query("ENDLESS"))
        (wire,) = list(running.server._wires)
        eventually(lambda: wire._writing_paused)
        running.call(running.server.close(5.0))
        assert running.db.sessions[0].closed
        eventually(lambda: wire.closed)


def test_a_row_of_copy_without_end_is_refused(small: Running) -> None:
    small.db.add("t", {"a": PgType(t.TEXT)})
    with RawClient(small.port) as client:
        client.send(query("COPY t FROM STDIN"))
        answer = client.ask(*[message(b"d", b"x" * 50_000)] * 5, message(b"c"))
        code, body = answer[1]
        assert code == "E"
        assert error_fields(body)["C"] == "54000"


def test_the_session_may_end_the_connection_and_speak_at_any_time(running: Running) -> None:
    with RawClient(running.port) as client:
        session = running.db.sessions[0].client
        running.loop.call_soon_threadsafe(session.notify, 7, "channel", "payload")
        assert client.receive() == ("A", b"\0\0\0\7channel\0payload\0")
        error = PgError("57P05", "terminating connection due to idle-session timeout")
        running.loop.call_soon_threadsafe(session.terminate, error)
        assert error_fields(client.until_ready()[-1][1])["C"] == "57P05"


@pytest.fixture(scope="module")
def shared() -> Iterator[Running]:
    yield from run_server(Limits(authentication_timeout=5))


SENSIBLE = st.sampled_from(
    [
        parse("SELECT $1::int4"), bind((b"1",)), execute(), SYNC, query("SELECT 1"), parse("COUNT 3", "n"),
        bind(statement="n", portal="p"), execute("p", 1), message(b"c"), message(b"d", b"1\t2\n"),
        message(b"f", b"\0"),
    ]
)  # fmt: skip
MESSAGES = st.lists(
    SENSIBLE
    | st.binary(max_size=30)
    | st.builds(
        message, st.sampled_from([bytes((code,)) for code in b"BCdcfDEHFPQSp?"]), st.binary(max_size=30)
    ),
    max_size=8,
)


@settings(max_examples=150, deadline=None)
@given(MESSAGES, st.booleans())
def test_no_input_hurts_the_server(shared: Running, messages: list[bytes], logged_in: bool) -> None:
    with RawClient(shared.port, log_in=False) as client:
        client.send(startup() if logged_in else b"", *messages)
        client.socket.shutdown(socket.SHUT_WR)
        while True:
            try:
                if client.receive() is None:
                    break
            except ConnectionResetError:
                break
    with RawClient(shared.port) as other:
        assert other.codes(query("SELECT 1")) == "TDCZ"


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=64),
    st.lists(st.sampled_from(["string", "int16", "int32", "value", "count", "byte", "end"])),
)
def test_message_bodies_give_values_or_violations(data: bytes, steps: list[str]) -> None:
    body = m.Body(data)
    for step in steps:
        try:
            getattr(body, step)()
        except PgError as error:
            assert error.sqlstate in ("08P01", "22021")
        assert body.position <= len(data)
