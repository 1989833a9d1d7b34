"""Every type's text and binary form, in and out, byte for byte as PostgreSQL has it.

The same messages go to PostgreSQL and to the fake database; the answers must be the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.postgres import Postgres

from .conftest import Running, run_server
from .raw import SYNC, RawClient, bind, describe, error_fields, execute, parse, query, row_values

EXTREMES: dict[str, list[str]] = {
    "bool": ["t", "f", "true", "FALSE", " yes ", "of", "on", "1", "0", "2", "", "tr", "nope"],
    "int2": ["0", "-32768", "32767", "32768", " 5 ", "+7", "", "-", "1.0", "x", "0x1F", "1_000"],
    "int4": ["0", "-2147483648", "2147483647", "2147483648", "99999999999999999999", "--1", "1 2"],
    "int8": ["0", "-9223372036854775808", "9223372036854775807", "9223372036854775808", "1e3"],
    "oid": ["0", "4294967295", "4294967296", "-1", "x"],
    "float4": ["0", "-0", "1.1", "3.4028235e38", "3.5e38", "1e-45", "1e-46", "NaN", "-inf", "infinity",
               "1e15",
               "123456.7", "1234567", "0.0001", "0.00001", "x", "", "1e", " 1.5 "],
    "float8": ["0", "-0", "0.1", "1.7976931348623157e308", "1e309", "5e-324", "1e-400", "nan", "-Infinity",
               "inf",
               "1e15", "1e14", "123456789012345678", "0.0001", "0.00001", "1.0e-5", "x", "1..2",
               "9007199254740993"],
    "numeric": ["0", "0.00", "-0.0", "1.10", "-12345.678900", "1e10", "1e-10", "1e400", "NaN", "Infinity",
                "-inf",
                "99999999999999999999999999999999999999.5", "0." + "0" * 50 + "1", "x", "", "1e", "10000",
                "9999.9999"],
    "text": ["", "a", "héllo 漢字 🎉", "tab\tnl\ncr\r", "\\", "'\"", "x" * 3000],
    "varchar": ["", "abc "],
    "bpchar": ["", "abc  "],
    "name": ["a", "y" * 100, "é" * 40],
    "bytea": ["", "\\x", "\\x00ff", "\\xDEADBEEF", "abc", "\\000\\377\\\\", "\\x1", "\\xzz", "\\9",
              "\\x 01 02"],
    "date": ["2000-01-01", "1999-12-31", "0001-01-01", "4713-01-01 BC", "5874897-12-31", "infinity",
             "-infinity",
             "2024-02-30", "20240229", "Jan 5 2020", "5874898-01-01", "4714-01-01 BC", "x", "epoch",
             "1/8/1999"],
    "time": ["00:00", "23:59:59.999999", "24:00:00", "24:00:01", "04:05:06.7891234", "040506", "4:05 PM",
             "x"],
    "timestamp": ["2000-01-01 00:00:00", "1970-01-01 00:00:00.000001", "294246-12-31 23:59:59.999999",
                  "4713-01-01 00:00:00 BC", "infinity", "-infinity", "2020-02-30", "294277-01-01", "x",
                  "2004-10-19T10:23:54.123456789", "0001-01-01 00:00:00 BC", "2001-02-03 24:00:00"],
    "timestamptz": ["2000-01-01 00:00:00+00", "1970-01-01 00:00:00.000001-08",
                    "294246-12-31 23:59:59.999999+00",
                    "4713-01-01 00:00:00+00 BC", "infinity", "2020-06-01 12:00:00 Europe/Berlin",
                    "2020-06-01 12:00:00 PST", "1883-11-18 12:00:00 America/New_York", "x",
                    "2020-01-01 00:00+15:59:59"],
    "interval": ["0", "1 month", "1 year 2 mons -3 days 04:05:06.789", "-1 year", "1 day -00:00:01",
                 "P1Y2M3DT4H5M6S",
                 "178000000 years", "1.5 months", "@ 1 week ago", "1-2 3 4:05:06", "2147483647 days",
                 "1000000 hours",
                 "x", "1 fortnight", "2562047788:00:54.775807"],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "{A0EEBC999C0B4EF8BB6D6BB9BD380A11}", "x", "a0ee-bc99"],
    "json": ['{"a": 1, "a": [true, null, "x\\u00e9"]}', " 1 ", '"\\ud83d\\ude00"', "{", "", '{"a":}', "nul"],
    "jsonb": ['{"b": 1, "a": [true, null, "x\\u00e9"], "b": 2}', "1.500", "1e5", '"\\u0041"', "[]", "{",
              "-0"],
    "int4[]": ["{}", "{1,2,NULL}", "{-2147483648}", "{ 1 , 2 }", "{1", "{x}", "", "{NULL}"],
    "text[]": ["{}", '{a,"b c","","NULL",NULL,"\\"q\\"","back\\\\slash"}', "{ a b }", '{"a,b",c}',
               "{null,nULL}"],
    "float8[]": ["{1.5,NaN,-Infinity,NULL}"],
    "numeric[]": ["{1.10,NaN,NULL,1e20}"],
    "bool[]": ["{t,f,NULL}"],
    "timestamptz[]": ["{\"2020-01-01 00:00:00+00\",infinity}"],
    "bytea[]": ['{"\\\\x00ff",NULL}'],
    "uuid[]": ["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}"],
    "interval[]": ["{1 day,\"02:00:00\"}"],
    "jsonb[]": ['{"{\\"a\\": 1}",NULL}'],
    "date[]": ["{2020-01-01,NULL,infinity}"],
}  # fmt: skip

RANDOM: dict[str, st.SearchStrategy[str]] = {
    "int2": st.integers(-(2**15), 2**15 - 1).map(str),
    "int4": st.integers(-(2**31), 2**31 - 1).map(str),
    "int8": st.integers(-(2**63), 2**63 - 1).map(str),
    "float4": st.floats(width=32).map(repr),
    "float8": st.floats().map(repr) | st.integers(-(2**80), 2**80).map(lambda n: repr(float(n))),
    "numeric": st.decimals(allow_nan=False, allow_infinity=False).map(str)
    | st.builds(lambda a, b, s: f"{s}{a}.{b}", st.integers(0, 10**40), st.text("0123456789", max_size=30),
                st.sampled_from(["", "-"])),
    "text": st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=40),
    "bytea": st.binary(max_size=40).map(lambda b: "\\x" + b.hex()),
    "date": st.dates().map(str),
    "time": st.times().map(str),
    "timestamp": st.datetimes().map(str),
    "timestamptz": st.datetimes().map(lambda d: f"{d}+00"),
    "interval": st.builds(lambda m, d, u: f"{m} mons {d} days {u} microseconds",
                          st.integers(-(10**8), 10**8), st.integers(-(10**8), 10**8), st.integers(-(10**17),
                          10**17)),
    "uuid": st.uuids().map(str),
    "text[]": st.lists(st.text(st.characters(codec="ascii", exclude_characters="\0"),
    max_size=6) | st.none(), max_size=6).map(
        lambda items: "{" + ",".join(
            "NULL" if i is None else '"' + i.replace("\\", "\\\\").replace('"',
            '\\"') + '"' for i in items) + "}"),
}  # fmt: skip


JSON_CONTEXT = re.compile(r"^JSON data, line .*\n")


@pytest.fixture(scope="module")
def ours() -> Iterator[RawClient]:
    for running in run_server():
        with RawClient(running.port) as client:
            yield client


@pytest.fixture(scope="module")
def theirs(postgres: Postgres) -> Iterator[RawClient]:
    with RawClient(postgres.port, user="postgres", database="postgres") as client:
        yield client


def comparable(answer: list[tuple[str, bytes]]) -> list[tuple[str, object]]:
    """Errors without PostgreSQL's source file, line and routine, and without the place in a JSON text."""
    return [
        (code, {k: JSON_CONTEXT.sub("", v) for k, v in error_fields(body).items() if k not in "FLR"})
        if code == "E"
        else (code, body)
        for code, body in answer
    ]


