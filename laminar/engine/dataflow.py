"""A dataflow in one reactor: operators wired as the plan says.

Changes run down the graph as far as operators let them; a barrier visits the nodes in
topological order, so that every operator sees the end of an epoch after all of its changes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from laminar import failpoints
from laminar.engine.change import Barrier, Change, Watermarks
from laminar.engine.exchange import ExchangeOperator
from laminar.engine.inputs import InputOperator
from laminar.engine.nodes import Append, Exchange, FailedRows, Input, LateRows, Materialize, Node, Sink
from laminar.engine.operators.base import Asked, Asking, Operator, Timed
from laminar.engine.operators.failed_rows import FailedRowsOperator, Fallible
from laminar.engine.operators.leftout import Judge
from laminar.engine.outputs import AppendOperator, DeliveredSinkOperator, MaterializeOperator, sink_operator
from laminar.engine.protocol import OperatorStats
from laminar.engine.relations import DataflowSpec, children, topological
from laminar.engine.spool import SpoolFile


class Host(Protocol):
    """What a dataflow needs of its reactor."""

    index: int
    count: int
    #: folder for what sinks have yet to deliver
    spools: Path
    #: one number, shared with the server: the dataflow at work, left there by a death
    page: memoryview

    def make_operator(self, spec: DataflowSpec, node: Node) -> Operator:
        """A computing operator (everything but inputs, exchanges and outputs)."""

    def make_input(self, dataflow: int, node: Input) -> InputOperator: ...

    def send(self, peer: int, dataflow: int, node: int, change: Change) -> None:
        """Hand rows to another reactor; may take in messages from others while it waits."""

    def align(self, dataflow: int, node: int, watermarks: Watermarks) -> Watermarks:
        """Say that no more rows come from here, wait until all peers have said so."""

    def deliver(self, relation: int, change: Change) -> None:
        """Changes of a view: to the server and to the dataflows that read it."""


class Aside(Protocol):
    """Where an operator puts what it leaves out."""

    def take(self) -> list[Change]:
        """All since the last time."""


class Vertex:
    """A node, its operator, and who takes its output."""

    __slots__ = (
        "_entries", "_rows", "asides", "busy_ns", "inputs", "node", "operator", "successors", "watermarks",
    )  # fmt: skip

    def __init__(self, node: Node, operator: Operator, inputs: list[Vertex]) -> None:
        self.node = node
        self.operator = operator
        self.inputs = inputs
        self.successors: list[tuple[Vertex, int]] = []
        self.watermarks = Watermarks()
        self.busy_ns = 0
        #: entries, and rows that had come in, when the state was last handed over
        self._entries = self._rows = 0
        #: who takes what the operator leaves out, and where it is until then
        self.asides: list[tuple[Vertex, Aside]] = []
        if isinstance(node, LateRows):
            (judge,) = inputs
            assert isinstance(judge.operator, Judge)
            judge.operator.left_out.wanted = True
            judge.asides.append((self, judge.operator.left_out))
            return
        for port, vertex in enumerate(inputs):
            if isinstance(node, FailedRows) and isinstance(vertex.operator, Fallible):
                vertex.asides.append((self, vertex.operator.keep_failures()))
            else:
                vertex.successors.append((self, port))

    def changed_much(self, entries: int) -> bool:
        """Whether more than ``entries`` were added to the state since ``settle``, or four times as many
        rows have come that may have changed as many entries: those may change again, and are worth
        waiting for a little longer."""
        stats = self.operator.stats()
        now, rows = stats.get("entries", 0), stats.get("rows_in", 0) - self._rows
        return now - self._entries > entries or min(rows, max(now, self._entries)) > 4 * entries

    def settle(self) -> None:
        """The state is being handed over."""
        stats = self.operator.stats()
        self._entries, self._rows = stats.get("entries", 0), stats.get("rows_in", 0)


class Dataflow:
    """The operators of one view or sink."""

    def __init__(self, spec: DataflowSpec, host: Host) -> None:
        self.spec = spec
        self.host = host
        self._point = f"dataflow {spec.id}"
        self.vertices: dict[int, Vertex] = {}
        for node in topological(spec.root):
            inputs = [self.vertices[child.id] for child in children(node)]
            self.vertices[node.id] = Vertex(node, self._make(node), inputs)
        self.root = self.vertices[spec.root.id]
        self._timed = [v.operator for v in self.vertices.values() if isinstance(v.operator, Timed)]
        self._asking = [v.operator for v in self.vertices.values() if isinstance(v.operator, Asking)]

    def _make(self, node: Node) -> Operator:
        match node:
            case Input():
                return self.host.make_input(self.spec.id, node)
            case Exchange():
                return ExchangeOperator(self.spec.id, node, self.host)
            case Materialize():
                return MaterializeOperator(node, self.host)
            case Append():
                return AppendOperator(node, self.host)
            case Sink():
                return sink_operator(node, self.host)
        return self.host.make_operator(self.spec, node)

    def inputs(self) -> list[tuple[Vertex, InputOperator]]:
        """The dataflow's inputs with their vertices."""
        return [(v, v.operator) for v in self.vertices.values() if isinstance(v.operator, InputOperator)]

    def push(self, vertex: Vertex, port: int, change: Change) -> None:
        """Send a change into ``vertex`` and what comes out of it down the graph."""
        if len(change):
            page = self.host.page
            before, page[0] = page[0], self.spec.id
            started = time.perf_counter_ns()
            self._drain(vertex, vertex.operator.process(port, change), started)
            page[0] = before

    def _drain(self, vertex: Vertex, changes: Iterable[Change], started: int) -> None:
        """Pass on what an operator gives, one batch at a time: there can be any number of them."""
        remaining = iter(changes)
        while True:
            change = next(remaining, None)
            vertex.busy_ns += time.perf_counter_ns() - started
            if change is None:
                break
            self.pass_on(vertex, change)
            started = time.perf_counter_ns()
        for taker, aside in vertex.asides:
            for change in aside.take():
                self.push(taker, 0, change)

    def pass_on(self, vertex: Vertex, change: Change) -> None:
        """Send a change to those that read ``vertex``."""
        for successor, port in vertex.successors:
            self.push(successor, port, change)

    def received(self, node: int, change: Change) -> None:
        """Rows that another reactor sent through an exchange."""
        self.pass_on(self.vertices[node], change)

    def barrier(self, barrier: Barrier) -> None:
        """End the epoch at every operator."""
        self.host.page[0] = self.spec.id
        failpoints.reach(self._point)
        for vertex in self.vertices.values():
            started = time.perf_counter_ns()
            changes, vertex.watermarks = vertex.operator.barrier(
                barrier, [v.watermarks for v in vertex.inputs]
            )
            self._drain(vertex, changes, started)
        self.host.page[0] = 0

    def due(self) -> int | None:
        """When (microseconds since 1970) an operator wants a barrier even if nothing comes in."""
        return min((at for operator in self._timed if (at := operator.due()) is not None), default=None)

    def asks(self, epoch: int) -> list[Asked]:
        """What operators want to know of the world outside, at the end of ``epoch``."""
        return [asked for operator in self._asking if (asked := operator.asks(epoch)) is not None]

    def spool(self) -> SpoolFile | None:
        """At a checkpoint: what a sink has gathered for its target."""
        operator = self.root.operator
        return operator.spooler.rotate() if isinstance(operator, DeliveredSinkOperator) else None

    @property
    def refused(self) -> int:
        """Bytes of a sink's changes that stay in memory because the disk did not take them."""
        operator = self.root.operator
        return operator.spooler.refused if isinstance(operator, DeliveredSinkOperator) else 0

    def failing(self) -> dict[tuple[str, str], int]:
        """(SQLSTATE, message) -> rows that fail now, where the view is to fail with them."""
        return {
            key: count
            for vertex in self.vertices.values()
            if isinstance(vertex.operator, FailedRowsOperator)
            for key, count in vertex.operator.failing.items()
        }

    def stats(self) -> list[OperatorStats]:
        return [
            OperatorStats(self.spec.id, v.node.id, type(v.node).__name__, v.busy_ns, v.operator.stats())
            for v in self.vertices.values()
        ]

    def close(self) -> None:
        for vertex in self.vertices.values():
            vertex.operator.close()
