"""Operators whose result per partition needs the partition's rows: kept in order, computed anew when touched.

For all batches the output adds up to the function of each partition's rows. Changes wait for the
barrier; there the touched partitions' rows are fetched, once as they were and once as they are, the
function is evaluated over all of them in one go, and the difference of its results goes out ("reduce" of
differential dataflow; McSherry et al., CIDR 2013). Untouched partitions cost nothing.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Union

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laminar._native.orderedrows import OrderedRows
from laminar._native.rowindex import group_rows
from laminar._native.rows import RowFormat, comparable, from_comparable
from laminar.engine.change import END_OF_TIME, NO_WATERMARK, Barrier, Change, Watermarks
from laminar.engine.nodes import GroupReduce, OverWindow, TopN
from laminar.engine.operators.columns import (
    Numbers,
    empty_batch,
    keep_rows,
    positions,
    shift_watermark,
    storage_schema,
)
from laminar.engine.operators.context import OperatorContext
from laminar.engine.operators.leftout import LeftOut
from laminar.engine.operators.windowing import judged_lateness, lateness_of, window_unit
from laminar.engine.sources import event_times
from laminar.errors import PgError
from laminar.sql.plan import Column

Recomputed = Union[TopN, OverWindow, GroupReduce]
#: checkpoint entries of the operator itself; those of its rows have longer keys
_WATERMARK, _STARTED = b"w", b"s"


@dataclass(slots=True)
class Rows:
    """Rows of some partitions, partition by partition in order, every row once for each unit of weight.

    Args:
        partitions: how many there are; some may have no rows.
        partition: of each row, from 0.
        peer: the row's peer group within its partition, from 0.
        batch: the stored columns.
    """

    partitions: int
    partition: Numbers
    peer: Numbers
    batch: pa.RecordBatch

    @property
    def starts(self) -> Numbers:
        """Where each row's partition starts."""
        first: Numbers = np.searchsorted(self.partition, self.partition)
        return first

    def part(self, low: int, high: int) -> Rows:
        """The partitions from low to high - 1."""
        start, stop = np.searchsorted(self.partition, [low, high])
        length = int(stop - start)
        return Rows(
            high - low,
            self.partition[start:stop] - low,
            self.peer[start:stop],
            self.batch.slice(int(start), length),
        )