def compare(ours: RawClient, theirs: RawClient, type_name: str, text: str) -> None:
    """One value in as text and out both ways; then in as binary."""
    statement = parse(f"SELECT $1::{type_name}")
    binary = None
    for result_format in (0, 1):
        messages = [
            statement,
            bind((text.encode(),), result_formats=(result_format,)),
            describe(b"P"),
            execute(),
            SYNC,
        ]
        expected, got = theirs.ask(*messages), ours.ask(*messages)
        assert comparable(got) == comparable(expected), (type_name, text)
        rows = [row_values(body) for code, body in expected if code == "D"]
        binary = rows[0][0] if rows else None
    if binary is not None:
        messages = [statement, bind((binary,), formats=(1,)), execute(), SYNC]
        assert comparable(ours.ask(*messages)) == comparable(theirs.ask(*messages)), (type_name, text)


@pytest.mark.parametrize("type_name", list(EXTREMES))
def test_extremes(ours: RawClient, theirs: RawClient, type_name: str) -> None:
    for text in EXTREMES[type_name]:
        compare(ours, theirs, type_name, text)


@pytest.mark.parametrize("type_name", list(RANDOM))
def test_random(ours: RawClient, theirs: RawClient, type_name: str) -> None:
    @settings(max_examples=60)
    @given(RANDOM[type_name])
    def run(text: str) -> None:
        compare(ours, theirs, type_name, text)

    run()


