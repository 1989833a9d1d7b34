"""COPY both ways against PostgreSQL: same data, same errors or rows; same rows, same bytes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laminar.pgwire.backend import CopyOptions
from laminar.types import PgType
from tests.harness.postgres import Postgres

from .conftest import Running, run_server
from .fake import TYPE_OIDS
from .raw import SYNC, RawClient, bind, error_fields, execute, message, parse, query

Options = dict[str, object]


class Pair:
    """The same relation ``t`` on both servers."""

    def __init__(self, ours: Running, theirs: RawClient) -> None:
        self.running = ours
        self.ours = RawClient(ours.port)
        self.theirs = theirs
        self.columns: dict[str, str] = {}

    def create(self, **columns: str) -> None:
        self.columns = columns
        self.running.db.add("t", {name: PgType(TYPE_OIDS[kind]) for name, kind in columns.items()})
        definition = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        answer = self.theirs.ask(query(f"DROP TABLE IF EXISTS t; CREATE TEMP TABLE t ({definition})"))
        assert "E" not in [code for code, _ in answer], answer

    def copy_in(self, *chunks: bytes, **options: object) -> list[tuple[str, object]]:
        """The same COPY FROM on both; returns the answer when they agree."""
        self.running.db.copy_options = self._ours(options)
        sql = "COPY t FROM STDIN" + self._theirs(options)
        data = b"".join(message(b"d", chunk) for chunk in chunks) + message(b"c")
        got = comparable(self.ours.ask(query("COPY t FROM STDIN"), data))
        expected = comparable(self.theirs.ask(query(sql), data))
        assert got == expected, (options, chunks)
        return got

    def copy_out(self, **options: object) -> list[bytes]:
        """The same COPY TO on both; returns the data."""
        self.running.db.copy_options = self._ours(options)
        got = self.ours.ask(query("COPY t TO STDOUT"))
        expected = self.theirs.ask(query("COPY t TO STDOUT" + self._theirs(options)))
        assert got == expected, options
        return [body for code, body in got if code == "d"]

    def _ours(self, options: Options) -> CopyOptions:
        known = CopyOptions()
        if options.get("format") == "csv":
            known.delimiter, known.null = ",", ""
        for name, value in options.items():
            if isinstance(value, list):
                value = frozenset(list(self.columns).index(column) for column in value)  # noqa: PLW2901
            setattr(known, name, value)
        if "quote" in options and "escape" not in options:
            known.escape = known.quote
        return known

    @staticmethod
    def _theirs(options: Options) -> str:
        if not options:
            return ""
        items = []
        for name, value in options.items():
            if name.startswith("force_"):
                items.append(
                    f"{name} " + ("*" if value == "*" else "(" + ", ".join(f'"{c}"' for c in value) + ")")
                )  # type: ignore[attr-defined]
            elif name in ("format", "header"):
                items.append(f"{name} {value}")
            else:
                items.append(f"{name} E'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'")
        return f" WITH ({', '.join(items)})"


def comparable(answer: list[tuple[str, bytes]]) -> list[tuple[str, object]]:
    return [
        (code, {k: v for k, v in error_fields(body).items() if k not in "FLR"} if code == "E" else body)
        for code, body in answer
    ]


@pytest.fixture(scope="module")
def pair(postgres: Postgres) -> Iterator[Pair]:
    for running in run_server():
        with RawClient(postgres.port, user="postgres", database="postgres") as theirs:
            both = Pair(running, theirs)
            yield both
            both.ours.__exit__(None, None, None)


def failure(answer: list[tuple[str, object]]) -> dict[str, str]:
    (fields,) = [fields for code, fields in answer if code == "E"]
    assert isinstance(fields, dict)
    return fields


TEXT_INPUTS = [
    b"", b"\n", b"1\ta\n", b"1\ta", b"1\ta\r\n2\tb\r\n", b"1\ta\r2\tb\r", b"1\ta\r\n2\tb\n",
    b"1\ta\n2\tb\r\n", b"1\ta\n2\rb\n",
    b"1\t\\N\n\\N\tx\n", b"1\n", b"1\ta\tb\n", b"x\ta\n", b"1\ta\nx\tb\n", b"2147483648\ta\n",
    b"1\ta\\tb\\nc\\rd\\\\e\\bf\\fg\\v\n",
    b"1\t\\101\\x41\\x4g\\q\\.x\n", b"1\t\\377\n", b"1\t\\xc3\\xa9\n", b"1\t\\0\n", b"1\t\\x0\n",
    b"1\ta\\\nb\n", b"1\ta\\\r\nb\n", b"1\ta\n\\.\n",
    b"1\ta\n\\.\n2\tb\n", b"1\ta\n\\.", b"\\.\n", b"1\ta\\.\n", b"1\ta\n\\.x\n", b"1\ta\r\n\\.\n",
    b"1\ta\r\n\\.\r\n", b"1\ta\n\\.\r\n", b"1\ta\\",
    b"1\t\xff\n", b"1\ta\n2\t\xc3\x28\n", b"1\ta\0b\n", b"1\t" + b"x" * 300 + b"\n", b"x" * 300 + b"\ta\n",
    "x\té" .encode() + "é".encode() * 80 + b"\n",
    b" 7 \ta\n", b"\ta\n", b"1\t\\\\N\n", b"\\N\t\\N\n", b"1\ta\n\n2\tb\n", b"1\\\t2\n", b"1\t\\N\\\n\n",
    b"1\t\\12345\n", b"1\t\\8\n", b"1\\N\tx\n",
]  # fmt: skip


@pytest.mark.parametrize("data", TEXT_INPUTS)
def test_text_in(pair: Pair, data: bytes) -> None:
    pair.create(a="int4", b="text")
    pair.copy_in(data)
    pair.copy_out()
    pair.copy_in(*[data[i : i + 1] for i in range(len(data))])
    pair.copy_out()


CSV_INPUTS = [
    b"", b"\n", b"1,a\n", b"1,a", b'1,"a"\n', b'1,"a""b"\n', b'1,"a\nb"\n2,c\n', b'1,"a\r\nb"\r\n',
    b'1,a"b,c"d\n', b'1,"a\n', b'1,"', b'1,""\n', b"1,\n",
    b",\n", b"1,a,b\n", b"1\n", b"1,a\r\n2,b\n", b"1,a\n2,b\r\n", b"1,a\n\\.\n2,b\n", b"1,\\.\n",
    b"1,a\\.\n", b'1,"\\.\n"\n', b"\\.\n", b"\\.x,a\n", b"\\.",
    b'1," x "\n', b'"1",a\n', b'"x",a\n', b"1,a\\\nb\n", b'1,"a\\"\n', b'x,"a\nb"\n', b'1,"a\nb"\nx,c\n',
    b'1,"\xff"\n', b'1,"a"b"c"\n', b"1,\t\n", b'1,a\n\n', b'1,"\n\n\n"\nz,\n',
]  # fmt: skip
CSV_OPTIONS: list[Options] = [
    {},
    {"escape": "\\"},
    {"quote": "'", "delimiter": ";"},
    {"null": "a"},
    {"force_not_null": ["b"]},
    {"force_null": ["b"], "null": "a"},
    {"header": "true"},
    {"header": "match"},
    {"delimiter": "\t"},
]


@pytest.mark.parametrize("options", CSV_OPTIONS, ids=str)
def test_csv_in(pair: Pair, options: Options) -> None:
    for template in CSV_INPUTS:
        data = template.replace(b",", str(options.get("delimiter", ",")).encode())
        data = data.replace(b'"', str(options.get("quote", '"')).encode())
        pair.create(a="int4", b="text")
        pair.copy_in(data, format="csv", **options)
        pair.copy_out(format="csv", force_quote="*")
        pair.create(a="int4", b="text")
        pair.copy_in(*[data[i : i + 1] for i in range(len(data))], format="csv", **options)
        pair.copy_out()


@pytest.mark.parametrize(
    "header",
    [b"a,b\n1,x\n", b"a\n", b"a,b,c\n", b"b,a\n", b'"a",b\n', b",b\n", b"a,B\n1,x\n", b"a,b", b'"a\nb",c\n'],
)
def test_header(pair: Pair, header: bytes) -> None:
    for option in ("match", "true"):
        pair.create(a="int4", b="text")
        pair.copy_in(header, format="csv", header=option)
        pair.copy_in(header.replace(b",", b"\t"), header=option)
        pair.copy_out(format="csv", header="true")
        pair.copy_out(header="true")


SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
ROW = b"\0\2\0\0\0\4\0\0\0\7\0\0\0\1a"
BINARY_INPUTS = [
    b"", b"PGCOPY", b"nonsense at the start", SIGNATURE[:15], SIGNATURE, SIGNATURE + b"\xff\xff",
    SIGNATURE + ROW + b"\xff\xff",
    SIGNATURE + ROW, SIGNATURE + ROW[:-1], SIGNATURE + ROW + b"\xff", SIGNATURE + ROW + b"\xff\xff" + ROW,
    SIGNATURE + b"\0\3" + ROW[2:],
    SIGNATURE + b"\0\2\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", SIGNATURE + b"\0\2\xff\xff\xff\xfe",
    SIGNATURE + b"\0\2\0\0\0\3abc\0\0\0\0\xff\xff",
    SIGNATURE + b"\0\2\0\0\0\5abcde\0\0\0\0\xff\xff", SIGNATURE + b"\0\2\0\0\0\4abcd\0\0\0\1\xff\xff\xff",
    SIGNATURE[:11] + b"\0\1\0\0\0\0\0\0",
    SIGNATURE[:11] + b"\x80\0\0\0\0\0\0\0", SIGNATURE[:11] + b"\0\0\0\1\0\0\0\2xx" + ROW + b"\xff\xff",
    SIGNATURE[:15] + b"\xff\xff\xff\xff",
    SIGNATURE + ROW + b"\0\2\0\0\0\4\0",
]  # fmt: skip


@pytest.mark.parametrize("data", BINARY_INPUTS)
def test_binary_in(pair: Pair, data: bytes) -> None:
    pair.create(a="int4", b="text")
    pair.copy_in(data, format="binary")
    pair.copy_in(*[data[i : i + 1] for i in range(len(data))], format="binary")
    pair.copy_out(format="binary")
    pair.copy_out()


TEXT = st.text(
    st.sampled_from(list("\t\n\r\\.,;\"'|NnxX\b\f\v é漢a1{}"))
    | st.characters(exclude_categories=("Cs",), exclude_characters="\0"),
    max_size=12,
)
FORMATS: list[Options] = [
    {},
    {"delimiter": "|", "null": ""},
    {"delimiter": "\b"},
    {"format": "csv"},
    {"format": "csv", "quote": "'", "escape": "\\", "delimiter": ";", "null": "N"},
    {"format": "csv", "force_quote": ["b"]},
    {"format": "csv", "header": "true"},
    {"format": "binary"},
]


@settings(max_examples=40)
@given(
    rows=st.lists(
        st.tuples(st.integers(-(2**31), 2**31 - 1) | st.none(), TEXT | st.none(), TEXT | st.none()),
        max_size=5,
    ),
    options=st.sampled_from(FORMATS),
    cut=st.integers(1, 50),
)
def test_round_trip_of_hostile_strings(
    pair: Pair, rows: list[tuple[int | None, str | None, str | None]], options: Options, cut: int
) -> None:
    pair.create(a="int4", b="text", c="text")
    binary = b"".join(
        b"\0\3"
        + b"".join(
            sized(v.to_bytes(4, "big", signed=True) if isinstance(v, int) else v and v.encode()) for v in row
        )
        for row in [(a, b if b is None else b or "-", c if c is None else c or "-") for a, b, c in rows]
    )
    pair.copy_in(SIGNATURE + binary + b"\xff\xff", format="binary")
    data = b"".join(pair.copy_out(**options))
    pair.create(a="int4", b="text", c="text")
    options = {k: v for k, v in options.items() if k != "force_quote"}
    pair.copy_in(*[data[i : i + cut] for i in range(0, len(data), cut)], **options)
    pair.copy_out()


def sized(value: bytes | None) -> bytes:
    return b"\xff\xff\xff\xff" if value is None else len(value).to_bytes(4, "big") + value


ALPHABET = st.lists(
    st.sampled_from(
        [b"1", b"a", b"\t", b",", b"\n", b"\r", b"\\", b".", b'"', b"N", b"\\N", b"x4", b"\xc3\xa9"]
    ),
    max_size=14,
)


@settings(max_examples=200)
@given(data=ALPHABET.map(b"".join), csv=st.booleans(), escape=st.booleans())
def test_random_input(pair: Pair, data: bytes, csv: bool, escape: bool) -> None:
    pair.create(a="text", b="text")
    options: Options = {"format": "csv"} if csv else {}
    if csv and escape:
        options["escape"] = "\\"
    pair.copy_in(data, **options)
    pair.copy_out()


def test_types_round_trip(pair: Pair) -> None:
    pair.create(
        f="float8",
        n="numeric",
        d="date",
        t="timestamptz",
        i="interval",
        u="uuid",
        j="jsonb",
        y="bytea",
        l="text[]",
        o="bool",
    )
    row = (
        b"1e300\t123.450\t2020-02-29\t2020-01-01 12:00:00+02\t1 mon 2 days\ta0eebc99-9c0b-4ef8-bb6d-"
        b'6bb9bd380a11\t{"b": [1, 2]}\t\\\\x00ff\t{a,"b\\\\\\\\"}\tt\n'
    )
    pair.copy_in(row + b"\t".join([b"\\N"] * 10) + b"\n")
    for options in FORMATS[3:]:
        if "force_quote" not in options:
            pair.copy_out(**options)
    failure(pair.copy_in(row.replace(b"2020-02-29", b"2020-02-30")))


def test_copy_fail_and_messages_after_an_error(pair: Pair) -> None:
    pair.create(a="int4", b="text")
    for client in (pair.ours, pair.theirs):
        answer = client.ask(query("COPY t FROM STDIN"), message(b"d", b"1\ta\n"), message(b"f", b"no more\0"))
        fields = error_fields(answer[-2][1])
        assert fields["C"] == "57014" and fields["M"] == "COPY from stdin failed: no more"
        answer = client.ask(
            query("COPY t FROM STDIN"),
            message(b"d", b"x\ta\n"),
            *[message(b"d", b"1\ta\n")] * 3,
            message(b"c"),
        )
        assert "".join(code for code, _ in answer) == "GEZ"
        assert client.codes(query("SELECT 1")) == "TDCZ"
    assert pair.copy_out() == []
    assert "<abort: COPY from stdin failed: no more (57014)>" in pair.running.db.log


def test_extended_copy(pair: Pair) -> None:
    pair.create(a="int4", b="text")
    pair.running.db.copy_options = CopyOptions()
    for client in (pair.ours, pair.theirs):
        client.send(parse("COPY t FROM STDIN"), bind(), execute(), SYNC)
        answer = client.ask(message(b"d", b"1\ta\n"), message(b"c"), SYNC)
        assert "".join(code for code, _ in answer) == "12GCZ"
        client.send(parse("COPY t FROM STDIN"), bind(), execute(), SYNC)
        answer = client.ask(message(b"d", b"x\ta\n"), message(b"c"), parse("SELECT 1"), SYNC)
        assert "".join(code for code, _ in answer) == "12GEZ"
        assert client.codes(parse("COPY t TO STDOUT"), bind(), execute(), SYNC) == "12HdcCZ"


def test_wrong_message_in_copy(pair: Pair) -> None:
    """PostgreSQL ends the connection after this error, having lost its place in the messages; we have not."""
    pair.create(a="int4", b="text")
    answer = pair.ours.ask(query("COPY t FROM STDIN"), message(b"d", b"1\ta\n"), parse("SELECT 1"))
    fields = error_fields(answer[-2][1])
    assert fields["C"] == "08P01"
    assert fields["M"] == "unexpected message type 0x50 during COPY from stdin"
    assert pair.ours.codes(query("SELECT 1")) == "TDCZ"


def test_psycopg_copy(running: Running) -> None:
    relation = running.db.add("t", {"a": PgType(TYPE_OIDS["int4"]), "b": PgType(TYPE_OIDS["text"])})
    rows = [(i, f"row\t{i}\\" if i % 3 else None) for i in range(20_000)]
    with psycopg.connect(running.dsn, autocommit=True) as connection:
        with connection.cursor().copy("COPY t FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        assert [(r["a"], r["b"]) for r in relation.rows()] == rows
        running.db.copy_options = CopyOptions(format="binary")
        with connection.cursor().copy("COPY t TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(["int4", "text"])
            assert list(copy.rows()) == rows
        with connection.cursor().copy("COPY t FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int4", "text"])
            for row in rows[:10]:
                copy.write_row(row)
        assert len(relation.rows()) == len(rows) + 10


def test_a_client_that_leaves_in_the_middle_leaves_nothing(running: Running) -> None:
    relation = running.db.add("t", {"a": PgType(TYPE_OIDS["int4"])})
    with RawClient(running.port) as client:
        client.send(query("COPY t FROM STDIN"), message(b"d", b"1\n" * 200_000))
    while not running.db.sessions[0].closed:
        pass
    assert relation.rows() == [] and any(line.startswith("<abort") for line in running.db.log)


def test_cancel_while_copy_waits_for_data(running: Running) -> None:
    relation = running.db.add("t", {"a": PgType(TYPE_OIDS["int4"])})
    with psycopg.connect(running.dsn, autocommit=True) as connection:
        with (
            pytest.raises(psycopg.errors.QueryCanceled),
            connection.cursor().copy("COPY t FROM STDIN") as copy,
        ):
            copy.write(b"1\n" * 100)
            connection.cancel_safe()
            while not any("canceling" in line for line in running.db.log):
                time.sleep(0.01)
        assert relation.rows() == []
        assert connection.execute("SELECT 1").fetchone() == (1,)
