"""Kills at random while the workload runs, then everything is compared.

``python -m tests.soak --kills 300`` is the long form (``make soak``), ``tests/test_soak.py`` the short one.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.harness import postgres as pg
from tests.harness.processes import stop, tail
from tests.harness.server import LaminarServer
from tests.soak import workload

#: points where the server or a reactor is killed
KILL_POINTS = (
    "checkpoint: begun", "checkpoint: reported", "checkpoint: stored", "checkpoint: compacted",
    "checkpoint: saved", "checkpoint: swept", "state file: begun", "state file: written", "spool: written",
    "wal: written", "wal: durable", "delivery: made", "file sink: written", "file sink: planned",
    "file sink: one renamed", "file sink: renamed", "postgres sink: written", "postgres sink: committed",
)  # fmt: skip
#: points where the disk is full or fails, and what comes of it
FAULT_POINTS = (
    "state file: begun", "state file: written", "spool: written", "checkpoint: stored",
    "checkpoint: compacted", "file sink: written",
)  # fmt: skip
_PATIENCE = 60.0


@dataclass
class Outcome:
    """What a run did and found."""

    kills: Counter[str] = field(default_factory=Counter)
    transactions: int = 0
    seconds: float = 0.0
    comparisons: int = 0
    differences: list[str] = field(default_factory=list)


class Writer:
    """Commits transactions until told to stop, whatever happens to the server."""

    def __init__(self, server: LaminarServer) -> None:
        self.server = server
        self.next = 0
        self.wrong: list[str] = []
        self._pause = threading.Event()
        self._idle = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ending:
            try:
                with self.server.connect(connect_timeout=5) as db:
                    db.execute("SET statement_timeout = '60s'")
                    if workload.happened(db, self.next):
                        self.next += 1
                    self._work(db)
            except psycopg.OperationalError:
                time.sleep(0.05)

    def _work(self, db: psycopg.Connection) -> None:  # type: ignore[type-arg]
        while not self._ending:
            if self._pause.is_set():
                self._idle.set()
                time.sleep(0.01)
                continue
            # A connection that was lost may leave a transaction that is accepted a moment later.
            with suppress(psycopg.errors.UniqueViolation):
                workload.commit(db, self.next)
            self.next += 1
            if self.next % 20 == 0:
                total = db.execute("SELECT s FROM total").fetchone()
                if total != (workload.ACCOUNTS * workload.BALANCE,):
                    self.wrong.append(f"after transaction {self.next} a reader saw the total {total}")

    def pause(self) -> int:
        """Stop between two transactions; returns how many there are."""
        self._idle.clear()
        self._pause.set()
        deadline = time.monotonic() + _PATIENCE
        while not self._idle.wait(0.2):
            assert time.monotonic() < deadline, "the writer does not get on"
            if not self.server.alive:
                self.server.start()  # a failpoint fired late
        return self.next

    def go_on(self) -> None:
        self._pause.clear()

    def end(self) -> None:
        self._ending = True
        self._thread.join(_PATIENCE)


class Soak:
    """One run in a folder."""

    def __init__(self, folder: Path, seed: int, reactors: int = 2) -> None:
        self.chance = random.Random(seed)
        self.folder = folder
        self.out = folder / "out"
        self.once = folder / "once"
        self.once.mkdir()
        self.outcome = Outcome()
        (folder / "postgres").mkdir()
        self.postgres, self._postgres_process = pg.start(folder / "postgres")
        (folder / "laminar").mkdir()
        self.server = LaminarServer(folder / "laminar", "--reactors", str(reactors))
        self.server.environment["LAMINAR_CHECKPOINT_INTERVAL"] = "0.2"

    def run(self, kills: int, seconds: float) -> Outcome:
        """Kill ``kills`` times, or until the time is up; compares in between and at the end."""
        started = time.monotonic()
        self.server.start()
        options = f"host = '127.0.0.1', port = '{self.postgres.port}', user = 'postgres', dbname = 'postgres'"
        options += ", commit_interval = '100ms'"
        with self.postgres.connect() as outside:
            workload.execute(outside, workload.OUTSIDE)
        with self.server.connect() as db:
            workload.execute(
                db, workload.TABLES + ";" + workload.SINKS.format(folder=self.out, postgres=options)
            )
        writer = Writer(self.server)
        try:
            for n in range(kills):
                if time.monotonic() - started > seconds:
                    break
                self.strike()
                if n % 10 == 9:
                    self.compare(writer)
                    wrong = len(self.outcome.differences) + len(writer.wrong)
                    print(f"{n + 1} of {kills} kills, {writer.next} transactions, {wrong} wrong", flush=True)
            self.compare(writer)
        finally:
            writer.end()
            self.outcome.differences += writer.wrong
            self.outcome.transactions = writer.next
            self.outcome.seconds = time.monotonic() - started
            if self.server.alive:
                self.server.stop()
            stop(self._postgres_process, signal.SIGINT)
        return self.outcome

    # --- what is broken ------------------------------------------------------------------

    def strike(self) -> None:
        """Let it work a little, then break something and see it up again."""
        time.sleep(self.chance.uniform(0.1, 0.8))
        for left in self.once.iterdir():
            left.unlink()
        what = self.chance.choices(
            [self.kill_server, self.kill_reactor, self.kill_postgres, self.kill_at_a_point, self.fail_disk],
            [3, 4, 2, 6, 2],
        )[0]
        self.outcome.kills[what()] += 1
        if not self.server.alive:
            self.start()

    def start(self, **environment: str) -> None:
        """Start; a failpoint may kill the server before it is up, then it starts again without."""
        self.server.environment |= environment
        try:
            self.server.start()
        except RuntimeError:
            if not any(self.once.iterdir()):
                raise
        for name in environment:
            del self.server.environment[name]

    def kill_server(self) -> str:
        """With the server its reactors die, so this is the machine's end too."""
        self.server.kill()
        return "server"

    def kill_reactor(self) -> str:
        with suppress(psycopg.OperationalError), self.server.connect() as db:
            found = db.execute("SELECT process_id FROM laminar_catalog.reactors").fetchall()
            with suppress(ProcessLookupError, IndexError):
                os.kill(self.chance.choice(found)[0], signal.SIGKILL)
        return "reactor"

    def kill_postgres(self) -> str:
        """The sinks' PostgreSQL goes down at once and comes back."""
        stop(self._postgres_process, signal.SIGQUIT)
        time.sleep(self.chance.uniform(0, 0.5))
        self.postgres, self._postgres_process = pg.serve(self.folder / "postgres", self.postgres.port)
        return "the sinks' PostgreSQL"

    def kill_at_a_point(self) -> str:
        """The process that first comes by a point is killed there."""
        point = self.chance.choice(KILL_POINTS)
        self.server.stop() if self.chance.random() < 0.2 else self.server.kill()
        count = self.chance.randrange(1, 4)
        self.start(LAMINAR_FAILPOINTS=f"{point}=kill:{count}", LAMINAR_FAILPOINTS_ONCE=str(self.once))
        deadline = time.monotonic() + 10
        while self.server.alive and not any(self.once.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return point

    def fail_disk(self) -> str:
        """Writing fails a few times: checkpoints are given up, nothing is lost."""
        if self.chance.random() < 0.3:
            return self.fail_log()
        point, kind = self.chance.choice(FAULT_POINTS), self.chance.choice(["error", "full"])
        self.server.kill()
        self.start(LAMINAR_FAILPOINTS=f"{point}={kind}:3")
        time.sleep(1)
        return f"{point}, {'disk full' if kind == 'full' else 'I/O error'}"

    def fail_log(self) -> str:
        """The log cannot be synced: the server ends by itself and recovery decides."""
        self.server.kill()
        self.start(LAMINAR_FAILPOINTS=f"wal: written=error-at:{self.chance.randrange(20, 60)}")
        assert self.server.process is not None
        self.server.process.wait(_PATIENCE)
        return "log, I/O error"

    # --- what must be there -----------------------------------------------------------------

    def compare(self, writer: Writer) -> None:
        """Everything agrees exactly, once the sinks have had a moment."""
        count = writer.pause()
        self.outcome.comparisons += 1
        deadline = time.monotonic() + _PATIENCE
        while found := self._differences(count):
            if time.monotonic() > deadline:
                self.outcome.differences += found
                raise AssertionError("\n".join([*found, tail(self.server.log, 60)]))
            time.sleep(0.2)
        writer.go_on()

    def _differences(self, count: int) -> list[str]:
        try:
            with self.server.connect() as db, self.postgres.connect() as outside:
                return workload.differences(db, outside, self.out, count)
        except psycopg.OperationalError as error:
            # A failpoint that was set before can still kill it.
            if self.server.alive:
                raise
            self.start()
            return [f"the server was killed: {error}"]
