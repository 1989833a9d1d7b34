"""Calls of Python functions: once per row with Python's values, or once per batch with Arrow arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from laminar.errors import DATATYPE_MISMATCH, PgError
from laminar.sql.plan import Function
from laminar.sql.routines.source import FAILURES, compile_routine, failure
from laminar.sql.routines.values import from_arrow, from_python, public_array, to_python
from laminar.types import PgType


def kernel_run(function: Function, args: tuple[PgType, ...], result: PgType) -> Callable[..., Any]:
    """``run(env, n, *columns)`` of a user's Python function.

    Raises:
        PgError: 42601 for what is not Python; when run, 38000 for what the function raises.
    """
    routine = function.routine
    assert routine is not None
    compiled = compile_routine(function.name, routine)
    make = _set if routine.returns_set else _vectorized if routine.vectorized else _rowwise
    return make(function, compiled, args, result)


def _columns(columns: tuple[Any, ...], n: int) -> list[pa.Array]:
    from laminar.sql.evaluator.program import as_array

    return [as_array(column, n) for column in columns]


def _calls(
    function: Function,
    compiled: Callable[..., Any],
    args: tuple[PgType, ...],
    columns: tuple[Any, ...],
    n: int,
    settings: Any,
) -> list[Any]:
    """What the function returns for each row; None for a null argument of a strict one. Sets as lists."""
    lists = [to_python(c, t, settings) for c, t in zip(_columns(columns, n), args, strict=True)]
    rows = zip(*lists, strict=True) if lists else [()] * n
    assert function.routine is not None
    collect = _listed if function.routine.returns_set else lambda value: value
    try:
        if function.strict:
            return [None if None in row else collect(compiled(*row)) for row in rows]
        return [collect(compiled(*row)) for row in rows]
    except FAILURES as error:
        raise failure(function.name, error) from None


def _listed(value: Any) -> list[Any]:
    """The rows of a set: generators run here, so that their errors are the function's."""
    return [] if value is None else list(value)


def _rowwise(
    function: Function, compiled: Callable[..., Any], args: tuple[PgType, ...], result: PgType
) -> Callable[..., Any]:
    def run(env: Any, n: int, *columns: Any) -> pa.Array:
        values = _calls(function, compiled, args, columns, n, env.settings)
        return from_python(values, result, env.settings, function.name)

    return run


def _set(
    function: Function, compiled: Callable[..., Any], args: tuple[PgType, ...], result: PgType
) -> Callable[..., Any]:
    """A list of result rows per row; of structs for RETURNS TABLE."""
    assert function.routine is not None
    outputs = function.routine.columns

    def run(env: Any, n: int, *columns: Any) -> pa.Array:
        found = _calls(function, compiled, args, columns, n, env.settings)
        offsets = [0]
        for rows in found:
            offsets.append(offsets[-1] + len(rows or ()))
        flat = [row for rows in found for row in rows or ()]
        if outputs:
            parts = _fields(flat, [name for name, _ in outputs], function.name)
            arrays = [
                from_python(part, type_, env.settings, function.name)
                for part, (_, type_) in zip(parts, outputs, strict=True)
            ]
            values: pa.Array = arrays[0]
            if len(outputs) > 1:
                values = pa.StructArray.from_arrays(arrays, [name for name, _ in outputs])
        else:
            values = from_python(flat, result, env.settings, function.name)
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)

    return run


def _fields(rows: list[Any], names: list[str], name: str) -> list[list[Any]]:
    """The rows' values by column: rows are sequences, mappings or, for one column, plain values."""
    parts: list[list[Any]] = [[] for _ in names]
    for row in rows:
        values = _row_values(row, names)
        if values is None:
            message = f"function {name} returned a row that has not {len(names)} columns"
            raise PgError(DATATYPE_MISMATCH, message)
        for part, value in zip(parts, values, strict=True):
            part.append(value)
    return parts


def _row_values(row: Any, names: list[str]) -> Sequence[Any] | None:
    if isinstance(row, Mapping):
        return [row.get(label) for label in names]
    sequence = isinstance(row, Sequence) and not isinstance(row, (str, bytes))
    if len(names) == 1 and not sequence:
        return [row]
    return row if sequence and len(row) == len(names) else None


def _vectorized(
    function: Function, compiled: Callable[..., Any], args: tuple[PgType, ...], result: PgType
) -> Callable[..., Any]:
    def run(env: Any, n: int, *columns: Any) -> pa.Array:
        settings = env.settings
        arrays = [public_array(c, t, settings) for c, t in zip(_columns(columns, n), args, strict=True)]
        try:
            value = compiled(*arrays)
        except FAILURES as error:
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
