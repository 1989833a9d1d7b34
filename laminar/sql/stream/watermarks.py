"""How a projection passes watermarks on."""

from __future__ import annotations

from laminar.sql.plan import Call, Column, ColumnRef, Const, Expr

#: symbols of timestamp(tz) + interval and - interval
_ADD = frozenset({"timestamp_pl_interval", "timestamptz_pl_interval"})
_SUBTRACT = frozenset({"timestamp_mi_interval", "timestamptz_mi_interval"})


def interval_microseconds(value: object) -> int | None:
    """A constant interval as microseconds with 24-hour days; None when it has months."""
    if not isinstance(value, bytes) or len(value) != 16:
        return None
    months = int.from_bytes(value[:4], "little", signed=True)
    days = int.from_bytes(value[4:8], "little", signed=True)
    micros = int.from_bytes(value[8:], "little", signed=True)
    return None if months else days * 86_400_000_000 + micros


def monotone(expr: Expr) -> tuple[int, int] | None:
    """(column id, shift) when ``expr`` is a column plus a constant span, else None."""
    if isinstance(expr, ColumnRef):
        return expr.id, 0
    bound = _end_of(expr)
    if bound is not None:
        return bound
    if isinstance(expr, Call) and len(expr.args) == 2 and isinstance(expr.args[1], Const):
        sign = 1 if expr.function.symbol in _ADD else -1 if expr.function.symbol in _SUBTRACT else 0
        span = interval_microseconds(expr.args[1].value)
        inner = monotone(expr.args[0])
        if sign and span is not None and inner is not None:
            return inner[0], inner[1] + sign * span
    return None


def _end_of(expr: Expr) -> tuple[int, int] | None:
    """A window's end computed from its start, or the moment just past a time.

    A start's watermark is the time's less the size. A time equal to the watermark may still come, so
    what is just past it carries the watermark as it is.
    """
    from laminar.sql.stream.timewindow import JUST_PAST, WINDOW_END

    if not isinstance(expr, Call) or expr.function not in (WINDOW_END, JUST_PAST):
        return None
    start, size = expr.args
    span = interval_microseconds(size.value) if isinstance(size, Const) else None
    if not isinstance(start, ColumnRef) or span is None:
        return None
    return start.id, 0 if expr.function == JUST_PAST else span


def passed_on(
    outputs: list[tuple[Column, Expr]], watermarks: frozenset[int]
) -> tuple[tuple[int, int, int], ...]:
    """(output column, input column, shift) for every output that carries a watermark."""
    from laminar.sql.stream.timewindow import window_bound

    result = []
    for column, expr in outputs:
        found = monotone(expr) or window_bound(expr)
        if found is not None and found[0] in watermarks:
            result.append((column.id, found[0], found[1]))
    return tuple(result)
