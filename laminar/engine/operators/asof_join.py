"""ASOF join: each left row with the right row of its key that is nearest in time, before or after it.

Not linear in either input, so changes wait for the barrier. There the left rows whose match changed are
taken back and put in again with the new one; then the left side's own changes meet the right side as it
is. Both sides are kept in the order of key and time.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from laminar._native.asof import AsofJoiner
from laminar.engine.change import Barrier, Change, Watermarks
from laminar.engine.nodes import AsofJoin, Properties
from laminar.engine.operators.columns import positions, storage_schema
from laminar.engine.operators.context import OperatorContext


class AsofJoinOperator:
    """A :class:`~laminar.engine.nodes.AsofJoin` node in one reactor."""

    def __init__(self, node: AsofJoin, context: OperatorContext) -> None:
        self.node = node
        self.rows_in = self.rows_out = 0
        self._joiner = AsofJoiner(
            _side(node.left.properties, node.left_keys, node.left_time),
            _side(node.right.properties, node.right_keys, node.right_time),
            context.state_dir,
            forward=node.comparison in ("<=", "<"),
            inclusive=node.comparison in (">=", "<="),
            nearest=node.comparison == "nearest",
            padded=node.padded,
        )

    def process(self, port: int, change: Change) -> list[Change]:
        self.rows_in += len(change)
        self._joiner.process(port, change.batch, change.weights)
        return []

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[Iterator[Change], Watermarks]:
        left, right = inputs[0].by_column, inputs[1].by_column
        marks: dict[int, int] = {}
        for a, b in zip(self.node.left_keys, self.node.right_keys, strict=True):
            if a in left and b in right:
                marks[a] = marks[b] = min(left[a], right[b])
        return self._changed(), Watermarks(marks)

    def _changed(self) -> Iterator[Change]:
        self._joiner.end_epoch()
        while (rows := self._joiner.next_rows()) is not None:
            self.rows_out += rows[0].num_rows
            yield Change(*rows)

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
        }

    def close(self) -> None:
        del self._joiner


def _side(
    properties: Properties, keys: tuple[int, ...], time: int
) -> tuple[pa.Schema, list[int], int, list[int]]:
    place = positions(properties.columns)
    ties = [place[k] for k in properties.key]
    return storage_schema(properties.columns), [place[k] for k in keys], place[time], ties
