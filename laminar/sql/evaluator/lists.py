"""Arrays in expressions: ARRAY[…], ``x op ANY(array)`` and ``x op ALL(array)``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laminar.sql import plan
from laminar.sql.evaluator.environment import Env
from laminar.sql.evaluator.program import Registers, StepRun, as_array
from laminar.sql.kernels.registry import bind

#: equality that is equality of storage, so that Arrow's hash lookup may answer IN lists
_HASHED: Final = frozenset(
    {
        "int2eq",
        "int4eq",
        "int8eq",
        "texteq",
        "oideq",
        "date_eq",
        "timestamp_eq",
        "uuid_eq",
        "nameeq",
        "time_eq",
    }
)


def build(items: Sequence[pa.Array], n: int, type_: pa.DataType) -> pa.Array:
    """One list per row of the items' values in that row."""
    width = len(items)
    offsets = pa.array(np.arange(n + 1, dtype=np.int32) * width)
    if not width:
        values = pa.nulls(0, type_.value_type)
    else:
        order = np.arange(width * n).reshape(width, n).T.ravel()
        values = pa.concat_arrays(items).take(pa.array(order))
    return pa.ListArray.from_arrays(offsets, values, type=type_)


def compare(expr: plan.ArrayCompare, left: int, array: int, known: pa.Scalar[Any] | None) -> StepRun:
    """The step of ``left op ANY/ALL (array)``; ``known`` is the array when it is a constant."""
    element = expr.array.type.element
    run = bind(expr.function, (expr.left.type, element), expr.type, expr.position)[1]
    if known is not None and known.is_valid and expr.any and expr.function.symbol in _HASHED:
        return _in_set(left, known)

    def general(env: Env, n: int, registers: Registers) -> Any:
        lists = as_array(registers[array], n)
        values = as_array(registers[left], n)
        parents = pc.list_parent_indices(lists)
        each = run(env, values.take(parents), pc.list_flatten(lists))
        return reduce(each, parents, lists, expr.any)

    return general


def _in_set(left: int, known: pa.Scalar[Any]) -> StepRun:
    values = known.values
    has_null = values.null_count > 0
    values = values.drop_null()
    unknown = pa.scalar(None, pa.bool_())

    def run(_env: Env, n: int, registers: Registers) -> Any:
        x = as_array(registers[left], n)
        found = pc.is_in(x, value_set=values)
        if has_null:
            found = pc.if_else(found, found, unknown)
        if x.null_count:
            # null = ANY of nothing is still false
            nothing = not has_null and not len(values)
            found = found if nothing else pc.if_else(pc.is_valid(x), found, unknown)
        return found

    return run


def reduce(each: pa.Array, parents: pa.Array, lists: pa.Array, any_: bool) -> pa.Array:
    """Three-valued OR (ANY) or AND (ALL) over each row's elements; null for a null array."""
    n = len(lists)
    rows = parents.to_numpy()
    flags = pc.fill_null(each, not any_).to_numpy(zero_copy_only=False).astype(bool)
    decisive = np.bincount(rows[flags == any_], minlength=n) > 0
    unknown = np.bincount(rows[pc.is_null(each).to_numpy(zero_copy_only=False)], minlength=n) > 0
    value = decisive if any_ else ~decisive
    mask = (unknown & ~decisive) | pc.is_null(lists).to_numpy(zero_copy_only=False)
    return pa.array(value, mask=mask)
