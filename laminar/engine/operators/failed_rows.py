"""Rows that fail, on their way to a dead-letter table, and how many of them are still there.

For all batches the table gets one row per change that could not be computed or read, in the epoch in which it
came. A retraction of a row that failed fails as well, so the sum of the weights is how many failing rows the
inputs have now.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

from laminar._native.checkpointed import ENTRIES
from laminar.connectors.rejected import MAX_RAW, row_as_json
from laminar.engine.change import Barrier, Change, Watermarks
from laminar.engine.nodes import FailedRows
from laminar.engine.operators.columns import Expressions, Weights, one_by_one, storage_schema
from laminar.errors import PgError

#: what is known of a failed row: the columns of changes that come into the operator
FAILED = pa.schema(
    [
        ("raw", pa.string()),
        ("reason", pa.string()),
        ("sqlstate", pa.string()),
        ("partition", pa.string()),
        ("position", pa.int64()),
    ]
)
#: messages that are told apart; errors of more of them are counted under their SQLSTATE
_MESSAGES = 1000


class FailureLog:
    """Rows for which one operator's expressions failed, until they are taken."""

    def __init__(self) -> None:
        self._found: list[Change] = []

    def add(
        self, batch: pa.RecordBatch, names: list[str], weights: Weights, errors: dict[int, PgError]
    ) -> None:
        """Keep the rows that have errors."""
        # of no columns there may be one of nulls, which counts the rows
        named = pa.RecordBatch.from_arrays(batch.columns[: len(names)], names)
        rows = sorted(errors)
        nothing = [None] * len(rows)
        columns = [
            [row_as_json(named, row)[:MAX_RAW] for row in rows],
            [errors[row].message for row in rows],
            [errors[row].sqlstate for row in rows],
            nothing,
            nothing,
        ]
        arrays = [pa.array(c, field.type) for c, field in zip(columns, FAILED, strict=True)]
        kept = None if weights is None else weights[rows]
        self._found.append(Change(pa.RecordBatch.from_arrays(arrays, schema=FAILED), kept))

    def take(self) -> list[Change]:
        """Those since the last time, in the columns of ``FAILED``."""
        found, self._found = self._found, []
        return found


@runtime_checkable
class Fallible(Protocol):
    """An operator whose expressions may fail for some rows."""

    def keep_failures(self) -> FailureLog:
        """Keep rows that fail from now on."""


def keep_failures(*expressions: Expressions | None) -> FailureLog:
    """Where the rows go from now on for which one of these fails."""
    log = FailureLog()
    for each in expressions:
        if each is not None:
            each.log = log
    return log


class FailedRowsOperator:
    """A :class:`~laminar.engine.nodes.FailedRows` node in one reactor."""

    def __init__(self, node: FailedRows) -> None:
        self.node = node
        self._schema = storage_schema(node.properties.columns)
        self._pending: list[Change] = []
        #: (SQLSTATE, message) -> failing rows that are there now, as far as this reactor has seen them
        self.failing: Counter[tuple[str, str]] = Counter()
        self._changed = False
        self.rows = 0

    def process(self, port: int, change: Change) -> list[Change]:
        self.rows += len(change)
        if self.node.picks:
            self._pending.append(change)
        if self.node.counts:
            self._count(change)
        return []

    def _count(self, change: Change) -> None:
        weights = np.ones(len(change), np.int64) if change.weights is None else change.weights
        states, reasons = (change.batch.column(name).to_pylist() for name in ("sqlstate", "reason"))
        for state, reason, weight in zip(states, reasons, weights.tolist(), strict=True):
            key = (state, reason)
            if key not in self.failing and len(self.failing) >= _MESSAGES:
                key = (state, "an expression of the view fails")
            self.failing[key] += weight
            if not self.failing[key]:
                del self.failing[key]
        self._changed = True

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[list[Change], Watermarks]:
        pending, self._pending = self._pending, []
        return [self._rows(change, barrier.now) for change in pending], Watermarks()

    def _rows(self, change: Change, now: int) -> Change:
        batch, signs = one_by_one(change)
        known = {
            "source": lambda: pa.repeat(self.node.source, len(signs)),
            "arrived_at": lambda: pa.array(np.full(len(signs), now)),
            "laminar_diff": lambda: pa.array(signs),
        }
        arrays = []
        for pick, field in zip(self.node.picks, self._schema, strict=True):
            array = known[pick]() if pick in known else batch.column(pick)
            arrays.append(array.view(field.type) if array.type != field.type else array)
        return Change(pa.RecordBatch.from_arrays(arrays, schema=self._schema))

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        if self._changed:
            self._changed = False
            value = json.dumps([[*key, count] for key, count in self.failing.items()]).encode()
            yield pa.RecordBatch.from_pydict({"key": [b"failing"], "value": [value]}, ENTRIES)

    def restore(self, entries: pa.RecordBatch) -> None:
        value = json.loads(entries.column(1)[len(entries) - 1].as_py())
        self.failing = Counter({(state, reason): count for state, reason, count in value})

    def stats(self) -> dict[str, int]:
        return {"rows_in": self.rows, "rows_out": self.rows}

    def close(self) -> None:
        pass
