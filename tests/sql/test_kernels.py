"""Every registered kernel against PostgreSQL, on extreme, null and ordinary arguments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from laminar.sql import facts, kernels
from laminar.sql.evaluator import conversions
from laminar.sql.kernels import introspection
from tests.harness.postgres import Postgres
from tests.sql import kernel_probe

#: symbols whose value is not the arguments' alone, or that need a session
NOT_COMPARABLE = {
    "drandom",
    "gen_random_uuid",
    "now",
    "statement_timestamp",
    "clock_timestamp",
    "pgsql_version",
}
NOT_COMPARABLE |= {"current_user", "session_user", "current_database", "current_schema", "current_schemas"}
NOT_COMPARABLE |= {"pg_backend_pid", "text_regclass", "to_regclass", "to_regtype", "show_config_by_name"}
NOT_COMPARABLE |= {"show_config_by_name_missing_ok", "set_config_by_name"}
NOT_COMPARABLE |= {*introspection.SYMBOLS, *introspection.CONSTANTS, "pg_get_userbyid"}
NOT_COMPARABLE |= {f"to_{kind}" for kind in ("regproc", "regprocedure", "regoper", "regoperator", "regrole")}
NOT_COMPARABLE |= {"to_regnamespace", "to_regcollation"}
# no column has the type jsonpath; sql_tests/portable/functions/jsonpath.test has these
NOT_COMPARABLE |= {s for s in kernels.registered() if s.startswith("jsonb_path_")}
NOT_COMPARABLE |= {
    "nextval_oid",
    "currval_oid",
    "lastval",
    "setval_oid",
    "setval3_oid",
    "pg_get_serial_sequence",
}
# sql_tests/portable/functions/random_and_sleep.test has these
NOT_COMPARABLE |= {s for s in kernels.registered() if s.startswith("pg_sleep")} | {"setseed"}
#: what they do is a session's: tests/server/test_locks.py
NOT_COMPARABLE |= {s for s in kernels.registered() if "advisory" in s}
#: types of system columns: sql_tests/portable/types/xid.test
NOT_COMPARABLE |= {"cideq", "tideq", "tidne", "xideq", "xidneq"}
NOT_COMPARABLE |= {"pg_notify", "pg_cancel_backend", "pg_terminate_backend"}
# of oidvectors: sql_tests/portable/catalog/vectors.test
NOT_COMPARABLE |= {"oidvectoreq", "oidvectorne"}
# of types that tests make: sql_tests/portable/types/{enum,row,composite}
NOT_COMPARABLE |= {s for s in kernels.registered() if s.startswith(("enum_", "record_"))} | {"btrecordcmp"}
# of any range and its bound's type: sql_tests/portable/types/range
NOT_COMPARABLE |= {s for s in kernels.registered() if "range_" in s or s.endswith("_range")}
# PostgreSQL cuts characters in two in its messages; test_fromtext has them
NOT_COMPARABLE |= {"to_date", "to_timestamp"}
MULTIDIMENSIONAL = "multidimensional arrays are not supported"
#: functions that SQL cannot call by name
INTERNAL = {"numeric_rescale", "proctime"} | {s + e for s in conversions.SIZERS.values() for e in ("", "!")}
SETS_OF = {row[2] for row in facts.raw("functions")[1] if row[4]}
SYMBOLS = sorted(
    s for s in kernels.registered() - NOT_COMPARABLE - INTERNAL - SETS_OF if not s.startswith("laminar_")
)


@pytest.fixture(scope="module")
def connection(postgres: Postgres) -> Iterator[psycopg.Connection[Any]]:
    with postgres.connect() as session:
        session.execute("set extra_float_digits = 1")
        yield session


VARIADIC = [
    ("concat", "int4", "text"),
    ("concat", "bool", "float8", "bytea"),
    ("concat_ws", "text", "int2", "text"),
    ("json_build_object", "text", "int4", "text", "json"),
    ("jsonb_build_object", "text", "float8", "int4", "timestamptz"),
    ("jsonb_build_object", "text", "text[]", "text", "bool"),
    ("json_build_array", "int4", "text", "jsonb", "numeric", "timestamp"),
    ("jsonb_build_array", "date", "float4", "bool", "int4[]"),
    ("to_json", "timestamptz"),
    ("to_jsonb", "float8"),
    ("to_jsonb", "json"),
    ("to_json", "text[]"),
    ("encode", "bytea", "form"),
    ("decode", "encoded", "form"),
    ("format", "template"),
    ("format", "template", "text"),
    ("format", "template", "text", "int2"),
]


@pytest.mark.parametrize("call", VARIADIC, ids=str)
def test_variadic_functions(connection: psycopg.Connection[Any], call: tuple[str, ...]) -> None:
    differences = kernel_probe.compare(connection, kernel_probe.by_name(*call))
    assert not differences, f"{len(differences)} differences\n" + "\n".join(differences[:25])


REGEX = [
    ("regexp_match", "text", "pattern"),
    ("regexp_match", "text", "pattern", "flags"),
    ("regexp_like", "text", "pattern", "flags"),
    ("regexp_count", "text", "pattern"),
    ("regexp_replace", "text", "pattern", "replacement"),
    ("regexp_replace", "text", "pattern", "replacement", "flags"),
    ("regexp_replace", "text", "pattern", "replacement", "small"),
    ("regexp_replace", "text", "pattern", "replacement", "small", "small"),
    ("regexp_split_to_array", "text", "pattern"),
    ("regexp_instr", "text", "pattern"),
    ("regexp_instr", "text", "pattern", "small", "small"),
    ("regexp_instr", "text", "pattern", "small", "small", "small", "flags", "small"),
    ("regexp_substr", "text", "pattern"),
    ("regexp_substr", "text", "pattern", "small", "small", "flags"),
    ("regexp_substr", "text", "pattern", "small", "small", "flags", "small"),
    ("substring", "text", "similar", "escape"),
    ("substring", "text", "pattern"),
    ("texticregexeq", "text", "pattern"),
    ("textregexne", "text", "pattern"),
]


@pytest.mark.parametrize("call", REGEX, ids=str)
def test_regular_expressions(connection: psycopg.Connection[Any], call: tuple[str, ...]) -> None:
    differences = kernel_probe.compare(connection, kernel_probe.by_name(*call), limit=400)
    # what Python's engine cannot decide as PostgreSQL does is refused
    differences = [d for d in differences if "here 'ERROR 0A000" not in d]
    assert not differences, f"{len(differences)} differences\n" + "\n".join(differences[:25])


DECIMALS = [
    (op, left, right)
    for op in ("+", "-", "*", "/", "%", "=", "<", ">=")
    for left, right in (
        ("numeric(12,3)", "numeric(5,1)"),
        ("numeric(12,3)", "int4"),
        ("int8", "numeric(5,1)"),
        ("numeric(12,3)", "numeric"),
        ("numeric(38,10)", "numeric(38,10)"),
    )
]
DECIMAL_CALLS = [
    ("abs", "numeric(12,3)"),
    ("round", "numeric(12,3)"),
    ("trunc", "numeric(12,3)", "small"),
    ("ceil", "numeric(5,1)"),
    ("int4", "numeric(12,3)"),
    ("float8", "numeric(38,10)"),
    ("concat", "numeric(12,3)", "numeric(5,1)"),
    ("sqrt", "numeric(5,1)"),
]


@pytest.mark.parametrize("call", DECIMALS, ids=str)
def test_decimal_operators(connection: psycopg.Connection[Any], call: tuple[str, str, str]) -> None:
    """Storage as decimal128 and as bytes give the same answers, with the same display scale."""
    differences = kernel_probe.compare(connection, kernel_probe.by_operator(*call))
    assert not differences, f"{len(differences)} differences\n" + "\n".join(differences[:25])


@pytest.mark.parametrize("call", DECIMAL_CALLS, ids=str)
def test_decimal_functions(connection: psycopg.Connection[Any], call: tuple[str, ...]) -> None:
    differences = kernel_probe.compare(connection, kernel_probe.by_name(*call))
    assert not differences, f"{len(differences)} differences\n" + "\n".join(differences[:25])


FORMATS = [
    ("to_char", "int4", "numform"),
    ("to_char", "int8", "numform"),
    ("to_char", "float4", "numform"),
    ("to_char", "float8", "numform"),
    ("to_char", "numeric", "numform"),
    ("to_char", "numeric(12,3)", "numform"),
    ("to_char", "interval", "spanform"),
    ("to_number", "numbers", "numform"),
    ("parse_ident", "identifier", "bool"),
    ("parse_ident", "identifier"),
    ("unistr", "escapes"),
    ("normalize", "composed", "normal"),
    ("is_normalized", "composed", "normal"),
    ("width_bucket", "float8", "float8[]"),
    ("jsonb_set_lax", "jsonb", "text[]", "jsonb", "bool", "treatment"),
]


@pytest.mark.parametrize("call", FORMATS, ids=str)
def test_formats(connection: psycopg.Connection[Any], call: tuple[str, ...]) -> None:
    differences = kernel_probe.compare(connection, kernel_probe.by_name(*call), limit=1600)
    assert not differences, f"{len(differences)} differences\n" + "\n".join(differences[:25])


SETS = [
    ("json_array_elements", "json"),
    ("jsonb_array_elements_text", "jsonb"),
    ("jsonb_object_keys", "jsonb"),
    ("regexp_split_to_table", "text", "pattern"),
    ("generate_series", "small", "small"),
    ("generate_series", "small", "small", "small"),
    ("generate_series", "numeric(5,1)", "numeric(5,1)"),
    ("generate_series", "numeric(5,1)", "numeric(5,1)", "numeric(5,1)"),
    ("string_to_table", "text", "text"),
    ("string_to_table", "text", "text", "text"),
    ("unnest", "int4[]"),
    ("unnest", "text[]"),
    ("generate_subscripts", "int4[]", "small"),
    ("generate_subscripts", "text[]", "small", "bool"),
]


@pytest.mark.parametrize("call", SETS, ids=str)
def test_set_returning_functions(connection: psycopg.Connection[Any], call: tuple[str, ...]) -> None:
    differences = kernel_probe.compare(connection, kernel_probe.set_returning(*call))
    # ARRAY(SELECT) of no rows is empty where the function's list is null
    differences = [d for d in differences if not d.endswith("PostgreSQL '{}', here None")]
    assert not differences, f"{len(differences)} differences\n" + "\n".join(differences[:25])


#: differences at the extremes, in the native kernels
GAPS = {
    "age(timestamp)": "PostgreSQL 15 computes with the integer that stands for infinity",
    "age(timestamptz)": "as age(timestamp)",
    "timestamp_age": "as age(timestamp)",
    "timestamptz_age": "as age(timestamp)",
    "interval_mul": "a factor beyond 2^31 overflows where PostgreSQL's float arithmetic does not",
    "mul_d_interval": "as interval_mul",
    "make_date": "messages show the year as given, PostgreSQL years BC one off",
    "make_time": "messages show nan and inf in lower case",
    "make_timestamp": "as make_date and make_time",
    "make_timestamptz": "as make_date and make_time",
    "make_timestamptz_at_timezone": "as make_date and make_time",
    "numeric_round": "more than 2000 places are not cut to 2000",
    "numeric_trunc": "more than 2000 places are not cut to 2000",
    "timestamp_izone": "the zone is checked before infinite values return",
    "timestamptz_izone": "the zone is checked before infinite values return",
    "timestamptz_trunc_zone": "the zone is checked before unit and infinite values",
    "width_bucket_numeric": "rounding of the quotient with bounds of 20 digits more than the operand",
}


def _parameters() -> list[Any]:
    gap = pytest.mark.xfail
    return [pytest.param(s, marks=[gap(strict=True, reason=GAPS[s])] if s in GAPS else []) for s in SYMBOLS]


@pytest.mark.parametrize("symbol", _parameters())
def test_kernel_agrees_with_postgresql(connection: psycopg.Connection[Any], symbol: str) -> None:
    cases = kernel_probe.overloads(symbol)
    if not cases:
        assert symbol in kernel_probe.UNREACHED, f"nothing tests {symbol}"
        return
    differences = [d for case in cases for d in kernel_probe.compare(connection, case)]
    differences = [d for d in differences if f"here 'ERROR 0A000 {MULTIDIMENSIONAL}" not in d]
    assert not differences, f"{len(differences)} differences\n" + "\n".join(differences[:25])
