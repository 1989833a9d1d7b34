"""Aggregates with a state of their own per group: for all batches, those of what the batches add up to.

Changes wait for the barrier, where they are consolidated and folded into the touched groups' states; a
group costs what its changes cost, however many rows it has. State: one entry per group with the number of
its rows, the result that was last given out and the aggregates' states.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar._native.rowindex import group_rows
from laminar._native.rows import RowFormat, comparable, from_comparable
from laminar._native.statetable import StateTable
from laminar.engine.change import Barrier, Change, Watermarks
from laminar.engine.nodes import GroupFold
from laminar.engine.operators.columns import Numbers, added_up, empty_batch, positions, storage_schema
from laminar.engine.operators.context import OperatorContext
from laminar.engine.operators.folding import fold_of
from laminar.engine.operators.recompute import after_less_before
from laminar.sql.adhoc.grouping import prepare
from laminar.sql.evaluator import Env
from laminar.sql.expressions import columns_of


class GroupFoldOperator:
    """A :class:`~laminar.engine.nodes.GroupFold` node in one reactor."""

    def __init__(self, node: GroupFold, context: OperatorContext) -> None:
        columns = node.input.properties.columns
        place, by_id = positions(columns), {c.id: c for c in columns}
        self.node = node
        self.now, self.timezone = context.now, context.timezone
        self.schema = storage_schema(node.properties.columns)
        used = columns_of(*node.aggregates) - set(node.keys)
        stored = [by_id[k] for k in node.keys] + [c for c in columns if c.id in used]
        self._ids = [c.id for c in stored] or [-1]
        self._picked = [place[c.id] for c in stored]
        self._rows = RowFormat(storage_schema(stored) if stored else pa.schema([("rows", pa.null())]))
        self._key_schema = storage_schema(stored[: len(node.keys)])
        self._results = RowFormat(self.schema)
        self._folds = [fold_of(a) for a in node.aggregates]
        self._single = not node.keys and context.index == 0
        self._table = StateTable(context.state_dir)
        self._pending: list[tuple[pa.RecordBatch, Numbers]] = []
        self.rows_in = self.rows_out = 0
        self._errors: dict[str, int] = {}

    def process(self, port: int, change: Change) -> list[Change]:
        self.rows_in += len(change)
        if len(change):
            arrays = [change.batch.column(i) for i in self._picked] or [pa.nulls(len(change))]
            batch = pa.RecordBatch.from_arrays(arrays, schema=self._rows.schema)
            weights = change.weights
            self._pending.append((batch, np.ones(len(change), np.int64) if weights is None else weights))
        return []

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[list[Change], Watermarks]:
        self.now = barrier.now
        out = self._fold()
        self.rows_out += sum(map(len, out))
        known = inputs[0].by_column
        return out, Watermarks({k: known[k] for k in self.node.keys if k in known})

    def _fold(self) -> list[Change]:
        """Take in the epoch's changes; what they change in the results."""
        pending, self._pending = self._pending, []
        if not pending and not (self._single and not len(self._table)):
            return []
        batch = pa.concat_batches([b for b, _ in pending]) if pending else empty_batch(self._rows.schema)
        weights = [np.zeros(0, np.int64), *(w for _, w in pending)]
        change = added_up(batch, np.concatenate(weights), self._rows)
        batch = change.batch
        assert change.weights is not None
        every = comparable(batch.select(list(range(len(self.node.keys))))) if self.node.keys else None
        if every is None:
            groups, keys = np.zeros(batch.num_rows, np.int64), pa.array([b""], pa.binary())
        else:
            groups, first = group_rows([every])
            keys = every.take(pa.array(first))
        if not len(keys):
            return []
        found = self._table.get_batch(keys).to_pylist()
        empty = (0, None, (b"",) * len(self._folds))
        entries = [pickle.loads(entry) if entry is not None else empty for entry in found]
        shown = [row for _, row, _ in entries if row is not None]
        counts = np.array([n for n, _, _ in entries]) + _sums(groups, change.weights, len(keys))
        states, columns, failed = self._applied(batch, groups, change.weights, [s for _, _, s in entries])
        there = np.ones(len(keys), np.bool_) if self._single else counts != 0
        there[list(failed)] = False
        after = self._shown(keys, columns, there)
        self._keep(keys, counts, after, there, states)
        before = self._results.decode(pa.array(shown, pa.binary()))
        change = after_less_before(before, after)
        return [change] if len(change) else []

    def _applied(
        self, batch: pa.RecordBatch, groups: Numbers, weights: Numbers, states: list[tuple[bytes, ...]]
    ) -> tuple[list[tuple[bytes, ...]], list[pa.Array], set[int]]:
        """The states with the rows in them, results by aggregate, and the groups that have none."""
        env = Env(now=self.now, timezone=self.timezone)
        prepared = prepare(self.node.aggregates, batch, self._ids, env)
        made: list[list[bytes]] = []
        columns: list[pa.Array] = []
        failed: set[int] = set()
        for i, (fold, one) in enumerate(zip(self._folds, prepared, strict=True)):
            rows = np.arange(batch.num_rows) if one.rows is None else one.rows
            args = [a.take(pa.array(rows)) for a in one.args]
            new, values, errors = fold.apply([s[i] for s in states], args, groups[rows], weights[rows])
            made.append(new)
            columns.append(values)
            failed |= errors.keys()
            for error in errors.values():
                self._errors[error.message] = self._errors.get(error.message, 0) + 1
        return list(zip(*made, strict=True)), columns, failed

    def _shown(
        self, keys: pa.BinaryArray, columns: list[pa.Array], there: npt.NDArray[np.bool_]
    ) -> pa.RecordBatch:
        """The result rows of the groups that have one."""
        names = from_comparable(keys, self._key_schema).columns if self.node.keys else []
        batch = pa.RecordBatch.from_arrays([*names, *columns], schema=self.schema)
        return batch.filter(pa.array(there))

    def _keep(
        self,
        keys: pa.BinaryArray,
        counts: Numbers,
        after: pa.RecordBatch,
        there: npt.NDArray[np.bool_],
        states: list[tuple[bytes, ...]],
    ) -> None:
        rows = iter(self._results.encode(after).to_pylist())
        shown = [next(rows) if one else None for one in there.tolist()]
        values = [
            pickle.dumps((n, row, state)) if n or self._single else None
            for n, row, state in zip(counts.tolist(), shown, states, strict=True)
        ]
        self._table.put_batch(keys, pa.array(values, pa.binary()))

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        return self._table.checkpoint()

    def restore(self, entries: pa.RecordBatch) -> None:
        self._table.restore(entries)

    def stats(self) -> dict[str, int]:
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "entries": len(self._table),
            "state_bytes": self._table.state_bytes,
            "dropped_error": sum(self._errors.values()),
        }

    def errors(self) -> dict[str, int]:
        """How often groups failed, by message."""
        return dict(self._errors)

    def close(self) -> None:
        del self._table


def _sums(groups: Numbers, weights: Numbers, count: int) -> Numbers:
    sums = np.zeros(count, np.int64)
    np.add.at(sums, groups, weights)
    return sums
