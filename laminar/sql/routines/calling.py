"""Calls of Python functions: once per row with Python's values, or once per batch with Arrow arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from laminar.errors import DATATYPE_MISMATCH, PgError
from laminar.sql.plan import Function
from laminar.sql.routines.source import compile_routine, failure
from laminar.sql.routines.values import from_arrow, from_python, public_array, to_python
from laminar.types import PgType

#: what a user's code may raise that is the function's failure rather than the process's end
_FAILURES = (Exception, SystemExit, GeneratorExit)


def kernel_run(function: Function, args: tuple[PgType, ...], result: PgType) -> Callable[..., Any]:
    """``run(env, n, *columns)`` of a user's Python function.

    Raises:
        PgError: 42601 for what is not Python; when run, 38000 for what the function raises.
    """
    routine = function.routine
    assert routine is not None
    compiled = compile_routine(function.name, routine)
    make = _vectorized if routine.vectorized else _rowwise
    return make(function, compiled, args, result)


def _columns(columns: tuple[Any, ...], n: int) -> list[pa.Array]:
    from laminar.sql.evaluator.program import as_array

    return [as_array(column, n) for column in columns]


def _rowwise(
    function: Function, compiled: Callable[..., Any], args: tuple[PgType, ...], result: PgType
) -> Callable[..., Any]:
    def run(env: Any, n: int, *columns: Any) -> pa.Array:
        settings = env.settings
        lists = [to_python(c, t, settings) for c, t in zip(_columns(columns, n), args, strict=True)]
        rows = zip(*lists, strict=True) if lists else [()] * n
        values: list[Any] = []
        try:
            if function.strict:
                for row in rows:
                    values.append(None if None in row else compiled(*row))
            else:
                for row in rows:
                    values.append(compiled(*row))
        except _FAILURES as error:
            raise failure(function.name, error) from None
        return from_python(values, result, settings, function.name)

    return run


def _vectorized(
    function: Function, compiled: Callable[..., Any], args: tuple[PgType, ...], result: PgType
) -> Callable[..., Any]:
    def run(env: Any, n: int, *columns: Any) -> pa.Array:
        settings = env.settings
        arrays = [public_array(c, t, settings) for c, t in zip(_columns(columns, n), args, strict=True)]
        try:
            value = compiled(*arrays)
        except _FAILURES as error:
            raise failure(function.name, error) from None
        answer = from_arrow(value, n, result, settings, function.name)
        if len(answer) != n:
            message = f"function {function.name} returned {len(answer)} values for {n} rows"
            raise PgError(DATATYPE_MISMATCH, message)
        return _null_where(answer, columns, n) if function.strict else answer

    return run


def _null_where(answer: pa.Array, columns: tuple[Any, ...], n: int) -> pa.Array:
    """Null in the rows where an argument of a strict function is."""
    import pyarrow.compute as pc

    present = None
    for column in _columns(columns, n):
        if column.null_count:
            valid = pc.is_valid(column)
            present = valid if present is None else pc.and_(present, valid)
    return answer if present is None else pc.if_else(present, answer, pa.scalar(None, answer.type))
