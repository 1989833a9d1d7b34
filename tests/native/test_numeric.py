"""Arithmetic of numeric, digit for digit PostgreSQL's."""

from __future__ import annotations

import random

import psycopg
import pyarrow as pa
import pytest

from laminar import types as t
from laminar._native.kernels import SYMBOLS, Kernel
from laminar._native.textio import decode_binary, encode_binary, format_text, parse_text
from laminar.errors import PgError
from laminar.types import PgType, numeric
from tests.native.oracle import ask, check, check_kernel

NUMERIC = PgType(t.NUMERIC)
INT4 = PgType(t.INT4)
SPECIAL = [
    "0",
    "0.00",
    "1",
    "-1",
    "2",
    "10",
    "0.5",
    "-0.5",
    "1.5",
    "2.5",
    "-2.5",
    "99.995",
    "NaN",
    "Infinity",
    "-Infinity",
]
SPECIAL += [
    "9" * 38,
    "-" + "9" * 38,
    "1" + "0" * 38,
    "0." + "0" * 37 + "1",
    "1e-200",
    "1e200",
    "123456789012345678901234567890.123456789",
]
SPECIAL += ["170141183460469231731687303715884105727", "9999.9999", "10000", "0.9999", "100000000.00000001"]


def random_numeric(rng: random.Random) -> str:
    """Mostly short, some beyond 128 bits, some with only a fraction or trailing zeros."""
    digits = rng.choice([1, 2, 4, 5, 8, 9, 16, 19, 25, 38, 39, 50])
    text = "".join(rng.choice("0123456789" if rng.random() < 0.8 else "09") for _ in range(digits))
    point = rng.randrange(0, digits + 1)
    text = f"{text[:point]}.{text[point:]}" if rng.random() < 0.7 else text
    if rng.random() < 0.1:
        text += f"e{rng.randrange(-30, 30)}"
    return ("-" if rng.random() < 0.4 else "") + text


def pairs(seed: str, count: int = 400) -> list[tuple[str, str]]:
    rng = random.Random(seed)
    return [(a, b) for a in SPECIAL for b in SPECIAL] + [
        (random_numeric(rng), random_numeric(rng)) for _ in range(count)
    ]


BINARY = {
    "add": "$1 + $2",
    "sub": "$1 - $2",
    "mul": "$1 * $2",
    "div": "$1 / $2",
    "mod": "$1 % $2",
    "div_trunc": "div($1, $2)",
}
BINARY |= {"larger": "numeric_larger($1, $2)", "gcd": "gcd($1, $2)", "lcm": "lcm($1, $2)"}


@pytest.mark.parametrize("name", BINARY)
def test_binary_operators(pg: psycopg.Connection, name: str) -> None:
    kernel = Kernel(f"numeric_{name}", [NUMERIC, NUMERIC], NUMERIC)
    check_kernel(pg, BINARY[name], kernel, [("numeric", NUMERIC)] * 2, NUMERIC, pairs(name))


@pytest.mark.parametrize("name", ["eq", "ne", "lt", "le", "gt", "ge", "cmp"])
def test_comparisons(pg: psycopg.Connection, name: str) -> None:
    result = INT4 if name == "cmp" else PgType(t.BOOL)
    kernel = Kernel(f"numeric_{name}", [NUMERIC, NUMERIC], result)
    check_kernel(pg, f"numeric_{name}($1, $2)", kernel, [("numeric", NUMERIC)] * 2, result, pairs(name, 200))


UNARY = {
    "uminus": "- $1",
    "abs": "abs($1)",
    "sign": "sign($1)",
    "ceil": "ceil($1)",
    "floor": "floor($1)",
    "inc": "numeric_inc($1)",
}
UNARY |= {"sqrt": "sqrt($1)", "trim_scale": "trim_scale($1)"}


@pytest.mark.parametrize("name", UNARY)
def test_unary_functions(pg: psycopg.Connection, name: str) -> None:
    rng = random.Random(name)
    rows = [(x,) for x in SPECIAL] + [(random_numeric(rng),) for _ in range(400)]
    kernel = Kernel(f"numeric_{name}", [NUMERIC], NUMERIC)
    check_kernel(pg, UNARY[name], kernel, [("numeric", NUMERIC)], NUMERIC, rows)


