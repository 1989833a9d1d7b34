"""What one user may do to what belongs to another: nothing, not even by way of a schema or a file."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from tests.harness.server import LaminarServer


@pytest.fixture
def users(laminar: LaminarServer):
    """(the superuser's connection, that of a plain role ``guest``); all that they made is dropped."""
    with laminar.connect() as owner:
        owner.execute("CREATE ROLE guest LOGIN")
        owner.execute("GRANT CREATE ON DATABASE laminar TO guest")
        owner.execute("CREATE SCHEMA private")
        owner.execute("CREATE TABLE private.secret (id int PRIMARY KEY, word text)")
        owner.execute("INSERT INTO private.secret VALUES (1, 'xyzzy')")
        owner.execute("CREATE VIEW private.peek AS SELECT * FROM private.secret")
        owner.execute("CREATE MATERIALIZED VIEW private.counts AS"
                      " SELECT word, count(*) FROM private.secret GROUP BY word")  # fmt: skip
        with psycopg.connect(laminar.dsn.replace("user=laminar", "user=guest"), autocommit=True) as guest:
            yield owner, guest
        owner.execute("DROP SCHEMA IF EXISTS mine CASCADE")
        owner.execute("DROP SCHEMA private CASCADE")
        owner.execute("REVOKE CREATE ON DATABASE laminar FROM guest")
        owner.execute("DROP ROLE guest")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM private.secret",
        "SELECT * FROM private.peek",
        "SELECT count(*) FROM private.counts",
        "SUBSCRIBE TO private.counts",
        "COPY private.secret TO STDOUT",
        "COPY (SELECT * FROM private.peek) TO STDOUT",
        "COPY (SUBSCRIBE TO private.counts) TO STDOUT",
        "COPY private.secret FROM STDIN",
        "EXPLAIN SELECT * FROM private.secret",
        "SHOW CREATE VIEW private.peek",
        "INSERT INTO private.secret VALUES (1, 'taken?')",
        "UPDATE private.secret SET word = 'x'",
        "TRUNCATE private.secret",
        "CREATE MATERIALIZED VIEW stolen AS SELECT * FROM private.secret",
        "CREATE TABLE private.more (x int)",
        "CREATE VIEW private.more AS SELECT 1 AS x",
        "DROP TABLE private.secret CASCADE",
        "DROP SCHEMA private CASCADE",
        "DROP SCHEMA public CASCADE",
        "CREATE SOURCE passwords (line text) WITH (connector = 'file', path = '/etc/passwd', format = 'csv')",
    ],
)
def test_strangers_are_refused(users, statement):
    owner, guest = users
    with pytest.raises(errors.InsufficientPrivilege) as refused:
        guest.execute(statement)
    assert "xyzzy" not in str(refused.value)
    assert owner.execute("SELECT * FROM private.counts").fetchall() == [("xyzzy", 1)]


def test_owners_of_a_schema_use_and_drop_it(users):
    _, guest = users
    guest.execute("CREATE SCHEMA mine")
    guest.execute("CREATE TABLE mine.t (x int)")
    guest.execute("DROP SCHEMA mine CASCADE")


def test_a_role_that_owns_a_schema_stays(users):
    owner, guest = users
    guest.execute("CREATE SCHEMA mine")
    with pytest.raises(errors.DependentObjectsStillExist) as refused:
        owner.execute("DROP ROLE guest")
    assert "owner of schema mine" in refused.value.diag.message_detail.splitlines()
