"""One query in a fresh server: time, CPU seconds and memory of all its processes, its state."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from benchmarks.data import Dataset
from benchmarks.measure import server, wait_finished
from benchmarks.nexmark import queries
from tests.harness.server import LaminarServer

_TICK = os.sysconf("SC_CLK_TCK")
_SAMPLE_SECONDS = 0.5
_FEW = 1000


@dataclass(frozen=True)
class Operator:
    """What one operator did: its node, kind, rows and own time in microseconds."""

    node: int
    kind: str
    rows_in: int
    rows_out: int
    entries: int
    state_bytes: int
    busy: int


@dataclass(frozen=True)
class Run:
    """What a query cost from CREATE until every row of its sources was in the sink.

    Args:
        events: rows of the sources.
        seconds, cpu: of the clock; of all processes together, server included.
        state: bytes of the operators' state, at its highest.
        memory: bytes of all processes' resident sets, shared pages once in each, at their highest.
        answer: weight and checksum of all changes that reached the sink.
    """

    number: int
    format: str
    events: int
    seconds: float
    cpu: float
    state: int
    memory: int
    answer: tuple[int, int]
    operators: list[Operator] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Events per CPU second."""
        return self.events / self.cpu


def run(number: int, tables: dict[str, Dataset], format_: str) -> Run:
    """Run a query over files, its changes to the blackhole sink."""
    names = queries.reads(number)
    create = f"CREATE SINK r AS {queries.text(number)}{queries.emit(number)} WITH (connector = 'blackhole')"
    with server(1) as laminar, laminar.connect() as connection:
        _warm_up(connection, number)
        for name in names:
            connection.execute(source(name, tables[name], format_))
        with _Watch(laminar) as watch:
            before, start = cpu_seconds(watch.root), time.perf_counter()
            connection.execute(create)
            wait_finished(connection, list(names))
            connection.execute("FLUSH")
            seconds, cpu = time.perf_counter() - start, cpu_seconds(watch.root) - before
        found = connection.execute("SELECT weight, checksum FROM laminar_catalog.sinks WHERE name = 'r'")
        weight, checksum = found.fetchone() or (0, "0")
        return Run(
            number,
            format_,
            sum(tables[name].rows for name in names),
            seconds,
            cpu,
            watch.state,
            watch.memory,
            (int(weight), int(str(checksum), 16)),
            operators(connection),
        )


def _warm_up(connection: psycopg.Connection[tuple[object, ...]], number: int) -> None:
    """Run the query over a few events of its own, so that what is loaded once is not measured."""
    connection.execute("CREATE SCHEMA few; SET search_path = few")
    for name in queries.reads(number):
        connection.execute(
            f"CREATE SOURCE {name} ({queries.TABLES[name]}, WATERMARK FOR date_time)"
            f" WITH (connector = 'nexmark', \"table\" = '{name}', events = '{_FEW}')"
        )
    sink = f"CREATE SINK r AS {queries.text(number)}{queries.emit(number)} WITH (connector = 'blackhole')"
    connection.execute(sink)
    wait_finished(connection, list(queries.reads(number)))
    connection.execute("FLUSH; RESET search_path; DROP SCHEMA few CASCADE")


def source(name: str, data: Dataset, format_: str) -> str:
    """CREATE SOURCE over a table's file."""
    return (
        f"CREATE SOURCE {name} ({queries.TABLES[name]}, WATERMARK FOR date_time)"
        f" WITH (connector = 'file', path = '{data.glob(format_)}', format = '{format_}')"
    )


def operators(connection: psycopg.Connection[tuple[object, ...]]) -> list[Operator]:
    columns = "node, operator, rows_in, rows_out, entries, state_bytes, busy_us"
    rows = connection.execute(
        f"SELECT {columns} FROM laminar_catalog.operators WHERE view = 'r' ORDER BY node"
    )
    return [Operator(*(v or 0 for v in row)) for row in rows]  # type: ignore[arg-type]


def processes(root: int) -> Iterator[int]:
    """A process and all that come of it."""
    yield root
    for task in Path(f"/proc/{root}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            yield from processes(int(child))


def cpu_seconds(root: int) -> float:
    """User and system time of a process and its descendants, those that have ended included."""
    ticks = 0
    for pid in processes(root):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(int(f) for f in fields[11:15])
    return ticks / _TICK


def resident(root: int) -> int:
    """Bytes of the resident sets of a process and its descendants."""
    pages = 0
    for pid in processes(root):
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue
    return pages * os.sysconf("SC_PAGE_SIZE")


class _Watch:
    """Samples memory and state until it is left."""

    def __init__(self, laminar: LaminarServer) -> None:
        assert laminar.process is not None
        self.root = laminar.process.pid
        self.memory = self.state = 0
        self._connection = laminar.connect()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._sample()
        self._connection.close()

    def _work(self) -> None:
        while not self._over.wait(_SAMPLE_SECONDS):
            self._sample()

    def _sample(self) -> None:
        self.memory = max(self.memory, resident(self.root))
        rows = self._connection.execute("SELECT sum(state_bytes) FROM laminar_catalog.operators")
        state = rows.fetchone()
        self.state = max(self.state, int((state and state[0]) or 0))
