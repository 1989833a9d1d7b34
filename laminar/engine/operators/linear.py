"""Filter and projection: for every row with weight w that passes, its projection with weight w.

Linear in the sense of DBSP: what holds for a batch holds for its changes, so there is no state.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from laminar.engine.change import Barrier, Change, Watermarks
from laminar.engine.nodes import Linear
from laminar.engine.operators.columns import (
    Expressions,
    keep_rows,
    positions,
    shift_watermark,
    storage_schema,
    true_rows,
)
from laminar.engine.operators.context import OperatorContext
from laminar.engine.operators.failed_rows import FailureLog, keep_failures
from laminar.sql.expressions import columns_of


class LinearOperator:
    """A :class:`~laminar.engine.nodes.Linear` node in one reactor."""

    def __init__(self, node: Linear, context: OperatorContext) -> None:
        columns = node.input.properties.columns
        self.node = node
        self.schema = storage_schema(node.properties.columns)
        self.now = context.now
        self.rows_in = self.rows_out = 0
        self._filter: Expressions | None = None
        self._keep: list[int] | None = None
        if node.filter is not None:
            self._filter = Expressions([node.filter], columns, context.timezone)
            # only what the projection reads is worth filtering
            used = columns_of(*node.exprs)
            place = positions(columns)
            columns = tuple(c for c in columns if c.id in used)
            self._keep = [place[c.id] for c in columns]
        self._project = Expressions(node.exprs, columns, context.timezone)

    def process(self, port: int, change: Change) -> list[Change]:
        batch, weights = change.batch, change.weights
        self.rows_in += batch.num_rows
        if self._filter is not None and self._keep is not None:
            (mask,), batch, weights = self._filter(batch, weights, self.now)
            batch, weights = keep_rows(_select(batch, self._keep), weights, true_rows(mask))
        if not batch.num_rows:
            return []
        values, batch, weights = self._project(batch, weights, self.now)
        if not batch.num_rows:
            return []
        self.rows_out += batch.num_rows
        if not values:
            return [Change(batch.select([]), weights)]
        return [Change(pa.RecordBatch.from_arrays(values, schema=self.schema), weights)]

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[list[Change], Watermarks]:
        self.now = barrier.now
        known = inputs[0].by_column
        moved = {
            out: shift_watermark(known[source], shift)
            for out, source, shift in self.node.watermarks
            if source in known
        }
        return [], Watermarks(moved)

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        return iter(())

    def restore(self, entries: pa.RecordBatch) -> None:
        pass

    def stats(self) -> dict[str, int]:
        failed = self._project.failed_rows + (self._filter.failed_rows if self._filter else 0)
        return {"rows_in": self.rows_in, "rows_out": self.rows_out, "dropped_error": failed}

    def keep_failures(self) -> FailureLog:
        return keep_failures(self._filter, self._project)

    def errors(self) -> dict[str, int]:
        """How many rows failed, by message."""
        found = dict(self._project.errors)
        for message, count in (self._filter.errors if self._filter else {}).items():
            found[message] = found.get(message, 0) + count
        return found

    def close(self) -> None:
        pass


def _select(batch: pa.RecordBatch, columns: list[int]) -> pa.RecordBatch:
    # select([]) forgets how many rows there are, and a projection of constants needs to know
    if columns:
        return batch.select(columns)
    return pa.RecordBatch.from_arrays([pa.nulls(batch.num_rows)], names=["rows"])