@pytest.mark.parametrize("setting", ["datestyle = 'SQL, DMY'", "datestyle = 'Postgres, MDY'",
"datestyle = 'German'",
                                     "intervalstyle = 'postgres_verbose'", "intervalstyle = 'sql_standard'",
                                     "intervalstyle = 'iso_8601'", "timezone = 'America/New_York'",
                                     "timezone = 'Asia/Kolkata'", "extra_float_digits = 0",
                                     "extra_float_digits = -3",
                                     "bytea_output = 'escape'"])  # fmt: skip
def test_settings(postgres: Postgres, running: Running, setting: str) -> None:
    with (
        RawClient(running.port) as ours,
        RawClient(postgres.port, user="postgres", database="postgres") as theirs,
    ):
        normal = {"datestyle = 'German'": "datestyle = 'German, DMY'"}.get(setting, setting)
        ours.ask(query(f"SET {normal}"))
        theirs.ask(query(f"SET {setting}"))
        for type_name in (
            "date",
            "time",
            "timestamp",
            "timestamptz",
            "interval",
            "float4",
            "float8",
            "bytea",
            "date[]",
        ):
            for text in EXTREMES[type_name]:
                compare(ours, theirs, type_name, text)


@pytest.mark.parametrize(
    "type_name", [name for name in EXTREMES if name not in ("text", "varchar", "bpchar", "bytea", "json")]
)
def test_malformed_binary(ours: RawClient, theirs: RawClient, type_name: str) -> None:
    for raw in (b"", b"\0", b"\xff" * 7, b"\0" * 17, b"\x01{", b"\0\0\0\1\0\0\0\0\0\0\0\1"):
        messages = [parse(f"SELECT $1::{type_name}"), bind((raw,), formats=(1,)), execute(), SYNC]
        expected, got = comparable(theirs.ask(*messages)), comparable(ours.ask(*messages))
        assert [code for code, _ in got] == [code for code, _ in expected], (type_name, raw)
        for (code, mine), (_, model) in zip(got, expected, strict=True):
            if code == "E":
                assert isinstance(mine, dict) and isinstance(model, dict)
                # where a value is wrong in two ways, which one is told may differ
                assert mine["W"] == model["W"] and mine["C"] in {model["C"], "08P01", "22P03"}, (
                    raw,
                    mine,
                    model,
                )
            else:
                assert mine == model, (type_name, raw)
