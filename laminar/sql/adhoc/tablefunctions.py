"""Set-returning functions: their kernels give a list of results per row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from laminar.errors import INVALID_PARAMETER_VALUE, PgError
from laminar.sql.adhoc import batches
from laminar.sql.adhoc.calls import compiled
from laminar.sql.evaluator import Env
from laminar.sql.plan import Call, ProjectSet, TableFunction
from laminar.sql.setreturning import Lifted, expand

_INTEGER_SERIES: Final = frozenset(
    f"generate_series_{step}int{size}" for step in ("", "step_") for size in (4, 8)
)


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
    """A select list with set-returning functions.

    The rest of the list is evaluated once per result row, over the input's columns and the functions'
    values, which get ids below all others.
    """

    def __init__(self, node: ProjectSet) -> None:
        self.ids = [c.id for c in node.input.columns]
        self.lifted = Lifted(node.exprs, lambda n: -1 - n)

    def run(self, batch: pa.RecordBatch, env: Env) -> pa.RecordBatch:
        """The result rows of these input rows."""
        lists = compiled(tuple(self.lifted.calls), self.ids)(batch, env)
        out = expand(lists, batch.num_rows)
        columns = [c.take(pa.array(out.row)) for c in batch.columns]
        columns += [out.elements(a, i) for i, a in enumerate(lists)]
        done = compiled(self.lifted.exprs, [*self.ids, *self.lifted.ids])(
            batches.make(columns, len(out.row)), env
        )
        return batches.make(done, len(out.row))
