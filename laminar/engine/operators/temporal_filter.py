"""Comparisons with now(): rows while they hold, entering and leaving as time passes without input.

For all batches the output adds up to the input's rows whose conditions hold at the epoch's time. Each
condition turns once, so a row is there from one moment to another: what is not to be seen yet is due
then, and its end is due as a deletion. What is due lies in order of time; a row that is deleted before
takes its own deletion away again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from laminar._native.rows import RowFormat
from laminar._native.statetable import OrderedTable
from laminar.engine.change import Barrier, Change, Watermarks
from laminar.engine.nodes import ClockBound, TemporalFilter
from laminar.engine.operators.columns import positions, storage_schema, true_rows, without_prefix
from laminar.engine.operators.context import OperatorContext
from laminar.sql.evaluator import Env, Evaluator, compile
from laminar.sql.plan import Column
from laminar.types import TIMESTAMPTZ, PgType

Moments = npt.NDArray[np.int64]
_NEVER, _ALWAYS = (1 << 63) - 1, -(1 << 63)
#: years 1 to 9999: where conditions are searched for their turn
_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
#: a moment as the first bytes of a key: big-endian, the sign turned so that bytes order as times do
_KEY = struct.Struct(">Q")
_SIGN = 1 << 63


class TemporalFilterOperator:
    """A :class:`~laminar.engine.nodes.TemporalFilter` node in one reactor."""

    def __init__(self, node: TemporalFilter, context: OperatorContext) -> None:
        place = positions(node.input.properties.columns)
        columns = node.properties.columns
        self.node = node
        self.now = context.now
        self.schema = storage_schema(columns)
        self._picked = [place[c.id] for c in columns]
        self._format = RowFormat(self.schema)
        inner = node.input.properties.columns
        self._turns = [_Turn(bound, inner, node.clock, context.timezone) for bound in node.bounds]
        self._due = OrderedTable(context.state_dir)
        self.rows_in = self.rows_out = 0

    def process(self, port: int, change: Change) -> list[Change]:
        batch = change.batch
        self.rows_in += batch.num_rows
        weights = np.ones(batch.num_rows, np.int64) if change.weights is None else change.weights
        enters = np.full(batch.num_rows, _ALWAYS, np.int64)
        leaves = np.full(batch.num_rows, _NEVER, np.int64)
        for turn in self._turns:
            moments = turn(batch)
            if turn.enters:
                np.maximum(enters, moments, out=enters)
            else:
                np.minimum(leaves, moments, out=leaves)
        # time only goes on: what has left will not be seen again
        seen = leaves > np.maximum(enters, self.now)
        rows = pa.RecordBatch.from_arrays([batch.column(i) for i in self._picked], schema=self.schema)
        rows, weights = rows.filter(pa.array(seen)), weights[seen]
        enters, leaves = enters[seen], leaves[seen]
        here = enters <= self.now
        encoded = self._format.encode(rows)
        self._schedule(encoded, enters, weights, ~here & (enters < _NEVER))
        self._schedule(encoded, leaves, -weights, (leaves < _NEVER) & (enters < _NEVER))
        self.rows_out += int(here.sum())
        return [Change(rows.filter(pa.array(here)), weights[here])] if here.any() else []

    def _schedule(
        self, rows: pa.BinaryArray, moments: Moments, weights: Moments, mask: npt.NDArray[np.bool_]
    ) -> None:
        if not mask.any():
            return
        ordered = (moments[mask].view(np.uint64) ^ np.uint64(_SIGN)).astype(">u8")
        size = _KEY.size
        prefix = pa.Array.from_buffers(pa.binary(size), len(ordered), [None, pa.py_buffer(ordered)])
        keys = pc.binary_join_element_wise(prefix.cast(pa.binary()), rows.filter(pa.array(mask)), b"")
        self._due.add_batch(keys, np.ascontiguousarray(weights[mask]))

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[list[Change], Watermarks]:
        self.now = barrier.now
        taken = self._due.take(_key(barrier.now + 1))
        marks = Watermarks(
            {c: w for c, w in inputs[0].by_column.items() if c in self.node.properties.watermarks}
        )
        if not taken.num_rows:
            return [], marks
        self.rows_out += taken.num_rows
        rows = self._format.decode(without_prefix(taken.column("key"), _KEY.size))
        return [Change(rows, taken.column("weight").to_numpy())], marks

    def due(self) -> int | None:
        first = self._due.range(limit=1)
        if not first.num_rows:
            return None
        value: int = _KEY.unpack_from(first.column("key")[0].as_py())[0]
        return value - _SIGN

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        return self._due.checkpoint()

    def restore(self, entries: pa.RecordBatch) -> None:
        self._due.restore(entries)

    def stats(self) -> dict[str, int]:
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "entries": len(self._due),
            "state_bytes": self._due.state_bytes,
            "dropped_error": sum(turn.failed for turn in self._turns),
        }

    def close(self) -> None:
        del self._due


def _key(moment: int) -> bytes:
    return _KEY.pack(moment + _SIGN)


class _Turn:
    """When one condition turns, for each row."""

    def __init__(self, bound: ClockBound, columns: tuple[Column, ...], clock: int, timezone: str) -> None:
        self.enters = bound.enters
        self._shift = bound.shift
        self._env = Env(timezone=timezone)
        self.failed = 0
        self._moment: Evaluator | None = None
        ids = [c.id for c in columns]
        if bound.moment is not None:
            self._moment = compile([bound.moment], ids or [-1])
        else:
            self._condition = compile([bound.condition], [*ids, clock])

    def __call__(self, batch: pa.RecordBatch) -> Moments:
        """The first moment at which it has turned; a row that never fulfils it is not seen."""
        return self._search(batch) if self._moment is None else self._computed(self._moment, batch)

    @property
    def _unseen(self) -> int:
        return _NEVER if self.enters else _ALWAYS

    def _computed(self, moment: Evaluator, batch: pa.RecordBatch) -> Moments:
        (found,), failed, _ = moment.safe(batch, self._env)
        unseen = found.is_null().to_numpy(zero_copy_only=False)
        if failed is not None:
            self.failed += int(failed.sum())
            unseen = unseen | failed
        values = pc.fill_null(found.view(pa.int64()), 0).to_numpy()
        infinite = (values == _NEVER) | (values == _ALWAYS)
        return np.where(unseen, self._unseen, np.where(infinite, values, values + self._shift))

    def _search(self, batch: pa.RecordBatch) -> Moments:
        n = batch.num_rows
        low, high = np.full(n, _FIRST, np.int64), np.full(n, _LAST, np.int64)
        first, failed = self._holds(batch, low)
        last, failed_too = self._holds(batch, high)
        turned = first == self.enters, last == self.enters
        while (high - low > 1).any():
            middle = low + (high - low) // 2
            after = self._holds(batch, middle)[0] == self.enters
            low, high = np.where(after, low, middle), np.where(after, middle, high)
        lost = failed | failed_too
        self.failed += int(lost.sum())
        high = np.where(turned[0], _ALWAYS, np.where(turned[1], high, _NEVER))
        return np.where(lost, self._unseen, high)

    def _holds(
        self, batch: pa.RecordBatch, clock: Moments
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Where the condition is true at each row's clock, and where it cannot be computed."""
        times = pa.array(clock).view(PgType(TIMESTAMPTZ).storage)
        timed = pa.RecordBatch.from_arrays(
            [*batch.columns, times], [str(i) for i in range(batch.num_columns + 1)]
        )
        (mask,), failed, _ = self._condition.safe(timed, self._env)
        none = np.zeros(len(clock), np.bool_)
        return true_rows(mask), none if failed is None else failed
