"""Joins whose condition bounds the sides' times by each other."""

from __future__ import annotations

from collections.abc import Iterable

from laminar.engine.nodes import Node, TimeBound
from laminar.sql.expressions import walk
from laminar.sql.plan import Call, Column, Const, Expr
from laminar.sql.stream.watermarks import interval_microseconds, monotone
from laminar.types import INTERVAL, TIMESTAMP, TIMESTAMPTZ

#: comparisons of timestamps (with and without zone alike): which bound of left - right they give
_AT_LEAST = frozenset({"timestamp_ge", "timestamp_gt"})
_AT_MOST = frozenset({"timestamp_le", "timestamp_lt"})
#: a day with time zone can have 23 to 25 hours; with two differing ones in a span
_DAY_SLACK = 2 * 3_600_000_000

#: (left column, right column): [least, greatest] of left - right
Differences = dict[tuple[int, int], list[int | None]]


def differences(
    left: Iterable[Column], right: Iterable[Column], conditions: Iterable[Expr]
) -> dict[tuple[int, int], tuple[int, int]]:
    """What the conditions say of left - right, in microseconds, of timestamps bounded both ways."""
    lefts, rights = ({c.id for c in side if c.type.oid in (TIMESTAMP, TIMESTAMPTZ)} for side in (left, right))
    found: Differences = {}
    for condition in conditions:
        if not isinstance(condition, Call) or len(condition.args) != 2:
            continue
        at_least, at_most = (condition.function.symbol in s for s in (_AT_LEAST, _AT_MOST))
        a, b = monotone(condition.args[0]), monotone(condition.args[1])
        if not (at_least or at_most) or a is None or b is None:
            continue
        if a[0] in rights and b[0] in lefts:
            a, b, at_least = b, a, not at_least
        if a[0] not in lefts or b[0] not in rights:
            continue
        # a + shift >= b + shift
        limit, slack = b[1] - a[1], _slack(condition)
        bounds = found.setdefault((a[0], b[0]), [None, None])
        if at_least:
            bounds[0] = limit - slack if bounds[0] is None else max(bounds[0], limit - slack)
        else:
            bounds[1] = limit + slack if bounds[1] is None else min(bounds[1], limit + slack)
    return {pair: (low, high) for pair, (low, high) in found.items() if low is not None and high is not None}


def _slack(condition: Call) -> int:
    """By how much days of other lengths can move a bound."""
    zoned = any(arg.type.oid == TIMESTAMPTZ for arg in condition.args)
    days = any(
        isinstance(part, Const)
        and part.type.oid == INTERVAL
        and isinstance(part.value, bytes)
        and interval_microseconds(part.value) is not None
        and any(part.value[4:8])
        for part in walk(condition)
    )
    return _DAY_SLACK if zoned and days else 0


def may_bound(
    left: Iterable[Column], right: Iterable[Column], conditions: Iterable[Expr], *, equal: bool
) -> bool:
    """Whether the conditions bound times, watermarks permitting; ``equal``: so do equal times."""
    conditions = list(conditions)
    if equal and any(isinstance(c, Call) and c.function.symbol == "timestamp_eq" for c in conditions):
        return True
    return bool(differences(left, right, conditions))


def time_bound(
    left: Node,
    right: Node,
    keys: Iterable[tuple[int, int]],
    conditions: Iterable[Expr],
    lateness: int | None,
) -> TimeBound | None:
    """The narrowest bound between columns that carry a watermark.

    Args:
        keys: pairs of columns that are equal; where there is an allowed lateness, equal times bound too.
        lateness: microseconds; None when the view lets nothing be late.
    """
    a, b = left.properties, right.properties
    if lateness is not None:
        types = {c.id: c.type.oid for c in (*a.columns, *b.columns)}
        for i, j in keys:
            if i in a.watermarks and j in b.watermarks and types[i] in (TIMESTAMP, TIMESTAMPTZ):
                return TimeBound(i, j, 0, 0, lateness)
    usable = [
        TimeBound(i, j, low, high, lateness or 0)
        for (i, j), (low, high) in differences(a.columns, b.columns, conditions).items()
        if i in a.watermarks and j in b.watermarks and low <= high
    ]
    return min(usable, key=lambda bound: bound.high - bound.low, default=None)
