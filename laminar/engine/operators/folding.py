"""Aggregates that are folded row by row into a state of their own making: users' in Python, sketches.

A fold keeps one aggregate's state per group as bytes. For all changes, the state and the result are
those of the rows that the changes add up to, as the aggregate's ``retract`` or its sketch sees it.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laminar.engine.operators.columns import Numbers
from laminar.errors import PgError
from laminar.sql.adhoc import hyperloglog
from laminar.sql.evaluator.rowtext import format_values
from laminar.sql.facts.own import APPROXIMATE
from laminar.sql.plan import Aggregate
from laminar.sql.routines import Steps, compile_aggregate
from laminar.sql.routines.source import FAILURES, failure
from laminar.sql.routines.values import from_python, to_python
from laminar.types import PgType

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A value that no Python value stands for, such as an infinite date, and why."""

    text: str
    sqlstate: str
    message: str


class Fold(Protocol):
    """One aggregate."""

    def apply(
        self, states: Sequence[bytes], args: list[pa.Array], groups: Numbers, weights: Numbers
    ) -> tuple[list[bytes], pa.Array, dict[int, PgError]]:
        """Take rows into their groups' states (``b""`` at first), insertions before deletions.

        Returns:
            The states, a result per group, and the groups that have none because the code raises.
        """


def fold_of(aggregate: Aggregate) -> Fold:
    """The fold of a :func:`~laminar.sql.stream.reduction.foldable` aggregate."""
    types = [arg.type for arg in aggregate.args]
    return Sketches(types) if aggregate.function.symbol == APPROXIMATE else PythonFold(aggregate, types)


class Sketches:
    """approx_count_distinct over rows that are never taken back."""

    def __init__(self, types: list[PgType]) -> None:
        self._type = types[0]

    def apply(
        self, states: Sequence[bytes], args: list[pa.Array], groups: Numbers, weights: Numbers
    ) -> tuple[list[bytes], pa.Array, dict[int, PgError]]:
        (values,) = args
        present = np.asarray(pc.is_valid(values))
        found = hyperloglog.hashes(values.filter(pa.array(present)), self._type)
        groups = groups[present]
        order = np.argsort(groups, kind="stable")
        edges = np.searchsorted(groups[order], np.arange(len(states) + 1)).tolist()
        found = found[order]
        made = [hyperloglog.merged(state, found[edges[i] : edges[i + 1]]) for i, state in enumerate(states)]
        return [state for state, _ in made], pa.array([n for _, n in made], pa.int64()), {}


class PythonFold:
    """A user's aggregate.

    The state is the user's and the rows whose ``accumulate`` or ``retract`` raised: a group with such rows
    has no result, they are tried again whenever the group changes, and a row's deletion takes it from there.
    """

    def __init__(self, aggregate: Aggregate, types: list[PgType]) -> None:
        routine = aggregate.function.routine
        assert routine is not None
        steps = compile_aggregate(aggregate.function.name, routine)
        assert isinstance(steps, Steps)
        self._steps, self._types, self._result = steps, types, aggregate.type
        self._name, self._strict = aggregate.function.name, aggregate.function.strict

    def apply(
        self, states: Sequence[bytes], args: list[pa.Array], groups: Numbers, weights: Numbers
    ) -> tuple[list[bytes], pa.Array, dict[int, PgError]]:
        rows: list[list[tuple[int, Row]]] = [[] for _ in states]
        for group, weight, row in zip(
            groups.tolist(), weights.tolist(), self._rows(args, len(groups)), strict=True
        ):
            if not (self._strict and None in row):
                rows[group].append((weight, row))
        kept: list[bytes] = []
        results: list[Any] = []
        failed: dict[int, PgError] = {}
        for group, (state, changes) in enumerate(zip(states, rows, strict=True)):
            new = _Group(self._steps, state)
            for weight, row in sorted(changes, key=lambda change: change[0] < 0):
                new.change(weight, row)
            new.retry()
            value = None
            try:
                value = new.result()
            except FAILURES as error:
                failed[group] = failure(self._name, error)
            kept.append(new.dump())
            results.append(value)
        return kept, self._converted(results, failed), failed

    def _rows(self, args: list[pa.Array], n: int) -> list[Row]:
        """The rows' values; an :class:`Unreadable` for what Python's types do not hold."""
        lists: list[list[Any]] = []
        for array, type_ in zip(args, self._types, strict=True):
            try:
                lists.append(to_python(array, type_, None))
            except PgError:
                lists.append([_value(array.slice(i, 1), type_) for i in range(n)])
        return list(zip(*lists, strict=True)) if lists else [()] * n

    def _converted(self, results: list[Any], failed: dict[int, PgError]) -> pa.Array:
        """As a column; groups whose result is none of its type fail."""
        try:
            return from_python(results, self._result, None, self._name)
        except PgError:
            for group, value in enumerate(results):
                try:
                    from_python([value], self._result, None, self._name)
                except PgError as error:
                    failed[group] = error
                    results[group] = None
        return from_python(results, self._result, None, self._name)


