"""What connections cost that do nothing."""

from __future__ import annotations

import time
from typing import Any

import psycopg

from benchmarks.clients.servers import Server


def bytes_per_connection(server: Server, count: int) -> float:
    """Memory that the server's processes have grown by with ``count`` connections that ran a statement."""
    warm = [_connect(server) for _ in range(20)]
    before = server.memory()
    held = [_connect(server) for _ in range(count)]
    time.sleep(0.5)
    grown = server.memory() - before
    for connection in warm + held:
        connection.close()
    return grown / count


def _connect(server: Server) -> psycopg.Connection[Any]:
    connection = server.connect()
    connection.pgconn.exec_(b"SELECT 1").clear()
    return connection
