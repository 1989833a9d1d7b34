"""SESSION: rows of a key closer than the gap share a window, which ends the gap after its last row.

For all batches the output adds up to the input's rows, each with its session's bounds: a row that
extends a session or merges two takes back all of their rows and puts them in again with new bounds,
unless rows go out only when their session is over.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laminar._native.rows import RowFormat
from laminar._native.sessions import Sessions
from laminar.engine.change import NO_WATERMARK, Barrier, Change, Watermarks
from laminar.engine.nodes import SessionWindow
from laminar.engine.operators.columns import keep_rows, positions, storage_schema
from laminar.engine.operators.context import OperatorContext
from laminar.engine.operators.leftout import LeftOut
from laminar.engine.operators.windowing import microseconds


class SessionOperator:
    """A :class:`~laminar.engine.nodes.SessionWindow` node in one reactor."""

    def __init__(self, node: SessionWindow, context: OperatorContext) -> None:
        del context
        inner = node.input.properties
        place = positions(inner.columns)
        by_id = {c.id: c for c in inner.columns}
        columns = node.properties.columns
        self.node = node
        self.schema = storage_schema(columns)
        self._picked = [place[c.id] for c in columns[:-2]]
        self._rows = RowFormat(storage_schema(columns[:-2]))
        self._keys = [place[k] for k in node.keys]
        self._key_format = RowFormat(storage_schema([by_id[k] for k in node.keys]))
        self._time = place[node.time.id]
        self._end = columns[-1].id
        self._names = [str(i) for i in range(len(inner.columns))]
        self._mark = place[inner.row_watermark] if inner.row_watermark is not None else -1
        self._sessions = Sessions(node.gap, node.lateness, node.closes, keeps_late=node.keeps_late)
        self.left_out = LeftOut()
        self.rows_in = self.rows_out = self.no_time = 0

    def process(self, port: int, change: Change) -> list[Change]:
        batch, weights = change.batch, change.weights
        self.rows_in += batch.num_rows
        unknown = batch.column(self._time).null_count
        if unknown:
            self.no_time += unknown
            timed = batch.column(self._time).is_valid().to_numpy(zero_copy_only=False)
            batch, weights = keep_rows(batch, weights, timed)
        times, _ = microseconds(batch.column(self._time))
        columns = [self._encoded(batch, self._keys, self._key_format), times]
        columns.append(self._encoded(batch, self._picked, self._rows))
        if self._mark >= 0:
            columns.append(batch.column(self._mark))
        self._sessions.process(pa.record_batch(columns, [str(i) for i in range(len(columns))]), weights)
        return []

    @staticmethod
    def _encoded(batch: pa.RecordBatch, columns: list[int], form: RowFormat) -> pa.Array:
        if not columns:
            return pa.array([b""] * batch.num_rows, pa.binary())
        picked = [batch.column(i) for i in columns]
        return form.encode(pa.RecordBatch.from_arrays(picked, schema=form.schema))

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[list[Change], Watermarks]:
        mark = inputs[0].by_column.get(self.node.time.id)
        found = self._sessions.barrier(NO_WATERMARK if mark is None else mark)
        if self.left_out.wanted:
            self._leave_out(self._sessions.take_late())
        marks = Watermarks({} if mark is None else {self._end: mark})
        if not found.num_rows:
            return [], marks
        self.rows_out += found.num_rows
        rows = self._rows.decode(found.column("row"))
        bounds = [found.column(name).view(pa.timestamp("us")) for name in ("start", "end")]
        bounds = [b.cast(f.type) for b, f in zip(bounds, list(self.schema)[-2:], strict=True)]
        batch = pa.RecordBatch.from_arrays([*rows.columns, *bounds], schema=self.schema)
        weights = found.column("weight")
        return [Change(batch, None if pc.all(pc.equal(weights, 1)).as_py() else np.asarray(weights))], marks

    def _leave_out(self, late: pa.RecordBatch) -> None:
        """Late rows in the input's form; late is counted from the end of the session that a row is alone."""
        if not late.num_rows:
            return
        columns = dict(zip(self._picked, self._rows.decode(late.column("row")).columns, strict=True))
        marks = late.column("end").to_numpy()
        if self._mark >= 0:
            columns[self._mark] = late.column("end")
        times = late.column("start").to_numpy() + np.int64(self.node.gap + (self.node.lateness or 0))
        batch = pa.RecordBatch.from_arrays([columns[i] for i in sorted(columns)], self._names)
        every = np.ones(late.num_rows, np.bool_)
        self.left_out.add(batch, np.asarray(late.column("weight")), every, marks - times)

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        return self._sessions.checkpoint()

    def restore(self, entries: pa.RecordBatch) -> None:
        self._sessions.restore(entries)

    def stats(self) -> dict[str, int]:
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "entries": self._sessions.entries,
            "state_bytes": self._sessions.state_bytes,
            "dropped_late": self._sessions.late,
            "dropped_null_time": self.no_time,
        }

    def close(self) -> None:
        del self._sessions
