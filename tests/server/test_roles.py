"""Roles, memberships, GRANT and REVOKE on every way to data."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

from tests.harness.server import LaminarServer

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def people(laminar: LaminarServer) -> Iterator[tuple[Connection, Connection, Connection]]:
    """(superuser, alice, bob): alice owns schema hers with table hers.t and views of it."""

    def connect(user: str) -> Connection:
        return psycopg.connect(laminar.dsn.replace("user=laminar", f"user={user}"), autocommit=True)

    with laminar.connect() as admin:
        for name in ("alice", "bob"):
            admin.execute(f"CREATE ROLE {name} LOGIN")
        admin.execute("GRANT CREATE ON DATABASE laminar TO alice")
        with connect("alice") as alice, connect("bob") as bob:
            alice.execute("CREATE SCHEMA hers")
            alice.execute("CREATE TABLE hers.t (id int PRIMARY KEY, word text)")
            alice.execute("INSERT INTO hers.t VALUES (1, 'xyzzy')")
            alice.execute("CREATE VIEW hers.v AS SELECT word FROM hers.t")
            alice.execute(
                "CREATE MATERIALIZED VIEW hers.m AS SELECT word, count(*) FROM hers.t GROUP BY word"
            )
            yield admin, alice, bob
        admin.execute("RESET ROLE")
        admin.execute("DROP SCHEMA IF EXISTS hers CASCADE")
        admin.execute("REVOKE CREATE ON DATABASE laminar FROM alice")
        for name in ("alice", "bob", "readers", "team"):
            admin.execute(f"DROP ROLE IF EXISTS {name}")


def refused(connection: Connection, statement: str) -> str:
    with pytest.raises(errors.InsufficientPrivilege) as error:
        connection.execute(statement)
    return str(error.value.diag.message_primary)


def test_each_privilege_is_for_what_it_says(people):
    _, alice, bob = people
    assert refused(bob, "SELECT * FROM hers.t") == "permission denied for schema hers"
    alice.execute("GRANT USAGE ON SCHEMA hers TO bob")
    assert refused(bob, "SELECT * FROM hers.t") == "permission denied for table t"
    assert refused(bob, "SELECT * FROM hers.v") == "permission denied for view v"
    assert refused(bob, "SUBSCRIBE TO hers.m") == "permission denied for materialized view m"
    alice.execute("GRANT INSERT ON hers.t TO bob")
    bob.execute("INSERT INTO hers.t VALUES (2, 'b')")
    with bob.cursor() as cursor, cursor.copy("COPY hers.t FROM STDIN") as copy:
        copy.write_row((3, "c"))
    refused(bob, "INSERT INTO hers.t VALUES (4, 'd') RETURNING id")
    refused(bob, "INSERT INTO hers.t VALUES (1, 'd') ON CONFLICT (id) DO UPDATE SET word = 'd'")
    alice.execute("GRANT UPDATE, DELETE ON hers.t TO bob")
    bob.execute("UPDATE hers.t SET word = 'all'")
    refused(bob, "UPDATE hers.t SET word = word || '!'")
    refused(bob, "UPDATE hers.t SET word = 'x' WHERE id = 1")
    refused(bob, "DELETE FROM hers.t WHERE id = 1")
    refused(bob, "TRUNCATE hers.t")
    refused(bob, "COPY hers.t TO STDOUT")
    refused(bob, "EXPLAIN SELECT * FROM hers.t")
    alice.execute("GRANT SELECT, TRUNCATE ON hers.t TO bob")
    assert bob.execute("DELETE FROM hers.t WHERE id = 1 RETURNING word").fetchall() == [("all",)]
    bob.execute("TRUNCATE hers.t")
    refused(bob, "DROP TABLE hers.t")
    alice.execute("REVOKE ALL ON hers.t FROM bob")
    refused(bob, "SELECT * FROM hers.t")


def test_views_read_with_their_owners_rights(people):
    _, alice, bob = people
    alice.execute("GRANT USAGE ON SCHEMA hers TO bob")
    alice.execute("GRANT SELECT ON hers.v, hers.m TO bob")
    assert bob.execute("SELECT * FROM hers.v").fetchall() == [("xyzzy",)]
    assert bob.execute("SELECT * FROM hers.m").fetchall() == [("xyzzy", 1)]
    assert refused(bob, "SELECT * FROM hers.v, hers.t") == "permission denied for table t"
    assert refused(bob, "SELECT (SELECT count(*) FROM hers.t)") == "permission denied for table t"
    # a view whose owner has lost the right to what it reads shows nothing to anybody
    alice.execute("REVOKE ALL ON hers.t FROM alice")
    assert refused(bob, "SELECT * FROM hers.v") == "permission denied for table t"


def test_prepared_statements_ask_again(people):
    _, alice, bob = people
    alice.execute("GRANT USAGE ON SCHEMA hers TO bob")
    alice.execute("GRANT SELECT ON hers.t TO bob")
    bob.execute("PREPARE q AS SELECT word FROM hers.t")
    assert bob.execute("EXECUTE q").fetchall() == [("xyzzy",)]
    alice.execute("REVOKE SELECT ON hers.t FROM bob")
    refused(bob, "EXECUTE q")


def test_a_plan_of_others_opens_no_schema(people):
    _, alice, bob = people
    alice.execute("GRANT SELECT ON hers.t TO bob")
    for _ in range(3):
        alice.execute("SELECT word FROM hers.t")
    assert refused(bob, "SELECT word FROM hers.t") == "permission denied for schema hers"


def test_nobody_creates_in_public(people):
    admin, _, bob = people
    assert refused(bob, "CREATE TABLE public.x (y int)") == "permission denied for schema public"
    assert refused(bob, "CREATE SCHEMA x") == "permission denied for database laminar"
    admin.execute("GRANT CREATE ON SCHEMA public TO bob")
    bob.execute("CREATE TABLE public.x (y int)")
    bob.execute("DROP TABLE x")
    admin.execute("REVOKE CREATE ON SCHEMA public FROM bob")


def test_members_have_what_their_group_has(people):
    admin, alice, bob = people
    admin.execute("CREATE ROLE readers")
    alice.execute("GRANT USAGE ON SCHEMA hers TO readers")
    alice.execute("GRANT SELECT ON ALL TABLES IN SCHEMA hers TO readers")
    refused(bob, "SELECT * FROM hers.t")
    assert refused(bob, "SET ROLE readers") == 'permission denied to set role "readers"'
    admin.execute("GRANT readers TO bob")
    assert bob.execute("SELECT word FROM hers.t").fetchall() == [("xyzzy",)]
    admin.execute("ALTER ROLE bob NOINHERIT")
    refused(bob, "SELECT * FROM hers.t")
    bob.execute("SET ROLE readers")
    assert bob.execute("SELECT current_user, session_user").fetchone() == ("readers", "bob")
    assert bob.execute("SELECT word FROM hers.t").fetchall() == [("xyzzy",)]
    bob.execute("RESET ROLE")
    with bob.transaction():
        bob.execute("SET LOCAL ROLE readers")
        bob.execute("SELECT word FROM hers.t")
    refused(bob, "SELECT * FROM hers.t")
    with pytest.raises(errors.DependentObjectsStillExist, match="readers"):
        admin.execute("DROP ROLE readers")
    alice.execute("REVOKE ALL ON ALL TABLES IN SCHEMA hers FROM readers")
    alice.execute("REVOKE USAGE ON SCHEMA hers FROM readers")
    admin.execute("DROP ROLE readers")


def test_grant_options(people):
    admin, alice, bob = people
    alice.execute("GRANT USAGE ON SCHEMA hers TO PUBLIC")
    alice.execute("GRANT SELECT ON hers.t TO bob WITH GRANT OPTION")
    admin.execute("CREATE ROLE team")
    bob.execute("GRANT SELECT ON hers.t TO team")
    assert refused(bob, "GRANT DELETE ON hers.m TO team") == "permission denied for materialized view m"
    with pytest.raises(errors.DependentObjectsStillExist, match="dependent privileges exist"):
        alice.execute("REVOKE SELECT ON hers.t FROM bob")
    alice.execute("REVOKE SELECT ON hers.t FROM bob CASCADE")
    refused(bob, "SELECT * FROM hers.t")
    admin.execute("SET ROLE team")
    refused(admin, "SELECT * FROM hers.t")
    admin.execute("RESET ROLE")
    with pytest.raises(errors.Error, match="invalid privilege type USAGE for relation"):
        alice.execute("GRANT USAGE ON hers.t TO bob")


def test_roles_are_made_by_those_who_may(people):
    admin, _, bob = people
    assert refused(bob, "CREATE ROLE mallory") == "permission denied to create role"
    refused(bob, "ALTER ROLE bob SUPERUSER")
    refused(bob, "ALTER ROLE laminar PASSWORD 'x'")
    refused(bob, "SET SESSION AUTHORIZATION laminar")
    refused(bob, "SET ROLE laminar")
    refused(bob, "GRANT laminar TO bob")
    refused(bob, "SELECT set_config('role', 'laminar', false)")
    refused(bob, "SELECT set_config('session_authorization', 'laminar', false)")
    admin.execute("ALTER ROLE bob CREATEROLE")
    bob.execute("CREATE ROLE team NOLOGIN IN ROLE bob")
    assert refused(bob, "CREATE ROLE mallory SUPERUSER") == "must be superuser to create superusers"
    bob.execute("DROP ROLE team")
    admin.execute("SET SESSION AUTHORIZATION bob")
    assert admin.execute("SELECT session_user").fetchone() == ("bob",)
    assert admin.info.parameter_status("is_superuser") == "off"
    admin.execute("RESET SESSION AUTHORIZATION")
    assert admin.info.parameter_status("is_superuser") == "on"


def test_nobody_starts_up_as_somebody_else(people, laminar: LaminarServer):
    for setting in ("role", "session_authorization"):
        with pytest.raises(psycopg.OperationalError):
            dsn = laminar.dsn.replace("user=laminar", "user=bob")
            psycopg.connect(dsn, options=f"-c {setting}=laminar")


def test_merge_asks_for_what_it_may_do(people):
    _, alice, bob = people
    alice.execute("GRANT USAGE ON SCHEMA hers TO bob")
    alice.execute("GRANT SELECT, INSERT ON hers.t TO bob")
    insert = (
        "MERGE INTO hers.t USING (SELECT 7 AS id) q ON t.id = q.id"
        " WHEN NOT MATCHED THEN INSERT VALUES (q.id, 'm')"
    )
    assert bob.execute(insert).statusmessage == "MERGE 1"
    refused(bob, f"{insert} WHEN MATCHED THEN DELETE")
    alice.execute("GRANT DELETE ON hers.t TO bob")
    assert bob.execute(f"{insert} WHEN MATCHED THEN DELETE").statusmessage == "MERGE 1"