@pytest.mark.parametrize("name", ["round", "trunc"])
def test_rounding(pg: psycopg.Connection, name: str) -> None:
    rng = random.Random(name)
    digits = [-100, -38, -3, -1, 0, 1, 2, 5, 20, 40]
    rows = [(x, str(n)) for x in SPECIAL for n in digits]
    rows += [(random_numeric(rng), str(rng.choice(digits))) for _ in range(300)]
    kernel = Kernel(f"numeric_{name}", [NUMERIC, INT4], NUMERIC)
    check_kernel(pg, f"{name}($1, $2)", kernel, [("numeric", NUMERIC), ("int4", INT4)], NUMERIC, rows)


def test_scales(pg: psycopg.Connection) -> None:
    rng = random.Random(1)
    rows = [(x,) for x in SPECIAL] + [(random_numeric(rng),) for _ in range(100)]
    for name in ("scale", "min_scale"):
        check_kernel(
            pg, f"{name}($1)", Kernel(f"numeric_{name}", [NUMERIC], INT4), [("numeric", NUMERIC)], INT4, rows
        )


TRANSCENDENTAL = [
    "0",
    "1",
    "2",
    "0.5",
    "10",
    "100",
    "1e20",
    "1e-20",
    "3.14159",
    "0.99999",
    "1.00001",
    "1.0000000000000000001",
]
TRANSCENDENTAL += [
    "123456.789",
    "0.9",
    "1.1",
    "NaN",
    "Infinity",
    "-Infinity",
    "-1",
    "-2.5",
    "1e150",
    "1e-150",
    "42.000000000000000000000",
]


@pytest.mark.parametrize("name", ["exp", "ln"])
def test_exp_and_ln(pg: psycopg.Connection, name: str) -> None:
    rows = [(x,) for x in TRANSCENDENTAL] + [
        (x,) for x in ("-100.5", "700", "5999", "-5999", "6001", "-7000", "0.000001")
    ]
    rng = random.Random(name)
    rows += [(f"{rng.random() * 10 ** rng.randrange(-4, 4):.{rng.randrange(1, 20)}f}",) for _ in range(100)]
    kernel = Kernel(f"numeric_{name}", [NUMERIC], NUMERIC)
    check_kernel(pg, f"{name}($1)", kernel, [("numeric", NUMERIC)], NUMERIC, rows)


def test_power(pg: psycopg.Connection) -> None:
    bases = [
        *(x for x in TRANSCENDENTAL if len(x) < 20),
        "-1",
        "-3",
        "0.0001",
        "1.0000001",
        "12345678901234567890",
    ]
    exponents = [
        "0",
        "1",
        "-1",
        "2",
        "3",
        "-3",
        "10",
        "-10",
        "0.5",
        "-0.5",
        "1.5",
        "100",
        "-100",
        "NaN",
        "Infinity",
        "-Infinity",
        "2.0",
        "1000",
        "33.3",
    ]
    rows = [(a, b) for a in bases for b in exponents]
    kernel = Kernel("numeric_power", [NUMERIC, NUMERIC], NUMERIC)
    check_kernel(pg, "power($1, $2)", kernel, [("numeric", NUMERIC)] * 2, NUMERIC, rows)


def test_log(pg: psycopg.Connection) -> None:
    rows = [(a, b) for a in TRANSCENDENTAL for b in TRANSCENDENTAL]
    kernel = Kernel("numeric_log", [NUMERIC, NUMERIC], NUMERIC)
    check_kernel(pg, "log($1, $2)", kernel, [("numeric", NUMERIC)] * 2, NUMERIC, rows)


def test_factorial(pg: psycopg.Connection) -> None:
    int8 = PgType(t.INT8)
    rows = [(str(n),) for n in (0, 1, 2, 5, 20, 33, 34, 35, 100, 1000, -1, 32178)]
    check_kernel(pg, "factorial($1)", Kernel("numeric_fac", [int8], NUMERIC), [("int8", int8)], NUMERIC, rows)


