"""Functions and operators of dates, times, timestamps and intervals, against PostgreSQL."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import product

import psycopg
import pytest

from laminar import types as t
from laminar._native.kernels import Kernel
from laminar._native.textio import FormatSettings
from laminar.types import PgType
from tests.native.oracle import check_kernel, texts_of

TYPES = {
    "date": PgType(t.DATE),
    "time": PgType(t.TIME),
    "timestamp": PgType(t.TIMESTAMP),
    "timestamptz": PgType(t.TIMESTAMPTZ),
    "interval": PgType(t.INTERVAL),
    "int4": PgType(t.INT4),
    "float8": PgType(t.FLOAT8),
    "numeric": PgType(t.NUMERIC),
    "text": PgType(t.TEXT),
    "bool": PgType(t.BOOL),
}
UNITS = [
    "microseconds",
    "milliseconds",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "quarter",
    "year",
]
UNITS += ["decade", "century", "millennium", "DAY", "dow", "isodow", "doy", "isoyear", "epoch", "julian"]
UNITS += ["timezone", "timezone_hour", "timezone_minute", "fortnight", "usecs", "mil", "milliseconds_x"]
ZONE = "America/New_York"


@pytest.fixture(scope="module")
def zoned(pg: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A session in ZONE; the kernels get the same by settings."""
    pg.execute(f"SET timezone = '{ZONE}'")
    yield pg
    pg.execute("RESET timezone")


SETTINGS = FormatSettings(timezone=ZONE)


class Values:
    """Random values of each type, extreme ones first."""

    def __init__(self, seed: str) -> None:
        self.rng = random.Random(seed)

    def timestamp(self) -> str:
        rng = self.rng
        year = rng.choice([rng.randrange(1, 3000), rng.randrange(1990, 2030), rng.randrange(1, 294000)])
        text = f"{year:04}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}"
        text += f" {rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}"
        text += f".{rng.randrange(10**6):06}" if rng.random() < 0.5 else ""
        return text + (" BC" if year < 4000 and rng.random() < 0.1 else "")

    timestamptz = timestamp

    def date(self) -> str:
        return self.timestamp().split(" ")[0]

    def time(self) -> str:
        rng = self.rng
        return f"{rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60 * 10**6) / 1e6:09.6f}"

    def interval(self) -> str:
        rng = self.rng
        months = rng.choice([0, 0, rng.randrange(-30, 30), rng.randrange(-(10**6), 10**6)])
        days = rng.choice([0, 0, rng.randrange(-70, 70), rng.randrange(-(10**7), 10**7)])
        us = rng.choice([0, rng.randrange(-(10**11), 10**11), rng.randrange(-(10**17), 10**17)])
        return f"{months} months {days} days {us} us"

    def int4(self) -> str:
        return str(self.rng.choice([self.rng.randrange(-1000, 1000), self.rng.randrange(-(2**31), 2**31)]))

    def float8(self) -> str:
        rng = self.rng
        return repr(rng.choice([rng.uniform(-3, 3), float(rng.randrange(-9, 10)), rng.uniform(-1e9, 1e9)]))

    def text(self) -> str:
        return self.rng.choice(UNITS)


EXTREMES = {
    "timestamp": "infinity; -infinity; 4714-11-24 00:00:00 BC; 294245-06-15 23:59:59.999999;"
    "2000-01-31 00:00:00; 2024-02-29 12:00:00; 2024-03-10 02:30:00; 2024-11-03 01:30:00;"
    "0001-01-01 00:00:00; 0001-12-31 00:00:00 BC",
    "date": "infinity; -infinity; 4714-11-24 BC; 5874897-12-31; 2000-01-31; 2024-02-29; 0001-01-01 BC",
    "time": "00:00:00; 24:00:00; 23:59:59.999999",
    "interval": "0; 1 mon; -1 mon; 30 days; 24 hours; 1 day; -1 day 25:00; 2147483647 months;"
    "-2147483648 months;"
    "2147483647 days; -2147483648 days; 9223372036854775807 us; -9223372036854775808 us;"
    "1 mon -30 days;1 day -24:00:00",
    "int4": "0; 1; -1; 2147483647; -2147483648",
    "float8": "0; 1; -1; 0.5; 1e300; NaN; Infinity; 1e-10",
    "text": ";".join(UNITS),
}
EXTREMES["timestamptz"] = EXTREMES["timestamp"]


def extremes(name: str) -> list[str]:
    return [text.strip() for text in EXTREMES[name].split(";")]


def rows_for(symbol: str, arguments: Sequence[str], count: int = 250) -> list[tuple[str, ...]]:
    values = Values(symbol)
    rows = list(product(*(extremes(name) for name in arguments))) if len(arguments) < 3 else []
    return rows + [tuple(getattr(values, name)() for name in arguments) for _ in range(count)]


