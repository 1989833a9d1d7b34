"""Join of two changing inputs: inner, outer, semi and anti.

For all batches the pairs that come out are dA join B + (A + dA) join dB: weights multiply, duplicates
count as often as they are there, a null key matches nothing unless the key is null-safe. Each side keeps
its rows by key; a row costs one probe of the other side and one insertion into its own.

Rows without a match (outer, anti) or with one (semi) are not linear in the changes, so they wait for the
barrier: there the rows whose number of matches became zero or ceased to be are taken back or emitted. The
number is kept with a row if a residual condition decides, else with the key on the other side.

Where times of both sides are bounded by each other, late rows are dropped and state is freed (expiry.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from laminar._native.checkpointed import ENTRIES
from laminar._native.join import Joiner, Side
from laminar.engine.change import NO_WATERMARK, Barrier, Change, Watermarks
from laminar.engine.nodes import HashJoin, Properties
from laminar.engine.operators.columns import (
    Expressions,
    Weights,
    consolidated,
    keep_rows,
    positions,
    storage_schema,
)
from laminar.engine.operators.context import OperatorContext
from laminar.engine.operators.expiry import Expiry, Horizon
from laminar.engine.operators.failed_rows import FailureLog, keep_failures
from laminar.sql.plan import Column

#: the entry in checkpoints for what the last barrier said; others begin with the number of the side
_WATERMARKS = b"w"


class HashJoinOperator:
    """A :class:`~laminar.engine.nodes.HashJoin` node in one reactor."""

    def __init__(self, node: HashJoin, context: OperatorContext) -> None:
        left, right = node.left.properties, node.right.properties
        self.node = node
        self.now = context.now
        self.rows_in = self.rows_out = 0
        self._expiry = Expiry(node.bound) if node.bound is not None else None
        self._late = 0
        self._shown = _shown(node, 0), _shown(node, 1)
        conditional = node.residual is not None or node.bound is not None
        self._counts = conditional and self._shown != (None, None)
        self._emits_pairs = node.kind not in ("semi", "anti")
        self._joiner = Joiner(
            self._side(left, node.left_keys, 0),
            self._side(right, node.right_keys, 1),
            node.null_safe,
            context.state_dir,
            pairs=self._emits_pairs or conditional,
            padded=self._emits_pairs,
        )
        self._residual: Expressions | None = None
        if node.residual is not None:
            columns = (*_kept(left), *_kept(right))
            self._residual = Expressions([node.residual], columns, context.timezone)

    def _side(self, properties: Properties, keys: tuple[int, ...], port: int) -> Side:
        columns = _kept(properties)
        place = positions(columns)
        by_key = not self._counts and self._shown[1 - port] is not None
        return Side(
            schema=storage_schema(columns),
            keys=[place[k] for k in keys],
            append_only=properties.append_only,
            shown=self._shown[port],
            count_rows=self._counts and self._shown[port] is not None,
            count_keys=by_key,
            keys_only=by_key and not self._emits_pairs and set(place) == set(keys),
            time=place[self._expiry.columns[port]] if self._expiry is not None else None,
        )

    def process(self, port: int, change: Change) -> Iterator[Change]:
        self.rows_in += len(change)
        if self._expiry is not None:
            change = self._in_time(port, change, self._expiry)
        change = consolidated(change)  # each row may meet many
        self._joiner.begin(port, change.batch, change.weights)
        return self._joined(port)

    def _in_time(self, port: int, change: Change, expiry: Expiry) -> Change:
        """The rows that are not late, without their watermark."""
        properties = (self.node.left, self.node.right)[port].properties
        place = positions(properties.columns)
        times = change.batch.column(place[expiry.columns[port]])
        hidden = properties.row_watermark
        marks = change.batch.column(place[hidden]) if hidden is not None else None
        batch = change.batch.select([place[c.id] for c in _kept(properties)])
        late = expiry.late(port, times, marks)
        if not late.any():
            return Change(batch, change.weights)
        self._late += int(late.sum())
        return Change(*keep_rows(batch, change.weights, ~late))

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
        holds = self._residual.holds(batch, weights, self.now)
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
        horizons: tuple[Horizon, ...] = ()
        if self._expiry is not None:
            horizons = self._expiry.barrier(inputs)
            marks |= {c: h.changing for c, h in zip(self._expiry.columns, horizons, strict=True)}
        return self._changed(horizons), Watermarks(marks)

    def _changed(self, horizons: tuple[Horizon, ...]) -> Iterator[Change]:
        while (rows := self._joiner.next_shown()) is not None:
            yield self._out(Change(*rows))
        for port, horizon in enumerate(horizons):
            # a row that is shown by itself can still change with its own side
            needed = horizon.matched if self._shown[port] is None else horizon.changing
            if needed > NO_WATERMARK:
                self._joiner.expire(port, needed - 1)

    def _out(self, change: Change) -> Change:
        self.rows_out += len(change)
        return change

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        yield from self._joiner.checkpoint()
        if self._expiry is not None:
            yield _entry(_WATERMARKS, self._expiry.saved())

    def restore(self, entries: pa.RecordBatch) -> None:
        if self._expiry is not None:
            own = pc.equal(entries.column(0), pa.scalar(_WATERMARKS))
            if pc.any(own).as_py():
                self._expiry.restore(entries.filter(own).column(1)[-1].as_py())
                entries = entries.filter(pc.invert(own))
        self._joiner.restore(entries)

    def stats(self) -> dict[str, int]:
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "entries": self._joiner.entries,
            "state_bytes": self._joiner.state_bytes,
            "dropped_late": self._late,
            "dropped_error": self._residual.failed_rows if self._residual else 0,
        }

    def keep_failures(self) -> FailureLog:
        return keep_failures(self._residual)

    def errors(self) -> dict[str, int]:
        """How many joined rows failed in the residual condition, by message."""
        return dict(self._residual.errors) if self._residual else {}

    def close(self) -> None:
        del self._joiner


def _entry(key: bytes, value: bytes) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [pa.array([key], pa.binary()), pa.array([value], pa.binary())], schema=ENTRIES
    )


def _kept(properties: Properties) -> tuple[Column, ...]:
    """An input's columns but for the watermark by which its rows are judged."""
    return tuple(c for c in properties.columns if c.id != properties.row_watermark)


def _shown(node: HashJoin, port: int) -> Literal["matched", "unmatched"] | None:
    """Which rows of an input come out by themselves."""
    if node.kind == "semi":
        return "matched" if port == 0 else None
    kinds = ("right", "full") if port else ("left", "full", "anti")
    return "unmatched" if node.kind in kinds else None
