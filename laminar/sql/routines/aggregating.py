"""Aggregates in Python: how a user's code makes one value of a group's rows.

Row by row, the module defines functions as RisingWave's Python aggregates have them: ``create_state()``,
``accumulate(state, *values)``, which gives the new state, and ``finish(state)``, without which the state
is the result. ``retract(state, *values)`` undoes an accumulate. Vectorised, the body is one function of
the group's columns as Arrow arrays.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar.errors import INVALID_FUNCTION_DEFINITION, PgError
from laminar.sql.plan import Function, Routine
from laminar.sql.routines.source import FAILURES, compile_routine, failure, run_module
from laminar.sql.routines.values import from_python, public_array, to_python
from laminar.types import PgType


@dataclass(frozen=True, slots=True)
class Steps:
    """What a row-by-row aggregate's module defines."""

    create_state: Callable[[], Any]
    accumulate: Callable[..., Any]
    retract: Callable[..., Any] | None
    finish: Callable[[Any], Any]


@lru_cache(maxsize=1024)
def compile_aggregate(name: str, routine: Routine) -> Steps | Callable[..., Any]:
    """The steps, or the one function of a vectorised aggregate.

    Raises:
        PgError: 42601 for what is not Python; 42P13 for a missing function or one that takes other
            arguments; 38000 when the module's code raises.
    """
    if routine.vectorized:
        return compile_routine(name, routine)
    namespace = run_module(name, routine.body)
    many = len(routine.types)
    return Steps(
        _step(name, namespace, "create_state", 0),
        _step(name, namespace, "accumulate", 1 + many),
        _step(name, namespace, "retract", 1 + many) if "retract" in namespace else None,
        _step(name, namespace, "finish", 1) if "finish" in namespace else lambda state: state,
    )


def _step(name: str, namespace: dict[str, Any], step: str, arguments: int) -> Callable[..., Any]:
    found: Callable[..., Any] | None = namespace.get(step)
    if not callable(found):
        raise PgError(
            INVALID_FUNCTION_DEFINITION,
            f"aggregate {name} does not define {step}()",
            hint="It defines create_state(), accumulate(state, …) and, if need be, retract(state, …) and "
            "finish(state).",
        )
    try:
        inspect.signature(found).bind(*[None] * arguments)
    except TypeError:
        message = f"{step}() of aggregate {name} does not take {arguments} arguments"
        raise PgError(INVALID_FUNCTION_DEFINITION, message) from None
    except ValueError:
        pass  # a builtin that does not say what it takes
    return found


def aggregate_groups(
    function: Function,
    columns: list[pa.Array],
    types: list[PgType],
    groups: npt.NDArray[np.int64],
    count: int,
    result: PgType,
    settings: Any,
) -> pa.Array:
    """One value per group.

    Args:
        columns: a value per row.
        groups: the rows' groups, from 0 to count - 1.

    Raises:
        PgError: 38000 for what the user's code raises, with its line.
    """
    routine = function.routine
    assert routine is not None
    compiled = compile_aggregate(function.name, routine)
    try:
        if isinstance(compiled, Steps):
            lists = [to_python(c, t, settings) for c, t in zip(columns, types, strict=True)]
            values = _folded(compiled, lists, groups.tolist(), count)
        else:
            arrays = [public_array(c, t, settings) for c, t in zip(columns, types, strict=True)]
            values = _whole(compiled, arrays, groups, count)
    except FAILURES as error:
        raise failure(function.name, error) from None
    return from_python(values, result, settings, function.name)


def _folded(steps: Steps, lists: list[list[Any]], groups: list[int], count: int) -> list[Any]:
    states = [steps.create_state() for _ in range(count)]
    accumulate = steps.accumulate
    for group, *values in zip(groups, *lists, strict=True):
        states[group] = accumulate(states[group], *values)
    return [steps.finish(state) for state in states]


def _whole(
    compiled: Callable[..., Any], arrays: list[pa.Array], groups: npt.NDArray[np.int64], count: int
) -> list[Any]:
    order = np.argsort(groups, kind="stable")
    edges = np.searchsorted(groups[order], np.arange(count + 1)).tolist()
    sorted_ = [array.take(pa.array(order)) for array in arrays]
    found = []
    for start, stop in itertools.pairwise(edges):
        value = compiled(*(array.slice(start, stop - start) for array in sorted_))
        found.append(value.as_py() if isinstance(value, pa.Scalar) else value)
    return [v.item() if isinstance(v, np.generic) else v for v in found]
