"""The reactor: one thread that reads messages and sources and runs dataflows.

Order of work: rows from other reactors, then messages from the server, then sources; it sleeps on
its doorbell when there is none of them. A barrier is run to its end in one go. Whenever something
has to be waited for (room in a ring, other reactors' marks), rows from other reactors are taken in
meanwhile, so two reactors that send to each other cannot block each other for ever; no row of the
next epoch is taken from a reactor that is ahead, so what is kept aside is bounded by an epoch.
"""

from __future__ import annotations

import mmap
import os
import select
import sys
import time
import traceback
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa

from laminar._native.ring import RingReader, RingWriter
from laminar._native.statetable import memory_budget
from laminar.engine.change import NO_WATERMARK, Barrier, Change, Watermarks
from laminar.engine.dataflow import Dataflow, Vertex
from laminar.engine.inputs import InputOperator
from laminar.engine.messages import Inbox, Kind, Message, Outbox
from laminar.engine.nodes import Input, Node
from laminar.engine.operators import OperatorContext, build
from laminar.engine.operators.base import Operator
from laminar.engine.protocol import (
    PAGE_BYTES,
    BarrierMessage,
    CheckpointReport,
    Cut,
    EpochReport,
    Installation,
    ReactorSettings,
    StartState,
)
from laminar.engine.relations import DataflowSpec, RelationSpec, in_dependency_order
from laminar.engine.sources import Consumer, SourceHub, check_readable
from laminar.engine.statefile import Entries, read_ahead, read_states, size_of
from laminar.engine.statewriter import Spool, StateWriter
from laminar.errors import INTERNAL_ERROR, PgError
from laminar.sql.kernels.registry import registered

#: messages of one kind handled before others get their turn
_BURST = 32
_OPERATORS = (
    "laminar.engine.operators.constant",
    "laminar.engine.operators.emit_every",
    "laminar.engine.operators.emit_gate",
    "laminar.engine.operators.flat_map",
    "laminar.engine.operators.group_aggregate",
    "laminar.engine.operators.hash_join",
    "laminar.engine.operators.hop",
    "laminar.engine.operators.linear",
    "laminar.engine.operators.lookup_join",
    "laminar.engine.operators.repeat",
    "laminar.engine.operators.union_all",
    "laminar.engine.operators.session",
    "laminar.engine.operators.temporal_filter",
    "laminar.sql.evaluator",
    "laminar.connectors.file",
)
#: seconds between looks at sources that had nothing
_SOURCE_PAUSE = 0.01


def settings_from(values: dict[str, Any]) -> ReactorSettings:
    """Settings as the command line has them (JSON)."""
    values["peers"] = {int(k): tuple(v) for k, v in values["peers"].items()}
    values["server"] = tuple(values["server"])
    return ReactorSettings(**values)


def load_operators() -> None:
    """Import what dataflows will need, all functions too: the first CREATE shall not wait for it."""
    for module in _OPERATORS:
        import_module(module)
    registered()


class Peer:
    """The connection with another reactor."""

    def __init__(self, incoming: int, outgoing: int, bell: int) -> None:
        self.inbox = Inbox(RingReader(incoming, bell))
        self.outbox = Outbox(RingWriter(outgoing, bell))
        #: the last epoch that it has sent everything of
        self.ended = 0