FUNCTIONS = """
timestamp_pl_interval: $1 + $2: timestamp interval: timestamp
timestamp_mi_interval: $1 - $2: timestamp interval: timestamp
timestamptz_pl_interval: $1 + $2: timestamptz interval: timestamptz
timestamptz_mi_interval: $1 - $2: timestamptz interval: timestamptz
timestamp_mi: $1 - $2: timestamp timestamp: interval
timestamptz_mi: $1 - $2: timestamptz timestamptz: interval
timestamp_age: age($1, $2): timestamp timestamp: interval
timestamptz_age: age($1, $2): timestamptz timestamptz: interval
timestamp_trunc: date_trunc($1, $2): text timestamp: timestamp
timestamptz_trunc: date_trunc($1, $2): text timestamptz: timestamptz
interval_trunc: date_trunc($1, $2): text interval: interval
extract_timestamp: pg_catalog.extract($1, $2): text timestamp: numeric
extract_timestamptz: pg_catalog.extract($1, $2): text timestamptz: numeric
extract_date: pg_catalog.extract($1, $2): text date: numeric
extract_time: pg_catalog.extract($1, $2): text time: numeric
extract_interval: pg_catalog.extract($1, $2): text interval: numeric
timestamp_part: date_part($1, $2): text timestamp: float8
timestamptz_part: date_part($1, $2): text timestamptz: float8
time_part: date_part($1, $2): text time: float8
interval_part: date_part($1, $2): text interval: float8
timestamp_finite: isfinite($1): timestamp: bool
date_finite: isfinite($1): date: bool
timestamp_date: $1::date: timestamp: date
timestamptz_date: $1::date: timestamptz: date
timestamp_time: $1::time: timestamp: time
timestamptz_time: $1::time: timestamptz: time
timestamp_timestamptz: $1::timestamptz: timestamp: timestamptz
timestamptz_timestamp: $1::timestamp: timestamptz: timestamp
date_timestamp: $1::timestamp: date: timestamp
date_timestamptz: $1::timestamptz: date: timestamptz
date_pli: $1 + $2: date int4: date
date_mii: $1 - $2: date int4: date
date_mi: $1 - $2: date date: int4
date_pl_interval: $1 + $2: date interval: timestamp
date_mi_interval: $1 - $2: date interval: timestamp
datetime_timestamp: $1 + $2: date time: timestamp
time_pl_interval: $1 + $2: time interval: time
time_mi_interval: $1 - $2: time interval: time
time_mi_time: $1 - $2: time time: interval
time_interval: $1::interval: time: interval
interval_time: $1::time: interval: time
interval_pl: $1 + $2: interval interval: interval
interval_mi: $1 - $2: interval interval: interval
interval_um: - $1: interval: interval
interval_mul: $1 * $2: interval float8: interval
mul_d_interval: $1 * $2: float8 interval: interval
interval_div: $1 / $2: interval float8: interval
interval_justify_hours: justify_hours($1): interval: interval
interval_justify_days: justify_days($1): interval: interval
interval_justify_interval: justify_interval($1): interval: interval
interval_cmp: interval_cmp($1, $2): interval interval: int4
interval_lt: $1 < $2: interval interval: bool
interval_eq: $1 = $2: interval interval: bool
interval_larger: interval_larger($1, $2): interval interval: interval
date_cmp_timestamp: date_cmp_timestamp($1, $2): date timestamp: int4
date_cmp_timestamptz: date_cmp_timestamptz($1, $2): date timestamptz: int4
timestamp_cmp_timestamptz: timestamp_cmp_timestamptz($1, $2): timestamp timestamptz: int4
timestamptz_cmp_date: timestamptz_cmp_date($1, $2): timestamptz date: int4
float8_timestamptz: to_timestamp($1): float8: timestamptz
timestamp_bin: date_bin($1, $2, $3): interval timestamp timestamp: timestamp
make_interval: make_interval($1, $2, $3, $4, $5, $6, $7): int4 int4 int4 int4 int4 int4 float8: interval
"""
#: inputs for which PostgreSQL 15 computes with overflow; here they raise 22008, or wrap by the clock
WRAPS = {
    "timestamp_mi_interval": ("9223372036854775808",),
    "timestamptz_mi_interval": ("9223372036854775808",),
    "timestamp_mi": ("294245", "BC"),
    "timestamptz_mi": ("294245", "BC"),
    "timestamp_age": ("infinity",),
    "timestamptz_age": ("infinity",),
    "time_pl_interval": ("9223372036854775807",),
    "time_mi_interval": ("9223372036854775808",),
    "interval_time": ("9223372036854775808",),
}
CASES = [
    tuple(part.strip() for part in line.replace("::", "§").split(":"))
    for line in FUNCTIONS.strip().splitlines()
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_against_postgresql(zoned: psycopg.Connection, case: tuple[str, str, str, str]) -> None:
    symbol, expression, names, result = case
    arguments = names.split()
    kernel = Kernel(symbol, [TYPES[name] for name in arguments], TYPES[result])
    rows = rows_for(symbol, arguments)
    rows = [row for row in rows if not (symbol in WRAPS and any(x in " ".join(row) for x in WRAPS[symbol]))]
    if symbol == "make_interval":
        rows = [
            (*(str(int(x) % 100 - 50) for x in row[:6]), row[6]) for row in rows if abs(float(row[6])) < 1e9
        ]
    check_kernel(
        zoned,
        expression.replace("§", "::"),
        kernel,
        [(name, TYPES[name]) for name in arguments],
        TYPES[result],
        rows,
        SETTINGS,
    )


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz"])
def test_at_time_zone(zoned: psycopg.Connection, kind: str) -> None:
    other = "timestamptz" if kind == "timestamp" else "timestamp"
    zones = [
        "UTC",
        "Europe/Berlin",
        "america/new_york",
        "MSK",
        "PST",
        "EDT",
        "+05:30",
        "-3",
        "Mars/Phobos",
        "EST5EDT",
        "Asia/Kathmandu",
        "UTC+3",
    ]
    values = Values(kind)
    rows = [
        (zone, x)
        for zone in zones
        for x in [*extremes(kind)[4:8], *(values.timestamp() for _ in range(20)), "infinity"]
    ]
    kernel = Kernel(f"{kind}_zone", [TYPES["text"], TYPES[kind]], TYPES[other])
    check_kernel(
        zoned,
        "timezone($1, $2)",
        kernel,
        [("text", TYPES["text"]), (kind, TYPES[kind])],
        TYPES[other],
        rows,
        SETTINGS,
    )
    rows = [(i, x) for i in ["2 hours", "-05:30", "1 day", "00:00:01.5"] for x in extremes(kind)]
    kernel = Kernel(f"{kind}_izone", [TYPES["interval"], TYPES[kind]], TYPES[other])
    check_kernel(
        zoned,
        "timezone($1, $2)",
        kernel,
        [("interval", TYPES["interval"]), (kind, TYPES[kind])],
        TYPES[other],
        rows,
        SETTINGS,
    )


def test_constructors(zoned: psycopg.Connection) -> None:
    int4, float8 = TYPES["int4"], TYPES["float8"]
    dates = list(
        product(
            ["2024", "-44", "0", "5874898", "1"], ["1", "2", "12", "0", "13"], ["1", "29", "30", "31", "0"]
        )
    )
    check_kernel(
        zoned,
        "make_date($1, $2, $3)",
        Kernel("make_date", [int4] * 3, TYPES["date"]),
        [("int4", int4)] * 3,
        TYPES["date"],
        dates,
    )
    times = list(
        product(
            ["0", "23", "24", "-1"],
            ["0", "59", "60"],
            ["0", "59.999999", "60", "60.1", "-0.1", "NaN", "0.0000004"],
        )
    )
    arguments = [("int4", int4), ("int4", int4), ("float8", float8)]
    check_kernel(
        zoned,
        "make_time($1, $2, $3)",
        Kernel("make_time", [int4, int4, float8], TYPES["time"]),
        arguments,
        TYPES["time"],
        times,
    )
    moments = [(*d, *x) for d in dates[::7] for x in times[::5]]
    arguments = [("int4", int4)] * 5 + [("float8", float8)]
    for kind in ("timestamp", "timestamptz"):
        kernel = Kernel(f"make_{kind}", [int4] * 5 + [float8], TYPES[kind])
        expression = f"make_{kind}($1, $2, $3, $4, $5, $6)"
        check_kernel(zoned, expression, kernel, arguments, TYPES[kind], moments, SETTINGS)


def test_overlaps(zoned: psycopg.Connection) -> None:
    points = [None, "2024-01-01", "2024-01-02", "2024-01-03"]
    rows = list(product(points, repeat=4))
    kind = TYPES["timestamp"]
    kernel = Kernel("overlaps_timestamp", [kind] * 4, TYPES["bool"])
    check_kernel(zoned, "($1, $2) OVERLAPS ($3, $4)", kernel, [("timestamp", kind)] * 4, TYPES["bool"], rows)


FORMATS = texts_of("date_formats")


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz"])
def test_to_char(zoned: psycopg.Connection, kind: str) -> None:
    values = Values("to_char")
    moments = [
        *extremes(kind),
        *(values.timestamp() for _ in range(60)),
        "2024-01-01 00:30:00",
        "2021-01-03 12:00:00",
    ]
    rows = [(moment, format_) for format_ in [*FORMATS, ""] for moment in moments]
    kernel = Kernel(f"{kind}_to_char", [TYPES[kind], TYPES["text"]], TYPES["text"])
    arguments = [(kind, TYPES[kind]), ("text", TYPES["text"])]
    check_kernel(zoned, "to_char($1, $2)", kernel, arguments, TYPES["text"], rows, SETTINGS)
