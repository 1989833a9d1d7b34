"""Small things that operators share: schemas, batches, expressions that may fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from laminar._native.rowindex import group_rows
from laminar._native.rows import RowFormat
from laminar.engine.change import END_OF_TIME, NO_WATERMARK, Change
from laminar.errors import PgError
from laminar.sql.plan import Column, ColumnRef, Expr

Numbers = npt.NDArray[np.int64]
Weights = Numbers | None


def storage_schema(columns: Sequence[Column]) -> pa.Schema:
    """The Arrow schema of a node's columns; names are column ids."""
    return pa.schema([pa.field(f"c{c.id}", c.type.storage) for c in columns])


def empty_batch(schema: pa.Schema) -> pa.RecordBatch:
    """No rows."""
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)


def positions(columns: Sequence[Column]) -> dict[int, int]:
    """Column id to position."""
    return {c.id: i for i, c in enumerate(columns)}


def shift_watermark(watermark: int, by: int) -> int:
    """A watermark moved by microseconds; "none yet" and "the end" stay what they are."""
    if watermark in (NO_WATERMARK, END_OF_TIME):
        return watermark
    return max(NO_WATERMARK, min(END_OF_TIME, watermark + by))


def keep_rows(
    batch: pa.RecordBatch, weights: Weights, keep: npt.NDArray[np.bool_]
) -> tuple[pa.RecordBatch, Weights]:
    """The rows where ``keep`` is true."""
    if keep.all():
        return batch, weights
    return batch.filter(pa.array(keep)), None if weights is None else weights[keep]


def consolidated(change: Change) -> Change:
    """The same change without rows that are taken back and put in again, as updates of unread columns are."""
    batch, weights = change.batch, change.weights
    if weights is None or not batch.num_columns or (weights > 0).all():
        return change
    return added_up(batch, weights, RowFormat(batch.schema))


def added_up(batch: pa.RecordBatch, weights: npt.NDArray[np.int64], rows: RowFormat) -> Change:
    """Every row once, with the sum of its weights, but for those that cancel out."""
    group, firsts = group_rows([rows.encode(batch)])
    if len(firsts) == batch.num_rows:
        return Change(batch, weights)
    sums = np.zeros(len(firsts), np.int64)
    np.add.at(sums, group, weights)
    kept = np.flatnonzero(sums)
    return Change(batch.take(pa.array(firsts[kept])), sums[kept])


def with_prefix(entries: pa.RecordBatch, prefix: bytes) -> pa.RecordBatch:
    """Checkpoint entries with ``prefix`` before each key, where an operator has several states."""
    keys = pc.binary_join_element_wise(pa.scalar(prefix, pa.binary()), entries.column(0), b"")
    return pa.RecordBatch.from_arrays([keys, entries.column(1)], names=entries.schema.names)


def of_prefix(entries: pa.RecordBatch, prefix: bytes) -> pa.RecordBatch:
    """The entries that :func:`with_prefix` gave this prefix, without it."""
    keys = entries.column(0)
    own = pc.equal(pc.binary_slice(keys, 0, len(prefix)), pa.scalar(prefix, pa.binary()))
    bare = pa.RecordBatch.from_arrays(
        [without_prefix(keys, len(prefix)), entries.column(1)], names=entries.schema.names
    )
    return bare.filter(own)


def without_prefix(keys: pa.BinaryArray, size: int) -> pa.BinaryArray:
    """What follows the first ``size`` bytes of each key."""
    # without an end Arrow computes a negative size
    return pc.binary_slice(keys, size, (1 << 31) - 1)


class Log(Protocol):
    """Takes rows that fail."""

    def add(
        self, batch: pa.RecordBatch, names: list[str], weights: Weights, errors: dict[int, PgError]
    ) -> None:
        """``names``: of the batch's columns."""


class Expressions:
    """Expressions over a node's input; rows for which one fails are left out and counted.

    Args:
        exprs: what to compute.
        columns: the input's columns.
        timezone: for expressions that depend on it.
    """

    def __init__(self, exprs: Sequence[Expr], columns: Sequence[Column], timezone: str) -> None:
        place = positions(columns)
        self._picks = [place[e.id] for e in exprs if isinstance(e, ColumnRef)]
        self.trivial = len(self._picks) == len(exprs)
        self._names = [column.name for column in columns]
        self.timezone = timezone
        self.errors: dict[str, int] = {}
        self.failed_rows = 0
        #: keeps the rows that fail, when somebody wants them
        self.log: Log | None = None
        self._evaluator: Any = None
        #: batches may have a column of nulls, so that their rows are counted
        self._of_rows = not columns
        if not self.trivial:
            from laminar.sql.evaluator import compile

            self._evaluator = compile(exprs, [c.id for c in columns])

    def __call__(
        self, batch: pa.RecordBatch, weights: Weights, now: int
    ) -> tuple[list[pa.Array], pa.RecordBatch, Weights]:
        """Values of the expressions, and the batch and weights without the rows that failed."""
        if self.trivial:
            return [batch.column(i) for i in self._picks], batch, weights
        from laminar.sql.evaluator import Env

        given = batch.select([]) if self._of_rows else batch
        values, failed, errors = self._evaluator.safe(given, Env(now=now, timezone=self.timezone))
        if failed is None:
            return values, batch, weights
        self._note(batch, weights, errors)
        mask = pa.array(~failed)
        batch, weights = keep_rows(batch, weights, ~failed)
        return [v.filter(mask) for v in values], batch, weights

    def holds(self, batch: pa.RecordBatch, weights: Weights, now: int) -> npt.NDArray[np.bool_]:
        """Where the only expression, a condition, is true; it is not for rows that fail."""
        if self.trivial:
            return true_rows(batch.column(self._picks[0]))
        from laminar.sql.evaluator import Env

        given = batch.select([]) if self._of_rows else batch
        (value,), failed, errors = self._evaluator.safe(given, Env(now=now, timezone=self.timezone))
        if failed is None:
            return true_rows(value)
        self._note(batch, weights, errors)
        return true_rows(value) & ~failed

    def _note(self, batch: pa.RecordBatch, weights: Weights, errors: dict[int, PgError]) -> None:
        """Rows have failed."""
        self.failed_rows += len(errors)
        if self.log is not None:
            self.log.add(batch, self._names, weights, errors)
        for error in errors.values():
            self.errors[error.message] = self.errors.get(error.message, 0) + 1


def true_rows(mask: pa.Array) -> npt.NDArray[np.bool_]:
    """Where a boolean column is true (null is not)."""
    if mask.null_count:
        mask = pc.fill_null(mask, False)
    rows: npt.NDArray[np.bool_] = mask.to_numpy(zero_copy_only=False)
    return rows


def one_by_one(change: Change) -> tuple[pa.RecordBatch, npt.NDArray[np.int64]]:
    """The change as rows of weight +1 or -1, one of weight 3 being three, and these weights."""
    if change.weights is None:
        return change.batch, np.ones(len(change), np.int64)
    times = np.abs(change.weights)
    rows = np.repeat(np.arange(len(change)), times)
    return change.batch.take(pa.array(rows)), np.repeat(np.sign(change.weights), times)
