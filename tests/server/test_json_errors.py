"""What is wrong with JSON and where, as PostgreSQL says it."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

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
        session.execute(sql.SQL("select {}::jsonb").format(sql.Literal(document)))
    diag = error.value.diag
    return diag.sqlstate, diag.message_primary, diag.message_detail, diag.context


@pytest.mark.parametrize("document", DOCUMENTS)
def test_errors_are_postgresqls(document: str, laminar: LaminarServer, postgres: Postgres) -> None:
    assert refused(laminar.dsn, document) == refused(postgres.dsn, document)
