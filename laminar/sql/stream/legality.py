"""What no view can be kept up to date with, said when it is created."""

from __future__ import annotations

from laminar.errors import PgError, not_supported
from laminar.sql import plan as logical
from laminar.sql.expressions import position_of, uses_now, volatile_call, walk
from laminar.sql.kernels.regex import check_constant


def position(expr: object | None) -> int | None:
    """Where an expression stands in the statement, if known."""
    return None if expr is None else position_of(expr)


def check_expression(expr: object) -> None:
    """Refuse the clock and volatile functions, whose answers would not be those of the query."""
    clock = uses_now(expr)
    if clock is not None:
        raise not_supported(
            f"{clock.function.name}() cannot be used this way in a materialized view",
            hint="Compare a time with it in WHERE or HAVING, as in ts > now() - INTERVAL '1 hour'.",
            position=clock.position or None,
        )
    check_volatile(expr)
    check_patterns(expr)


def check_patterns(expr: object) -> None:
    """Refuse constant regular expressions that would fail for every row."""
    for part in walk(expr):
        if isinstance(part, logical.Call) and "reg" in part.function.symbol:
            values = [arg.value if isinstance(arg, logical.Const) else None for arg in part.args]
            try:
                check_constant(part.function.symbol, values)
            except PgError as error:
                raise error.at(part.position or None) from None


def check_volatile(expr: object) -> None:
    """Refuse functions that may give another value every time."""
    for part in walk(expr):
        if isinstance(part, logical.Call) and part.function.routine and part.function.volatility != "i":
            raise not_supported(
                f"function {part.function.name}() is not IMMUTABLE and cannot be used in a materialized view",
                hint="Declare it IMMUTABLE if its result depends on nothing but its arguments.",
                position=part.position or None,
            )
    volatile = volatile_call(expr)
    if volatile is not None:
        raise not_supported(
            f"volatile function {volatile.function.name}() cannot be used in a materialized view",
            hint="Its value would change between computations; compute it before the row is inserted.",
            position=volatile.position or None,
        )


def unsupported(node: logical.Plan) -> PgError:
    """The 0A000 for a plan node without a stream operator."""
    return not_supported(
        f"{type(node).__name__} is not supported in materialized views yet",
        hint="A plain SELECT over a view can do it.",
        position=getattr(node, "position", 0) or None,
    )
