"""Evaluates typed expressions on record batches.

    evaluate = compile(exprs, input_ids)
    columns = evaluate(batch, Env(now=...))

A compiled evaluator is a list of kernel calls over registers: equal subexpressions
are computed once, constants beforehand, branches of CASE, COALESCE, AND and OR only
for the rows that reach them where it makes a difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from laminar.errors import PgError
from laminar.sql.evaluator.compiler import compile_block, storage_of
from laminar.sql.evaluator.environment import Env
from laminar.sql.evaluator.program import Block, Failures, as_array
from laminar.sql.kernels.vectors import storage_value
from laminar.sql.plan import Const, Expr

__all__ = ["Env", "Evaluator", "compile", "filter_batch", "fold"]


class Evaluator:
    """Expressions compiled for batches with given columns; made by :func:`compile`."""

    def __init__(self, block: Block, types: Sequence[pa.DataType]) -> None:
        self._block = block
        self.types = tuple(types)

    def __call__(self, batch: pa.RecordBatch, env: Env) -> list[pa.Array]:
        """One column per expression.

        Raises:
            PgError: of the first expression, in order of evaluation, that fails for any row.
        """
        n = batch.num_rows
        if not n:
            # not even a constant that fails is reached
            return [pa.nulls(0, type_) for type_ in self.types]
        values = self._block.run(env, n, batch.columns)
        return [as_array(value, n) for value in values]

    def safe(
        self, batch: pa.RecordBatch, env: Env
    ) -> tuple[list[pa.Array], np.ndarray[Any, Any] | None, dict[int, PgError]]:
        """As calling it, but a failing row does not fail the batch.

        Returns:
            columns (failed rows hold nulls or partial results), a mask of the failed rows
            or None if there are none, and what is wrong with each of them.
        """
        try:
            return self(batch, env), None, {}
        except PgError:
            pass
        n = batch.num_rows
        failures = Failures(n)
        values = self._block.run_safe(env, n, batch.columns, failures)
        failed = failures.failed if failures.failed.any() else None
        return [as_array(value, n) for value in values], failed, failures.errors


def compile(exprs: Sequence[Expr], input_ids: Sequence[int]) -> Evaluator:
    """An evaluator of ``exprs`` for batches whose columns have these ids, in this order.

    Raises:
        PgError: 0A000 a function has no kernel.
    """
    return Evaluator(compile_block(exprs, input_ids), [storage_of(e) for e in exprs])


def fold(expr: Expr) -> Expr:
    """An expression without columns and parameters as a constant, if it is immutable and does not fail."""
    block = compile_block([expr], ())
    if block.steps:
        return expr
    value = block.template[block.outputs[0]]
    return Const(storage_value(value), expr.type)


def filter_batch(batch: pa.RecordBatch, mask: pa.Array) -> pa.RecordBatch:
    """The rows where ``mask`` is true (null is not)."""
    if mask.null_count == 0 and mask.true_count == len(mask):
        return batch
    return batch.filter(mask)
