"""System catalogs are kept between queries, and made again when anything in them changes."""

from __future__ import annotations

import psycopg
import pytest


def _columns(connection: psycopg.Connection) -> list[tuple]:
    query = """SELECT c.relname, c.reltuples, a.attname, d.description FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        LEFT JOIN pg_description d ON d.objoid = c.oid AND d.objsubid = a.attnum
        WHERE c.relnamespace = 'kept'::regnamespace ORDER BY 1, 3"""
    return connection.execute(query).fetchall()


def test_changes_are_seen(laminar):
    with laminar.connect() as one, laminar.connect() as other:
        one.execute("CREATE SCHEMA kept")
        try:
            for session in (one, other):
                assert _columns(session) == []
            one.execute("CREATE TABLE kept.t (a int)")
            assert _columns(other) == [("t", 0.0, "a", None)]
            one.execute("INSERT INTO kept.t VALUES (1), (2)")
            one.execute("FLUSH")
            one.execute("COMMENT ON COLUMN kept.t.a IS 'first'")
            assert _columns(other) == [("t", 2.0, "a", "first")]
            with pytest.raises(psycopg.errors.DivisionByZero), one.transaction():
                one.execute("ALTER TABLE kept.t RENAME COLUMN a TO b")
                assert _columns(one) == [("t", 2.0, "b", "first")]
                one.execute("SELECT 1 / 0")
            assert _columns(one) == _columns(other) == [("t", 2.0, "a", "first")]
        finally:
            one.execute("DROP SCHEMA kept CASCADE")
        assert other.execute("SELECT count(*) FROM pg_class WHERE relname = 't'").fetchone() == (0,)
