"""The objects inside messages between the server and its reactors."""

from __future__ import annotations

from dataclasses import dataclass, field

from laminar.engine.relations import DataflowSpec

#: shared with a reactor: the dataflow that it works on; bytes and number of the state files that it has read
PAGE_BYTES = 24


@dataclass(slots=True)
class PartitionState:
    """How far one partition of a connector source has been read.

    Args:
        position: the reader's; None is the start.
        watermark: microseconds, the maximum seen less the delay.
        rows, bytes: delivered since the start.
        finished: the partition is at its end.
        start: the watermark before its first row: the source's when the partition was begun.
        active: time of the last epoch in which it was read, where the source has an idle timeout.
        idle: nothing has come for so long that it does not hold the source's watermark back.
    """

    position: int | None = None
    watermark: int = -(1 << 63)
    rows: int = 0
    bytes: int = 0
    finished: bool = False
    start: int = -(1 << 63)
    active: int = 0
    idle: bool = False

    def begin(self, watermark: int) -> None:
        """Nothing of it has been read, and the source's watermark is ``watermark``."""
        self.start = watermark
        self.watermark = max(self.watermark, watermark)


#: source oid -> partition -> state
Positions = dict[int, dict[str, PartitionState]]


@dataclass(frozen=True, slots=True)
class Cut:
    """What a reactor's partitions of a source say of its watermark.

    Args:
        running: the minimum of those that are not at their end, nor idle; None when all are.
        finished: the maximum of those that are at their end.
        idle: some are idle.
    """

    running: int | None = None
    finished: int = -(1 << 63)
    idle: bool = False

    def merge(self, other: Cut) -> Cut:
        """Both reactors' partitions."""
        running = [mark for mark in (self.running, other.running) if mark is not None]
        return Cut(min(running, default=None), max(self.finished, other.finished), self.idle or other.idle)


@dataclass(slots=True)
class Partitions:
    """Partitions of a connector source and the reactors that read them.

    Args:
        owners: partition -> reactor.
        complete: no partition will be added (so a source without any is at its end).
    """

    owners: dict[str, int]
    complete: bool


@dataclass(slots=True)
class StartState:
    """What a reactor needs before it may run.

    Args:
        epoch: the last epoch that its state holds; it works on the next one.
        now: that epoch's time.
        segments: paths of this reactor's state files, oldest first.
        positions: of connector sources, all reactors'.
        watermarks: of relations, over all partitions and reactors.
        partitions: of connector sources.
    """

    epoch: int
    now: int
    segments: list[str] = field(default_factory=list)
    positions: Positions = field(default_factory=dict)
    watermarks: dict[int, int] = field(default_factory=dict)
    partitions: dict[int, Partitions] = field(default_factory=dict)


@dataclass(slots=True)
class Installation:
    """A dataflow to build.

    Args:
        dataflow: what to run.
        backfill: oids of stored inputs whose rows so far will be sent, until the barrier that
            completes the dataflow; their watermarks are held back that long.
    """

    dataflow: DataflowSpec
    backfill: frozenset[int] = frozenset()


@dataclass(slots=True)
class BarrierMessage:
    """The end of an epoch, with what happens at it.

    Args:
        epoch, now: see ``change.Barrier``.
        watermarks: of tables and push sources after the epoch's rows.
        checkpoint: file for the reactor's state, "" for no checkpoint.
        attach: dataflows (built before) that take changes from the next epoch on.
        complete: dataflows whose stored inputs have been sent in full.
        detach: dataflows to remove after this epoch.
        replay: positions to read connector sources up to, exactly; None when live.
        partitions: connector sources with new partitions.
        paused: connector sources rest, because what is downstream cannot keep up.
        resting: those that rest while others go on, because what they feed waits for a lookup table.
    """

    epoch: int
    now: int
    watermarks: dict[int, int] = field(default_factory=dict)
    checkpoint: str = ""
    attach: tuple[int, ...] = ()
    complete: tuple[int, ...] = ()
    detach: tuple[int, ...] = ()
    replay: Positions | None = None
    partitions: dict[int, Partitions] = field(default_factory=dict)
    paused: bool = False
    resting: frozenset[int] = frozenset()


@dataclass(slots=True)
class OperatorStats:
    """Counters of one operator in one reactor."""

    dataflow: int
    node: int
    kind: str
    busy_ns: int
    counters: dict[str, int]


@dataclass(slots=True)
class EpochReport:
    """A reactor's end of an epoch.

    Args:
        positions: of the partitions it reads.
        watermarks: of connector sources, over all reactors.
        behind: dataflows that still read the past of a connector source.
        dropped: rows lost at sources since the start: (source oid, reason) -> count.
        errors: sources that cannot be read any more: source oid -> message.
        failing: of views that are to fail with their rows: (SQLSTATE, message) -> failing rows, by dataflow.
        operators: their counters.
        busy_ns: time spent working since the start.
        due: when (microseconds since 1970) an operator wants the next epoch, data or not.
        refused: bytes for files that stay in memory because the disk did not take them.
    """

    positions: Positions
    watermarks: dict[int, int]
    behind: tuple[int, ...] = ()
    dropped: dict[tuple[int, str], int] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    failing: dict[int, dict[tuple[str, str], int]] = field(default_factory=dict)
    operators: list[OperatorStats] = field(default_factory=list)
    busy_ns: int = 0
    due: int | None = None
    refused: int = 0


@dataclass(slots=True)
class SpoolReport:
    """A file with changes for a sink: the sink's oid, the file's name within the folder of spools."""

    sink: int
    name: str
    size: int
    rows: int


@dataclass(slots=True)
class CheckpointReport:
    """A reactor's state file, its files for sinks, and (path, bytes) of older entries' files.

    ``pause``: microseconds, at most, for which it stopped to collect entries since the report before.
    """

    path: str
    size: int
    entries: int
    state_bytes: int
    spools: list[SpoolReport] = field(default_factory=list)
    earlier: list[tuple[str, int]] = field(default_factory=list)
    pause: int = 0


@dataclass(slots=True)
class ReactorSettings:
    """Given to a reactor on its command line as JSON.

    Args:
        index, count: its number and how many there are.
        parent: process id of the server.
        cpu: core to run on, None for any.
        bell: eventfd that wakes this reactor.
        server: (ring from the server, ring to the server, the server's eventfd).
        peers: other reactor -> (ring from it, ring to it, its eventfd).
        scratch: folder for state maps.
        spools: folder for what sinks have yet to deliver.
        state_memory: bytes of plain memory for its state, which goes into mapped files beyond.
        early_entries: entries by which a state may have grown before it hands some over.
        handover_bytes: of changed entries that are in memory at once on their way to a file.
        page: shared memory, see ``PAGE_BYTES``.
    """

    index: int
    count: int
    parent: int
    cpu: int | None
    bell: int
    server: tuple[int, int, int]
    peers: dict[int, tuple[int, int, int]]
    scratch: str
    spools: str
    page: int
    state_memory: int
    early_entries: int
    handover_bytes: int