def _value(one: pa.Array, type_: PgType) -> Any:
    try:
        return to_python(one, type_, None)[0]
    except PgError as error:
        return Unreadable(format_values(one, type_)[0].as_py(), error.sqlstate, error.message)


class _Group:
    """A group's state while changes go into it."""

    def __init__(self, steps: Steps, stored: bytes) -> None:
        self._steps = steps
        #: what the state was made of: bytes of an earlier one, and the steps taken since
        self._base, waiting = pickle.loads(stored) if stored else (b"", [])
        self._waiting: list[tuple[int, Row]] = waiting
        self._taken: list[tuple[int, Row]] = []
        self._error: BaseException | None = None
        self._start()

    def _start(self) -> None:
        self._state = pickle.loads(self._base) if self._base else self._steps.create_state()

    def change(self, weight: int, row: Row) -> None:
        """A row ``weight`` times more, or fewer."""
        sign = 1 if weight > 0 else -1
        for _ in range(abs(weight)):
            # by their text, since NaN is not equal to itself
            opposite = (-sign, repr(row))
            waits = next((w for w in self._waiting if (w[0], repr(w[1])) == opposite), None)
            if waits is None:
                self._take(sign, row)
            else:
                self._waiting.remove(waits)

    def retry(self) -> None:
        """Give the rows that raised another chance."""
        again, self._waiting = self._waiting, []
        for sign, row in again:
            self._take(sign, row)

    def _take(self, sign: int, row: Row) -> None:
        try:
            self._state = self._stepped(sign, row)
        except FAILURES as error:
            self._error = error
            self._waiting.append((sign, row))
            # the code may have changed the state before it raised
            self._start()
            for step in self._taken:
                self._state = self._stepped(*step)
        else:
            self._taken.append((sign, row))

    def _stepped(self, sign: int, row: Row) -> Any:
        for value in row:
            if isinstance(value, Unreadable):
                raise PgError(value.sqlstate, value.message)
        if sign > 0:
            return self._steps.accumulate(self._state, *row)
        assert self._steps.retract is not None
        return self._steps.retract(self._state, *row)

    def result(self) -> Any:
        """The aggregate's value; raises what the code raised for a row that waits."""
        if self._waiting:
            assert self._error is not None
            raise self._error
        # finish() may do to its argument what it likes
        return self._steps.finish(pickle.loads(self._dumped()))

    def _dumped(self) -> bytes:
        if self._taken or not self._base:
            self._base, self._taken = pickle.dumps(self._state), []
        return self._base

    def dump(self) -> bytes:
        """What the next epoch begins with."""
        try:
            return pickle.dumps((self._dumped(), self._waiting))
        except FAILURES:
            # a state that cannot be kept: its rows are all there is
            return pickle.dumps((self._base, [*self._waiting, *self._taken]))