def test_width_bucket(pg: psycopg.Connection) -> None:
    rng = random.Random(3)
    rows = [
        (
            str(rng.randrange(-20, 20) / 4),
            str(rng.randrange(-3, 3)),
            str(rng.randrange(-3, 4)),
            str(rng.randrange(-1, 7)),
        )
        for _ in range(200)
    ]
    rows += [
        ("NaN", "0", "1", "3"),
        ("1", "0", "Infinity", "3"),
        ("Infinity", "0", "1", "3"),
        ("5", "1", "2", "2147483647"),
    ]
    kernel = Kernel("width_bucket_numeric", [NUMERIC] * 3 + [INT4], INT4)
    check_kernel(
        pg, "width_bucket($1, $2, $3, $4)", kernel, [("numeric", NUMERIC)] * 3 + [("int4", INT4)], INT4, rows
    )


@pytest.mark.parametrize("name", ["int2", "int4", "int8", "float4", "float8"])
def test_casts(pg: psycopg.Connection, name: str) -> None:
    other = PgType(getattr(t, name.upper()))
    rng = random.Random(name)
    edges = [
        "32767.4",
        "32767.5",
        "-32768.5",
        "-32768.4",
        "2147483647.5",
        "-2147483648.5",
        "9223372036854775807.4999",
        "9223372036854775807.5",
    ]
    edges += ["-9223372036854775808.4", "1e308", "1e309", "1e-320", "1e-400", "3.4e38", "3.5e38"]
    rows = [(x,) for x in [*SPECIAL, *edges]] + [(random_numeric(rng),) for _ in range(200)]
    check_kernel(
        pg, f"$1::{name}", Kernel(f"numeric_{name}", [NUMERIC], other), [("numeric", NUMERIC)], other, rows
    )
    back = ["0", "1", "-1", "32767", "-32768", "100"]
    if name.startswith("float"):
        back += [
            "NaN",
            "Infinity",
            "-Infinity",
            "1e20",
            "1.5e-7",
            "0.1",
            "123456789.123456",
            "1e-30",
            "3.0000001",
            "-0",
        ]
        back += [repr(rng.uniform(-1e6, 1e6)) for _ in range(100)]
    check_kernel(
        pg,
        "$1::numeric",
        Kernel(f"{name}_numeric", [other], NUMERIC),
        [(name, other)],
        NUMERIC,
        [(x,) for x in back],
    )


@pytest.mark.parametrize(
    ("precision", "scale"), [(5, 2), (38, 10), (3, 3), (1000, 500), (4, -2), (2, 4), (1, 0)]
)
def test_precision_and_scale(pg: psycopg.Connection, precision: int, scale: int) -> None:
    rng = random.Random(precision * 1000 + scale)
    type = numeric(precision, scale)
    rows = (
        [(x,) for x in SPECIAL]
        + [(random_numeric(rng),) for _ in range(100)]
        + [("999.994",), ("999.995",), ("0.00999",), ("9949",)]
    )
    values = parse_text(pa.array([row[0] for row in rows]), NUMERIC)
    kernel = Kernel("numeric", [NUMERIC, INT4], NUMERIC)

    def coerce(columns: list[pa.Array], _settings: object = None) -> pa.Array:
        return kernel([columns[0], pa.scalar(type.typmod, pa.int32())])

    assert len(values) == len(rows)
    check_kernel(pg, f"$1::numeric({precision},{scale})", coerce, [("numeric", NUMERIC)], NUMERIC, rows)  # type: ignore[arg-type]


def test_field_overflow_detail() -> None:
    for type, detail in {
        numeric(4, 2): "A field with precision 4, scale 2 must round to an absolute value less than 10^2.",
        numeric(2, 2): "A field with precision 2, scale 2 must round to an absolute value less than 1.",
    }.items():
        with pytest.raises(PgError, match="numeric field overflow") as e:
            parse_text(pa.array(["123.456"]), type)
        assert e.value.detail == detail
    with pytest.raises(PgError) as e:
        parse_text(pa.array(["Infinity"]), numeric(4, 2))
    assert e.value.detail == "A field with precision 4, scale 2 cannot hold an infinite value."


