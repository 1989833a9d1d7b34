"""Set-returning functions: their kernels give a list of results per row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laminar.errors import INVALID_PARAMETER_VALUE, PgError, not_supported
from laminar.sql import kernels
from laminar.sql.adhoc import batches
from laminar.sql.adhoc.batches import Indices, take_or_null
from laminar.sql.adhoc.calls import compiled
from laminar.sql.evaluator import Env
from laminar.sql.expressions import rewrite, walk
from laminar.sql.plan import Call, ColumnRef, Expr, ProjectSet, TableFunction

_INTEGER_SERIES: Final = frozenset(
    f"generate_series_{step}int{size}" for step in ("", "step_") for size in (4, 8)
)


def returns_set(expr: Expr) -> bool:
    """Whether it is a call of a set-returning function."""
    if not isinstance(expr, Call):
        return False
    kernel = kernels.find(expr.function.symbol)
    return kernel is not None and kernel.sets


def table_function(node: TableFunction, env: Env, size: int) -> Iterator[pa.RecordBatch]:
    """The rows of a function in FROM, ``size`` at a time so that what follows can be cancelled."""
    number = 1
    for batch in _function_rows(node, env, size):
        columns = list(batch.columns)
        if node.ordinality:
            columns.append(pa.array(np.arange(number, number + batch.num_rows, dtype=np.int64)))
        number += batch.num_rows
        yield batches.make(columns, batch.num_rows)


def _function_rows(node: TableFunction, env: Env, size: int) -> Iterator[pa.RecordBatch]:
    result = node.columns[: len(node.columns) - node.ordinality]
    if node.function.symbol in _INTEGER_SERIES:
        yield from _integer_series(node, env, size)
        return
    call = Call(node.function, node.args, result[0].type, node.position)
    values = compiled((call,), ())(batches.make([], 1), env)[0].flatten()
    columns = list(values.flatten()) if pa.types.is_struct(values.type) else [values]
    yield from batches.split(batches.make(columns, len(values)), size)


def _integer_series(node: TableFunction, env: Env, size: int) -> Iterator[pa.RecordBatch]:
    """generate_series of integers, never in memory as a whole."""
    first, last, *rest = (a[0].as_py() for a in compiled(node.args, ())(batches.make([], 1), env))
    step = rest[0] if rest else 1
    if first is None or last is None or step is None:
        return
    if step == 0:
        raise PgError(INVALID_PARAMETER_VALUE, "step size cannot equal zero", position=node.position or None)
    series = range(first, last + (1 if step > 0 else -1), step)
    # len() of a range fails beyond 2**63
    total = max(0, (last - first) // step + 1)
    for start in range(0, total, size):
        part = series[start : start + size]
        # wraps around and back: the values themselves fit
        values = np.arange(len(part), dtype=np.int64) * np.int64(step) + np.int64(part[0])
        yield batches.make([pa.array(values).cast(node.columns[0].type.storage)], len(part))


class SetProjection:
    """A select list with set-returning functions: they go in lock-step, the shorter padded with nulls.

    The rest of the list is evaluated once per result row, over the input's columns and the functions'
    values, which get ids below all others.
    """

    def __init__(self, node: ProjectSet) -> None:
        self.ids = [c.id for c in node.input.columns]
        self.calls: list[Call] = []
        self.exprs = tuple(rewrite(e, self._lifted) for e in node.exprs)
        for call in self.calls:
            if any(returns_set(e) for arg in call.args for e in walk(arg)) or columns_lifted(call):
                raise not_supported(
                    "nested set-returning functions are not supported", position=call.position or None
                )

    def _lifted(self, expr: Expr) -> Expr:
        if not returns_set(expr):
            return expr
        assert isinstance(expr, Call)
        if expr not in self.calls:
            self.calls.append(expr)
        return ColumnRef(-1 - self.calls.index(expr), expr.type)

    def run(self, batch: pa.RecordBatch, env: Env) -> pa.RecordBatch:
        """The result rows of these input rows."""
        lists = compiled(tuple(self.calls), self.ids)(batch, env)
        lengths = [_lengths(a) for a in lists]
        counts = np.max(lengths, axis=0) if lengths else np.zeros(batch.num_rows, dtype=np.int64)
        row = np.repeat(np.arange(batch.num_rows), counts)
        nth = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        columns = [c.take(pa.array(row)) for c in batch.columns]
        columns += [_padded(a, n, row, nth) for a, n in zip(lists, lengths, strict=True)]
        ids = [*self.ids, *(-1 - i for i in range(len(self.calls)))]
        done = compiled(self.exprs, ids)(batches.make(columns, len(row)), env)
        return batches.make(done, len(row))


def columns_lifted(call: Call) -> bool:
    """Whether an argument refers to another function's values."""
    return any(isinstance(e, ColumnRef) and e.id < 0 for arg in call.args for e in walk(arg))


def _lengths(lists: pa.Array) -> Indices:
    lengths: Indices = np.asarray(pc.list_value_length(lists).fill_null(0)).astype(np.int64)
    return lengths


def _padded(lists: pa.Array, lengths: Indices, row: Indices, nth: Indices) -> pa.Array:
    """The nth value of each row's list, null past its end."""
    starts = np.cumsum(lengths) - lengths
    return take_or_null(lists.flatten(), np.where(nth < lengths[row], starts[row] + nth, -1))


__all__: Sequence[str] = ["SetProjection", "returns_set", "table_function"]
