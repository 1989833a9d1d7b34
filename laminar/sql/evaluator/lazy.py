"""Steps whose branches only some rows reach: CASE, COALESCE, AND, OR.

A branch that might fail is first tried on all rows, since it rarely does and
filtering costs more than computing. The first failure switches the step for good to
running branches on exactly the rows that reach them. Volatile branches and safe
evaluation are exact from the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laminar.errors import PgError
from laminar.sql.evaluator.environment import Env
from laminar.sql.evaluator.program import Block, Failures, Registers, as_array

_FALSE = pa.scalar(False)
_ARROW_TRUE = pa.scalar(True)


@dataclass(slots=True)
class Branch:
    """A block with one output and the enclosing block's registers that it reads."""

    block: Block
    sources: tuple[int, ...]

    def all_rows(self, env: Env, n: int, registers: Registers) -> Any:
        return self.block.run(env, n, [registers[i] for i in self.sources])[0]

    def some_rows(
        self, env: Env, n: int, registers: Registers, rows: np.ndarray[Any, Any], failures: Failures | None
    ) -> pa.Array:
        """Its value for these row numbers (ascending), in their order."""
        count = len(rows)
        values = [registers[i] for i in self.sources]
        if count < n:
            indices = pa.array(rows)
            values = [v.take(indices) if isinstance(v, pa.Array) else v for v in values]
        if failures is None:
            return as_array(self.block.run(env, count, values)[0], count)
        inner = Failures(count)
        inner.failed[:] = failures.failed[rows]
        result = self.block.run_safe(env, count, values, inner)[0]
        failures.failed[rows] |= inner.failed
        failures.errors |= {int(rows[row]): error for row, error in inner.errors.items()}
        return as_array(result, count)


def truth(value: Any, n: int) -> np.ndarray[Any, Any]:
    """A boolean column as numpy flags, null counting as false."""
    array = pc.fill_null(as_array(value, n), _FALSE)
    flags: np.ndarray[Any, Any] = array.to_numpy(zero_copy_only=False)
    return flags


def assemble(parts: Sequence[tuple[np.ndarray[Any, Any], pa.Array]], n: int, type_: pa.DataType) -> pa.Array:
    """One column from the values that several branches computed for disjoint sets of rows."""
    place = np.empty(n, dtype=np.int64)
    at = 0
    for rows, _ in parts:
        place[rows] = np.arange(at, at + len(rows))
        at += len(rows)
    arrays = [values for _, values in parts if len(values)]
    if not arrays:
        return pa.nulls(n, type_)
    return pa.concat_arrays(arrays).take(pa.array(place))


@dataclass(slots=True)
class LazyStep:
    """Tries all branches on all rows until one fails, then only where they are reached."""

    exact_only: bool

    def run(self, env: Env, n: int, registers: Registers) -> Any:
        if not self.exact_only:
            try:
                return self.everywhere(env, n, registers)
            except PgError:
                self.exact_only = True
        return self.exact(env, n, registers, None)

    def safe(self, env: Env, n: int, registers: Registers, failures: Failures) -> Any:
        return self.exact(env, n, registers, failures)

    def everywhere(self, env: Env, n: int, registers: Registers) -> Any:
        raise NotImplementedError

    def exact(self, env: Env, n: int, registers: Registers, failures: Failures | None) -> Any:
        raise NotImplementedError


@dataclass(slots=True)
class CaseStep(LazyStep):
    """Searched CASE: the value of the first WHEN that is true."""

    whens: tuple[tuple[Branch, Branch], ...]
    default: Branch
    type: pa.DataType

    def everywhere(self, env: Env, n: int, registers: Registers) -> Any:
        result = self.default.all_rows(env, n, registers)
        for condition, value in reversed(self.whens):
            test = as_array(condition.all_rows(env, n, registers), n)
            result = choose(test, value.all_rows(env, n, registers), result, n)
        return result

    def exact(self, env: Env, n: int, registers: Registers, failures: Failures | None) -> Any:
        left = np.arange(n)
        parts: list[tuple[np.ndarray[Any, Any], pa.Array]] = []
        for condition, value in self.whens:
            if not len(left):
                break
            taken = truth(condition.some_rows(env, n, registers, left, failures), len(left))
            if failures is not None:
                # a row whose condition failed goes nowhere
                fine = ~failures.failed[left]
                lost = left[~fine]
                if len(lost):
                    parts.append((lost, pa.nulls(len(lost), self.type)))
                left, taken = left[fine], taken[fine]
            rows = left[taken]
            if len(rows):
                parts.append((rows, value.some_rows(env, n, registers, rows, failures)))
            left = left[~taken]
        if len(left):
            parts.append((left, self.default.some_rows(env, n, registers, left, failures)))
        return assemble(parts, n, self.type)


def choose(test: pa.Array, yes: Any, no: Any, n: int) -> Any:
    """yes where the test is true, else no."""
    if test.null_count:
        test = pc.fill_null(test, _FALSE)
    if isinstance(yes, pa.Scalar) and not yes.is_valid:
        yes = as_array(yes, n)
    if isinstance(no, pa.Scalar) and not no.is_valid:
        no = as_array(no, n)
    return pc.if_else(test, yes, no)


@dataclass(slots=True)
class CoalesceStep(LazyStep):
    branches: tuple[Branch, ...]
    type: pa.DataType

    def everywhere(self, env: Env, n: int, registers: Registers) -> Any:
        result = as_array(self.branches[0].all_rows(env, n, registers), n)
        for branch in self.branches[1:]:
            if not result.null_count:
                break
            result = pc.if_else(pc.is_valid(result), result, as_array(branch.all_rows(env, n, registers), n))
        return result

    def exact(self, env: Env, n: int, registers: Registers, failures: Failures | None) -> Any:
        left = np.arange(n)
        parts: list[tuple[np.ndarray[Any, Any], pa.Array]] = []
        for branch in self.branches:
            values = branch.some_rows(env, n, registers, left, failures)
            done = pc.is_valid(values).to_numpy(zero_copy_only=False)
            if failures is not None:
                done = done | failures.failed[left]
            if done.any():
                parts.append((left[done], values.filter(pa.array(done))))
            left = left[~done]
            if not len(left):
                break
        if len(left):
            parts.append((left, pa.nulls(len(left), self.type)))
        return assemble(parts, n, self.type)


@dataclass(slots=True)
class LogicStep(LazyStep):
    """AND (``stop`` is false) or OR (``stop`` is true): later operands matter only where not decided yet."""

    stop: bool
    branches: tuple[Branch, ...]

    def everywhere(self, env: Env, n: int, registers: Registers) -> Any:
        combine = pc.or_kleene if self.stop else pc.and_kleene
        result = self.branches[0].all_rows(env, n, registers)
        for branch in self.branches[1:]:
            result = combine(result, branch.all_rows(env, n, registers))
        return result

    def exact(self, env: Env, n: int, registers: Registers, failures: Failures | None) -> Any:
        combine = pc.or_kleene if self.stop else pc.and_kleene
        rows = np.arange(n)
        result = self.branches[0].some_rows(env, n, registers, rows, failures)
        for branch in self.branches[1:]:
            decided = truth(pc.equal(result, pa.scalar(self.stop)), n)
            if failures is not None:
                decided = decided | failures.failed
            rows = np.flatnonzero(~decided)
            if not len(rows):
                break
            values = branch.some_rows(env, n, registers, rows, failures)
            neutral = pa.array(np.full(n - len(rows), not self.stop))
            spread = assemble([(rows, values), (np.flatnonzero(decided), neutral)], n, pa.bool_())
            result = combine(result, spread)
        return result
