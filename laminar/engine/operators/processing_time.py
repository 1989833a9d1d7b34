"""PROCTIME(): every row gets the time of its epoch.

That time is known at the barrier only, so an epoch's rows wait for it; later rows have later times, so it
is the column's watermark too. What closes windows of this time wants barriers when there is no input: at the
bounds of windows that the last rows may lie in.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from laminar.engine.change import Barrier, Change, Watermarks
from laminar.engine.nodes import ProcessingTime
from laminar.engine.operators.columns import positions, storage_schema

_LAST = b"last"
_TIME = struct.Struct("<q")


class ProcessingTimeOperator:
    """A :class:`~laminar.engine.nodes.ProcessingTime` node in one reactor."""

    def __init__(self, node: ProcessingTime) -> None:
        place = positions(node.input.properties.columns)
        self.node = node
        self._schema = storage_schema(node.properties.columns)
        self._kept = [place[c.id] for c in node.properties.columns[:-1]]
        self._changes: list[Change] = []
        #: times of the last barrier, and of the last one that had rows
        self._now = 0
        self._last: int | None = None
        self._changed = False
        self.rows_in = 0

    def process(self, port: int, change: Change) -> list[Change]:
        self.rows_in += len(change)
        self._changes.append(change)
        return []

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[Iterator[Change], Watermarks]:
        self._now = barrier.now
        changes, self._changes = self._changes, []
        if changes:
            self._last, self._changed = barrier.now, True
        time = self.node.properties.columns[-1]
        marks = {c: w for c, w in inputs[0].by_column.items() if c in self.node.properties.watermarks}
        return (self._timed(change) for change in changes), Watermarks(marks | {time.id: barrier.now})

    def _timed(self, change: Change) -> Change:
        times = pa.array(np.full(len(change), self._now)).cast(self._schema.types[-1])
        columns = [*(change.batch.column(i) for i in self._kept), times]
        return Change(pa.RecordBatch.from_arrays(columns, schema=self._schema), change.weights)

    def due(self) -> int | None:
        closing = self.node.closing
        if closing is None or self._last is None:
            return None
        behind = self._now - closing.lateness
        if closing.step is None:
            end = self._last + closing.size
            return end + closing.lateness if behind < end else None
        if behind >= self._last + closing.size + closing.step:
            return None
        passed = (behind - closing.offset) // closing.step
        return (passed + 1) * closing.step + closing.offset + closing.lateness

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        if self._changed and self._last is not None:
            self._changed = False
            entry = [pa.array([_LAST]), pa.array([_TIME.pack(self._last)])]
            yield pa.RecordBatch.from_arrays(entry, names=["key", "value"])

    def restore(self, entries: pa.RecordBatch) -> None:
        (self._last,) = _TIME.unpack(entries.column(1)[-1].as_py())

    def stats(self) -> dict[str, int]:
        return {"rows_in": self.rows_in, "rows_out": self.rows_in}

    def close(self) -> None:
        pass
