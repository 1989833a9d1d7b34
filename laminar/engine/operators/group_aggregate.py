"""Keyed aggregation: for every group that an epoch touched, its old result taken back, its new one added.

For all batches the output adds up to GROUP BY of what the input adds up to. Rows are aggregated
within the epoch; at the barrier each touched group is looked up once. Windowed groups judge lateness
and are freed, or first emitted when they close, by the watermark of their window's end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from laminar._native import windows
from laminar._native.aggregate import Groups
from laminar._native.rows import RowFormat
from laminar.engine.change import NO_WATERMARK, Barrier, Change, Watermarks
from laminar.engine.nodes import GroupAggregate, Slices
from laminar.engine.operators.accumulators import Accumulator, Accumulators
from laminar.engine.operators.columns import (
    Expressions,
    Weights,
    positions,
    shift_watermark,
    storage_schema,
)
from laminar.engine.operators.context import OperatorContext
from laminar.engine.operators.failed_rows import FailureLog, keep_failures
from laminar.engine.operators.leftout import LeftOut
from laminar.engine.operators.windowing import judged_lateness, lateness_of, window_unit
from laminar.sql.plan import Column, Expr


class GroupAggregateOperator:
    """A :class:`~laminar.engine.nodes.GroupAggregate` node in one reactor."""

    def __init__(self, node: GroupAggregate, context: OperatorContext) -> None:
        columns = node.input.properties.columns
        place = positions(columns)
        by_id = {c.id: c for c in columns}
        self.node = node
        self.now = context.now
        self.schema = storage_schema(node.properties.columns)
        self.lateness = judged_lateness(node.emit)
        self.rows_in = self.rows_out = 0

        plan = Accumulators(node.aggregates, node.input.properties.append_only)
        inputs, self._specs = _number_inputs(plan.specs, len(node.keys))
        self._arguments = Expressions(inputs, columns, context.timezone)
        self._prepare = {s.value: s.prepare for s in self._specs if s.prepare is not None}
        self._keys = [place[k] for k in node.keys]
        hidden = node.input.properties.row_watermark
        self._row_watermark = place[hidden] if hidden is not None and node.window_end is not None else None

        window = node.keys.index(node.window_end) if node.window_end is not None else -1
        self._window = window
        self.left_out = LeftOut()
        self._groups = Groups(
            storage_schema([by_id[k] for k in node.keys]),
            self._specs,
            context.state_dir,
            window=window,
            window_unit=window_unit(by_id[node.window_end].type) if node.window_end is not None else 1,
            lateness=self.lateness,
            closes=node.closes and not _corrects(node),
            corrects=node.closes and _corrects(node),
            judged=node.judged,
            slices=None if node.slices is None else _SlicedKeys.of(node.slices, node.keys),
            single=not node.keys and context.index == 0,
        )
        self._results = _Results(node, plan, self._specs, context.timezone)

    def process(self, port: int, change: Change) -> list[Change]:
        batch, weights = change.batch, change.weights
        self.rows_in += batch.num_rows
        values, batch, weights = self._arguments(batch, weights, self.now)
        if not batch.num_rows:
            return []
        columns = [batch.column(k) for k in self._keys]
        for value in values:
            prepare = self._prepare.get(len(columns))
            columns.append(prepare(value) if prepare else value)
        row_watermark = -1
        if self._row_watermark is not None:
            row_watermark = len(columns)
            columns.append(batch.column(self._row_watermark))
        rows = _batch(columns, batch.num_rows)
        late = self._groups.process(rows, weights, row_watermark, sliced=self.node.slices is not None)
        if late is not None and self.node.slices is not None:
            self._groups.process(*self._by_windows(self.node.slices, rows, weights, late), row_watermark)
        elif late is not None and self.left_out.wanted:
            marks = batch.column(self._row_watermark) if self._row_watermark is not None else None
            end = batch.column(self._keys[self._window])
            late_by = lateness_of(end, self.lateness or 0, marks, self._groups.watermark)
            self.left_out.add(batch, weights, late, late_by)
        return []

    def _by_windows(
        self,
        slices: Slices,
        rows: pa.RecordBatch,
        weights: Weights,
        chosen: npt.NDArray[np.bool_],
    ) -> tuple[pa.RecordBatch, Weights]:
        """The chosen rows of slices, what the groups read of them, once per window."""
        places = [None if c is None else self.node.keys.index(c) for c in (slices.start, slices.end)]
        numbers = np.flatnonzero(chosen)
        (known, *_) = (p for p in places if p is not None)
        starts = rows.column(known).view(pa.int64()).to_numpy()[numbers]
        cumulates = slices.kind == "cumulate"
        index, *bounds = windows.hop(starts, None, slices.step, slices.size, slices.offset, cumulates)
        index = numbers.astype(np.uint32)[index]
        rows = windows.gather(rows, index)
        for place, bound in zip(places, bounds, strict=True):
            if place is not None:
                field = rows.schema.field(place)
                rows = rows.set_column(place, field, pa.array(bound).view(field.type))
        return rows, None if weights is None else weights[index]

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[list[Change], Watermarks]:
        self.now = barrier.now
        known = inputs[0].by_column
        watermark = NO_WATERMARK
        if self.node.window_end is not None:
            watermark = known.get(self.node.window_end, NO_WATERMARK)
        out: list[Change] = []
        for batch, weights in self._groups.barrier(watermark):
            change = self._results(batch, weights, self.schema, self.now)
            if len(change):
                self.rows_out += len(change)
                out.append(change)
        late = 0 if self.node.partial else self.lateness or 0
        carried = {k: shift_watermark(known[k], -late) for k in self.node.keys if k in known}
        return out, Watermarks(carried)

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        return self._groups.checkpoint()

    def restore(self, entries: pa.RecordBatch) -> None:
        self._groups.restore(entries)

    def stats(self) -> dict[str, int]:
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "entries": self._groups.entries,
            "state_bytes": self._groups.state_bytes,
            "dropped_late": self._groups.late,
            "dropped_error": self._arguments.failed_rows + self._groups.errors,
        }

    def keep_failures(self) -> FailureLog:
        return keep_failures(self._arguments, self._results.values)

    def errors(self) -> dict[str, int]:
        """How many rows or results failed, by message."""
        found = dict(self._arguments.errors)
        if self._groups.errors:
            found["aggregate out of range"] = self._groups.errors
        return found

    def close(self) -> None:
        del self._groups


@dataclass(frozen=True, slots=True)
class _SlicedKeys:
    """What :class:`Groups` is told of slices (its Slices)."""

    start: int
    end: int
    step: int
    size: int
    offset: int
    cumulate: bool

    @classmethod
    def of(cls, slices: Slices, keys: tuple[int, ...]) -> _SlicedKeys:
        start, end = (-1 if c is None else keys.index(c) for c in (slices.start, slices.end))
        return cls(start, end, slices.step, slices.size, slices.offset, slices.kind == "cumulate")


def _corrects(node: GroupAggregate) -> bool:
    return node.emit is not None and node.emit.mode == "watermark"


class _Results:
    """From accumulators' results to the node's output columns."""

    def __init__(
        self, node: GroupAggregate, plan: Accumulators, specs: list[Accumulator], timezone: str
    ) -> None:
        self._keys = len(node.keys)
        self._specs = specs
        columns = [Column(i, "", s.type) for i, s in enumerate(specs)]
        self.values = Expressions(plan.values, columns, timezone)

    def __call__(self, batch: pa.RecordBatch, weights: Weights, schema: pa.Schema, now: int) -> Change:
        columns = list(batch.columns)
        for i, spec in enumerate(self._specs):
            if spec.restore is not None:
                columns[self._keys + i] = spec.restore(columns[self._keys + i])
        keys, found = columns[: self._keys], columns[self._keys :]
        values, _, _ = self.values(_batch(found, batch.num_rows), weights, now)
        if not keys and not values:
            return Change(_batch([], batch.num_rows), weights)
        batch = pa.RecordBatch.from_arrays([*keys, *values], schema=schema)
        if self.values.trivial or weights is None:
            return Change(batch, weights)
        return Change(*_without_repeats(batch, weights))


def _without_repeats(
    batch: pa.RecordBatch, weights: npt.NDArray[np.int64]
) -> tuple[pa.RecordBatch, npt.NDArray[np.int64]]:
    """Leave out rows that are taken back and put in again: other accumulators, the same result."""
    encoded = RowFormat(batch.schema).encode(batch)
    equal = pc.equal(encoded[:-1], encoded[1:]).to_numpy(zero_copy_only=False)
    pairs = equal & (weights[:-1] == -1) & (weights[1:] == 1)
    if not pairs.any():
        return batch, weights
    keep = ~(np.append(pairs, False) | np.insert(pairs, 0, False))
    return batch.filter(pa.array(keep)), weights[keep]


def _number_inputs(specs: list[Accumulator], keys: int) -> tuple[list[Expr], list[Accumulator]]:
    """The expressions that accumulators read, equal ones once, and the accumulators told where they are."""
    inputs: list[tuple[Expr, object]] = []

    def place(expr: Expr | None, prepare: object) -> int:
        if expr is None:
            return -1
        wanted = (expr, prepare)
        if wanted not in inputs:
            inputs.append(wanted)
        return keys + inputs.index(wanted)

    placed = [replace(s, value=place(s.argument, s.prepare), filter=place(s.condition, None)) for s in specs]
    return [expr for expr, _ in inputs], placed


def _batch(columns: list[pa.Array], rows: int) -> pa.RecordBatch:
    """Columns as a batch; a column of nulls stands in for none, so that rows are still counted."""
    if not columns:
        columns = [pa.nulls(rows)]
    return pa.RecordBatch.from_arrays(columns, names=[str(i) for i in range(len(columns))])
