"""Rows that a table refuses, in COPY: the error says in which line, as PostgreSQL's does."""

from __future__ import annotations

import psycopg
import pytest

from tests.harness.postgres import Postgres
from tests.harness.server import LaminarServer

CASES = {
    "null": ("a,1\n,2\n", "(format csv)"),
    "null after a header": ("k,v\na,1\n,2\n", "(format csv, header)"),
    "check": ("a\t1\nb\t2\nc\t-1\nd\t4\n", ""),
    "long line": ("x" * 300 + "\t0\n", ""),
    "cut within a character": ("a" * 99 + "é\t0\n", ""),
    "several lines": ('"a\nb",1\n"c\nd",0\n', "(format csv)"),
    "first the row, then the column": ("a,1\nb,0\n,1\n", "(format csv)"),
    "a check that fails": ("a,1\nb,7\nc,0\n", "(format csv)"),
    "first the null, then the check": (",0\n", "(format csv)"),
    "repeated key": ('a,1\n"b\nc",2\na,3\n', "(format csv)"),
}


def refused(dsn: str, data: str, options: str) -> tuple[str | None, str | None, str]:
    with psycopg.connect(dsn, autocommit=True) as session:
        session.execute("drop table if exists copied")
        session.execute(
            "create table copied (k text primary key, v int check (v > 0), check (10 / (v - 7) < 100))"
        )
        with (
            pytest.raises(psycopg.Error) as error,
            session.cursor() as cursor,
            cursor.copy(f"copy copied from stdin {options}") as copy,
        ):
            copy.write(data)
        session.execute("drop table copied")
    return error.value.sqlstate, error.value.diag.message_primary, error.value.diag.context or ""


@pytest.mark.parametrize("case", CASES)
def test_a_refused_row_is_placed(case: str, laminar: LaminarServer, postgres: Postgres) -> None:
    theirs, ours = (refused(dsn, *CASES[case]) for dsn in (postgres.dsn, laminar.dsn))
    assert ours == theirs


def test_the_row_of_a_later_batch(laminar: LaminarServer) -> None:
    """Lines are counted over batches."""
    data = "".join(f"{i}\t1\n" for i in range(150_000)) + "last\t0\n"
    assert refused(laminar.dsn, data, "")[2] == 'COPY copied, line 150001: "last\t0"'
