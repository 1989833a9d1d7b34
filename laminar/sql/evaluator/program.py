"""A compiled expression list: steps over registers.

A register holds a column of the batch, a constant or an intermediate result. A
*block* is a straight sequence of steps; a branch that only some rows reach is a
block of its own, run on those rows by its step (see :mod:`.lazy`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa

from laminar.errors import INTERNAL_ERROR, PgError
from laminar.sql.evaluator.environment import Env

Registers = list[Any]
#: run(env, n, registers) -> the value of the step's register
StepRun = Callable[[Env, int, Registers], Any]


#: what a kernel raises when it cannot compute a row
FAILURES: Final = (PgError, pa.ArrowException)


def as_pg_error(error: Exception) -> PgError:
    """A kernel's failure as the user sees it."""
    if isinstance(error, PgError):
        return error
    if isinstance(error, pa.ArrowCapacityError):
        return PgError("54000", "result of an expression is too large")
    return PgError(INTERNAL_ERROR, f"expression failed: {error}")


class Failures:
    """Rows that failed so far while a batch is evaluated safely.

    Args:
        failed: one flag per row of the block's input.
        errors: row -> the first thing that is wrong with it.
    """

    def __init__(self, n: int) -> None:
        self.failed = np.zeros(n, dtype=bool)
        self.errors: dict[int, PgError] = {}

    def add(self, row: int, error: PgError) -> None:
        if not self.failed[row]:
            self.failed[row] = True
            self.errors[row] = error


@dataclass(slots=True)
class Step:
    """Computes one register.

    Args:
        args: registers it reads that hold arrays (what isolating a failing row has to slice).
        type: storage of the result.
        safe: for steps with branches: runs them with failures kept apart.
    """

    run: StepRun
    out: int
    type: pa.DataType
    args: tuple[int, ...] = ()
    position: int = 0
    safe: Callable[[Env, int, Registers, Failures], Any] | None = None


@dataclass(slots=True)
class Block:
    """Steps over registers; ``inputs`` are filled by the caller in order, constants are in ``template``."""

    template: Registers = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def run(self, env: Env, n: int, values: Sequence[Any]) -> list[Any]:
        """The output registers; raises the first failing step's error with its position."""
        registers = self.template.copy()
        for register, value in zip(self.inputs, values, strict=True):
            registers[register] = value
        step = None
        try:
            for step in self.steps:
                registers[step.out] = step.run(env, n, registers)
        except FAILURES as error:
            raise as_pg_error(error).at(step.position or None if step else None) from None
        return [registers[i] for i in self.outputs]

    def run_safe(self, env: Env, n: int, values: Sequence[Any], failures: Failures) -> list[Any]:
        """As :meth:`run`, but a failing row becomes null and is noted."""
        registers = self.template.copy()
        for register, value in zip(self.inputs, values, strict=True):
            registers[register] = value
        for step in self.steps:
            if step.safe is not None:
                registers[step.out] = step.safe(env, n, registers, failures)
                continue
            try:
                registers[step.out] = step.run(env, n, registers)
            except FAILURES as error:
                registers[step.out] = isolate(step, env, n, registers, failures, as_pg_error(error))
        return [registers[i] for i in self.outputs]


def isolate(
    step: Step, env: Env, n: int, registers: Registers, failures: Failures, error: PgError
) -> pa.Array:
    """The step's result with failing rows null, by halving the batch until each failing row is alone."""
    if not step.args:
        for row in range(n):
            failures.add(row, error)
        return pa.nulls(n, step.type)
    pieces: list[pa.Array] = []
    ranges = [(0, n)]
    while ranges:
        low, high = ranges.pop()
        part = registers.copy()
        for register in step.args:
            part[register] = registers[register].slice(low, high - low)
        try:
            piece = step.run(env, high - low, part)
            pieces.append(as_array(piece, high - low))
        except FAILURES as caught:
            if high - low == 1:
                failures.add(low, as_pg_error(caught))
                pieces.append(pa.nulls(1, step.type))
            else:
                middle = (low + high) // 2
                ranges += [(middle, high), (low, middle)]
    return pa.concat_arrays(pieces)


def as_array(value: Any, n: int) -> pa.Array:
    """A register's value as a column of n rows."""
    if not isinstance(value, pa.Scalar):
        return value
    if not value.is_valid or n == 0:
        return pa.nulls(n, value.type)
    return pa.repeat(value, n)
