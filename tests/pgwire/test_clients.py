"""Drivers as their users install them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import asyncpg
import pg8000.dbapi
import psycopg
import psycopg2

from .conftest import Running


def run(coroutine: Awaitable[None]) -> None:
    async def main() -> None:
        await coroutine

    asyncio.run(main())


def test_psycopg_transactions_and_pipeline(running: Running) -> None:
    with psycopg.connect(running.dsn) as connection:
        for binary in (False, True):
            cursor = connection.cursor(binary=binary)
            cursor.execute("SELECT 1, 'two'")
            assert cursor.fetchone() == (1, "two")
        connection.rollback()
        with connection.pipeline():
            cursors = [connection.execute("SELECT 1") for _ in range(50)]
            assert [cursor.fetchone() for cursor in cursors] == [(1,)] * 50


def test_psycopg_server_side_parameters(running: Running) -> None:
    with psycopg.connect(running.dsn, autocommit=True, cursor_factory=psycopg.RawCursor) as connection:
        for prepare in (False, True):
            for n in (1, -(2**31), 2**31 - 1):
                cursor = connection.execute(
                    "SELECT $1::int4, $2::text, $3::bool", (n, "x'", None), prepare=prepare
                )
                assert cursor.fetchone() == (n, "x'", None)


def test_psycopg_async(running: Running) -> None:
    async def body() -> None:
        async with await psycopg.AsyncConnection.connect(running.dsn, autocommit=True) as connection:
            cursor = await connection.execute("COUNT 2500")
            assert [row[0] async for row in cursor] == list(range(2500))
            async for row in connection.cursor().stream("COUNT 10"):
                assert row[0] < 10

    run(body())


def test_asyncpg(running: Running) -> None:
    async def body() -> None:
        connection = await asyncpg.connect(host="127.0.0.1", port=running.port, user="test", database="test")
        try:
            assert await connection.fetchval("SELECT $1::int8", 2**40) == 2**40
            assert await connection.fetchrow("SELECT $1::text, $2::bool", "ü", True) == ("ü", True)
            async with connection.transaction():
                rows = [record[0] async for record in connection.cursor("COUNT 120", prefetch=50)]
            assert rows == list(range(120))
        finally:
            await connection.close()

    run(body())


def test_psycopg2(running: Running) -> None:
    connection = psycopg2.connect(running.dsn)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s, %s", (7, "a'b"))
            assert cursor.fetchone() == (7, "a'b")
        connection.commit()
    finally:
        connection.close()


def test_pg8000(running: Running) -> None:
    connection = pg8000.dbapi.connect("test", host="127.0.0.1", port=running.port, database="test")
    try:
        cursor = connection.cursor()
        cursor.execute("SELECT 1, 'two'")
        assert list(cursor.fetchall()) == [[1, "two"]]
    finally:
        connection.close()
