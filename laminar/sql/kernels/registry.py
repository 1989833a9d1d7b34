"""The registry of kernels: C symbol of pg_proc.prosrc -> how to compute it on Arrow columns.

A kernel is called ``run(env, *columns)``; each column is a ``pa.Array`` or, for a value
that is the same in every row, a ``pa.Scalar`` (never all of them: the evaluator makes
arrays of one row then). It returns an array of the call's storage type. For strict
functions the evaluator deals with null scalars; nulls inside arrays are the kernel's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laminar.errors import not_supported
from laminar.sql.plan import Function
from laminar.types import PgType

Run = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Signature:
    """What a kernel is built for."""

    symbol: str
    args: tuple[PgType, ...]
    result: PgType


@dataclass(frozen=True, slots=True)
class Kernel:
    """
    Args:
        build: makes the callable for a signature.
        total: it never raises, so it may run for rows that do not need it.
        rows: called ``run(env, n, *columns)``: it has no columns, or cares how many rows there are.
        native: takes :class:`laminar._native.scalars.Constant` in place of a scalar.
        sets: set-returning: yields a list per row (null: no rows), of structs for several columns.
    """

    build: Callable[[Signature], Run]
    total: bool = False
    rows: bool = False
    native: bool = False
    sets: bool = False


_KERNELS: Final[dict[str, Kernel]] = {}
#: modules that register kernels when imported
_MODULES: Final = (
    "arithmetic",
    "arrays",
    "backends",
    "booleans",
    "bytea",
    "casts",
    "comparison",
    "domains",
    "encodings",
    "enums",
    "fromtext",
    "introspection",
    "identifiers",
    "jsonb",
    "jsonmaking",
    "jsonpaths",
    "jsonrows",
    "math",
    "regex",
    "sequences",
    "series",
    "session",
    "subqueries",
    "text",
    "timewindow",
    "unicode",
    "waiting",
    "advisory",
    # last: it leaves alone what another module has
    "native",
    "periods",
    "records",
    "ranges",
)


def kernel(
    *symbols: str, total: bool = False, rows: bool = False, sets: bool = False
) -> Callable[[Run], Run]:
    """Registers ``run(env, *columns)`` under these symbols."""

    def register(run: Run) -> Run:
        for symbol in symbols:
            add(symbol, Kernel(lambda _signature: run, total, rows, sets=sets))
        return run

    return register


def builder(
    *symbols: str, total: bool = False, rows: bool = False, native: bool = False, sets: bool = False
) -> Callable[[Callable[[Signature], Run]], Callable[[Signature], Run]]:
    """Registers a function that makes the kernel for given argument and result types."""

    def register(build: Callable[[Signature], Run]) -> Callable[[Signature], Run]:
        for symbol in symbols:
            add(symbol, Kernel(build, total, rows, native, sets))
        return build

    return register


def add(symbol: str, entry: Kernel) -> None:
    if symbol in _KERNELS:
        raise ValueError(f"two kernels for {symbol}")
    _KERNELS[symbol] = entry


@cache
def _load() -> None:
    for module in _MODULES:
        import_module(f"laminar.sql.kernels.{module}")


def find(symbol: str) -> Kernel | None:
    """The kernel of a symbol, None when the function is not implemented."""
    _load()
    return _KERNELS.get(_base(symbol)[0])


#: marks a function that yields one column of a set-returning function's rows
_PART: Final = "\0"
#: the part that numbers the rows
ORDINALITY: Final = -1


def part_of(function: Function, column: int) -> Function:
    """The function whose sets are one column of ``function``'s, or with :data:`ORDINALITY` numbers."""
    return replace(function, symbol=f"{function.symbol}{_PART}{column}")


def _base(symbol: str) -> tuple[str, int | None]:
    base, marked, column = symbol.partition(_PART)
    return base, int(column) if marked else None


def _picking(run: Run, column: int) -> Run:
    def pick(*args: Any) -> Any:
        lists = run(*args)
        flat = lists.flatten()
        lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        ends = np.cumsum(lengths)
        offsets = np.concatenate([np.zeros(1, dtype=np.int64), ends])
        if column == ORDINALITY:
            values = pa.array(np.arange(len(flat)) - np.repeat(ends - lengths, lengths) + 1)
        else:
            values = flat.flatten()[column] if pa.types.is_struct(flat.type) else flat
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)

    return pick


def returns_set(function: Function) -> bool:
    """Whether a call's value is a list of result rows."""
    if function.routine is not None:
        return function.routine.returns_set
    found = find(function.symbol)
    return found is not None and found.sets


def find_registered(symbol: str) -> Kernel | None:
    """As :func:`find`, among the modules loaded so far."""
    return _KERNELS.get(symbol)


def registered() -> frozenset[str]:
    _load()
    return frozenset(_KERNELS)


def bind(
    function: Function, args: tuple[PgType, ...], result: PgType, position: int = 0
) -> tuple[Kernel, Run]:
    """The kernel of a resolved function, built for these types.

    Raises:
        PgError: 0A000, the function is known to PostgreSQL but not implemented here.
    """
    if function.routine is not None:
        from laminar.sql.routines import kernel_run

        run = kernel_run(function, args, result)
        column = _base(function.symbol)[1]
        if column is not None:
            run = _picking(run, column)
        return Kernel(lambda _signature: run, rows=True, sets=function.routine.returns_set), run
    found = find(function.symbol)
    if found is None:
        from laminar.sql.resolve import oid_name

        shown = f"{function.name}({', '.join(oid_name(a.oid) for a in args)})"
        message = f"function {shown} is not supported"
        hint = "PostgreSQL has this function, Laminar does not yet."
        raise not_supported(message, hint=hint, position=position or None)
    symbol, column = _base(function.symbol)
    run = found.build(Signature(symbol, args, result))
    return found, run if column is None else _picking(run, column)
