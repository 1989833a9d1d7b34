"""Bytes at random, and messages that are nearly right: nothing crashes, hangs or grows the server.

``LAMINAR_FUZZ=5000`` runs that many examples of each test instead of a few.
"""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from laminar import types as t
from laminar._native.copyparse import CopyParser, gather
from laminar._native.textio import FormatSettings
from laminar.errors import PgError
from laminar.pgwire.backend import CopyOptions
from laminar.pgwire.constants import Limits
from laminar.types import PgType

from .conftest import Running, run_server
from .raw import RawClient, bind, close, describe, execute, message, parse, query, startup

EXAMPLES = int(os.environ.get("LAMINAR_FUZZ", "60"))
bounded = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
#: kB that the process may grow by while a test runs
_GROWTH = 200_000

NAMES = st.sampled_from(["", "a", "b", "ü", "x" * 100])
STATEMENTS = st.sampled_from(
    [
        "", ";", "SELECT 1", "SELECT $1::int4, $2::text", "BEGIN", "COMMIT", "ROLLBACK", "ERROR 22012 no",
        "NOTICE hello", "COUNT 3", "TABLE sink", "COPY sink FROM", "COPY sink TO", "SELECT 1; SELECT 2",
        "SET DateStyle = x", "no statement",
    ]
)  # fmt: skip
VALUES = st.lists(st.one_of(st.none(), st.binary(max_size=9), st.just(b"1")), max_size=3).map(tuple)
FORMATS = st.lists(st.integers(-1, 2), max_size=3).map(tuple)
MESSAGES = st.one_of(
    st.builds(parse, STATEMENTS, NAMES, st.lists(st.sampled_from([0, 20, 25, 99]), max_size=2).map(tuple)),
    st.builds(
        lambda v, p, s, f, r: bind(v, portal=p, statement=s, formats=f, result_formats=r),
        VALUES, NAMES, NAMES, FORMATS, FORMATS,
    ),
    st.builds(execute, NAMES, st.integers(-3, 3)),
    st.builds(describe, st.sampled_from([b"S", b"P", b"?"]), NAMES),
    st.builds(close, st.sampled_from([b"S", b"P", b"?"]), NAMES),
    st.builds(query, STATEMENTS),
    st.sampled_from([message(b"S"), message(b"H"), message(b"c"), message(b"f", b"no\0")]),
    st.just(message(b"d", b"1\tx\n")),
    st.builds(message, st.sampled_from([bytes([code]) for code in b"BCDEFHPQScdf"]), st.binary(max_size=60)),
)  # fmt: skip


def mutated(data: bytes, changes: list[tuple[int, int]], cut: int | None) -> bytes:
    """The bytes with some of them changed, and perhaps without an end."""
    found = bytearray(data)
    for at, value in changes:
        if found:
            found[at % len(found)] = value
    return bytes(found[: cut if cut is None else cut % (len(found) + 1)])


HOSTILE = st.builds(
    mutated,
    st.lists(MESSAGES, min_size=1, max_size=8).map(b"".join),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=3),
    st.one_of(st.none(), st.none(), st.integers(0, 2000)),
)


def _growth_allowed() -> Iterator[None]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < _GROWTH


@pytest.fixture(autouse=True)
def nothing_grows() -> Iterator[None]:
    yield from _growth_allowed()


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    for running in run_server(Limits(max_message=100_000, authentication_timeout=5, max_statements=20)):
        running.db.add("sink", {"a": PgType(t.INT4), "b": PgType(t.TEXT)})
        yield running


def everything(client: RawClient) -> bytes:
    """What the server sends until it closes: after the client has stopped sending it must."""
    client.socket.shutdown(socket.SHUT_WR)
    client.socket.settimeout(10)
    taken = bytearray()
    try:
        while data := client.socket.recv(65536):
            taken += data
    except ConnectionResetError:
        pass
    return bytes(taken)


def whole_messages(data: bytes) -> bool:
    """Whether the server's output is messages and nothing else."""
    at = 0
    while at + 5 <= len(data):
        at += 1 + int.from_bytes(data[at + 1 : at + 5], "big")
    return at == len(data)


@bounded
@given(HOSTILE, st.integers(0, 400))
def test_messages(server: Running, data: bytes, pause: int) -> None:
    """A session survives anything, or ends; others do not notice."""
    with RawClient(server.port) as client:
        client.send(data[:pause])
        client.send(data[pause:])
        assert whole_messages(everything(client))
    with RawClient(server.port) as other:
        assert other.codes(query("SELECT 1")) == "TDCZ"