class Reactor:
    """See the module's text."""

    def __init__(self, settings: ReactorSettings) -> None:
        self.settings = settings
        self.index, self.count = settings.index, settings.count
        self.spools = Path(settings.spools)
        memory_budget(settings.state_memory)
        self.page = memoryview(mmap.mmap(settings.page, PAGE_BYTES)).cast("q")
        incoming, outgoing, bell = settings.server
        self.inbox = Inbox(RingReader(incoming, bell))
        self.outbox = Outbox(RingWriter(outgoing, bell))
        self.peers = {i: Peer(*ends) for i, ends in settings.peers.items()}
        self.poller = select.poll()
        self.poller.register(settings.bell, select.POLLIN)
        #: epoch that changes belong to now, and time of the one before
        self.epoch = 0
        self.now = 0
        self.running = True
        self.live = False
        self.dirty = False
        #: sources rest until a barrier says otherwise: all, or some
        self.paused = False
        self.resting: frozenset[int] = frozenset()
        self.relations: dict[int, RelationSpec] = {}
        #: dataflows in order of installation, so inputs come before what reads them
        self.dataflows: dict[int, Dataflow] = {}
        self.built: dict[int, tuple[Dataflow, Installation]] = {}
        self.incomplete: set[int] = set()
        #: relation -> inputs that take its changes, with the positions of their columns
        self.routes: dict[int, list[tuple[Dataflow, Vertex, list[int]]]] = {}
        self.hubs: dict[int, SourceHub] = {}
        self.watermarks: dict[int, int] = {}
        self.aside: deque[Message] = deque()
        self.marks: dict[tuple[int, int], list[Watermarks]] = {}
        self.cuts: list[dict[int, Cut]] = []
        self.writer = StateWriter(settings.bell, Path(settings.scratch), 2 * settings.handover_bytes)
        self.busy_ns = 0
        #: longest collection of changed entries since a checkpoint was reported
        self.pause_ns = 0

    # --- the loop ------------------------------------------------------------------

    def run(self) -> None:
        """Work until told to stop; an error is reported to the server, then the process ends."""
        try:
            load_operators()
            while self.running:
                started = time.perf_counter_ns()
                worked = self._take_peers()
                worked |= self._take_server()
                worked |= self._read_sources()
                self._report_checkpoint()
                if worked:
                    self.busy_ns += time.perf_counter_ns() - started
                else:
                    self._sleep(True)
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            wrapped = (
                error
                if isinstance(error, PgError)
                else PgError(INTERNAL_ERROR, f"reactor {self.index}: {error!r}")
            )
            self.outbox.post(Kind.FAILED, extra=_portable(wrapped))
            self._flush(self.outbox)
            sys.exit(1)

    def _sleep(self, idle: bool, blocked: Outbox | None = None) -> None:
        """Wait for the doorbell unless something has come in just now."""
        inboxes = [p.inbox for p in self.peers.values() if p.ended < self.epoch]
        if idle:
            inboxes.append(self.inbox)
        ready = False
        for inbox in inboxes:
            ready |= not inbox.reader.sleep()
        if blocked is not None:
            ready |= not blocked.writer.sleep()
        if not ready:
            pause = idle and self.live and not self.paused and any(hub.waiting for hub in self.hubs.values())
            if self.poller.poll(_SOURCE_PAUSE * 1000 if pause else None):
                os.eventfd_read(self.settings.bell)
        for inbox in inboxes:
            inbox.reader.awake()

    def _flush(self, outbox: Outbox) -> None:
        """Wait until everything is in the ring, taking in what other reactors send."""
        while not outbox.flush():
            self._absorb()
            if not outbox.flush():
                self._sleep(False, outbox)

    # --- other reactors ---------------------------------------------------------------

    def send(self, peer: int, dataflow: int, node: int, change: Change) -> None:
        """Hand rows of an exchange to another reactor."""
        outbox = self.peers[peer].outbox
        if not outbox.post_change(Kind.EXCHANGED, dataflow, node, self.epoch, change):
            self._flush(outbox)

    def align(self, dataflow: int, node: int, watermarks: Watermarks) -> Watermarks:
        """The barrier at an exchange: send marks, wait for everybody's, merge watermarks."""
        self._tell_peers(Kind.MARK, dataflow, node, watermarks)
        marks = self.marks.setdefault((dataflow, node), [])
        self._await_peers(marks)
        del self.marks[dataflow, node]
        for other in marks:
            watermarks = watermarks.merge(other)
        return watermarks

    def _tell_peers(self, kind: Kind, a: int = 0, b: int = 0, extra: object = None) -> None:
        for peer in self.peers.values():
            if not peer.outbox.post(kind, a, b, self.epoch, extra):
                self._flush(peer.outbox)

    def _await_peers(self, received: list[Any]) -> None:
        while len(received) < self.count - 1:
            if not self._take_peers():
                self._sleep(False)

    def _absorb(self) -> None:
        """Put aside what has come, without working on it."""
        for peer in self.peers.values():
            while peer.ended < self.epoch:
                message = peer.inbox.receive()
                if message is None:
                    break
                if message.kind == Kind.END:
                    peer.ended = message.c
                else:
                    self.aside.append(message)

    def _take_peers(self) -> bool:
        """Work on some of what other reactors sent; False when there was nothing."""
        if not self.peers:
            return False
        if not self.aside:
            self._absorb()
        for _ in range(_BURST):
            if not self.aside:
                return _ > 0
            message = self.aside.popleft()
            if message.kind == Kind.EXCHANGED:
                assert message.change is not None
                self.dataflows[message.a].received(message.b, message.change)
            elif message.kind == Kind.MARK:
                self.marks.setdefault((message.a, message.b), []).append(message.object())
            else:
                self.cuts.append(message.object())
        return True

    # --- the server --------------------------------------------------------------------

    def _take_server(self) -> bool:
        for n in range(_BURST):
            message = self.inbox.receive()
            if message is None:
                return n > 0
            self._handle(message)
            if message.kind == Kind.BARRIER:
                break
        return True

    def _handle(self, message: Message) -> None:
        match message.kind:
            case Kind.ROWS:
                assert message.change is not None
                self._rows(message.a, message.b, message.change)
            case Kind.BARRIER:
                self._barrier(message.object())
            case Kind.INSTALL:
                self._install(message.object())
            case Kind.RELATION:
                spec = message.object()
                self.relations[spec.oid] = spec
            case Kind.DROP_RELATION:
                self._drop_relation(message.a)
            case Kind.TYPE:
                message.object()  # reading it makes it known
            case Kind.START:
                self._start(message.object())
            case Kind.LIVE:
                self.live = True
                for hub in self.hubs.values():
                    hub.wake()
            case Kind.STOP:
                self.running = False
                self.writer.close()
            case _:
                raise AssertionError(f"unexpected message {message.kind!r}")

    def _post(self, kind: Kind, a: int = 0, b: int = 0, extra: object = None) -> None:
        if not self.outbox.post(kind, a, b, self.epoch, extra):
            self._flush(self.outbox)

    def _rows(self, relation: int, target: int, change: Change) -> None:
        """Rows of a stored relation, for all dataflows or for one that is being backfilled."""
        for dataflow, vertex, positions in self.routes.get(relation, ()):
            if target in (0, dataflow.spec.id):
                dataflow.push(vertex, 0, Change(change.batch.select(positions), change.weights))

    def deliver(self, relation: int, change: Change) -> None:
        """A view's changes: to the server and to the dataflows that read the view."""
        if not self.outbox.post_change(Kind.CHANGES, relation, 0, self.epoch, change):
            self._flush(self.outbox)
        self._rows(relation, 0, change)

    def _drop_relation(self, oid: int) -> None:
        self.relations.pop(oid, None)
        hub = self.hubs.pop(oid, None)
        if hub is not None:
            hub.close()

    # --- dataflows ---------------------------------------------------------------------

    def make_operator(self, spec: DataflowSpec, node: Node) -> Operator:
        """A computing operator."""
        scratch = Path(self.settings.scratch) / str(spec.id)
        scratch.mkdir(parents=True, exist_ok=True)
        context = OperatorContext(self.index, self.count, scratch, self.now, spec.timezone)
        return build(node, context)

    def make_input(self, dataflow: int, node: Input) -> InputOperator:
        """An input with a way to ask for its relation's watermark."""
        spec = self.relations[node.relation]
        if spec.kind == "view":
            return InputOperator(node, lambda: self._view_watermarks(spec))
        oid, attnum = node.relation, spec.watermark[0] if spec.watermark else 0
        return InputOperator(node, lambda: {attnum: self.watermarks[oid]} if oid in self.watermarks else {})

    def _view_watermarks(self, view: RelationSpec) -> dict[int, int]:
        """By attribute number, as of this barrier, which the view's dataflow has passed already."""
        root = self.dataflows[view.oid].root
        attnums = {c.id: a for c, a in zip(root.node.properties.columns, view.attnums, strict=True)}
        return {attnums[c]: w for c, w in root.watermarks.by_column.items()}

    def _install(self, installation: Installation) -> None:
        """Build a dataflow; a failure leaves nothing and is the statement's error."""
        spec = installation.dataflow
        try:
            dataflow = Dataflow(spec, self)
            for _, operator in dataflow.inputs():
                check_readable(self.relations[operator.node.relation], operator)
            self.built[spec.id] = (dataflow, installation)
            self._post(Kind.READY, spec.id, 1)
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            self._post(Kind.READY, spec.id, 0, _portable(error))

    def _attach(self, dataflow_id: int, from_start: bool) -> None:
        """Let a built dataflow take changes."""
        dataflow, installation = self.built.pop(dataflow_id)
        self.dataflows[dataflow_id] = dataflow
        order = in_dependency_order(flow.spec for flow in self.dataflows.values())
        self.dataflows = {spec.id: self.dataflows[spec.id] for spec in order}
        if from_start:
            self.incomplete.add(dataflow_id)
        for vertex, operator in dataflow.inputs():
            relation = self.relations[operator.node.relation]
            if relation.kind == "connector":
                push = _pusher(dataflow, vertex)
                self._hub(relation).attach(Consumer(dataflow_id, operator, push), from_start)
                continue
            operator.behind = from_start and relation.oid in installation.backfill
            positions = [relation.stored_attnums.index(a) for a in operator.node.attnums]
            self.routes.setdefault(relation.oid, []).append((dataflow, vertex, positions))

    def _hub(self, relation: RelationSpec) -> SourceHub:
        return self.hubs.setdefault(relation.oid, SourceHub(relation, self.index))

    def _complete(self, dataflow_id: int) -> None:
        """The past of the stored inputs has come in full."""
        self.incomplete.discard(dataflow_id)
        for _, operator in self.dataflows[dataflow_id].inputs():
            if self.relations[operator.node.relation].kind != "connector":
                operator.behind = False

    def _detach(self, dataflow_id: int) -> None:
        self.built.pop(dataflow_id, None)
        self.incomplete.discard(dataflow_id)
        self.writer.forget(dataflow_id)
        dataflow = self.dataflows.pop(dataflow_id, None)
        if dataflow is None:
            return
        for relation, routes in list(self.routes.items()):
            self.routes[relation] = [r for r in routes if r[0] is not dataflow]
        for hub in self.hubs.values():
            hub.detach(dataflow_id)
        dataflow.close()

    def _start(self, start: StartState) -> None:
        """Take up the state of a checkpoint and begin."""
        self.epoch, self.now = start.epoch + 1, start.now
        for peer in self.peers.values():
            peer.ended = start.epoch
        self.watermarks = dict(start.watermarks)
        self._assign(start.partitions, start)
        for dataflow_id in list(self.built):
            self._attach(dataflow_id, False)
        self._tick()
        self._restore(start.segments)
        self._post(Kind.READY, 0, 1)

    def _restore(self, paths: list[str]) -> None:
        """Put back what state files have, oldest first; the disk reads the next one meanwhile."""
        for number, path in enumerate(paths):
            for following in paths[number + 1 : number + 2]:
                read_ahead(following)
            for dataflow_id, node, entries in read_states(path):
                dataflow = self.dataflows.get(dataflow_id)
                if dataflow is not None:
                    self.page[0] = dataflow_id
                    dataflow.vertices[node].operator.restore(entries)
            self.page[1] += Path(path).stat().st_size
            self.page[2] += 1
        self.page[0] = 0

    def _assign(self, partitions: dict[int, Any], start: StartState | None) -> None:
        for oid, found in partitions.items():
            positions = start.positions.get(oid, {}) if start is not None else {}
            self._hub(self.relations[oid]).assign(found, positions)

    # --- epochs -------------------------------------------------------------------------

    def _read_sources(self) -> bool:
        if not self.live or self.paused:
            return False
        worked = False
        for oid, hub in self.hubs.items():
            worked |= oid not in self.resting and hub.step()
        if worked and not self.dirty:
            self.dirty = True
            self._post(Kind.DIRTY)
        return worked

    def _barrier(self, message: BarrierMessage) -> None:
        """End the epoch."""
        assert message.epoch == self.epoch, (message.epoch, self.epoch)
        for hub in self.hubs.values():
            if message.replay is not None:
                hub.replay(message.replay.get(hub.spec.oid, {}))
            elif self.live:
                hub.join()
                hub.rest(message.now)
        for dataflow_id in message.complete:
            self._complete(dataflow_id)
        self._advance(message.watermarks)
        barrier = Barrier(message.epoch, message.now, bool(message.checkpoint))
        for dataflow_id, dataflow in self.dataflows.items():
            complete = dataflow_id in message.complete
            dataflow.barrier(replace(barrier, complete=True) if complete else barrier)
        self._ask()
        self._tell_peers(Kind.END)
        started = time.perf_counter_ns()
        if message.checkpoint:
            self._checkpoint(message)
        self._hand_over()
        self.pause_ns = max(self.pause_ns, time.perf_counter_ns() - started)
        self._post(Kind.DONE, extra=self._report())
        self._assign(message.partitions, None)
        for dataflow_id in message.detach:
            self._detach(dataflow_id)
        for dataflow_id in message.attach:
            self._attach(dataflow_id, True)
        self.dirty = False
        self.paused, self.resting = message.paused, message.resting
        self.epoch += 1
        self.now = message.now
        self._tick()

    def _ask(self) -> None:
        """Ask for lookup tables' rows; in a replay the answers are in the log."""
        if not self.live:
            return
        for dataflow in self.dataflows.values():
            for asked in dataflow.asks(self.epoch):
                change = Change(asked.keys)
                if not self.outbox.post_change(Kind.ASKED, asked.relation, 0, self.epoch, change):
                    self._flush(self.outbox)

    def _tick(self) -> None:
        for oid, hub in self.hubs.items():
            hub.tick(self.now, self.watermarks.get(oid, NO_WATERMARK))

    def _advance(self, pushed: dict[int, int]) -> None:
        """Agree with the other reactors on every relation's watermark; none moves back."""
        cuts = {oid: hub.cut() for oid, hub in self.hubs.items()}
        if self.hubs and self.count > 1:
            self._tell_peers(Kind.CUT, extra=cuts)
            self._await_peers(self.cuts)
            for other in self.cuts:
                for oid, cut in other.items():
                    cuts[oid] = cuts[oid].merge(cut)
            self.cuts = []
        found = {oid: self.hubs[oid].watermark(cut) for oid, cut in cuts.items()}
        for oid, watermark in (found | pushed).items():
            self.watermarks[oid] = max(self.watermarks.get(oid, watermark), watermark)

    def _report(self) -> EpochReport:
        hubs = self.hubs.items()
        return EpochReport(
            positions={oid: hub.states for oid, hub in hubs},
            watermarks={oid: self.watermarks[oid] for oid, _ in hubs},
            behind=tuple({dataflow for _, hub in hubs for dataflow in hub.behind}),
            dropped={(oid, reason): n for oid, hub in hubs for reason, n in hub.dropped().items()},
            errors={oid: hub.error for oid, hub in hubs if hub.error},
            failing={oid: found for oid, dataflow in self.dataflows.items() if (found := dataflow.failing())},
            operators=[s for dataflow in self.dataflows.values() for s in dataflow.stats()],
            busy_ns=self.busy_ns,
            due=min((at for d in self._timed() if (at := d.due()) is not None), default=None),
            refused=self.writer.refused + sum(d.refused for d in self.dataflows.values()),
        )

    def _timed(self) -> Iterator[Dataflow | SourceHub]:
        """What may want an epoch though no data comes."""
        yield from self.dataflows.values()
        yield from self.hubs.values()

    def _hand_over(self) -> None:
        """Collect from states that have changed much, ahead of the checkpoint that will want it."""
        for dataflow_id, dataflow in self.dataflows.items():
            for vertex in dataflow.vertices.values():
                if vertex.changed_much(self.settings.early_entries):
                    rest: Entries = []
                    self._collect(dataflow_id, vertex, rest)
                    if rest:
                        self.writer.early(dataflow_id, rest)

    def _collect(self, dataflow: int, vertex: Vertex, entries: Entries) -> None:
        """Add what changed in an operator's state to ``entries``; a lot is handed over at once, so that
        memory never holds all of it."""
        vertex.settle()
        limit = self.settings.handover_bytes
        held: list[pa.RecordBatch] = []
        size = 0
        for batch in vertex.operator.checkpoint():
            held.append(batch)
            size += batch.nbytes
            if size > limit:
                self.writer.early(dataflow, [(dataflow, vertex.node.id, held)])
                held, size = [], 0
        if held:
            entries.append((dataflow, vertex.node.id, held))

    def _checkpoint(self, message: BarrierMessage) -> None:
        """Collect what changed; writing it goes on beside the next epochs."""
        complete = self.dataflows.keys() - self.incomplete
        entries: Entries = []
        for dataflow_id in complete:
            mine: Entries = []
            for vertex in self.dataflows[dataflow_id].vertices.values():
                self._collect(dataflow_id, vertex, mine)
                if size_of(mine) > self.settings.handover_bytes:
                    self.writer.early(dataflow_id, mine)
                    mine = []
            entries += mine
        state = sum(
            vertex.operator.stats().get("state_bytes", 0)
            for dataflow in self.dataflows.values()
            for vertex in dataflow.vertices.values()
        )
        spools: list[Spool] = [
            spool
            for dataflow_id, dataflow in self.dataflows.items()
            if dataflow_id in complete and (spool := dataflow.spool()) is not None
        ]
        path = message.checkpoint.format(reactor=self.index)
        self.writer.write(message.epoch, path, entries, state, spools, complete)

    def _report_checkpoint(self) -> None:
        done = self.writer.finished()
        if done is not None:
            epoch, result = done
            if isinstance(result, CheckpointReport):
                result.pause, self.pause_ns = self.pause_ns // 1000, 0
            report = _portable(result) if isinstance(result, PgError) else result
            self._post(Kind.CHECKPOINTED, epoch, extra=report)


def _pusher(dataflow: Dataflow, vertex: Vertex) -> Any:
    return lambda change: dataflow.push(vertex, 0, change)


def _portable(error: Exception) -> dict[str, Any]:
    """An error's fields, since exceptions with keyword arguments do not pickle."""
    if not isinstance(error, PgError):
        error = PgError(INTERNAL_ERROR, f"in a reactor: {error!r}")
    return {
        "sqlstate": error.sqlstate,
        "message": error.message,
        "detail": error.detail,
        "hint": error.hint,
        "position": error.position,
    }
