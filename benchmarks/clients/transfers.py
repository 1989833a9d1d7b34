"""A million rows to and from a client: results as text and binary by libpq, COPY both ways by psql."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from psycopg import pq

from benchmarks.clients.servers import Server
from benchmarks.clients.transactions import Rate
from tests.harness.postgres import binaries

ROWS = 1_000_000
_COLUMNS = "(id bigint, amount integer, price double precision, name text, at timestamp)"


def prepare(server: Server, rows: int) -> None:
    """The table that is read."""
    with server.connect() as connection:
        connection.execute(f"CREATE TABLE big {_COLUMNS}")
        connection.execute(
            "INSERT INTO big SELECT i, i % 1000, i * 0.37::double precision, 'name ' || i % 5000,"
            f" timestamp '2025-01-01' + i * interval '1 second' FROM generate_series(1, {rows}) AS s (i)"
        )
        connection.execute("ANALYZE")
        connection.execute("CHECKPOINT")


def write_file(path: Path, server: Server) -> None:
    """The table as a file for COPY FROM."""
    with path.open("wb") as out:
        _psql(server, "COPY big TO STDOUT", stdout=out)


def select(server: Server, rows: int, binary: bool) -> Rate:
    """All rows into the client's memory."""
    connection = pq.PGconn.connect(server.dsn.encode())
    try:

        def read() -> None:
            result = connection.exec_params(b"SELECT * FROM big", None, result_format=int(binary))
            if result.ntuples != rows:
                raise RuntimeError(f"{result.ntuples} rows: {result.error_message.decode()}")
            result.clear()

        return _timed(server, rows, read)
    finally:
        connection.finish()


def copy_to(server: Server, rows: int) -> Rate:
    """All rows as COPY's text, thrown away by the client."""
    return _timed(server, rows, lambda: _psql(server, "COPY big TO STDOUT", stdout=subprocess.DEVNULL))


def copy_from(server: Server, rows: int, path: Path) -> Rate:
    """All rows of a file into a new table, durably."""
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS copied")
        connection.execute(f"CREATE TABLE copied {_COLUMNS}")
        with path.open("rb") as data:
            taken = _timed(server, rows, lambda: _psql(server, "COPY copied FROM STDIN", stdin=data))
        found = connection.execute("SELECT count(*) FROM copied").fetchone()
        if found != (rows,):
            raise RuntimeError(f"COPY FROM: {found}")
    return taken


def _timed(server: Server, rows: int, work: Callable[[], object]) -> Rate:
    before, start = server.cpu_seconds(), time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    return Rate(rows / seconds, (server.cpu_seconds() - before) / rows)


def _psql(server: Server, statement: str, **files: object) -> None:
    command = [str(binaries() / "psql"), "-qXc", statement]
    subprocess.run(command, env=server.environment, check=True, **files)  # type: ignore[call-overload]
