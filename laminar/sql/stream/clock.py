"""Comparisons with now(): when each row enters a view and when it leaves.

A condition that turns once, from false to true or from true to false, as time passes bounds the time
during which a row is there. Which conditions do follows from how their sides depend on the clock.
Months have no fixed length and days have none where the clocks change: such comparisons could turn
several times, and are refused.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from laminar.engine.nodes import ClockBound
from laminar.errors import PgError, not_supported
from laminar.sql.expressions import NOW_SYMBOLS, position_of, rewrite, uses_now
from laminar.sql.plan import Call, ColumnRef, Const, Expr, Function
from laminar.sql.resolve import coerce
from laminar.sql.stream.watermarks import interval_microseconds
from laminar.types import DATE, INTERVAL, TIMESTAMP, TIMESTAMPTZ, PgType

_COMPARISON: Final = re.compile(r"((?:timestamp|timestamptz|date|interval)_)(lt|le|gt|ge|eq)((?:_\w+)?)$")
#: time plus or minus a span, and its sign
_SHIFTS: Final = {
    "timestamp_pl_interval": 1,
    "timestamptz_pl_interval": 1,
    "date_pl_interval": 1,
    "date_pli": 1,
    "timestamp_mi_interval": -1,
    "timestamptz_mi_interval": -1,
    "date_mi_interval": -1,
    "date_mii": -1,
}
_CASTS: Final = frozenset(
    {"timestamptz_timestamp", "timestamp_timestamptz", "timestamptz_date", "timestamp_date"}
    | {"date_timestamp", "date_timestamptz"}
)
_TRUNCATIONS: Final = frozenset({"timestamptz_trunc", "timestamp_trunc"})
#: the clock's calls as expressions over its column
_TYPES: Final = {"sql_current_date": DATE, "sql_localtimestamp": TIMESTAMP}
_TIMES_OF_DAY: Final = frozenset({"sql_current_time", "sql_localtime"})
_FIXED_ZONES: Final = re.compile(r"(UTC|GMT|UCT|Zulu|Universal|Greenwich|Etc/.*)$", re.IGNORECASE)


def bounds(condition: Expr, clock: int, timezone: str) -> tuple[ClockBound, ...]:
    """What a condition that reads the clock says of the time during which rows are there.

    Args:
        clock: id of the timestamptz column that stands for now() in the bounds.
        timezone: the view's.

    Raises:
        PgError: 0A000 for a condition that need not turn just once.
    """
    if not isinstance(condition, Call) or len(condition.args) != 2:
        raise _refused(condition)
    found = _COMPARISON.match(condition.function.symbol)
    left, right = (_Side(arg, timezone) for arg in condition.args)
    if found is None or bool(left.direction) == bool(right.direction):
        raise _refused(condition)
    operator = found[2]
    if operator == "eq":
        return tuple(_bound(_compared(condition, found, op), op, left, right, clock) for op in ("ge", "le"))
    return (_bound(condition, operator, left, right, clock),)


def _compared(condition: Call, found: re.Match[str], operator: str) -> Call:
    """The same operands under another operator."""
    symbol = f"{found[1]}{operator}{found[3]}"
    return replace(condition, function=Function(0, symbol, symbol, True, condition.function.volatility))


def _bound(condition: Call, operator: str, left: _Side, right: _Side, clock: int) -> ClockBound:
    rises = left.direction or -right.direction
    enters = (rises > 0) == (operator in ("gt", "ge"))
    bound = ClockBound(_over(condition, clock), enters)
    moving, fixed = (left, right) if left.direction else (right, left)
    if moving.shift is None or fixed.expr.type.oid not in (DATE, TIMESTAMP, TIMESTAMPTZ):
        return bound
    # fixed > clock + shift turns false at fixed - shift, fixed >= clock + shift a moment later
    strict = operator in ("gt", "lt")
    late = 1 if strict == enters else 0
    moment = coerce(fixed.expr, PgType(TIMESTAMPTZ), "explicit", None)
    return replace(bound, moment=moment, shift=late - moving.shift)


class _Side:
    """One side of a comparison.

    ``direction``: 1 when it grows with the clock, -1 when it falls, 0 when it does not depend on it.
    ``shift``: microseconds that it is ahead of the clock, where that is all there is to it.
    """

    def __init__(self, expr: Expr, timezone: str) -> None:
        self.expr = expr
        self._fixed_zone = _FIXED_ZONES.match(timezone) is not None
        self.shift: int | None = 0
        self.direction = self._follow(expr)

    def _follow(self, expr: Expr) -> int:
        if uses_now(expr) is None:
            return 0
        if not isinstance(expr, Call):
            raise _refused(expr)
        symbol = expr.function.symbol
        if symbol in NOW_SYMBOLS:
            return self._clock(expr)
        if symbol in _SHIFTS and uses_now(expr.args[1]) is None:
            self._add(expr, _SHIFTS[symbol])
            return self._follow(expr.args[0])
        if symbol in _CASTS:
            self._needs_fixed_zone(expr)
            if expr.type.oid == DATE:
                self.shift = None
            return self._follow(expr.args[0])
        if symbol in _TRUNCATIONS and uses_now(expr.args[0]) is None:
            self._needs_fixed_zone(expr)
            self.shift = None
            return self._follow(expr.args[1])
        if symbol == "timestamp_mi":  # of timestamptz too
            self.shift = None
            left, right = (self._follow(arg) for arg in expr.args)
            if not (left and right):
                return left or -right
        raise _refused(expr)

    def _clock(self, expr: Call) -> int:
        symbol = expr.function.symbol
        if symbol in _TIMES_OF_DAY or expr.args:
            raise _refused(expr)
        if symbol in _TYPES:
            self._needs_fixed_zone(expr)
            if _TYPES[symbol] == DATE:
                self.shift = None
        return 1

    def _add(self, expr: Call, sign: int) -> None:
        span = expr.args[1]
        if span.type.oid != INTERVAL:  # days to a date
            self.shift = None
            return
        micros = interval_microseconds(span.value) if isinstance(span, Const) else None
        if micros is None:
            raise not_supported(
                "now() with an interval that has months or is no constant cannot bound a view",
                hint="Months differ in length: use days.",
                position=position_of(expr),
            )
        assert isinstance(span, Const) and isinstance(span.value, bytes)
        if span.value[4:8] != bytes(4):
            self._needs_fixed_zone(expr)
        if self.shift is not None:
            self.shift += sign * micros

    def _needs_fixed_zone(self, expr: Expr) -> None:
        if not self._fixed_zone:
            raise not_supported(
                "days and local times of now() cannot bound a view where clocks change",
                hint="SET TimeZone = 'UTC' before creating the view, or use hours of now().",
                position=position_of(expr),
            )


def _over(condition: Expr, clock: int) -> Expr:
    """The condition with the clock's column instead of the clock's calls."""
    column = ColumnRef(clock, PgType(TIMESTAMPTZ))

    def change(expr: Expr) -> Expr:
        if isinstance(expr, Call) and expr.function.symbol in NOW_SYMBOLS:
            return coerce(column, PgType(_TYPES.get(expr.function.symbol, TIMESTAMPTZ)), "explicit", None)
        return expr

    return rewrite(condition, change)


def _refused(expr: Expr) -> PgError:
    clock = uses_now(expr)
    return not_supported(
        f"{clock.function.name if clock else 'now'}() cannot be used this way in a materialized view",
        hint="Compare a time with it in WHERE or HAVING, as in ts > now() - INTERVAL '1 hour'.",
        position=position_of(clock or expr),
    )
