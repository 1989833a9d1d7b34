"""Input and output of dates, times and intervals, in every style, against PostgreSQL."""

from __future__ import annotations

import random

import psycopg
import pyarrow as pa
import pytest

from laminar import types as t
from laminar._native.textio import FormatSettings, decode_binary, encode_binary, format_text, parse_text
from laminar.types import PgType
from tests.native.oracle import ask, check, texts_of
from tests.native.test_textio import read_and_print

DATES = texts_of("dates")

INTERVALS = texts_of("intervals")

STYLES = [
    "ISO, MDY",
    "ISO, DMY",
    "ISO, YMD",
    "SQL, MDY",
    "SQL, DMY",
    "Postgres, MDY",
    "Postgres, DMY",
    "German, DMY",
]
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Pacific/Apia",
]
RELATIVE = ("now", "today", "tomorrow", "yesterday")
#: timestamps whose microseconds since 1970 do not fit int64 (docs/types.md)
TOO_LATE = ("294276-12-31 23:59:59.999999", "294277-01-01")
NAMES = {"date": t.DATE, "time": t.TIME, "timestamp": t.TIMESTAMP, "timestamptz": t.TIMESTAMPTZ}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", NAMES)
def test_input_and_output(pg: psycopg.Connection, name: str, style: str) -> None:
    texts = [x for x in DATES if not x.startswith(RELATIVE) and x not in TOO_LATE]
    zones = ZONES[:3] if name == "timestamptz" else ["Europe/Berlin"]
    try:
        for zone in zones:
            pg.execute(f"SET datestyle = '{style}'")
            pg.execute(f"SET timezone = '{zone}'")
            theirs = ask(pg, f"$1::{name}", [[text] for text in texts])
            settings = FormatSettings(style, timezone=zone)
            ours = [read_and_print(text, PgType(NAMES[name]), settings) for text in texts]
            check(texts, ours, theirs)
    finally:
        pg.execute("RESET datestyle")
        pg.execute("RESET timezone")


@pytest.mark.parametrize("style", ["postgres", "postgres_verbose", "sql_standard", "iso_8601"])
def test_intervals(pg: psycopg.Connection, style: str) -> None:
    pg.execute(f"SET intervalstyle = '{style}'")
    try:
        theirs = ask(pg, "$1::interval", [[text] for text in INTERVALS])
    finally:
        pg.execute("RESET intervalstyle")
    settings = FormatSettings(interval_style=style)
    ours = [read_and_print(text, PgType(t.INTERVAL), settings) for text in INTERVALS]
    check(INTERVALS, ours, theirs)


def test_relative_dates() -> None:
    now = 1_719_800_100_123_456  # 2024-07-01 02:15:00.123456 UTC
    settings = FormatSettings(timezone="America/New_York", now=now)
    answers = {
        "date": {
            "today": "2024-06-30",
            "tomorrow": "2024-07-01",
            "yesterday": "2024-06-29",
            "now": "2024-06-30",
        },
        "timestamp": {
            "today": "2024-06-30 00:00:00",
            "now": "2024-06-30 22:15:00.123456",
            "tomorrow 10:30": "2024-07-01 10:30:00",
        },
        "timestamptz": {"today": "2024-06-30 00:00:00-04", "now": "2024-06-30 22:15:00.123456-04"},
        "time": {"now": "22:15:00.123456"},
    }
    for name, expected in answers.items():
        assert {text: read_and_print(text, PgType(NAMES[name]), settings) for text in expected} == expected


@pytest.mark.parametrize("zone", ZONES)
def test_zones_at_random_times(pg: psycopg.Connection, zone: str) -> None:
    rng = random.Random(zone)
    moments = [rng.randrange(-3_000_000_000, 12_000_000_000) for _ in range(1500)]
    texts = [None if m is None else str(m) for m in moments]
    pg.execute(f"SET timezone = '{zone}'")
    try:
        printed = ask(pg, "to_timestamp($1::float8)", [[text] for text in texts])
        wall = [(text or "")[:19] for text in printed]
        back = ask(pg, "extract(epoch from $1::timestamptz)::bigint", [[text] for text in wall])
    finally:
        pg.execute("RESET timezone")
    settings = FormatSettings(timezone=zone)
    type = PgType(t.TIMESTAMPTZ)
    ours = format_text(pa.array([m * 1_000_000 for m in moments], type.storage), type, settings).to_pylist()
    check(texts, ours, printed)
    again = parse_text(pa.array(wall), type, settings).cast(pa.int64()).to_pylist()
    check(wall, [str(a // 1_000_000) for a in again], back)


def test_precision_and_fields(pg: psycopg.Connection) -> None:
    texts = [
        "2000-01-01 00:00:00.5",
        "1999-12-31 23:59:59.5",
        "1999-12-31 23:59:59.4999",
        "2024-05-05 12:34:56.789999",
        "1970-01-01 00:00:00.25",
    ]
    for digits in (0, 1, 3, 5):
        for name in ("timestamp", "time"):
            theirs = ask(pg, f"$1::{name}({digits})", [[text] for text in texts])
            ours = [read_and_print(text, PgType(NAMES[name], digits)) for text in texts]
            check(texts, ours, theirs)
    bits = {"month": 1, "year": 2, "day": 3, "hour": 10, "minute": 11, "second": 12}
    texts = [
        "5",
        "1-2",
        "1 2",
        "1 2:03",
        "2:03",
        "1 2:03:04.567",
        "1 year 2 mons 3 days 04:05:06.789",
        "-3:04.5",
    ]
    spans = "year, month, day, hour, minute, second, year to month, day to hour, day to minute, "
    spans += "day to second, hour to minute, hour to second, minute to second"
    for fields in spans.split(", "):
        order = ["year", "month", "day", "hour", "minute", "second"]
        first, _, last = fields.partition(" to ")
        mask = sum(1 << bits[f] for f in order[order.index(first) : order.index(last or first) + 1])
        typmod = mask << 16 | 0xFFFF
        theirs = []
        for text in texts:
            try:
                row = pg.execute(f"SELECT (interval '{text}' {fields})::text").fetchone()  # type: ignore[arg-type]
                theirs.append(row[0] if row else None)
            except psycopg.Error as e:
                theirs.append(f"!{e.sqlstate} {e.diag.message_primary}")
        ours = [read_and_print(text, PgType(t.INTERVAL, typmod)) for text in texts]
        check([(fields, text) for text in texts], ours, theirs)


def test_extreme_values_round_trip() -> None:
    for oid, values in {
        t.DATE: [t.DATE_INFINITY, t.DATE_NEG_INFINITY, 0, -2440588, 2145031948],
        t.TIMESTAMP: [t.TIMESTAMP_INFINITY, t.TIMESTAMP_NEG_INFINITY, 0, -1, 9_223_371_763_200_000_000 - 1],
        t.TIME: [0, 86_400_000_000],
    }.items():
        type = PgType(oid)
        array = pa.array(values, pa.int32() if oid == t.DATE else pa.int64()).view(type.storage)
        assert decode_binary(encode_binary(array, type), type).equals(array)
        assert [read_and_print(text, type) for text in format_text(array, type).to_pylist()] == format_text(
            array, type
        ).to_pylist()
