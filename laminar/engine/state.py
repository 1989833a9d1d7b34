"""What the coordinator's parts share."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from laminar._native.statetable import memory_budget
from laminar.engine.checkpoint import Checkpoints
from laminar.engine.config import EngineConfig
from laminar.engine.deliveries import Deliveries, interval
from laminar.engine.epochs import Clock, Commits, Plan
from laminar.engine.protocol import Partitions, Positions
from laminar.engine.relations import DataflowSpec, RelationSpec
from laminar.engine.rows import RowKeeper
from laminar.engine.serving import Retention, ServingStore, Snapshot
from laminar.engine.wal import Wal
from laminar.errors import INTERNAL_ERROR, PgError


class EngineState:
    """Relations, dataflows and how far everything has come; the event loop's thread alone uses it.

    ``failure`` completes with the error that made the engine stop for good (a log that cannot be
    written, reactors that die again and again); the server should end then.
    """

    #: from the start on
    wal: Wal
    checkpoints: Checkpoints

    def __init__(self, data_dir: Path, config: EngineConfig) -> None:
        self.data_dir = data_dir
        self.config = config
        self.store = ServingStore(data_dir / "scratch")
        memory_budget(config.index_memory)
        self.rows = RowKeeper()
        self.relations: dict[int, RelationSpec] = {}
        #: the same and those that only the replay still needs
        self.known: dict[int, RelationSpec] = {}
        #: complete dataflows, in order of installation, and those that are being installed
        self.dataflows: dict[int, DataflowSpec] = {}
        self.installing: dict[int, DataflowSpec] = {}
        #: rows that views had before they were resumed, for readers until they are whole again
        self.held: dict[int, Snapshot] = {}
        #: dataflows that were given up, and why
        self.failed: dict[int, str] = {}
        #: sinks whose state is gone, and why
        self.left: dict[int, str] = {}
        #: stored relation -> dataflows that take its rows as they are committed
        self.readers: dict[int, set[int]] = {}
        self.positions: Positions = {}
        self.watermarks: dict[int, int] = {}
        self.partitions: dict[int, Partitions] = {}
        self.failure: asyncio.Future[PgError] = asyncio.get_running_loop().create_future()
        self.stopping = False
        self.clock = Clock(config.epoch_interval)
        #: for the next barrier
        self.plan = Plan()
        #: the epoch that rows are committed into, and the time of the last one that was begun
        self.open = 1
        self.now = 0
        #: bytes for files that reactors keep in memory because the disk did not take them
        self.refused = 0
        self.deliveries = Deliveries(data_dir / "spools", config.max_undelivered_bytes, self.clock.urge)
        #: accepted rows of epochs that are not published, by epoch; where each epoch begins in the log
        self.pending: dict[int, Commits] = {}
        self.start_lsn: dict[int, int] = {}

    def check(self) -> None:
        """Raise what made the engine stop."""
        if self.failure.done():
            raise self.failure.result()

    def relation(self, oid: int) -> RelationSpec:
        """XX000 when the engine does not know it."""
        spec = self.relations.get(oid)
        if spec is None:
            raise PgError(INTERNAL_ERROR, f"relation {oid} is not known to the engine")
        return spec

    def add_relation(self, spec: RelationSpec) -> None:
        """Make a relation known; a stored one begins empty."""
        self.relations[spec.oid] = self.known[spec.oid] = spec
        if spec.kind in ("connector", "lookup") or not spec.kept:
            return
        retention = None
        if spec.retention is not None or spec.retention_bytes is not None:
            age = None if spec.retention is None else int(spec.retention * 1_000_000)
            retention = Retention(age, spec.retention_bytes)
        self.store.register(spec.oid, spec.layout, retention)

    def empty(self, relation: int) -> None:
        """Remove what an unfinished dataflow has stored."""
        if relation in self.store:
            self.store.drop(relation)
            self.add_relation(self.relations[relation])

    def count_rows(self, commits: Commits) -> None:
        """Take row numbers and watermarks up from rows in the log."""
        for relation, change in commits:
            if relation in self.relations:
                self.rows.replayed(self.relations[relation], change)

    @property
    def checkpoint_interval(self) -> float:
        """Seconds between checkpoints while there is data: the shortest that anything asks for."""
        asked = (interval(flow) for flow in self.dataflows.values())
        return min([self.config.checkpoint_interval, *(found for found in asked if found is not None)])

    def next_time(self) -> int:
        """The time of an epoch that begins now: microseconds since 1970, later than the one before."""
        self.now = max(self.now + 1, clock_time())
        return self.now

    # --- who reads what -----------------------------------------------------------------

    def read_by(self, spec: DataflowSpec) -> None:
        """Rows that are committed from now on go to the dataflow too."""
        for oid in spec.inputs:
            self.readers.setdefault(oid, set()).add(spec.id)

    def unread(self, dataflow: int) -> None:
        """The dataflow takes no more rows."""
        for readers in self.readers.values():
            readers.discard(dataflow)

    def forget_dataflow(self, dataflow: int) -> None:
        """The dataflow is gone."""
        self.dataflows.pop(dataflow, None)
        self.unread(dataflow)


def clock_time() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000