@bounded
@given(
    st.one_of(
        st.binary(max_size=200),
        st.builds(
            mutated,
            st.just(startup(options="-c a=b", application_name="fuzz")),
            st.lists(st.tuples(st.integers(0, 100), st.integers(0, 255)), max_size=4),
            st.one_of(st.none(), st.integers(0, 200)),
        ),
    )
)
def test_startup(server: Running, data: bytes) -> None:
    with RawClient(server.port, log_in=False) as client:
        client.send(data)
        everything(client)
    with RawClient(server.port) as other:
        assert other.codes(query("SELECT 1")) == "TDCZ"


TYPES = [
    t.BOOL, t.INT2, t.INT4, t.INT8, t.FLOAT4, t.FLOAT8, t.NUMERIC, t.TEXT, t.BYTEA, t.DATE, t.TIME,
    t.TIMESTAMP, t.TIMESTAMPTZ, t.INTERVAL, t.UUID, t.JSON, t.JSONB, t.ARRAY_OF[t.INT4], t.ARRAY_OF[t.TEXT],
]  # fmt: skip
TEXTS = st.lists(
    st.sampled_from(
        [
            "1", "-", "2025-01-01", "12:00", "NaN", "infinity", "{1,2}", '{"a":1}', "\\N", "\\", "\\.",
            "\\x41", "\t", ",", "\n", "\r", "\r\n", '"', '""', "\0", "ü", "\\101", "9" * 40,
            "{{", "}", "P1Y", " ",
        ]
    ),
    max_size=25,
).map("".join)  # fmt: skip
FIELD = st.one_of(st.just(-1), st.integers(-3, 40), st.just(2**31 - 1))


def binary_rows(fields: list[tuple[int, bytes]], columns: int, signed: bool) -> bytes:
    """COPY's binary format with lengths that need not be right."""
    head = b"PGCOPY\n\xff\r\n\0" + bytes(8) if signed else b""
    body = b"".join(length.to_bytes(4, "big", signed=True) + data for length, data in fields)
    return head + columns.to_bytes(2, "big", signed=True) + body + b"\xff\xff"


COPY_DATA = st.one_of(
    TEXTS.map(str.encode),
    st.binary(max_size=100),
    st.builds(
        binary_rows,
        st.lists(st.tuples(FIELD, st.binary(max_size=40)), max_size=4),
        st.sampled_from([-1, 0, 1, 2, 3, 32767]),
        st.booleans(),
    ),
)


@bounded
@given(
    COPY_DATA,
    st.sampled_from(["text", "csv", "binary"]),
    st.lists(st.sampled_from(TYPES), min_size=1, max_size=3),
    st.lists(st.integers(0, 100), max_size=4),
)
def test_copy_data(data: bytes, form: str, types: list[int], cuts: list[int]) -> None:
    """Rows or an error, and the same however the data is cut into messages."""

    def rows(pieces: list[bytes]) -> list[dict[str, object]] | tuple[str, str]:
        plain = {} if form != "csv" else {"delimiter": ",", "null": ""}
        parser = CopyParser(
            "t", [f"c{i}" for i in range(len(types))], [PgType(oid) for oid in types],
            CopyOptions(format=form, **plain), FormatSettings(now=0), 10_000,  # type: ignore[arg-type]
        )  # fmt: skip
        try:
            for i, piece in enumerate([*pieces, b""]):
                if piece:
                    parser.feed(piece)
                turns = 0
                while not parser.parse(1000, 64, i == len(pieces)):
                    turns += 1
                    assert turns < 1000
            batch = parser.take()
        except PgError as error:
            return error.sqlstate, error.message
        batch.validate(full=True)
        return [str(row) for row in batch.to_pylist()] if _plain(batch) else [repr(batch)]

    ends = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    whole = rows([data] if data else [])
    assert rows([data[a:b] for a, b in pairwise(ends)]) == whole


def _plain(batch: pa.RecordBatch) -> bool:
    """Whether Python has all of its values."""
    kinds = {pa.types.is_date(ty) or pa.types.is_timestamp(ty) for ty in batch.schema.types}
    return kinds == {False}


@bounded
@given(st.binary(max_size=300), st.integers(1, 200))
def test_gathering_copy_messages(data: bytes, limit: int) -> None:
    """Only whole CopyData messages are taken."""
    buffer = bytearray(data)
    taken, used = gather(buffer, limit)
    assert 0 <= used <= len(data)
    at, expected = 0, b""
    while at < used:
        assert data[at] == ord("d")
        length = int.from_bytes(data[at + 1 : at + 5], "big")
        expected += data[at + 5 : at + 1 + length]
        at += 1 + length
    assert (at, expected) == (used, taken)
