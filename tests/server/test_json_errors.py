"""What is wrong with JSON and where, as PostgreSQL says it."""

from __future__ import annotations

import psycopg
import pytest

from tests.harness.postgres import Postgres
from tests.harness.server import LaminarServer

DOCUMENTS = [
    '{"a":',
    '{"a":1,}',
    "[1,2",
    "tru",
    '{"a" 1}',
    "",
    '"abc',
    "{1:2}",
    r'"\u12"',
    r'"\x"',
    r'"\u0000"',
    "1 2",
    "[1,\n2,\n3",
    "01",
    '"a\tb"',
    '{"' + "é" * 80 + '":1 x',
]


def refused(dsn: str, document: str) -> tuple[str | None, ...]:
    with psycopg.connect(dsn, autocommit=True) as session, pytest.raises(psycopg.Error) as error:
        session.execute("select %s::jsonb", (document,))
    diag = error.value.diag
    return diag.sqlstate, diag.message_primary, diag.message_detail, diag.context


@pytest.mark.parametrize("document", DOCUMENTS)
def test_errors_are_postgresqls(document: str, laminar: LaminarServer, postgres: Postgres) -> None:
    theirs, ours = refused(postgres.dsn, document), refused(laminar.dsn, document)
    # an argument is no literal of the statement: PostgreSQL names the parameter below what JSON says
    assert ours[:3] == theirs[:3]
    assert (ours[3] or "").splitlines()[0] == (theirs[3] or "").splitlines()[0]
