"""Inner equi-join of two changing inputs.

For all batches the output is dA join B + (A + dA) join dB: weights multiply, duplicates count as often
as they are there, a null key matches nothing unless the key is null-safe. Each side keeps its rows by
key; a row costs one probe of the other side and one insertion into its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from laminar._native.join import Joiner
from laminar.engine.change import Barrier, Change, Watermarks
from laminar.engine.nodes import HashJoin
from laminar.engine.operators.columns import (
    Expressions,
    Weights,
    keep_rows,
    positions,
    storage_schema,
    true_rows,
)
from laminar.engine.operators.context import OperatorContext


class HashJoinOperator:
    """A :class:`~laminar.engine.nodes.HashJoin` node in one reactor."""

    def __init__(self, node: HashJoin, context: OperatorContext) -> None:
        left, right = node.left.properties, node.right.properties
        at_left, at_right = positions(left.columns), positions(right.columns)
        self.node = node
        self.now = context.now
        self.schema = storage_schema((*left.columns, *right.columns))
        self.sides = storage_schema(left.columns), storage_schema(right.columns)
        self._joiner = Joiner(
            self.sides[0],
            self.sides[1],
            [at_left[k] for k in node.left_keys],
            [at_right[k] for k in node.right_keys],
            node.null_safe,
            left.append_only,
            right.append_only,
            context.state_dir,
        )
        self._residual: Expressions | None = None
        if node.residual is not None:
            columns = (*left.columns, *right.columns)
            self._residual = Expressions([node.residual], columns, context.timezone)
        self.rows_in = self.rows_out = 0

    def process(self, port: int, change: Change) -> list[Change]:
        self.rows_in += len(change)
        joined = self._joiner.process(port, change.batch, change.weights)
        out = [kept for batch, weights in joined if len(kept := self._matching(batch, weights))]
        self.rows_out += sum(map(len, out))
        return out

    def _matching(self, batch: pa.RecordBatch, weights: Weights) -> Change:
        """The joined rows that fulfil the residual condition."""
        if self._residual is None:
            return Change(batch, weights)
        (mask,), batch, weights = self._residual(batch, weights, self.now)
        return Change(*keep_rows(batch, weights, true_rows(mask)))

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[list[Change], Watermarks]:
        self.now = barrier.now
        left, right = inputs[0].by_column, inputs[1].by_column
        marks: dict[int, int] = {}
        for a, b in zip(self.node.left_keys, self.node.right_keys, strict=True):
            if a in left and b in right:
                marks[a] = marks[b] = min(left[a], right[b])
        return [], Watermarks(marks)

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        return self._joiner.checkpoint()

    def restore(self, entries: pa.RecordBatch) -> None:
        self._joiner.restore(entries)

    def stats(self) -> dict[str, int]:
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "entries": self._joiner.entries,
            "state_bytes": self._joiner.state_bytes,
            "dropped_error": self._residual.failed_rows if self._residual else 0,
        }

    def errors(self) -> dict[str, int]:
        """How many joined rows failed in the residual condition, by message."""
        return dict(self._residual.errors) if self._residual else {}

    def close(self) -> None:
        del self._joiner
