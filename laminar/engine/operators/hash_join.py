"""Join of two changing inputs: inner, outer, semi and anti.

For all batches the pairs that come out are dA join B + (A + dA) join dB: weights multiply, duplicates
count as often as they are there, a null key matches nothing unless the key is null-safe. Each side keeps
its rows by key; a row costs one probe of the other side and one insertion into its own.

Rows without a match (outer, anti) or with one (semi) are not linear in the changes, so they wait for the
barrier: there the rows whose number of matches became zero or ceased to be are taken back or emitted. The
number is kept with a row if a residual condition decides, else with the key on the other side.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pyarrow as pa

from laminar._native.join import Joiner, Side
from laminar.engine.change import Barrier, Change, Watermarks
from laminar.engine.nodes import HashJoin, Properties
from laminar.engine.operators.columns import Expressions, Weights, keep_rows, positions, storage_schema
from laminar.engine.operators.context import OperatorContext


class HashJoinOperator:
    """A :class:`~laminar.engine.nodes.HashJoin` node in one reactor."""

    def __init__(self, node: HashJoin, context: OperatorContext) -> None:
        left, right = node.left.properties, node.right.properties
        self.node = node
        self.now = context.now
        self.rows_in = self.rows_out = 0
        self._shown = _shown(node, 0), _shown(node, 1)
        self._counts = node.residual is not None and self._shown != (None, None)
        self._emits_pairs = node.kind not in ("semi", "anti")
        self._joiner = Joiner(
            self._side(left, node.left_keys, 0),
            self._side(right, node.right_keys, 1),
            node.null_safe,
            context.state_dir,
            pairs=self._emits_pairs or node.residual is not None,
            padded=self._emits_pairs,
        )
        self._residual: Expressions | None = None
        if node.residual is not None:
            columns = (*left.columns, *right.columns)
            self._residual = Expressions([node.residual], columns, context.timezone)

    def _side(self, properties: Properties, keys: tuple[int, ...], port: int) -> Side:
        place = positions(properties.columns)
        by_key = not self._counts and self._shown[1 - port] is not None
        return Side(
            schema=storage_schema(properties.columns),
            keys=[place[k] for k in keys],
            append_only=properties.append_only,
            shown=self._shown[port],
            count_rows=self._counts and self._shown[port] is not None,
            count_keys=by_key,
            keys_only=by_key and not self._emits_pairs and set(place) == set(keys),
        )

    def process(self, port: int, change: Change) -> Iterator[Change]:
        self.rows_in += len(change)
        self._joiner.begin(port, change.batch, change.weights)
        return self._joined(port)

    def _joined(self, port: int) -> Iterator[Change]:
        if self._shown[port] == "unmatched" and (rows := self._joiner.loose()) is not None:
            yield self._out(Change(*rows))
        while (rows := self._joiner.next_pairs()) is not None:
            joined = self._matching(*rows)
            if self._emits_pairs and len(joined):
                yield self._out(joined)

    def _matching(self, batch: pa.RecordBatch, weights: Weights) -> Change:
        """The joined rows that fulfil the residual condition; the rows that they join are told of it."""
        if self._residual is None:
            return Change(batch, weights)
        holds = self._residual.holds(batch, self.now)
        if self._counts:
            self._joiner.count(holds)
            if weights is not None:
                holds = holds & (weights != 0)
        return Change(*keep_rows(batch, weights, holds))

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[Iterator[Change], Watermarks]:
        self.now = barrier.now
        left, right = inputs[0].by_column, inputs[1].by_column
        marks: dict[int, int] = {}
        for a, b in zip(self.node.left_keys, self.node.right_keys, strict=True):
            if a in left and b in right:
                marks[a] = marks[b] = min(left[a], right[b])
        return self._changed(), Watermarks(marks)

    def _changed(self) -> Iterator[Change]:
        while (rows := self._joiner.next_shown()) is not None:
            yield self._out(Change(*rows))

    def _out(self, change: Change) -> Change:
        self.rows_out += len(change)
        return change

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


def _shown(node: HashJoin, port: int) -> Literal["matched", "unmatched"] | None:
    """Which rows of an input come out by themselves."""
    if node.kind == "semi":
        return "matched" if port == 0 else None
    kinds = ("right", "full") if port else ("left", "full", "anti")
    return "unmatched" if node.kind in kinds else None
