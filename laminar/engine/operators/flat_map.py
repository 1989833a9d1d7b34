"""Set-returning functions: each row with weight w becomes its result rows, each with weight w.

Linear as a projection is: the same row gives the same results when it is taken back.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from laminar.engine.change import Barrier, Change, Watermarks
from laminar.engine.nodes import FlatMap
from laminar.engine.operators.columns import Expressions, positions, storage_schema
from laminar.engine.operators.context import OperatorContext
from laminar.engine.operators.failed_rows import FailureLog, keep_failures
from laminar.sql.setreturning import expand

#: input rows whose results are in memory at once
_ROWS = 1024


class FlatMapOperator:
    """A :class:`~laminar.engine.nodes.FlatMap` node in one reactor."""

    def __init__(self, node: FlatMap, context: OperatorContext) -> None:
        columns = node.input.properties.columns
        place = positions(columns)
        self.node = node
        self.now = context.now
        self.schema = storage_schema(node.properties.columns)
        self._kept = [place[c.id] for c in node.properties.columns if c.id in place]
        self._calls = Expressions(node.calls, columns, context.timezone)
        self.rows_in = self.rows_out = 0

    def process(self, port: int, change: Change) -> Iterator[Change]:
        self.rows_in += len(change)
        for start in range(0, len(change), _ROWS):
            weights = None if change.weights is None else change.weights[start : start + _ROWS]
            result = self._expanded(Change(change.batch.slice(start, _ROWS), weights))
            self.rows_out += len(result)
            if len(result):
                yield result

    def _expanded(self, change: Change) -> Change:
        lists, batch, weights = self._calls(change.batch, change.weights, self.now)
        out = expand(lists, batch.num_rows)
        columns = [batch.column(i).take(pa.array(out.row)) for i in self._kept]
        for i, (values, width) in enumerate(zip(lists, self.node.widths, strict=True)):
            elements = out.elements(values, i)
            columns += elements.flatten() if width > 1 else [elements]
        if self.node.ordinality:
            columns.append(pa.array(out.nth + 1))
        batch = pa.RecordBatch.from_arrays(columns, schema=self.schema)
        return Change(batch, None if weights is None else np.ascontiguousarray(weights[out.row]))

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[list[Change], Watermarks]:
        self.now = barrier.now
        kept = self.node.properties.watermarks
        return [], Watermarks({c: w for c, w in inputs[0].by_column.items() if c in kept})

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        return iter(())

    def restore(self, entries: pa.RecordBatch) -> None:
        pass

    def stats(self) -> dict[str, int]:
        failed = self._calls.failed_rows
        return {"rows_in": self.rows_in, "rows_out": self.rows_out, "dropped_error": failed}

    def keep_failures(self) -> FailureLog:
        return keep_failures(self._calls)

    def errors(self) -> dict[str, int]:
        """How many rows failed, by message."""
        return dict(self._calls.errors)

    def close(self) -> None:
        pass
