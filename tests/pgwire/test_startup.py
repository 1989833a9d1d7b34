"""The first packets, versions, cancellation keys, log-in."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from laminar.errors import PgError
from laminar.pgwire.constants import Limits
from laminar.pgwire.startup import parse_options
from laminar.security.scram import make_verifier

from .conftest import Running, run_server
from .raw import SYNC, RawClient, error_fields, message, query, startup


def parameter_statuses(greeting: list[tuple[str, bytes]]) -> dict[str, str]:
    return {b.split(b"\0")[0].decode(): b.split(b"\0")[1].decode() for code, b in greeting if code == "S"}


def test_greeting(running: Running) -> None:
    with RawClient(running.port, application_name="me") as client:
        codes = "".join(code for code, _ in client.greeting)
        assert codes == "R" + "S" * 13 + "KZ"
        assert parameter_statuses(client.greeting)["application_name"] == "me"
        key = next(body for code, body in client.greeting if code == "K")
        assert len(key) == 8
        assert client.greeting[-1] == ("Z", b"I")


def test_encryption_requests_are_declined_and_start_up_goes_on(running: Running) -> None:
    with RawClient(running.port, log_in=False) as client:
        client.send(struct.pack("!ii", 8, 80877104))
        assert client.socket.recv(1) == b"N"
        client.send(struct.pack("!ii", 8, 80877103))
        assert client.socket.recv(1) == b"N"
        assert client.ask(startup())[-1] == ("Z", b"I")


def test_protocol_3_2_has_a_long_key_and_newer_versions_are_negotiated(running: Running) -> None:
    with RawClient(running.port, log_in=False) as client:
        answer = client.ask(startup(version=3 << 16 | 2))
        assert "v" not in [code for code, _ in answer]
        assert len(next(body for code, body in answer if code == "K")) == 36
    with RawClient(running.port, log_in=False) as client:
        answer = client.ask(startup(version=3 << 16 | 9999, **{"_pq_.shiny": "1"}))
        assert answer[0] == ("v", struct.pack("!ii", 3 << 16 | 2, 1) + b"_pq_.shiny\0")
        assert answer[-1] == ("Z", b"I")


@pytest.mark.parametrize(
    ("packet", "sqlstate", "text"),
    [
        (struct.pack("!i", 4), "08P01", "invalid length of startup packet"),
        (struct.pack("!i", 2**31 - 1), "08P01", "invalid length of startup packet"),
        (b"GET / HTTP/1.1\r\n\r\n", "08P01", "invalid length of startup packet"),
        (struct.pack("!ii", 8, 2 << 16), "0A000", "unsupported frontend protocol 2.0"),
        (struct.pack("!ii", 9, 3 << 16) + b"\0", "28000", "no PostgreSQL user name"),
        (struct.pack("!ii", 13, 3 << 16) + b"user\0", "08P01", "invalid startup packet layout"),
        (struct.pack("!ii", 16, 3 << 16) + b"user\0a\0\0", None, ""),
        (struct.pack("!ii", 16, 3 << 16) + b"user\0a\0x", "08P01", "invalid startup packet layout"),
        (struct.pack("!ii", 16, 3 << 16) + b"user\0\xff\0\0", "22021", "invalid byte sequence"),
        (startup(database="nowhere"), "3D000", 'database "nowhere" does not exist'),
        (startup(replication="database"), "0A000", "replication"),
        (startup(options="-z"), "42601", "invalid command-line argument"),
    ],
)
def test_bad_start(running: Running, packet: bytes, sqlstate: str | None, text: str) -> None:
    with RawClient(running.port, log_in=False) as client:
        answer = client.ask(packet)
        if sqlstate is None:
            assert answer[-1][0] == "Z"
            return
        code, body = answer[-1]
        fields = error_fields(body)
        assert code == "E" and fields["S"] == fields["V"] == "FATAL"
        assert fields["C"] == sqlstate and text in fields["M"]
        assert client.at_end()


def test_options_become_settings(running: Running) -> None:
    with RawClient(
        running.port, options=r"-c DateStyle=German\ style --TimeZone=Asia/Tokyo -ca.b=c"
    ) as client:
        assert parameter_statuses(client.greeting)["DateStyle"] == "German style"
        assert parameter_statuses(client.greeting)["TimeZone"] == "Asia/Tokyo"
        assert running.db.sessions[0].settings["a.b"] == "c"
    assert parse_options("") == {}
    with pytest.raises(PgError):
        parse_options("-c work_mem")


def test_user_is_the_default_database(running: Running) -> None:
    body = b"user\0nowhere\0\0"
    with RawClient(running.port, log_in=False) as client:
        answer = client.ask(struct.pack("!ii", len(body) + 8, 3 << 16) + body)
        assert error_fields(answer[-1][1])["C"] == "3D000"


@pytest.fixture
def impatient() -> Iterator[Running]:
    yield from run_server(Limits(authentication_timeout=0.2))


def test_slow_start_is_cut_off(impatient: Running) -> None:
    with RawClient(impatient.port, log_in=False) as client:
        client.send(startup()[:6])
        assert client.at_end()


def test_cancel_by_key(running: Running) -> None:
    with RawClient(running.port) as client:
        process_id, key = struct.unpack("!ii", next(body for code, body in client.greeting if code == "K"))
        done: list[list[tuple[str, bytes]]] = []
        thread = threading.Thread(target=lambda: done.append(client.ask(query("SLEEP"))))
        thread.start()
        while "SLEEP" not in running.db.log:
            time.sleep(0.01)
        for wrong in (key ^ 1, key):
            assert not done
            with socket.create_connection(("127.0.0.1", running.port)) as other:
                other.sendall(struct.pack("!iiii", 16, 80877102, process_id, wrong))
                assert other.recv(1) == b""
        thread.join()
        code, body = done[0][0]
        assert code == "E" and error_fields(body)["C"] == "57014"
        assert client.codes(query("SELECT 1")) == "TDCZ"


def test_psycopg_cancel(running: Running) -> None:
    with psycopg.connect(running.dsn, autocommit=True) as connection:
        timer = threading.Timer(0.2, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("ENDLESS").fetchall()
        timer.join()


def scram(running: Running) -> None:
    running.db.auth = "scram"
    running.db.verifiers["test"] = make_verifier("sécret ①")


def test_scram(running: Running) -> None:
    scram(running)
    with psycopg.connect(running.dsn, password="sécret 1") as connection:  # SASLprep makes ① a 1
        assert connection.execute("SELECT 1").fetchone() == (1,)
    messages = set()
    for user, password in [("test", "wrong"), ("nobody", "sécret 1")]:
        with pytest.raises(psycopg.OperationalError) as caught:
            psycopg.connect(running.dsn, user=user, password=password)
        messages.add(str(caught.value).split("FATAL")[1].replace(user, "X").strip())
    assert messages == {':  password authentication failed for user "X"'}


def test_reject(running: Running) -> None:
    running.db.auth = "reject"
    with RawClient(running.port) as client:
        fields = error_fields(client.greeting[-1][1])
        assert fields["C"] == "28000" and "no pg_hba.conf entry" in fields["M"]


@pytest.mark.parametrize(
    "answer",
    [
        query("SELECT 1"),
        SYNC,
        message(b"p", b"SCRAM-SHA-256\0"),
        message(b"p", b"MD5\0\xff\xff\xff\xff"),
        message(b"p", b"SCRAM-SHA-256\0\0\0\0\7n,,n=,r"),
        message(b"p", b"SCRAM-SHA-256-PLUS\0\0\0\0\x0bn,,n=,r=abc"),
        message(b"p", b"SCRAM-SHA-256\0\0\0\0\x21p=tls-server-end-point,,n=,r=abcdef"),
        message(b"p", b"x" * 100_000),
    ],
)
def test_scram_takes_nothing_else(running: Running, answer: bytes) -> None:
    scram(running)
    with RawClient(running.port, log_in=False) as client:
        client.send(startup())
        assert client.receive() == ("R", b"\0\0\0\nSCRAM-SHA-256\0\0")
        code, body = client.ask(answer)[-1]
        assert code == "E" and error_fields(body)["C"] == "08P01"
        assert client.at_end()