class RecomputeOperator:
    """What TopN, OverWindow and GroupReduce share.

    Args:
        stored: columns of the input whose values are kept per row.
        limit, rank: how many rows of a partition count (see ``OrderedRows.fetch``); -1 for all.
        trim: rows beyond them are never needed again.
        single: there is one partition, with or without rows.
    """

    def __init__(
        self,
        node: Recomputed,
        context: OperatorContext,
        stored: Sequence[Column],
        *,
        limit: int = -1,
        rank: Literal["row_number", "rank", "dense_rank"] = "row_number",
        trim: bool = False,
        single: bool = False,
    ) -> None:
        inner = node.input.properties
        place = positions(inner.columns)
        by_id = {c.id: c for c in inner.columns}
        self.node = node
        self.now = context.now
        self.timezone = context.timezone
        self.schema = storage_schema(node.properties.columns)
        self.lateness = judged_lateness(node.emit) if node.window_end is not None else None
        #: how long after its end a partition's results go out; those after that are corrections
        self._held = 0 if node.emit is not None and node.emit.mode == "watermark" else self.lateness
        self._end = None if node.window_end is None else by_id[node.window_end]
        # the window's end first, so that partitions are in the order in which they close
        keys = sorted(node.keys, key=lambda k: k != node.window_end)
        self._keys = [place[k] for k in keys]
        self._key_schema = storage_schema([by_id[k] for k in keys])
        self._key_order = [keys.index(k) for k in node.keys]
        self._order = [place[c] for c, _ in node.order]
        self._descending = frozenset(i for i, (_, descending) in enumerate(node.order) if descending)
        self._stored = [place[c.id] for c in stored]
        # a batch without columns has one of nulls instead, so that its rows are counted
        self._format = RowFormat(storage_schema(stored) if stored else pa.schema([("rows", pa.null())]))
        hidden = inner.row_watermark
        self._row_watermark = None if hidden is None else place[hidden]
        self._limit, self._rank, self._trim = limit, rank, trim
        self._single = single
        self._rows = OrderedRows(context.state_dir, listed=self.lateness is not None)
        self.left_out = LeftOut()
        self._pending: list[Change] = []
        self._watermark = NO_WATERMARK
        self._started = False
        self._own: dict[bytes, bytes] = {}
        self.rows_in = self.rows_out = self.late = 0
        self._errors: dict[str, int] = {}

    # --- what the function is ---------------------------------------------------

    @abstractmethod
    def results(self, rows: Rows, partitions: pa.BinaryArray) -> pa.RecordBatch:
        """The output rows of these partitions, in the storage of the node's columns."""

    # --- rows in ----------------------------------------------------------------

    def process(self, port: int, change: Change) -> list[Change]:
        self.rows_in += len(change)
        change = self._in_time(change)
        if len(change):
            self._pending.append(change)
        return []

    def _in_time(self, change: Change) -> Change:
        """The change without rows whose window is past."""
        if self._end is None or self.lateness is None or self.node.judged:
            return change
        place = self._keys[0]
        ends = event_times(change.batch.column(place), self._end.type.oid)
        # nulls and infinities are never past
        bounds = np.where(ends == NO_WATERMARK, END_OF_TIME, ends)
        bounds = np.where(bounds > END_OF_TIME - self.lateness, END_OF_TIME, bounds + self.lateness)
        if self._row_watermark is None:
            late = self._watermark >= bounds
        else:
            late = change.batch.column(self._row_watermark).to_numpy() >= bounds
        late &= bounds != END_OF_TIME
        if not late.any():
            return change
        self.late += int(late.sum())
        if self.left_out.wanted:
            marks = None if self._row_watermark is None else change.batch.column(self._row_watermark)
            late_by = lateness_of(change.batch.column(place), self.lateness, marks, self._watermark)
            self.left_out.add(change.batch, change.weights, late, late_by)
        return Change(*keep_rows(change.batch, change.weights, ~late))

    def _encoded(self, change: Change) -> tuple[pa.BinaryArray, pa.BinaryArray, pa.BinaryArray]:
        """Partition, order and row of each row as bytes."""
        batch, rows = change.batch, len(change)

        def key(columns: list[int], descending: frozenset[int]) -> pa.BinaryArray:
            return comparable(batch.select(columns), descending) if columns else pa.repeat(b"", rows)

        partitions = key(self._keys, frozenset())
        orders = key(self._order, self._descending)
        stored = batch.select(self._stored) if self._stored else _nulls(rows)
        return partitions, orders, self._format.encode(stored)

    # --- the barrier --------------------------------------------------------------

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[list[Change], Watermarks]:
        self.now = barrier.now
        known = inputs[0].by_column
        before = self._watermark
        if self.node.window_end is not None:
            mark = known.get(self.node.window_end, NO_WATERMARK)
            if mark > before:
                self._watermark = mark
                self._own[_WATERMARK] = mark.to_bytes(8, "little", signed=True)
        shown = self._bound(before, self._held or 0) if self.node.closes else None
        out = self._recompute(shown)
        if shown is not None:
            out += self._show(shown)
        if self.lateness is not None:
            self._rows.free(self._rows.due(b"", self._bound(self._watermark, self.lateness)))
        self.rows_out += sum(map(len, out))
        late = self.lateness or 0
        return out, Watermarks({k: shift_watermark(known[k], -late) for k in self.node.keys if k in known})

    def _take_pending(self) -> list[tuple[pa.BinaryArray, pa.BinaryArray, pa.BinaryArray, Change]]:
        changes, self._pending = self._pending, []
        return [(*self._encoded(change), change) for change in changes]

    def _recompute(self, shown: bytes | None) -> list[Change]:
        """Take in the epoch's changes; what they change in the results.

        Args:
            shown: the partitions below are those whose results have gone out already; None: all are.
        """
        encoded = self._take_pending()
        first_time = self._single and not self._started
        if not encoded and not first_time:
            return []
        touched = self._touched([partitions for partitions, _, _, _ in encoded])
        known = touched if shown is None else touched.filter(pc.less(touched, pa.scalar(shown, pa.binary())))
        before = self._fetch(known)
        for partitions, orders, rows, change in encoded:
            self._rows.apply(partitions, orders, rows, change.weights)
        if self._trim:
            self._rows.trim(touched, self._limit, self._rank)
        if not len(known):
            return []
        after = self._evaluate(self._fetch(known), known, count=True)
        if first_time:
            self._started = True
            self._own[_STARTED] = b""
            return [Change(after)]
        change = after_less_before(self._evaluate(before, known, count=False), after)
        return [change] if len(change) else []

    def _touched(self, partitions: list[pa.BinaryArray]) -> pa.BinaryArray:
        """The distinct ones among them."""
        if self._single:
            return pa.array([b""], pa.binary())
        every = pa.concat_arrays(partitions)
        return every.take(pa.array(group_rows([every])[1]))

    def _show(self, shown: bytes) -> list[Change]:
        """The results of the partitions that are to go out now."""
        due = self._rows.due(shown, self._bound(self._watermark, self._held or 0))
        if not len(due):
            return []
        results = self._evaluate(self._fetch(due), due, count=True)
        return [Change(results)] if results.num_rows else []

    def _bound(self, watermark: int, lateness: int) -> bytes:
        """What partitions lie below whose window's end + lateness the watermark has reached."""
        assert self._end is not None
        if watermark in (NO_WATERMARK, END_OF_TIME):
            return b"" if watermark == NO_WATERMARK else b"\x02"  # nulls remain
        value = (watermark - lateness) // window_unit(self._end.type) + 1
        storage = self._end.type.storage
        bits = pa.int32() if pa.types.is_date32(storage) else pa.int64()
        low, high = (-(1 << 31), (1 << 31) - 1) if bits == pa.int32() else (NO_WATERMARK, END_OF_TIME)
        array = pa.array([max(low, min(value, high))], bits).view(storage)
        bound: bytes = comparable(pa.RecordBatch.from_arrays([array], names=["end"]))[0].as_py()
        return bound

    def _fetch(self, partitions: pa.BinaryArray) -> Rows:
        of, peers, weights, encoded = self._rows.fetch(partitions, self._limit, self._rank)
        batch = self._format.decode(encoded)
        if len(weights) and (weights != 1).any():
            times = np.repeat(np.arange(len(weights)), weights)
            of, peers, batch = of[times], peers[times], batch.take(pa.array(times))
        return Rows(len(partitions), of, peers, batch)

    def _evaluate(self, rows: Rows, partitions: pa.BinaryArray, *, count: bool) -> pa.RecordBatch:
        """The function's results; a partition for which it fails has none."""
        try:
            return self.results(rows, partitions)
        except PgError as error:
            if rows.partitions > 1:
                half = rows.partitions // 2
                low = self._evaluate(rows.part(0, half), partitions[:half], count=count)
                high = self._evaluate(rows.part(half, rows.partitions), partitions[half:], count=count)
                return pa.concat_batches([low, high])
            if count:
                self._errors[error.message] = self._errors.get(error.message, 0) + 1
            return empty_batch(self.schema)

    def keys_of(self, partitions: pa.BinaryArray) -> list[pa.Array]:
        """The key columns of partitions, in the node's order."""
        columns = from_comparable(partitions, self._key_schema).columns
        return [columns[i] for i in self._key_order]

    # --- state ----------------------------------------------------------------------

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        if self._own:
            keys, values = list(self._own), list(self._own.values())
            yield pa.RecordBatch.from_arrays(
                [pa.array(keys, pa.binary()), pa.array(values, pa.binary())], names=["key", "value"]
            )
        yield from self._rows.checkpoint()
        self._own = {}

    def restore(self, entries: pa.RecordBatch) -> None:
        own = pc.less_equal(pc.binary_length(entries.column(0)), 1)
        if own.true_count:
            for key, value in zip(*(c.to_pylist() for c in entries.filter(own).columns), strict=True):
                if key == _WATERMARK:
                    self._watermark = int.from_bytes(value, "little", signed=True)
                self._started |= key == _STARTED
            entries = entries.filter(pc.invert(own))
        self._rows.restore(entries)

    def stats(self) -> dict[str, int]:
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "entries": self._rows.entries,
            "state_bytes": self._rows.state_bytes,
            "dropped_late": self.late,
            "dropped_error": sum(self._errors.values()),
        }

    def errors(self) -> dict[str, int]:
        """How many results of partitions failed, by message."""
        return dict(self._errors)

    def close(self) -> None:
        del self._rows


def after_less_before(old: pa.RecordBatch | None, new: pa.RecordBatch) -> Change:
    """The change that makes ``new`` of ``old``."""
    if old is None or not old.num_rows:
        return Change(new)
    both = pa.concat_batches([old, new])
    same, first = group_rows([RowFormat(both.schema).encode(both)])
    signs = np.ones(both.num_rows)
    signs[: old.num_rows] = -1
    weights = np.bincount(same, weights=signs, minlength=len(first)).astype(np.int64)
    changed = np.flatnonzero(weights)
    return Change(both.take(pa.array(first[changed])), weights[changed])


def _nulls(rows: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.nulls(rows)], names=["rows"])
