"""Every registered kernel against PostgreSQL, on extreme, null and ordinary arguments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from laminar.sql import kernels
from laminar.sql.evaluator import conversions
from tests.harness.postgres import Postgres
from tests.sql import kernel_probe

#: symbols whose value is not the arguments' alone, or that need a session
NOT_COMPARABLE = {"drandom"}
#: functions that SQL cannot call by name
INTERNAL = {"numeric_rescale", "proctime"} | {s + e for s in conversions.SIZERS.values() for e in ("", "!")}
SYMBOLS = sorted(s for s in kernels.registered() - NOT_COMPARABLE - INTERNAL if not s.startswith("laminar_"))


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


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_kernel_agrees_with_postgresql(connection: psycopg.Connection[Any], symbol: str) -> None:
    cases = kernel_probe.overloads(symbol)
    if not cases:
        assert symbol in kernel_probe.UNREACHED, f"nothing tests {symbol}"
        return
    differences = [d for case in cases for d in kernel_probe.compare(connection, case)]
    assert not differences, f"{len(differences)} differences\n" + "\n".join(differences[:25])
