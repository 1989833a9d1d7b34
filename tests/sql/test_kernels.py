"""Every registered kernel against PostgreSQL, on extreme, null and ordinary arguments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from laminar.sql import kernels
from tests.harness.postgres import Postgres
from tests.sql import kernel_probe

#: symbols whose value is not the arguments' alone, or that need a session
NOT_COMPARABLE = {"drandom"}
#: functions that SQL cannot call by name
INTERNAL = {"numeric_rescale", "varchar!", "bpchar!", "varchar", "bpchar", "numeric", "numeric!"}
SYMBOLS = sorted(kernels.registered() - NOT_COMPARABLE)


@pytest.fixture(scope="module")
def connection(postgres: Postgres) -> Iterator[psycopg.Connection[Any]]:
    with postgres.connect() as session:
        session.execute("set extra_float_digits = 1")
        yield session


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_kernel_agrees_with_postgresql(connection: psycopg.Connection[Any], symbol: str) -> None:
    cases = kernel_probe.overloads(symbol)
    if not cases:
        assert symbol in INTERNAL or symbol in kernel_probe.UNREACHED, f"nothing tests {symbol}"
        return
    differences = [d for case in cases for d in kernel_probe.compare(connection, case)]
    assert not differences, f"{len(differences)} differences\n" + "\n".join(differences[:25])
