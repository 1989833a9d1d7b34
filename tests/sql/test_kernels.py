"""Every registered kernel against PostgreSQL, on extreme, null and ordinary arguments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from laminar.sql import facts, kernels
from laminar.sql.evaluator import conversions
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
NOT_COMPARABLE |= {"pg_table_is_visible", "pg_type_is_visible", "pg_function_is_visible", "pg_get_userbyid"}
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
    ("format", "template"),
    ("format", "template", "text"),
    ("format", "template", "text", "int2"),
]


@pytest.mark.parametrize("call", VARIADIC, ids=str)
def test_variadic_functions(connection: psycopg.Connection[Any], call: tuple[str, ...]) -> None:
    differences = kernel_probe.compare(connection, kernel_probe.by_name(*call))
    assert not differences, f"{len(differences)} differences\n" + "\n".join(differences[:25])


SETS = [
    ("generate_series", "small", "small"),
    ("generate_series", "small", "small", "small"),
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


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_kernel_agrees_with_postgresql(connection: psycopg.Connection[Any], symbol: str) -> None:
    cases = kernel_probe.overloads(symbol)
    if not cases:
        assert symbol in kernel_probe.UNREACHED, f"nothing tests {symbol}"
        return
    differences = [d for case in cases for d in kernel_probe.compare(connection, case)]
    assert not differences, f"{len(differences)} differences\n" + "\n".join(differences[:25])
