"""Rows as often as a column says: a row with weight w and times n goes on with weight w * n."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from laminar.engine.change import Barrier, Change, Watermarks
from laminar.engine.nodes import Repeat
from laminar.engine.operators.columns import keep_rows, positions


class RepeatOperator:
    """A :class:`~laminar.engine.nodes.Repeat` node in one reactor."""

    def __init__(self, node: Repeat) -> None:
        place = positions(node.input.properties.columns)
        self._times = place[node.times]
        self._kept = [place[c.id] for c in node.properties.columns]
        self.node = node
        self.rows_in = self.rows_out = 0

    def process(self, port: int, change: Change) -> list[Change]:
        self.rows_in += len(change)
        times = change.batch.column(self._times).to_numpy(zero_copy_only=False)
        weights = times if change.weights is None else times * change.weights
        batch, kept = keep_rows(change.batch, weights, times > 0)
        self.rows_out += batch.num_rows
        if not batch.num_rows:
            return []
        return [Change(batch.select(self._kept), np.ascontiguousarray(kept, dtype=np.int64))]

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[list[Change], Watermarks]:
        kept = self.node.properties.watermarks
        return [], Watermarks({c: w for c, w in inputs[0].by_column.items() if c in kept})

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        return iter(())

    def restore(self, entries: pa.RecordBatch) -> None:
        pass

    def stats(self) -> dict[str, int]:
        return {"rows_in": self.rows_in, "rows_out": self.rows_out}

    def close(self) -> None:
        pass
