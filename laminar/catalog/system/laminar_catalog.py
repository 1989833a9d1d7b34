"""laminar_catalog: sources, views, operators, watermarks, epochs and what was dropped, live."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from laminar.engine import statistics
from laminar.engine.deliveries import SinkProgress

if TYPE_CHECKING:
    from laminar.catalog.system.registry import Row
    from laminar.server.database import Database

SCHEMA = "laminar_catalog"
T = TypeVar("T")


def _here(database: Database, found: Iterable[T], of: Callable[[T], int]) -> Iterator[T]:
    """Those about relations that are not another database's; the engine knows those of all.

    Args:
        of: the relation's oid.
    """
    mine = database.catalog.relations
    others = [c.relations for c in database.catalog.cluster.catalogs.values() if c is not database.catalog]
    return (one for one in found if of(one) in mine or not any(of(one) in other for other in others))


def _name(database: Database, oid: int) -> str:
    stored = database.catalog.relations.get(oid)
    return stored.name if stored is not None else str(oid)


def _sources(database: Database) -> Iterator[Row]:
    for s in statistics.sources(database.coordinator):
        stored = database.catalog.relations.get(s.oid)
        if stored is None:
            continue
        connector = stored.connector or "push"
        yield (
            stored.schema,
            stored.name,
            connector,
            s.state,
            s.partitions,
            s.rows,
            s.bytes,
            s.watermark,
            s.error,
        )


def _sinks(database: Database) -> Iterator[Row]:
    for r in database.catalog.relations.values():
        if r.kind != "sink":
            continue
        c = statistics.sink_counters(database.coordinator, r.oid)
        made = database.coordinator.deliveries.progress.get(r.oid, SinkProgress())
        error = database.coordinator.failed.get(r.oid, made.error)
        # Checksums are sums modulo 2**64: as text, they do not look like quantities.
        checksum = f"{c['checksum'] & (1 << 64) - 1:016x}" if "checksum" in c else None
        rows = c.get("rows", made.rows)
        done = (made.delivered or None, made.pending, error)
        yield r.schema, r.name, r.connector or "table", rows, c.get("weight"), checksum, *done


def _views(database: Database) -> Iterator[Row]:
    from laminar.server.sources import PAUSED

    epoch = database.coordinator.read().epoch
    for r in database.catalog.relations.values():
        if r.kind in ("mview", "stream"):
            mode = r.emit.get("mode", "update")
            error = database.coordinator.failed.get(r.oid)
            paused = r.options.get(PAUSED)
            state = "failed" if error is not None else "running" if paused is None else "paused"
            at = epoch if paused is None else int(paused)
            rows = int(database.row_count(r.oid)) if r.kind == "mview" else None
            yield r.schema, r.name, r.kind, state, rows, at, mode, r.query, error
        elif r.kind == "view":
            yield r.schema, r.name, r.kind, None, None, None, None, r.query, None


def _operators(database: Database) -> Iterator[Row]:
    for o in _here(database, statistics.operators(database.coordinator), lambda o: o.dataflow):
        yield (
            _name(database, o.dataflow),
            o.node,
            o.kind,
            o.reactor,
            o.rows_in,
            o.rows_out,
            o.entries,
            o.state_bytes,
            o.busy,
        )


def _watermarks(database: Database) -> Iterator[Row]:
    for w in _here(database, statistics.watermarks(database.coordinator), lambda w: w.relation):
        yield _name(database, w.relation), w.partition, w.watermark


def _epochs(database: Database) -> Iterator[Row]:
    view = database.coordinator.read()
    yield view.epoch, view.now


def _checkpoints(database: Database) -> Iterator[Row]:
    checkpoints = database.coordinator.checkpoints
    for c in checkpoints.history:
        yield c.epoch, c.now, c.duration, c.pause, c.entries, c.written, c.size
    if checkpoints.manifest.epoch and not checkpoints.history:
        yield checkpoints.manifest.epoch, checkpoints.manifest.now, None, None, None, None, None


def _dropped_rows(database: Database) -> Iterator[Row]:
    for d in _here(database, statistics.dropped_rows(database.coordinator), lambda d: d.oid):
        yield _name(database, d.oid), d.node, d.reason, d.count


def _reactors(database: Database) -> Iterator[Row]:
    for r in statistics.reactors(database.coordinator):
        yield r.reactor, r.pid, r.busy, r.bytes_in, r.bytes_out, r.backlog


def _subscriptions(database: Database) -> Iterator[Row]:
    for s in _here(database, statistics.subscriptions(database.coordinator), lambda s: s.relation):
        yield _name(database, s.relation), s.epoch, s.buffered


def _ddl_progress(database: Database) -> Iterator[Row]:
    engine = database.coordinator
    for oid, b in database.building.items():
        spec = engine.installing.get(oid)
        if spec is not None and any(engine.relations[i].kind == "connector" for i in spec.inputs):
            done, total = statistics.rows_read(engine, oid), None  # nobody knows how many there will be
        else:
            done, total = b.done, b.total
        yield b.statement, b.relation.schema, b.relation.name, done, total, b.started


RELATIONS = (
    (15001, "sources", "schema text, name text, connector text, state text, partitions int8, rows_read int8,"
        "bytes_read int8, watermark timestamptz, error text", _sources),
    (15002, "sinks", "schema text, name text, connector text, rows int8, weight int8, checksum text,"
        "delivered_epoch int8, pending_bytes int8, error text", _sinks),
    (15003, "views", "schema text, name text, kind text, state text, rows int8, epoch int8, emit text,"
        "definition text, error text", _views),
    (15004, "operators", "view text, node int8, operator text, reactor int4, rows_in int8, rows_out int8,"
        "entries int8, state_bytes int8, busy_us int8", _operators),
    (15005, "watermarks", "relation text, partition text, watermark timestamptz", _watermarks),
    (15006, "epochs", "epoch int8, now timestamptz", _epochs),
    (15007, "checkpoints", "epoch int8, now timestamptz, duration_us int8, pause_us int8, entries int8,"
        "written_bytes int8, state_bytes int8", _checkpoints),
    (15008, "dropped_rows", "relation text, node int8, reason text, rows int8", _dropped_rows),
    (15009, "reactors", "reactor int4, process_id int4, busy_us int8, bytes_in int8, bytes_out int8,"
        "backlog_bytes int8", _reactors),
    (15010, "subscriptions", "relation text, epoch int8, buffered_bytes int8", _subscriptions),
    (15011, "ddl_progress", "statement text, schema text, name text, rows_done int8, rows_total int8,"
        "started timestamptz", _ddl_progress),
)  # fmt: skip
