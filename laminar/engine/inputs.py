"""Input: where a relation's changes enter a dataflow.

Output: the columns that the dataflow wants, in its order, of the rows that satisfy the input's
filter. Its watermark is the relation's, counted before the filter; as long as the relation's past
is still being read, there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa

from laminar.engine.change import NO_WATERMARK, Barrier, Change, Watermarks
from laminar.engine.nodes import Input
from laminar.engine.operators.columns import Expressions, keep_rows, true_rows


class InputOperator:
    """One input of a dataflow in one reactor.

    Args:
        node: the plan's node.
        watermark: gives the relation's watermark by attribute number at a barrier.
    """

    def __init__(self, node: Input, watermark: Callable[[], dict[int, int]]) -> None:
        self.node = node
        self.watermark = watermark
        #: the relation's past has not all come yet
        self.behind = False
        self.rows_in = 0
        self.rows_out = 0
        self._ids = {
            attnum: column.id
            for attnum, column in zip(node.attnums, node.properties.columns, strict=True)
            if column.id in node.properties.watermarks
        }
        self._filter: Expressions | None = None
        self._now = 0
        if node.filter is not None:
            self._filter = Expressions([node.filter], node.properties.columns, "UTC")

    def process(self, port: int, change: Change) -> list[Change]:
        self.rows_in += len(change)
        if self._filter is not None:
            (mask,), batch, weights = self._filter(change.batch, change.weights, self._now)
            change = Change(*keep_rows(batch, weights, true_rows(mask)))
        self.rows_out += len(change)
        return [change] if len(change) else []

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[list[Change], Watermarks]:
        self._now = barrier.now
        if self.behind:
            return [], Watermarks(dict.fromkeys(self._ids.values(), NO_WATERMARK))
        now = self.watermark()
        return [], Watermarks({c: now.get(attnum, NO_WATERMARK) for attnum, c in self._ids.items()})

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        return iter(())

    def restore(self, entries: pa.RecordBatch) -> None:
        raise AssertionError("an input has no state")

    def stats(self) -> dict[str, int]:
        return {"rows_in": self.rows_in, "rows_out": self.rows_out}

    def close(self) -> None:
        pass
