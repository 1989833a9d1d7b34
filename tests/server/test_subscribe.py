"""SUBSCRIBE: its end when the view goes, its bound when nobody reads, COPY of it."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.harness.server import LaminarServer


@pytest.fixture
def db(laminar: LaminarServer) -> Iterator[psycopg.Connection[Any]]:
    with laminar.connect() as connection:
        connection.execute("CREATE SCHEMA sub")
        connection.execute("SET search_path = sub")
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
        connection.execute("CREATE MATERIALIZED VIEW m AS SELECT id, v FROM t WHERE id > 0")
        try:
            yield connection
        finally:
            connection.execute("DROP SCHEMA sub CASCADE")


def subscriptions(db: psycopg.Connection[Any]) -> int:
    row = db.execute("SELECT count(*) FROM laminar_catalog.subscriptions").fetchone()
    assert row is not None
    return int(row[0])


def until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_dropping_the_view_ends_its_subscribers(laminar: LaminarServer, db: psycopg.Connection[Any]) -> None:
    failed: list[psycopg.Error] = []

    def listen() -> None:
        with laminar.connect() as other:
            try:
                for _ in other.cursor().stream("SUBSCRIBE TO sub.m"):
                    pass
            except psycopg.Error as error:
                failed.append(error)

    thread = threading.Thread(target=listen)
    thread.start()
    until(lambda: subscriptions(db) == 1)
    db.execute("DROP MATERIALIZED VIEW m")
    thread.join(30)
    assert [e.sqlstate for e in failed] == ["42P01"]
    assert subscriptions(db) == 0


def test_copy_of_a_subscription_goes_on_until_cancelled(
    laminar: LaminarServer, db: psycopg.Connection[Any]
) -> None:
    db.execute("INSERT INTO t VALUES (1, 'one')")
    db.execute("FLUSH")
    lines: list[str] = []
    with laminar.connect() as other:

        def listen() -> None:
            try:
                with other.cursor().copy("COPY (SUBSCRIBE TO sub.m) TO STDOUT (FORMAT csv)") as copy:
                    for data in copy:
                        lines.extend(bytes(data).decode().splitlines())
            except psycopg.errors.QueryCanceled:
                lines.append("cancelled")

        thread = threading.Thread(target=listen)
        thread.start()
        until(lambda: len(lines) == 1)
        db.execute("UPDATE t SET v = 'two' WHERE id = 1")
        until(lambda: len(lines) == 3)
        other.cancel()
        thread.join(30)
    assert [line.split(",", 1)[1] for line in lines[:1]] == ["1,1,one"]
    assert sorted(line.split(",", 1)[1] for line in lines[1:3]) == ["-1,1,one", "1,1,two"]
    assert lines[3:] == ["cancelled"]


def test_a_subscriber_that_does_not_read_is_ended_and_nobody_waits_for_long(
    laminar: LaminarServer, db: psycopg.Connection[Any]
) -> None:
    with socket.create_connection(("127.0.0.1", laminar.port)) as raw:
        options = b"user\0laminar\0database\0laminar\0options\0-c subscribe_buffer_limit=65536\0\0"
        raw.sendall(struct.pack("!II", len(options) + 8, 196608) + options)
        query = b"SUBSCRIBE TO sub.m\0"
        raw.sendall(b"Q" + struct.pack("!I", len(query) + 4) + query)
        until(lambda: subscriptions(db) == 1)
        for step in range(400):
            db.execute(
                "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(%s::int, %s::int) AS i",
                (step * 100 + 1, step * 100 + 100),
            )
            db.execute("SELECT count(*) FROM m")
            if subscriptions(db) == 0:
                break
        assert subscriptions(db) == 0
        received = b""
        raw.settimeout(30)
        while b"C53400\0" not in received:
            data = raw.recv(1 << 16)
            assert data, "closed without an error"
            received = received[-100:] + data
