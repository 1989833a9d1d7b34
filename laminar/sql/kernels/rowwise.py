"""Kernels in Python, for functions too rare to deserve native code: once per distinct row of arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

import pyarrow as pa

from laminar.sql.kernels.registry import Kernel, Run, Signature, add

_MISSING = object()


def rows_of(columns: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows of columns as Python tuples, scalars repeated."""
    n = next((len(c) for c in columns if not isinstance(c, pa.Scalar)), 1)
    lists = [repeat(c.as_py(), n) if isinstance(c, pa.Scalar) else c.to_pylist() for c in columns]
    return list(zip(*lists, strict=False))


def apply(
    function: Callable[..., Any], columns: Sequence[Any], type_: pa.DataType, strict: bool = True
) -> pa.Array:
    """``function`` of every row; a strict one is not asked about nulls."""
    known: dict[tuple[Any, ...], Any] = {}
    results: list[Any] = []
    for row in rows_of(columns):
        if strict and None in row:
            results.append(None)
            continue
        try:
            value = known.get(row, _MISSING)
        except TypeError:
            results.append(function(*row))
            continue
        if value is _MISSING:
            value = known[row] = function(*row)
        results.append(value)
    return pa.array(results, type_)


def python(
    *symbols: str, strict: bool = True, total: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers a Python function of one row's values under these symbols."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        def build(signature: Signature) -> Run:
            storage = signature.result.storage

            def run(_env: object, *columns: Any) -> Any:
                return apply(function, columns, storage, strict)

            return run

        for symbol in symbols:
            add(symbol, Kernel(build, total))
        return function

    return register