def test_storage_orders_as_postgresql(pg: psycopg.Connection) -> None:
    rng = random.Random(7)
    texts = [
        *SPECIAL,
        "1.0",
        "1.00",
        "1.000",
        "100",
        "1e2",
        "1e-16383",
        "1e131071",
        "-1e131071",
        "1e65534",
        "1e65536",
    ]
    texts += [random_numeric(rng) for _ in range(500)]
    stored = parse_text(pa.array(texts), NUMERIC)
    assert format_text(decode_binary(encode_binary(stored, NUMERIC), NUMERIC), NUMERIC) == format_text(
        stored, NUMERIC
    )
    keys = [value[:-2] for value in stored.to_pylist()]
    rows = pg.execute(
        "SELECT dense_rank() OVER (ORDER BY x) FROM unnest(%s::numeric[]) WITH ORDINALITY u(x, n) ORDER BY n",
        [texts],
    )
    ranks = [row[0] for row in rows]
    distinct = sorted(set(keys))
    assert [distinct.index(key) + 1 for key in keys] == ranks


def test_decimal128_in_and_out(pg: psycopg.Connection) -> None:
    rng = random.Random(11)
    left, right, result = numeric(20, 4), numeric(10, 2), numeric(31, 6)
    rows = [
        (
            f"{rng.randrange(-(10**15), 10**15)}.{rng.randrange(10**4):04}",
            f"{rng.randrange(-(10**6), 10**6)}.5",
        )
        for _ in range(300)
    ]
    rows += [("NaN", "1"), ("1", "NaN"), ("0", "0")]
    arguments = [("numeric(20,4)", left), ("numeric(10,2)", right)]
    check_kernel(pg, "$1 * $2", Kernel("numeric_mul", [left, right], result), arguments, result, rows)
    check_kernel(pg, "$1 / $2", Kernel("numeric_div", [left, right], NUMERIC), arguments, NUMERIC, rows)
    check_kernel(
        pg, "$1 < $2", Kernel("numeric_lt", [left, right], PgType(t.BOOL)), arguments, PgType(t.BOOL), rows
    )
    sum_type = numeric(22, 4)
    check_kernel(pg, "$1 + $2", Kernel("numeric_add", [left, right], sum_type), arguments, sum_type, rows)


@pytest.mark.parametrize(
    ("left", "right"), [((20, 4), (10, 2)), ((36, 0), (30, 0)), ((38, 0), (38, 10)), ((9, 9), (30, 1))]
)
def test_fixed_scales_agree_with_the_variable_form(left: tuple[int, int], right: tuple[int, int]) -> None:
    """Columns of decimal128 have loops of their own; the variable form has been held against PostgreSQL."""
    rng = random.Random(str(left))

    def column(precision: int, scale: int) -> pa.Array:
        values = [0, 1, -1, 10**precision - 1, 1 - 10**precision]
        values += [rng.randrange(-(10 ** rng.randrange(1, precision + 1)), 10**precision) for _ in range(200)]
        rng.shuffle(values)
        texts = [f"{x}e-{scale}" for x in values]
        return parse_text(pa.array([*texts, "NaN", None, "NaN"]), numeric(precision, scale))

    a, b = column(*left), column(*right)
    types = [numeric(*left), numeric(*right)]
    wide = [parse_text(format_text(x, type), NUMERIC) for x, type in zip((a, b), types, strict=True)]
    scale = max(left[1], right[1])
    results = {
        "numeric_add": (38, scale),
        "numeric_sub": (38, scale),
        "numeric_mul": (38, min(left[1] + right[1], 38)),
    }
    for symbol, precision in results.items():
        expected = Kernel(symbol, [NUMERIC, NUMERIC], NUMERIC)(wide)
        fitting = []
        for i, text in enumerate(format_text(expected, NUMERIC).to_pylist()):
            digits = len((text or "").lstrip("-").replace(".", "").lstrip("0"))
            if digits <= 38 and (symbol != "numeric_mul" or left[1] + right[1] <= 38):
                fitting.append(i)
        pick = pa.array(fitting, pa.int64())
        result = Kernel(symbol, types, numeric(*precision))([a.take(pick), b.take(pick)])
        assert format_text(result, numeric(*precision)) == format_text(expected.take(pick), NUMERIC)
        rest = [i for i in range(len(a)) if i not in set(fitting)]
        for i in rest[:3]:
            with pytest.raises(PgError, match="numeric field overflow"):
                Kernel(symbol, types, numeric(*precision))([a.slice(i, 1), b.slice(i, 1)])
    for symbol in ("numeric_eq", "numeric_ne", "numeric_lt", "numeric_le", "numeric_gt", "numeric_ge"):
        expected = Kernel(symbol, [NUMERIC, NUMERIC], PgType(t.BOOL))(wide)
        assert Kernel(symbol, types, PgType(t.BOOL))([a, b]) == expected
        assert Kernel(symbol, types, PgType(t.BOOL))([a, b[0]]) == Kernel(
            symbol, [NUMERIC, NUMERIC], PgType(t.BOOL)
        )([wide[0], wide[1][0]])


