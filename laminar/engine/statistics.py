"""What the engine knows of itself, for laminar_catalog and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from laminar.connectors.base import WritingSink, sink_connector
from laminar.engine.change import NO_WATERMARK
from laminar.engine.nodes import Sink

if TYPE_CHECKING:
    from laminar.engine.coordinator import Coordinator


@dataclass(frozen=True, slots=True)
class SourceStatistics:
    """A source. ``rows`` and ``bytes``: read (connector) or accepted since the server started (push).

    Of a lookup table the rows are those that it has given since then; ``error`` is why it gives none now.
    """

    oid: int
    state: Literal["idle", "running", "finished", "failed"]
    partitions: int
    rows: int
    bytes: int
    watermark: int | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class OperatorStatistics:
    """An operator in one reactor; ``busy`` in microseconds since the reactor started."""

    dataflow: int
    node: int
    kind: str
    reactor: int
    rows_in: int
    rows_out: int
    entries: int
    state_bytes: int
    busy: int


@dataclass(frozen=True, slots=True)
class WatermarkStatistics:
    """A watermark (microseconds) of a relation, or of one partition of it."""

    relation: int
    partition: str | None
    watermark: int


@dataclass(frozen=True, slots=True)
class DroppedRows:
    """Rows left out of a view or at a source since the reactors started, by reason."""

    oid: int
    node: int | None
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class ReactorStatistics:
    """A reactor process; ``busy`` in microseconds, ring bytes since it started."""

    reactor: int
    pid: int
    busy: int
    bytes_in: int
    bytes_out: int
    backlog: int


@dataclass(frozen=True, slots=True)
class SubscriptionStatistics:
    """A subscriber of a relation: the newest epoch it could know of, bytes it has yet to read."""

    relation: int
    epoch: int
    buffered: int


def sources(engine: Coordinator) -> list[SourceStatistics]:
    """Connector and push sources."""
    errors = {oid: text for report in engine.reports.values() for oid, text in report.errors.items()}
    found = []
    for spec in engine.relations.values():
        watermark = engine.current_watermark(spec.oid)
        if spec.kind == "source":
            rows, size = engine.rows.accepted.get(spec.oid, (0, 0))
            found.append(SourceStatistics(spec.oid, "running", 1, rows, size, watermark))
        elif spec.kind == "lookup":
            table = engine.lookups.tables[spec.oid]
            works: Literal["running", "failed"] = "running" if table.error is None else "failed"
            found.append(SourceStatistics(spec.oid, works, 1, table.answers, 0, None, table.error))
        elif spec.kind == "connector":
            states = engine.positions.get(spec.oid, {})
            partitions = engine.partitions.get(spec.oid)
            state: Literal["idle", "running", "finished", "failed"] = "running"
            if spec.oid in errors:
                state = "failed"
            elif partitions is None:
                state = "idle"
            elif partitions.complete and len(states) == len(partitions.owners):
                state = "finished" if all(s.finished for s in states.values()) else "running"
            found.append(
                SourceStatistics(
                    spec.oid,
                    state,
                    len(partitions.owners) if partitions is not None else 0,
                    sum(s.rows for s in states.values()),
                    sum(s.bytes for s in states.values()),
                    watermark,
                    errors.get(spec.oid),
                )
            )
    return found


def operators(engine: Coordinator) -> list[OperatorStatistics]:
    """All operators in all reactors, as of the newest epoch."""
    return [
        OperatorStatistics(
            o.dataflow,
            o.node,
            o.kind,
            reactor,
            o.counters.get("rows_in", 0),
            o.counters.get("rows_out", 0),
            o.counters.get("entries", 0),
            o.counters.get("state_bytes", 0),
            o.busy_ns // 1000,
        )
        for reactor, report in engine.reports.items()
        for o in report.operators
    ]


def watermarks(engine: Coordinator) -> list[WatermarkStatistics]:
    """Of relations and of the partitions of connector sources; those without one are left out."""
    found = []
    for spec in engine.relations.values():
        value = engine.current_watermark(spec.oid)
        if value is not None:
            found.append(WatermarkStatistics(spec.oid, None, value))
        for partition, state in engine.positions.get(spec.oid, {}).items():
            if spec.watermark is not None and state.watermark != NO_WATERMARK:
                found.append(WatermarkStatistics(spec.oid, partition, state.watermark))
    return found


def dropped_rows(engine: Coordinator) -> list[DroppedRows]:
    """Everything that was left out anywhere, by reason."""
    counts: dict[tuple[int, int | None, str], int] = {}

    def add(oid: int, node: int | None, reason: str, count: int) -> None:
        if count:
            counts[oid, node, reason] = counts.get((oid, node, reason), 0) + count

    for oid, refused in engine.rows.refused.items():
        add(oid, None, "future", refused)
    for report in engine.reports.values():
        for (oid, reason), count in report.dropped.items():
            add(oid, None, reason, count)
        for o in report.operators:
            for name, count in o.counters.items():
                if name.startswith("dropped_"):
                    add(o.dataflow, o.node, name.removeprefix("dropped_"), count)
    return [DroppedRows(*key, count) for key, count in counts.items()]


def rows_read(engine: Coordinator, dataflow: int) -> int:
    """Rows that a dataflow has taken in, over all its inputs and reactors, as of the newest epoch."""
    return sum(
        o.counters.get("rows_in", 0)
        for report in engine.reports.values()
        for o in report.operators
        if o.dataflow == dataflow and o.kind == "Input"
    )


def sink_counters(engine: Coordinator, dataflow: int) -> dict[str, int]:
    """What a sink's writers have counted, over all reactors."""
    spec = engine.dataflows.get(dataflow)
    if spec is None or not isinstance(spec.root, Sink):
        return {}
    connector = sink_connector(spec.root.spec.connector)
    if not isinstance(connector, WritingSink):
        return {}
    parts = [
        {k.removeprefix("sink_"): v for k, v in o.counters.items() if k.startswith("sink_")}
        for report in engine.reports.values()
        for o in report.operators
        if o.dataflow == dataflow and o.node == spec.root.id
    ]
    return connector.combine(parts)


def reactors(engine: Coordinator) -> list[ReactorStatistics]:
    """The reactor processes that run now."""
    fleet = engine.fleet
    if fleet is None:
        return []
    return [
        ReactorStatistics(
            r.index,
            r.process.pid,
            engine.reports[r.index].busy_ns // 1000 if r.index in engine.reports else 0,
            r.outbox.writer.bytes_written,
            r.inbox.reader.bytes_read,
            r.outbox.backlog_bytes,
        )
        for r in fleet.reactors
    ]


def subscriptions(engine: Coordinator) -> list[SubscriptionStatistics]:
    """Who is being told of changes now."""
    return [
        SubscriptionStatistics(s.relation, s.published, s.buffered_bytes)
        for s in engine.subscriptions
        if not s.closed
    ]
