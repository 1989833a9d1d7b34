"""Temporal join: each left row with the right row of its key as of a time, once; never corrected.

AS OF PROCTIME(): with the right side as it is at the end of the epoch in which the left row comes.

AS OF event time: the left row waits until both sides' watermarks have passed its time, then meets the
right row's version of that time. An update adds a version from its own time on, a deletion ends the last
one at the watermark that it found. So what a left row meets depends on rows and their watermarks alone.
Versions that no further left row can meet are forgotten when their key changes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from laminar._native.asof import AsofJoiner
from laminar._native.rows import comparable
from laminar.engine.change import END_OF_TIME, NO_WATERMARK, Barrier, Change, Watermarks
from laminar.engine.nodes import EmitGate, TemporalJoin
from laminar.engine.operators.columns import (
    of_prefix,
    positions,
    shift_watermark,
    storage_schema,
    with_prefix,
)
from laminar.engine.operators.context import OperatorContext
from laminar.engine.operators.emit_gate import EmitGateOperator
from laminar.sql.plan import Emit

#: what checkpoint entries of either state begin with
_HELD, _MATCHED = b"h", b"m"


class TemporalJoinOperator:
    """A :class:`~laminar.engine.nodes.TemporalJoin` node in one reactor."""

    def __init__(self, node: TemporalJoin, context: OperatorContext) -> None:
        right = node.right.properties
        self.node = node
        self.rows_in = self.rows_out = 0
        self._gate: EmitGateOperator | None = None
        kept = node.properties.columns[: len(node.properties.columns) - len(node.right_columns)]
        place = positions(right.columns)
        self._picked = [place[c.id] for c in node.right_columns]
        self._right = storage_schema(node.right_columns)
        within = positions(node.right_columns)
        time: int | None = None
        if node.versions is not None:
            emit = Emit("close", lateness=node.versions.lateness)
            held = EmitGate(node.id, node.left, node.versions.left_end, emit, node.held)
            self._gate = EmitGateOperator(held, context)
            kept = node.held.columns
            time = within[node.versions.right_time]
            hidden = right.row_watermark
            self._mark = None if hidden is None else place[hidden]
        self._kept = len(kept)
        of_left = positions(kept)
        left_time = None if node.versions is None else of_left[node.versions.left_time]
        self._joiner = AsofJoiner(
            (storage_schema(kept), [of_left[k] for k in node.left_keys], left_time, []),
            (self._right, [within[k] for k in node.right_keys], time, []),
            context.state_dir,
            forward=False,
            inclusive=True,
            padded=node.padded,
            once=True,
            versions=node.versions is not None,
        )
        self._right_watermark = NO_WATERMARK
        self._out = [of_left[c.id] for c in node.properties.columns[: -len(node.right_columns)]]
        self._schema = storage_schema(node.properties.columns)

    def process(self, port: int, change: Change) -> list[Change]:
        self.rows_in += len(change)
        if port == 0:
            if self._gate is not None:
                return self._gate.process(0, change)
            self._joiner.process(0, change.batch, change.weights)
            return []
        columns = [change.batch.column(i) for i in self._picked]
        fields = list(self._right)
        if self.node.versions is not None:
            columns.append(self._marks(change))
            fields.append(pa.field("mark", columns[-1].type))
        self._joiner.process(1, pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields)), change.weights)
        return []

    def _marks(self, change: Change) -> pa.Array:
        """Per right row the time before which its key's history is settled."""
        assert self.node.versions is not None
        if self._mark is None:
            marks = np.full(len(change), self._right_watermark, dtype=np.int64)
        else:
            marks = change.batch.column(self._mark).to_numpy()
        late = self.node.versions.lateness
        settled = np.where(marks < NO_WATERMARK + late, NO_WATERMARK, marks - late)
        storage = self._right.field(positions(self.node.right_columns)[self.node.versions.right_time]).type
        return pa.array(settled).view(storage)

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[Iterator[Change], Watermarks]:
        versions = self.node.versions
        left, right = inputs[0].by_column, inputs[1].by_column
        if versions is None or self._gate is None:
            return self._matched(None), Watermarks(dict(left))
        self._right_watermark = right.get(versions.right_time, NO_WATERMARK)
        mark = min(left.get(versions.left_end, NO_WATERMARK), self._right_watermark)
        released, _ = self._gate.barrier(barrier, [Watermarks({versions.left_end: mark})])
        for change in released:
            self._joiner.process(0, change.batch, change.weights)
        passed = shift_watermark(mark, -versions.lateness)
        return self._matched(passed), Watermarks({versions.left_time: passed})

    def _matched(self, bound: int | None) -> Iterator[Change]:
        encoded = None
        if bound is not None and bound != NO_WATERMARK:
            times = pa.array([min(bound, END_OF_TIME)], pa.int64()).view(pa.timestamp("us"))
            encoded = comparable(pa.RecordBatch.from_arrays([times], names=["time"]))[0].as_py()
        self._joiner.end_epoch(encoded)
        while (rows := self._joiner.next_rows()) is not None:
            batch, weights = rows
            columns = [batch.column(i) for i in self._out] + batch.columns[self._kept :]
            self.rows_out += batch.num_rows
            yield Change(pa.RecordBatch.from_arrays(columns, schema=self._schema), weights)

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        if self._gate is not None:
            yield from (with_prefix(entries, _HELD) for entries in self._gate.checkpoint())
        yield from (with_prefix(entries, _MATCHED) for entries in self._joiner.checkpoint())

    def restore(self, entries: pa.RecordBatch) -> None:
        for prefix, state in ((_HELD, self._gate), (_MATCHED, self._joiner)):
            own = of_prefix(entries, prefix)
            if state is not None and own.num_rows:
                state.restore(own)

    def stats(self) -> dict[str, int]:
        held = {} if self._gate is None else self._gate.stats()
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "entries": self._joiner.entries + held.get("entries", 0),
            "state_bytes": self._joiner.state_bytes + held.get("state_bytes", 0),
            "dropped_late": self._joiner.late + held.get("dropped_late", 0),
        }

    def close(self) -> None:
        if self._gate is not None:
            self._gate.close()
        del self._joiner
