"""LISTEN and NOTIFY, time-outs of idle sessions."""

from __future__ import annotations

import time

import psycopg
import pytest
from psycopg import errors

from tests.harness.server import LaminarServer


def received(connection: psycopg.Connection, count: int) -> list[tuple[str, str]]:
    return [(n.channel, n.payload) for n in connection.notifies(timeout=10, stop_after=count)]


def test_what_was_notified_arrives(laminar: LaminarServer):
    with laminar.connect() as listener, laminar.connect() as sender:
        listener.execute("LISTEN news")
        sender.execute("NOTIFY news, 'one'")
        sender.execute("NOTIFY other, 'not for us'")
        assert received(listener, 1) == [("news", "one")]
        with sender.transaction():
            sender.execute("NOTIFY news, 'two'")
            sender.execute("NOTIFY news, 'two'")
            sender.execute("SAVEPOINT s")
            sender.execute("NOTIFY news, 'undone'")
            sender.execute("ROLLBACK TO s")
            sender.execute("NOTIFY news")
        assert received(listener, 2) == [("news", "two"), ("news", "")]
        listener.execute("UNLISTEN *")
        sender.execute("NOTIFY news, 'too late'")
        assert list(listener.notifies(timeout=0.1)) == []


def test_not_within_a_transaction_nor_after_a_rollback(laminar: LaminarServer):
    with laminar.connect() as listener, laminar.connect() as sender:
        listener.execute("LISTEN news")
        with listener.transaction():
            sender.execute("NOTIFY news, 'wait'")
            assert list(listener.notifies(timeout=0.1)) == []
        assert received(listener, 1) == [("news", "wait")]
        with pytest.raises(ZeroDivisionError), sender.transaction():
            sender.execute("NOTIFY news, 'never'")
            raise ZeroDivisionError
        assert list(listener.notifies(timeout=0.1)) == []
        with pytest.raises(errors.InvalidParameterValue, match="payload string too long"):
            sender.execute("NOTIFY news, '" + "x" * 8000 + "'")


def test_idle_sessions_are_ended(laminar: LaminarServer):
    with laminar.connect() as connection:
        connection.execute("SET idle_in_transaction_session_timeout = 100")
        connection.execute("SELECT 1")
        time.sleep(0.3)
        connection.execute("BEGIN")
        time.sleep(0.6)
        with pytest.raises(errors.IdleInTransactionSessionTimeout):
            connection.execute("SELECT 1")


def test_sessions_are_cancelled_and_ended_by_others(laminar: LaminarServer) -> None:
    with laminar.connect() as one, laminar.connect() as other:
        pid = other.info.backend_pid
        assert one.execute("SELECT pg_cancel_backend(%s)", (pid,)).fetchone() == (True,)
        assert one.execute("SELECT pg_terminate_backend(999999)").fetchone() == (False,)
        assert one.execute("SELECT pg_terminate_backend(%s)", (pid,)).fetchone() == (True,)
        with pytest.raises(psycopg.OperationalError):
            other.execute("SELECT 1")
            other.execute("SELECT 1")
        one.execute("LISTEN here")
        assert one.execute("SELECT * FROM pg_listening_channels()").fetchall() == [("here",)]
