"""EMIT EVERY: changes are held back and go on together, once per period of processing time.

For all batches the output adds up to what the input added up to at the first barrier of the period
that runs (periods begin at multiples of their length since 1970), and for windows that the watermark
has passed, to what it adds up to now. Only that first barrier lets changes go, whether or not there are
any, so that all reactors do so in the same epoch.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from laminar._native.checkpointed import ENTRIES
from laminar._native.rows import RowFormat
from laminar.engine.change import NO_WATERMARK, Barrier, Change, Watermarks
from laminar.engine.nodes import EmitEvery
from laminar.engine.operators.columns import added_up, positions, storage_schema, true_rows
from laminar.engine.operators.context import OperatorContext
from laminar.engine.operators.windowing import microseconds
from laminar.errors import DATA_CORRUPTED, PgError

#: rows held before what cancels out is looked for
_CONSOLIDATE_ROWS = 1 << 16
_NOW = struct.Struct("<q")
#: key of the entry with the last barrier's time; the others are numbered
_TIME_KEY = b"now"


class EmitEveryOperator:
    """An :class:`~laminar.engine.nodes.EmitEvery` node in one reactor."""

    def __init__(self, node: EmitEvery, context: OperatorContext) -> None:
        columns = node.properties.columns
        place = positions(node.input.properties.columns)
        self.node = node
        self.now = context.now
        self.schema = storage_schema(columns)
        self._picked = [place[c.id] for c in columns]
        self._format = RowFormat(self.schema)
        self._end = -1 if node.end is None else positions(columns)[node.end]
        self._held: list[Change] = []
        self._rows = 0
        self._compact_at = _CONSOLIDATE_ROWS
        self._closed = NO_WATERMARK
        #: entries of the newest checkpoint
        self._saved = 0
        self.rows_in = self.rows_out = 0

    def process(self, port: int, change: Change) -> list[Change]:
        self.rows_in += len(change)
        self._hold(Change(_rows(change.batch, self._picked, self.schema), change.weights))
        return []

    def _hold(self, change: Change) -> None:
        self._held.append(change)
        self._rows += len(change)
        if self._rows >= self._compact_at:
            self._consolidate()
            self._compact_at = max(_CONSOLIDATE_ROWS, 2 * self._rows)

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[list[Change], Watermarks]:
        every = self.node.every
        marks: dict[int, int] = {}
        if self.node.end is not None and self.node.end in inputs[0].by_column:
            self._closed = marks[self.node.end] = inputs[0].by_column[self.node.end]
        begins = barrier.now // every > self.now // every or barrier.complete
        self.now = barrier.now
        out = self._release(begins)
        self.rows_out += sum(map(len, out))
        return out, Watermarks(marks)

    def _release(self, everything: bool) -> list[Change]:
        """What may go on now; the rest is held."""
        if not self._rows or not (everything or self._end >= 0):
            return []
        self._consolidate()
        held = self._held[0] if self._held else None
        if held is None or everything:
            self._held, self._rows = [], 0
            return [] if held is None else [held]
        ends, _ = microseconds(held.batch.column(self._end))
        passed = true_rows(pc.less_equal(ends, self._closed))
        if not passed.any():
            return []
        out, rest = _split(held, passed)
        self._held, self._rows = ([rest] if len(rest) else []), len(rest)
        return [out]

    def _consolidate(self) -> None:
        """One change without rows that cancel out."""
        if not self._held:
            return
        batch = pa.concat_batches([c.batch for c in self._held])
        weights = np.concatenate([_weights(c) for c in self._held])
        change = added_up(batch, weights, self._format)
        self._held = [change] if len(change) else []
        self._rows = len(change)

    def due(self) -> int | None:
        return (self.now // self.node.every + 1) * self.node.every if self._rows else None

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        keys, values = [_TIME_KEY], [_NOW.pack(self.now)]
        self._consolidate()
        for n, change in enumerate(self._held):
            keys.append(b"%d" % n)
            values.append(_stored(change))
        gone = range(len(self._held), self._saved)
        keys += [b"%d" % n for n in gone]
        self._saved = len(self._held)
        yield pa.record_batch([pa.array(keys, pa.binary()), _padded(values, len(keys))], schema=ENTRIES)

    def restore(self, entries: pa.RecordBatch) -> None:
        for key, value in zip(*(c.to_pylist() for c in entries.columns), strict=True):
            if key == _TIME_KEY:
                if len(value or b"") != _NOW.size:
                    raise PgError(DATA_CORRUPTED, "state of EMIT EVERY is damaged")
                self.now = _NOW.unpack(value)[0]
            else:
                self._held = [] if value is None else [_loaded(value, self.schema)]
                self._rows = sum(map(len, self._held))
                self._saved = len(self._held)

    def stats(self) -> dict[str, int]:
        size = sum(c.batch.nbytes for c in self._held)
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "entries": self._rows,
            "state_bytes": size,
        }

    def close(self) -> None:
        self._held = []


def _rows(batch: pa.RecordBatch, picked: list[int], schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([batch.column(i) for i in picked], schema=schema)


def _weights(change: Change) -> npt.NDArray[np.int64]:
    return np.ones(len(change), np.int64) if change.weights is None else change.weights


def _split(change: Change, mask: npt.NDArray[np.bool_]) -> tuple[Change, Change]:
    weights = _weights(change)
    return (
        Change(change.batch.filter(pa.array(mask)), weights[mask]),
        Change(change.batch.filter(pa.array(~mask)), weights[~mask]),
    )


def _padded(values: list[bytes], length: int) -> pa.Array:
    return pa.array([*values, *[None] * (length - len(values))], pa.binary())


def _stored(change: Change) -> bytes:
    """The rows with their weights as one Arrow stream."""
    weighted = change.batch.append_column("weight", pa.array(_weights(change)))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, weighted.schema) as writer:
        writer.write_batch(weighted)
    stored: bytes = sink.getvalue().to_pybytes()
    return stored


def _loaded(value: bytes, schema: pa.Schema) -> Change:
    try:
        batch = pa.ipc.open_stream(value).read_next_batch()
    except (pa.ArrowException, StopIteration) as error:
        raise PgError(DATA_CORRUPTED, "state of EMIT EVERY is damaged") from error
    weights = batch.column(batch.num_columns - 1).to_numpy()
    return Change(_rows(batch, list(range(len(schema))), schema), weights)