def test_sums_and_variances(pg: psycopg.Connection) -> None:
    rng = random.Random(13)
    groups = [[random_numeric(rng) for _ in range(rng.randrange(0, 12))] for _ in range(200)]
    groups += [
        ["NaN", "1"],
        ["Infinity", "-Infinity"],
        ["Infinity", "1"],
        ["1.10", "2"],
        ["5"],
        ["3", "3", "3"],
    ]
    array = PgType(t.ARRAY_OF[t.NUMERIC])
    rows = [("{" + ",".join(group) + "}",) for group in groups]
    sums = Kernel("laminar_sum_of_array", [array], NUMERIC)
    check_kernel(pg, "(SELECT sum(x) FROM unnest($1) x)", sums, [("numeric[]", array)], NUMERIC, rows)
    bool_, int8 = PgType(t.BOOL), PgType(t.INT8)
    squares = Kernel("numeric_mul", [NUMERIC, NUMERIC], NUMERIC)
    finish = Kernel("laminar_variance_of_sums", [NUMERIC, NUMERIC, int8, bool_, bool_], NUMERIC)
    values = parse_text(pa.array([row[0] for row in rows]), array)
    squared = pa.ListArray.from_arrays(values.offsets, squares([values.values, values.values]))
    counts = pa.array([len(group) for group in groups], pa.int64())
    for name, sample, root in (
        ("var_samp", True, False),
        ("var_pop", False, False),
        ("stddev_samp", True, True),
        ("stddev_pop", False, True),
    ):
        result = finish([sums([values]), sums([squared]), counts, pa.scalar(sample), pa.scalar(root)])
        theirs = ask(pg, f"(SELECT {name}(x) FROM unnest($1::numeric[]) x)", rows)
        check([(name, *row) for row in rows], format_text(result, NUMERIC).to_pylist(), theirs)


def test_scalars_and_nulls() -> None:
    kernel = Kernel("numeric_add", [NUMERIC, NUMERIC], NUMERIC)
    column = parse_text(pa.array(["1.5", None, "-2"]), NUMERIC)
    one = parse_text(pa.array(["1"]), NUMERIC)[0]
    assert format_text(kernel([column, one]), NUMERIC).to_pylist() == ["2.5", None, "-1"]
    assert format_text(kernel([one, one], rows=2), NUMERIC).to_pylist() == ["2", "2"]
    assert kernel([column, pa.scalar(None, pa.binary())]).null_count == 3
    assert kernel([column.slice(0, 0), one]).to_pylist() == []
    with pytest.raises(TypeError):
        kernel([column])
    with pytest.raises(TypeError):
        kernel([column, pa.array([1, 2, 3])])
    with pytest.raises(KeyError):
        Kernel("numeric_of_nothing", [], NUMERIC)
    assert "numeric_add" in SYMBOLS


def test_stored_bytes_are_not_trusted() -> None:
    for bad in (
        b"",
        b"\x30",
        b"\x60\0\0",
        b"\x30\x80\0\x05\x01\0",
        b"\x30\x80\0\x05\x09\0\0",
        b"\x30\x70\0\x05\x01\0\0",
    ):
        with pytest.raises(PgError) as e:
            format_text(pa.array([bad], pa.binary()), NUMERIC)
        assert e.value.sqlstate == "XX001"
