"""What the tests of clients share."""

from __future__ import annotations

import pytest

from tests.harness.postgres import Postgres


@pytest.fixture
def theirs(postgres: Postgres) -> int:
    """The port of a PostgreSQL with the user and database that Laminar starts with."""
    with postgres.connect() as db:
        db.execute("DROP DATABASE IF EXISTS laminar")
        db.execute("DROP ROLE IF EXISTS laminar")
        db.execute("CREATE ROLE laminar SUPERUSER LOGIN")
        db.execute("CREATE DATABASE laminar OWNER laminar")
    return postgres.port
