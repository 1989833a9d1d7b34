"""A connection to the worker's PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.harness.postgres import Postgres


@pytest.fixture(scope="session")
def pg(postgres: Postgres) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """Autocommit, default settings, time zone UTC."""
    with postgres.connect() as connection:
        yield connection
