"""The ends of a dataflow: Materialize (a view's changes), Append (rows left out) and Sink."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laminar._native.checkpointed import ENTRIES
from laminar._native.rows import RowFormat
from laminar.connectors.base import SinkWriter, WritingSink, sink_connector
from laminar.engine.change import Barrier, Change, Watermarks
from laminar.engine.nodes import Append, Materialize, Sink
from laminar.engine.operators.columns import storage_schema
from laminar.engine.spool import Spooler

if TYPE_CHECKING:
    from laminar.engine.dataflow import Host

#: rows in one message to the server
_ROWS_PER_MESSAGE = 1 << 17


class MaterializeOperator:
    """Hands a view's changes to the server and to the dataflows that read the view.

    The serving store keeps the rows; a reactor has no second copy.
    """

    def __init__(self, node: Materialize, host: Host) -> None:
        self.node = node
        self.host = host
        self.rows = 0

    def process(self, port: int, change: Change) -> list[Change]:
        self.rows += len(change)
        for start in range(0, len(change), _ROWS_PER_MESSAGE):
            part = change
            if len(change) > _ROWS_PER_MESSAGE:
                weights = change.weights
                part = Change(
                    change.batch.slice(start, _ROWS_PER_MESSAGE),
                    None if weights is None else weights[start : start + _ROWS_PER_MESSAGE],
                )
            self.host.deliver(self.node.relation, part)
        return []

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[list[Change], Watermarks]:
        return [], inputs[0]

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        return iter(())

    def restore(self, entries: pa.RecordBatch) -> None:
        raise AssertionError("views are kept by the serving store")

    def stats(self) -> dict[str, int]:
        return {"rows_in": self.rows, "rows_out": self.rows}

    def close(self) -> None:
        pass


class AppendOperator:
    """Numbers an epoch's rows in the order of their bytes and hands them on as new rows of a table."""

    def __init__(self, node: Append, host: Host) -> None:
        self.node = node
        self.host = host
        self.rows = 0
        self._next = 0
        self._format = RowFormat(storage_schema(node.properties.columns))
        self._pending: list[pa.Array] = []

    def process(self, port: int, change: Change) -> list[Change]:
        self.rows += len(change)
        self._pending.append(self._format.encode(change.batch))
        return []

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[list[Change], Watermarks]:
        if self._pending:
            rows = pa.concat_arrays(self._pending)
            self._pending = []
            ordered = self._format.decode(rows.take(pc.array_sort_indices(rows)))
            numbers = pa.array(np.arange(self._next, self._next + len(rows), dtype=np.int64))
            self._next += len(rows)
            columns = [*ordered.columns, numbers]
            batch = pa.RecordBatch.from_arrays(columns, [str(i) for i in range(len(columns))])
            for start in range(0, len(rows), _ROWS_PER_MESSAGE):
                self.host.deliver(self.node.relation, Change(batch.slice(start, _ROWS_PER_MESSAGE)))
        return [], Watermarks()

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        value = struct.pack("<q", self._next)
        yield pa.RecordBatch.from_pydict({"key": [b"next"], "value": [value]}, ENTRIES)

    def restore(self, entries: pa.RecordBatch) -> None:
        (self._next,) = struct.unpack("<q", entries.column(1)[len(entries) - 1].as_py())

    def stats(self) -> dict[str, int]:
        return {"rows_in": self.rows, "rows_out": self.rows}

    def close(self) -> None:
        pass


class WritingSinkOperator:
    """Feeds a sink inside the reactors; its writer's state is part of the checkpoint."""

    def __init__(self, node: Sink, connector: WritingSink) -> None:
        self.writer: SinkWriter = connector.open(node.spec)
        self.rows = 0

    def process(self, port: int, change: Change) -> list[Change]:
        self.rows += len(change)
        self.writer.write(change.batch, change.weights)
        return []

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[list[Change], Watermarks]:
        self.writer.barrier(barrier.epoch)
        return [], inputs[0]

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pydict({"key": [b"writer"], "value": [self.writer.state()]}, ENTRIES)

    def restore(self, entries: pa.RecordBatch) -> None:
        self.writer.restore(entries.column(1)[len(entries) - 1].as_py())

    def stats(self) -> dict[str, int]:
        return {"rows_in": self.rows, **{f"sink_{k}": v for k, v in self.writer.stats().items()}}

    def close(self) -> None:
        self.writer.close()


class DeliveredSinkOperator:
    """Spools changes for the server, which delivers them once a checkpoint has promised them."""

    def __init__(self, node: Sink, folder: Path) -> None:
        self.spooler = Spooler(folder, node.relation, len(node.spec.columns))
        self.rows = 0

    def process(self, port: int, change: Change) -> list[Change]:
        self.rows += len(change)
        self.spooler.write(change)
        return []

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[list[Change], Watermarks]:
        self.spooler.barrier(barrier.epoch)
        return [], inputs[0]

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        return iter(())

    def restore(self, entries: pa.RecordBatch) -> None:
        raise AssertionError("a spool is no state")

    def stats(self) -> dict[str, int]:
        return {"rows_in": self.rows}

    def close(self) -> None:
        self.spooler.close()


def sink_operator(node: Sink, host: Host) -> WritingSinkOperator | DeliveredSinkOperator:
    """The operator for the connector's kind of sink."""
    connector = sink_connector(node.spec.connector)
    if isinstance(connector, WritingSink):
        return WritingSinkOperator(node, connector)
    return DeliveredSinkOperator(node, host.spools)
