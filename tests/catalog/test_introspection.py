"""What drivers ask about types and objects when they connect or reflect."""

from __future__ import annotations

import asyncio

import asyncpg
from asyncpg import introspection
from psycopg.types import TypeInfo

from tests.harness.server import LaminarServer


def test_psycopg_fetches_types(laminar: LaminarServer) -> None:
    with laminar.connect() as connection:
        found = TypeInfo.fetch(connection, "jsonb")
        assert found is not None and (found.oid, found.array_oid) == (3802, 3807)
        assert TypeInfo.fetch(connection, "no_such_type") is None


def test_asyncpg_introspects_types(laminar: LaminarServer) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=laminar.port, user="laminar", database="laminar"
        )
        rows = await connection.fetch(introspection.INTRO_LOOKUP_TYPES, [1009, 3904])
        assert {row["name"] for row in rows} == {"_text", "text", "int4range", "int4"}
        cardinal = await connection.fetchval("SELECT 'information_schema.tables'::regclass::oid")
        assert cardinal > 0
        await connection.close()

    asyncio.run(run())


def test_system_types_in_both_formats(laminar: LaminarServer) -> None:
    query = (
        "SELECT attrelid::regclass, attnum, atttypid::regtype, attidentity, attname FROM pg_attribute "
        "WHERE attrelid = 'pg_class'::regclass AND attnum <= 2 ORDER BY attnum"
    )
    with laminar.connect() as connection:
        text = connection.execute(query).fetchall()
        assert text == [("pg_class", 1, "oid", "", "oid"), ("pg_class", 2, "name", "", "relname")]
        binary = connection.execute(query, binary=True).fetchall()
        assert [row[1] for row in binary] == [1, 2]
        vectors = "SELECT proargtypes, proname FROM pg_proc WHERE oid IN (1598, 2510) ORDER BY oid"
        shown = connection.execute("SELECT proargtypes::text FROM pg_proc WHERE oid = 177").fetchone()
        assert shown == ("23 23",)
        assert len(connection.execute(vectors, binary=True).fetchall()) == 2


def test_privileges_and_definitions(laminar: LaminarServer) -> None:
    with laminar.connect() as connection:
        connection.execute("CREATE TABLE looked_at (a int PRIMARY KEY, b text DEFAULT 'x')")
        try:
            assert connection.execute(
                "SELECT has_table_privilege('looked_at', 'SELECT'), pg_get_userbyid(relowner), "
                "to_regclass('looked_at')::text, to_regclass('nothing'), obj_description(oid) "
                "FROM pg_class WHERE oid = 'looked_at'::regclass"
            ).fetchone() == (True, "laminar", "looked_at", None, None)
            assert connection.execute(
                "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'looked_at'::regclass"
            ).fetchone() == ("PRIMARY KEY (a)",)
            assert connection.execute(
                "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'looked_at'::regclass"
            ).fetchone() == ("'x'::text",)
            assert connection.execute(
                "SELECT column_name, data_type, column_default FROM information_schema.columns "
                "WHERE table_name = 'looked_at' ORDER BY ordinal_position"
            ).fetchall() == [("a", "integer", None), ("b", "text", "'x'::text")]
        finally:
            connection.execute("DROP TABLE looked_at")
