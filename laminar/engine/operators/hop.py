"""HOP and CUMULATE: each row once per window that its time lies in, with the window's bounds.

A window is [start, end). The cost is that of copying a row size / slide times, unless an aggregation
above makes windows of slices: then each row goes on once, with its slice's start.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar._native import windows
from laminar.engine.change import Barrier, Change, Watermarks
from laminar.engine.nodes import Hop
from laminar.engine.operators.columns import keep_rows, positions, shift_watermark, storage_schema
from laminar.engine.operators.context import OperatorContext
from laminar.engine.operators.windowing import DAY, microseconds


class HopOperator:
    """A :class:`~laminar.engine.nodes.Hop` node in one reactor."""

    def __init__(self, node: Hop, context: OperatorContext) -> None:
        del context
        self.node = node
        self.schema = storage_schema(node.properties.columns)
        self.time = positions(node.input.properties.columns)[node.time.id]
        self.start, self.end = (c.id for c in node.properties.columns[-2:])
        self.rows_in = self.rows_out = self.no_time = 0

    def process(self, port: int, change: Change) -> list[Change]:
        batch, node = change.batch, self.node
        self.rows_in += batch.num_rows
        times, unit = microseconds(batch.column(self.time))
        valid = None
        if times.null_count:
            valid = times.is_valid().to_numpy(zero_copy_only=False).astype(np.uint8)
            self.no_time += times.null_count
            times = times.fill_null(0)
        spec = (node.step, node.size, node.offset, node.kind == "cumulate")
        if node.sliced:
            return self._sliced(change, *windows.slices(times.to_numpy(), valid, *spec))
        index, starts, ends = windows.hop(times.to_numpy(), valid, *spec)
        if not len(index):
            return []
        rows = windows.gather(batch, index)
        bounds = [
            _storage(bound, unit, self.schema.field(i).type)
            for bound, i in ((starts, len(self.schema) - 2), (ends, len(self.schema) - 1))
        ]
        self.rows_out += len(index)
        weights = None if change.weights is None else change.weights[index]
        return [Change(pa.RecordBatch.from_arrays([*rows.columns, *bounds], schema=self.schema), weights)]

    def _sliced(
        self,
        change: Change,
        starts: npt.NDArray[np.int64],
        kept: npt.NDArray[np.bool_] | None,
    ) -> list[Change]:
        slices = [pa.array(starts).view(self.schema.field(len(self.schema) + i).type) for i in (-2, -1)]
        batch = pa.RecordBatch.from_arrays([*change.batch.columns, *slices], schema=self.schema)
        out = Change(batch, change.weights)
        if kept is not None:
            out = Change(*keep_rows(batch, change.weights, kept))
        self.rows_out += len(out)
        return [out]

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[list[Change], Watermarks]:
        out = dict(inputs[0].by_column)
        if self.node.time.id in out:
            mark = out[self.node.time.id]
            out[self.start] = shift_watermark(mark, -self.node.size)
            out[self.end] = mark
        return [], Watermarks(out)

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        return iter(())

    def restore(self, entries: pa.RecordBatch) -> None:
        pass

    def stats(self) -> dict[str, int]:
        return {"rows_in": self.rows_in, "rows_out": self.rows_out, "dropped_null_time": self.no_time}

    def close(self) -> None:
        pass


def _storage(bound: np.ndarray[tuple[int], np.dtype[np.int64]], unit: int, type_: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(type_):
        return pa.array(bound).view(type_)
    if pa.types.is_date32(type_):
        return pa.array((bound // DAY).astype(np.int32)).view(type_)
    return pa.array(bound // unit).cast(type_)
