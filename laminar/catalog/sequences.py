"""Sequences: numbers that nobody gets twice, not even after a crash (PostgreSQL, CREATE SEQUENCE).

What is durable is a number up to which values may have been given out: it is moved ahead, by more the faster
values go, before the first of them is given. A crash loses what is left of them, a clean stop nothing.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from laminar.errors import INVALID_PARAMETER_VALUE, NUMERIC_VALUE_OUT_OF_RANGE, PgError

if TYPE_CHECKING:
    from laminar.catalog.objects import StoredRelation
    from laminar.catalog.store import CatalogFile

#: values taken ahead: at first, and at most
_AHEAD: Final = (32, 8192)
_BOUNDS: Final = {"int2": 2**15, "int4": 2**31, "int8": 2**63}


@dataclass(frozen=True, slots=True)
class Definition:
    """What a sequence is made of; ``type`` is int2, int4 or int8."""

    increment: int = 1
    start: int = 1
    minimum: int = 1
    maximum: int = 2**63 - 1
    cycle: bool = False
    cache: int = 1
    type: str = "int8"

    def to_options(self) -> dict[str, str]:
        """For :attr:`StoredRelation.options`."""
        return {name: str(getattr(self, name)) for name in self.__slots__}


def definition_of(relation: StoredRelation) -> Definition:
    """The definition that :meth:`Definition.to_options` stored."""
    o = relation.options
    numbers = {n: int(o[n]) for n in ("increment", "start", "minimum", "maximum", "cache")}
    return Definition(**numbers, cycle=o["cycle"] == "True", type=o["type"])


def define(options: dict[str, str | None], old: Definition | None = None) -> Definition:
    """A definition from the options of CREATE or ALTER SEQUENCE; None takes an option back to its default.

    Raises:
        PgError: 22023 for values that do not go together.
    """
    before = old or Definition()
    type_ = options.get("as") or before.type
    if type_ not in _BOUNDS:
        raise PgError(INVALID_PARAMETER_VALUE, "sequence type must be smallint, integer, or bigint")
    increment = _number(options, "increment", before.increment)
    if increment == 0:
        raise PgError(INVALID_PARAMETER_VALUE, "INCREMENT must not be zero")
    bound = _BOUNDS[type_]
    anew = old is None or (old.increment > 0) != (increment > 0) or old.type != type_
    defaults = (1, bound - 1) if increment > 0 else (-bound, -1)
    low, high = defaults if anew or old is None else (old.minimum, old.maximum)
    if "minvalue" in options:
        low = _number(options, "minvalue", defaults[0])
    if "maxvalue" in options:
        high = _number(options, "maxvalue", defaults[1])
    for value, name in ((high, "MAXVALUE"), (low, "MINVALUE")):
        if not -bound <= value < bound:
            raise PgError(
                INVALID_PARAMETER_VALUE,
                f"{name} ({value}) is out of range for sequence data type {_named(type_)}",
            )
    if low >= high:
        raise PgError(INVALID_PARAMETER_VALUE, f"MINVALUE ({low}) must be less than MAXVALUE ({high})")
    start = before.start if old is not None else (low if increment > 0 else high)
    start = _number(options, "start", start)
    if start < low:
        raise PgError(INVALID_PARAMETER_VALUE, f"START value ({start}) cannot be less than MINVALUE ({low})")
    if start > high:
        raise PgError(
            INVALID_PARAMETER_VALUE, f"START value ({start}) cannot be greater than MAXVALUE ({high})"
        )
    cache = _number(options, "cache", before.cache)
    if cache <= 0:
        raise PgError(INVALID_PARAMETER_VALUE, f"CACHE ({cache}) must be greater than zero")
    cycle = options["cycle"] == "true" if "cycle" in options else before.cycle
    return Definition(increment, start, low, high, cycle, cache, type_)


@dataclass(slots=True)
class _State:
    """``last``: the newest value, given out already if ``called``; ``durable``: the value up to which a
    restart takes all values as given out; ``ahead``: how many were taken at a time."""

    last: int
    called: bool
    durable: int | None = None
    ahead: int = _AHEAD[0]


class Sequences:
    """The states of all sequences. May be called by any thread."""

    def __init__(self, store: CatalogFile) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._states = {oid: _State(last, called) for oid, (last, called) in store.sequences().items()}

    def last(self, relation: StoredRelation) -> tuple[int, bool]:
        """(last value, whether it has been given out)."""
        with self._lock:
            state = self._state(relation)
            return state.last, state.called

    def take(self, relation: StoredRelation, count: int) -> npt.NDArray[np.int64]:
        """The next values. Raises 2200H at the sequence's end."""
        definition = definition_of(relation)
        with self._lock:
            state = self._state(relation)
            values = _following(definition, state.last, state.called, count, relation.name)
            last = int(values[-1])
            if not self._covered(definition, state, last, count):
                self._log_ahead(relation.oid, definition, state, last)
            state.last, state.called = last, True
        return values

    def set(self, relation: StoredRelation, value: int, called: bool) -> None:
        """setval(). Raises 22003 outside the bounds."""
        definition = definition_of(relation)
        if not definition.minimum <= value <= definition.maximum:
            raise PgError(
                NUMERIC_VALUE_OUT_OF_RANGE,
                f'setval: value {value} is out of bounds for sequence "{relation.name}"'
                f" ({definition.minimum}..{definition.maximum})",
            )
        with self._lock:
            self._store.write_sequence(relation.oid, value, called)
            self._states[relation.oid] = _State(value, called)

    def forget(self, oid: int) -> None:
        """The sequence was dropped."""
        with self._lock:
            if self._states.pop(oid, None) is not None:
                self._store.write_sequence(oid, None, False)

    def close(self) -> None:
        """A clean stop: nothing that was taken ahead is lost."""
        with self._lock:
            for oid, state in self._states.items():
                if state.durable is not None:
                    self._store.write_sequence(oid, state.last, state.called)

    def _state(self, relation: StoredRelation) -> _State:
        state = self._states.get(relation.oid)
        if state is None:
            state = self._states[relation.oid] = _State(definition_of(relation).start, False)
        return state

    @staticmethod
    def _covered(definition: Definition, state: _State, last: int, count: int) -> bool:
        """Whether a restart would not give out the value again."""
        if state.durable is None or count > state.ahead:
            return False
        if definition.increment > 0:
            return state.last <= last <= state.durable
        return state.last >= last >= state.durable

    def _log_ahead(self, oid: int, definition: Definition, state: _State, last: int) -> None:
        durable = last + definition.increment * state.ahead
        durable = min(max(durable, definition.minimum), definition.maximum)
        self._store.write_sequence(oid, durable, True)
        state.durable = durable
        state.ahead = min(state.ahead * 2, _AHEAD[1])


def _following(
    definition: Definition, last: int, called: bool, count: int, name: str
) -> npt.NDArray[np.int64]:
    """The values after ``last`` (with it, unless it is called)."""
    step, low, high = definition.increment, definition.minimum, definition.maximum
    first = last + step if called else last
    final = first + step * (count - 1)
    if low <= first <= high and low <= final <= high:
        return np.arange(count, dtype=np.int64) * np.int64(step) + np.int64(first)
    if not definition.cycle:
        what, bound = ("maximum", high) if step > 0 else ("minimum", low)
        raise PgError("2200H", f'nextval: reached {what} value of sequence "{name}" ({bound})')
    values = np.empty(count, dtype=np.int64)
    value = first
    for i in range(count):
        if not low <= value <= high:
            value = low if step > 0 else high
        values[i] = value
        value += step
    return values


def _number(options: dict[str, str | None], name: str, default: int) -> int:
    text = options.get(name)
    if text is None:
        return default
    try:
        return int(text)
    except ValueError:
        raise PgError("42601", f'invalid value for sequence option "{name}": "{text}"') from None


def _named(type_: str) -> str:
    return {"int2": "smallint", "int4": "integer", "int8": "bigint"}[type_]
