"""Cursors and prepared statements: SQL's and the protocol's are the same."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from tests.harness.server import LaminarServer

TEN = "SELECT g FROM generate_series(1, 10) g"


def values(connection: psycopg.Connection, statement: str) -> list[int]:
    return [row[0] for row in connection.execute(statement).fetchall()]


@pytest.mark.parametrize("scroll", ["", "SCROLL "])
def test_every_direction(laminar: LaminarServer, scroll: str):
    """As PostgreSQL 15 answers."""
    with laminar.connect() as connection, connection.transaction():
        connection.execute(f"DECLARE c {scroll}CURSOR FOR {TEN}")
        assert values(connection, "FETCH c") == [1]
        assert values(connection, "FETCH 3 FROM c") == [2, 3, 4]
        assert values(connection, "FETCH PRIOR FROM c") == [3]
        assert values(connection, "FETCH RELATIVE 0 FROM c") == [3]
        assert values(connection, "FETCH RELATIVE 4 FROM c") == [7]
        assert values(connection, "FETCH ABSOLUTE -2 FROM c") == [9]
        assert values(connection, "FETCH LAST FROM c") == [10]
        assert values(connection, "FETCH NEXT FROM c") == []
        assert values(connection, "FETCH BACKWARD 2 FROM c") == [10, 9]
        assert connection.execute("MOVE BACKWARD ALL FROM c").statusmessage == "MOVE 8"
        assert values(connection, "FETCH PRIOR FROM c") == []
        assert connection.execute("MOVE 4 FROM c").statusmessage == "MOVE 4"
        assert values(connection, "FETCH FORWARD 0 FROM c") == [4]
        assert values(connection, "FETCH ALL FROM c") == [5, 6, 7, 8, 9, 10]
        connection.execute("CLOSE c")
        with pytest.raises(errors.InvalidCursorName), connection.transaction():
            connection.execute("FETCH c")


def test_no_scroll_goes_forward_only(laminar: LaminarServer):
    with laminar.connect() as connection, connection.transaction():
        connection.execute(f"DECLARE c NO SCROLL CURSOR FOR {TEN}")
        assert values(connection, "FETCH 2 FROM c") == [1, 2]
        with pytest.raises(errors.ObjectNotInPrerequisiteState), connection.transaction():
            connection.execute("FETCH PRIOR FROM c")
        assert values(connection, "FETCH 2 FROM c") == [3, 4]


def test_cursors_end_with_their_transaction(laminar: LaminarServer):
    with laminar.connect() as connection:
        with pytest.raises(errors.NoActiveSqlTransaction):
            connection.execute(f"DECLARE c CURSOR FOR {TEN}")
        with connection.transaction():
            connection.execute(f"DECLARE c CURSOR FOR {TEN}")
            connection.execute("SAVEPOINT s")
            connection.execute(f"DECLARE d CURSOR FOR {TEN}")
            connection.execute("ROLLBACK TO s")
            with pytest.raises(errors.InvalidCursorName), connection.transaction():
                connection.execute("FETCH d")
        with pytest.raises(errors.InvalidCursorName):
            connection.execute("FETCH c")


def test_held_cursors_outlive_it(laminar: LaminarServer):
    with laminar.connect() as connection:
        connection.execute("CREATE TABLE held (x int)")
        connection.execute("INSERT INTO held VALUES (1), (2), (3)")
        try:
            with connection.transaction():
                connection.execute("DECLARE h SCROLL CURSOR WITH HOLD FOR SELECT x FROM held ORDER BY x")
                assert values(connection, "FETCH h") == [1]
            connection.execute("DELETE FROM held")
            assert values(connection, "FETCH ALL FROM h") == [2, 3]
            assert values(connection, "FETCH FIRST FROM h") == [1]
            connection.execute("CLOSE ALL")
            with pytest.raises(ZeroDivisionError), connection.transaction():
                connection.execute("DECLARE h CURSOR WITH HOLD FOR SELECT x FROM held")
                raise ZeroDivisionError
            with pytest.raises(errors.InvalidCursorName):
                connection.execute("FETCH h")
        finally:
            connection.execute("DROP TABLE held")


def test_server_side_cursors_of_psycopg(laminar: LaminarServer):
    """DECLARE with parameters, Describe of the portal, FETCH in binary."""
    with laminar.connect(autocommit=False) as connection:
        query = "SELECT g, g::text AS t FROM generate_series(1, %s) g"
        with connection.cursor("named", binary=True) as cursor:
            cursor.execute(query, (5,))
            assert [d.name for d in cursor.description or ()] == ["g", "t"]
            assert cursor.fetchmany(2) == [(1, "1"), (2, "2")]
            assert list(cursor) == [(3, "3"), (4, "4"), (5, "5")]
        with connection.cursor("named", scrollable=True, withhold=True) as cursor:
            cursor.execute(query, (3,))
            cursor.scroll(2)
            assert cursor.fetchone() == (3, "3")
            connection.commit()
            cursor.scroll(0, "absolute")
            assert cursor.fetchall() == [(1, "1"), (2, "2"), (3, "3")]


def test_a_portal_of_the_protocol_is_a_cursor(laminar: LaminarServer):
    with laminar.connect() as connection, connection.transaction():
        connection.execute(f"DECLARE c CURSOR FOR {TEN}")
        result = connection.pgconn.describe_portal(b"c")
        assert result.nfields == 1
    with laminar.connect() as connection:
        connection.execute("PREPARE p (int) AS SELECT $1 + 1 AS next")
        assert connection.pgconn.describe_prepared(b"p").nparams == 1
        assert connection.pgconn.exec_prepared(b"p", [b"41"]).get_value(0, 0) == b"42"
        connection.pgconn.prepare(b"q", b"SELECT $1::text || 'x'")
        assert connection.execute("EXECUTE q ('y')").fetchone() == ("yx",)
        connection.execute("DEALLOCATE q")
        with pytest.raises(errors.InvalidSqlStatementName):
            connection.execute("EXECUTE q ('y')")


def test_prepared_statements(laminar: LaminarServer):
    with laminar.connect() as connection:
        connection.execute("CREATE TABLE kept (id int PRIMARY KEY, word text)")
        try:
            connection.execute("PREPARE put AS INSERT INTO kept VALUES ($1, $2) RETURNING word")
            assert connection.execute("EXECUTE put (1, 'a' || 'b')").fetchone() == ("ab",)
            assert connection.execute("EXECUTE put ('2', NULL)").fetchone() == (None,)
            with pytest.raises(errors.UniqueViolation):
                connection.execute("EXECUTE put (1, 'again')")
            with pytest.raises(errors.SyntaxError, match="wrong number of parameters"):
                connection.execute("EXECUTE put (1)")
            with pytest.raises(errors.DatatypeMismatch):
                connection.execute("EXECUTE put (true, 'x')")
            with pytest.raises(errors.DuplicatePreparedStatement):
                connection.execute("PREPARE put AS SELECT 1")
            connection.execute("DISCARD ALL")
            with pytest.raises(errors.InvalidSqlStatementName):
                connection.execute("EXECUTE put (3, 'x')")
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (2,)
        finally:
            connection.execute("DROP TABLE kept")


def test_changes_by_cursor(laminar: LaminarServer):
    """FETCH of a SUBSCRIBE gives what comes within its time-out and loses nothing."""
    with laminar.connect() as connection, laminar.connect() as writer:
        writer.execute("CREATE TABLE watched (x int)")
        try:
            with connection.transaction():
                connection.execute("DECLARE c CURSOR FOR SUBSCRIBE TO watched")
                assert connection.execute("FETCH ALL FROM c WITH (timeout = '50ms')").fetchall() == []
                writer.execute("INSERT INTO watched VALUES (1), (2)")
                rows: list[tuple[int, ...]] = []
                for _ in range(100):
                    rows += connection.execute("FETCH 1 FROM c WITH (timeout = '100ms')").fetchall()
                    if len(rows) == 2:
                        break
                assert sorted(row[2] for row in rows) == [1, 2]
        finally:
            writer.execute("DROP TABLE watched")
