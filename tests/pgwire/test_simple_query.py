"""Simple query through real clients."""

from __future__ import annotations

import subprocess

import psycopg
import pytest

from .conftest import Running


def test_constants_and_tags(running: Running) -> None:
    with psycopg.connect(running.dsn, autocommit=True) as connection:
        result = connection.pgconn.exec_(b"SELECT 1, 'it''s', NULL")
        assert result.command_status == b"SELECT 1"
        assert [result.get_value(0, i) for i in range(3)] == [b"1", b"it's", None]
        assert [result.ftype(i) for i in range(3)] == [23, 25, 25]
        assert [result.fsize(i) for i in range(3)] == [4, -1, -1]


def test_script_is_one_implicit_transaction(running: Running) -> None:
    with psycopg.connect(running.dsn, autocommit=True) as connection:
        connection.pgconn.exec_(b"SELECT 1; SELECT 2")
        assert running.db.log == ["SELECT 1", "SELECT 2", "<commit>"]
        running.db.log.clear()
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1; ERROR 22012 division by zero; SELECT 2")
        assert running.db.log == ["SELECT 1", "ERROR 22012 division by zero", "<rollback>"]


def test_psql(running: Running) -> None:
    command = ["psql", "-X", "-A", "-t", running.dsn, "-c", "SELECT 1, 'two'"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "1|two\n"
