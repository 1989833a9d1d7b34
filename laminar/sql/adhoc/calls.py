"""Calling kernels on whole columns, through the evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import pyarrow as pa

from laminar.sql import evaluator
from laminar.sql.adhoc import batches
from laminar.sql.kernels import sortkeys
from laminar.sql.plan import Call, Cast, ColumnRef, Expr, Function
from laminar.types import NUMERIC, PgType

NUMERIC_VAR = PgType(NUMERIC)


@lru_cache(maxsize=1024)
def _compiled(exprs: tuple[Expr, ...], ids: tuple[int, ...]) -> Any:
    return evaluator.compile(exprs, ids)


def compiled(exprs: Sequence[Expr], ids: Sequence[int]) -> Any:
    """An evaluator for these expressions over columns with these ids; kept for the next time."""
    try:
        return _compiled(tuple(exprs), tuple(ids))
    except TypeError:  # a constant that cannot be hashed, such as an array
        return evaluator.compile(tuple(exprs), tuple(ids))


def call(env: evaluator.Env, symbol: str, result: PgType, *args: tuple[pa.Array, PgType]) -> pa.Array:
    """``symbol(args)`` for every row."""
    refs = tuple(ColumnRef(i, t) for i, (_, t) in enumerate(args))
    expr = Call(Function(0, symbol, symbol, True, "i"), refs, result)
    return _run(expr, [array for array, _ in args], env)


def to_numeric(env: evaluator.Env, array: pa.Array, type_: PgType) -> pa.Array:
    """numeric values in unconstrained storage."""
    if type_.decimal is None:
        return array
    return _run(Cast(ColumnRef(0, type_), NUMERIC_VAR, "rescale"), [array], env)


def convert(env: evaluator.Env, array: pa.Array, source: PgType, target: PgType) -> pa.Array:
    """Values through their text form."""
    return _run(Cast(ColumnRef(0, source), target, "io"), [array], env)


def sort_key(array: pa.Array, type_: PgType) -> pa.Array:
    """What to group and sort values of this type by."""
    return sortkeys.sort_key(array, type_) if type_.needs_sort_key else array


def _run(expr: Expr, arrays: Sequence[pa.Array], env: evaluator.Env) -> pa.Array:
    program = compiled((expr,), tuple(range(len(arrays))))
    return program(batches.make(arrays, len(arrays[0])), env)[0]
