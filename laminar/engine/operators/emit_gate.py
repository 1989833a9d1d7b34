"""Holds rows back until their window is complete (EMIT where no aggregation does it).

For all batches the output is the input's rows whose end + lateness the watermark has reached, once,
with the weight that all their changes add up to; with EMIT AFTER WATERMARK, those whose end it has
reached, and their changes until the lateness is over. Changes that come after that are late and dropped.
It is an aggregation by all columns whose groups go out with their number of rows as weight.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from laminar._native.aggregate import Groups
from laminar.engine.change import NO_WATERMARK, Barrier, Change, Watermarks
from laminar.engine.nodes import EmitGate
from laminar.engine.operators.columns import positions, shift_watermark, storage_schema
from laminar.engine.operators.context import OperatorContext
from laminar.engine.operators.leftout import LeftOut
from laminar.engine.operators.windowing import judged_lateness, lateness_of, window_unit


class EmitGateOperator:
    """An :class:`~laminar.engine.nodes.EmitGate` node in one reactor."""

    def __init__(self, node: EmitGate, context: OperatorContext) -> None:
        inner = node.input.properties
        columns = node.properties.columns
        end = positions(columns)[node.end]
        place = positions(inner.columns)
        self.node = node
        #: the kept columns, then the watermark that the row's partition had before it, if that judges
        self._picked = [place[c.id] for c in columns]
        self._row_watermark = -1
        if inner.row_watermark is not None:
            self._row_watermark = len(columns)
            self._picked.append(place[inner.row_watermark])
        self.lateness = judged_lateness(node.emit) or 0
        self._end = end
        self.left_out = LeftOut()
        self._groups = Groups(
            storage_schema(columns),
            [],
            context.state_dir,
            window=end,
            window_unit=window_unit(columns[end].type),
            lateness=self.lateness,
            closes=node.emit.mode != "watermark",
            corrects=node.emit.mode == "watermark",
            judged=node.judged,
            multiset=True,
        )
        self.rows_in = self.rows_out = 0

    def process(self, port: int, change: Change) -> list[Change]:
        self.rows_in += len(change)
        columns = [change.batch.column(i) for i in self._picked]
        batch = pa.RecordBatch.from_arrays(columns, [str(i) for i in range(len(columns))])
        late = self._groups.process(batch, change.weights, self._row_watermark)
        if late is not None and self.left_out.wanted:
            marks = batch.column(self._row_watermark) if self._row_watermark >= 0 else None
            late_by = lateness_of(batch.column(self._end), self.lateness, marks, self._groups.watermark)
            self.left_out.add(change.batch, change.weights, late, late_by)
        return []

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[list[Change], Watermarks]:
        known = inputs[0].by_column
        watermark = known.get(self.node.end, NO_WATERMARK)
        out = [Change(*emitted) for emitted in self._groups.barrier(watermark)]
        self.rows_out += sum(map(len, out))
        return out, Watermarks({c: shift_watermark(w, -self.lateness) for c, w in known.items()})

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        return self._groups.checkpoint()

    def restore(self, entries: pa.RecordBatch) -> None:
        self._groups.restore(entries)

    def stats(self) -> dict[str, int]:
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "entries": self._groups.entries,
            "state_bytes": self._groups.state_bytes,
            "dropped_late": self._groups.late,
        }

    def close(self) -> None:
        del self._groups
