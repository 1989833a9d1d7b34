"""One end-to-end run: a fresh server, sources over files, a view or sink, the time until all is in it."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.data import Dataset
from tests.harness.server import LaminarServer

EVENT_COLUMNS = "k bigint, v bigint, x double precision, ts timestamp, WATERMARK FOR ts"


class Wrong(Exception):
    """The run's answer is not the right one: its speed means nothing."""


@dataclass(frozen=True)
class Source:
    """A CREATE SOURCE over a dataset."""

    name: str
    data: Dataset
    columns: str
    format: str = "arrow"
    part: int | None = None

    @property
    def sql(self) -> str:
        path = self.data.glob(self.format, self.part)
        return (
            f"CREATE SOURCE {self.name} ({self.columns})"
            f" WITH (connector = 'file', path = '{path}', format = '{self.format}')"
        )


@contextmanager
def server(reactors: int) -> Iterator[LaminarServer]:
    """A server with nothing in it, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="laminar-bench-"))
    running = LaminarServer(folder, "--reactors", str(reactors)).start()
    try:
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


def run(laminar: LaminarServer, sources: list[Source], create: str) -> float:
    """Seconds from CREATE of the view or sink until every row of the sources is in it, queryable."""
    with laminar.connect() as connection:
        for source in sources:
            connection.execute(source.sql)
        start = time.perf_counter()
        connection.execute(create)
        wait_finished(connection, [s.name for s in sources])
        connection.execute("FLUSH")
        return time.perf_counter() - start


def wait_finished(connection: psycopg.Connection[Any], names: list[str]) -> None:
    """Poll until the sources are at their end."""
    query = "SELECT count(*) FROM laminar_catalog.sources WHERE state = 'finished' AND name = ANY(%s)"
    while True:
        found = connection.execute(query, [names]).fetchone()
        if found is not None and found[0] == len(names):
            return
        time.sleep(0.01)


def expect(laminar: LaminarServer, query: str, answer: tuple[Any, ...]) -> None:
    """Raises Wrong when the query's one row is not ``answer``."""
    with laminar.connect() as connection:
        got = connection.execute(query).fetchone()
    if got is None or tuple(got) != answer:
        raise Wrong(f"{query}: {got}, not {answer}")
