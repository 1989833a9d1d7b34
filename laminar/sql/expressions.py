"""Walking, rewriting and asking questions of expressions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, get_args

from laminar.sql import plan
from laminar.sql.plan import (
    BoolOp,
    Call,
    Case,
    Cast,
    ColumnRef,
    Const,
    Expr,
    SortItem,
    SortKey,
)

_EXPRESSIONS: Final = frozenset(get_args(Expr))
#: per class the fields that hold expressions, sort items or tuples of them
OPERANDS: Final[dict[type, tuple[str, ...]]] = {
    plan.ColumnRef: (),
    plan.Const: (),
    plan.Param: (),
    plan.Outer: (),
    plan.Call: ("args",),
    plan.Cast: ("arg", "inner"),
    plan.BoolOp: ("args",),
    plan.Test: ("arg",),
    plan.Distinct: ("left", "right"),
    plan.Case: ("whens", "default"),
    plan.Coalesce: ("args",),
    plan.ArrayCompare: ("left", "array"),
    plan.MakeArray: ("items",),
    plan.SortKey: ("arg",),
    plan.Subquery: ("left",),
    plan.SortItem: ("expr",),
    plan.Aggregate: ("args", "filter", "order_by", "direct"),
    plan.WindowCall: ("args", "partition_by", "order_by", "filter"),
}


def children(expr: object) -> Iterator[Expr]:
    """The direct sub-expressions of an expression, aggregate, window call or sort item."""
    for name in OPERANDS[type(expr)]:
        value = getattr(expr, name)
        if isinstance(value, tuple):
            yield from _expressions(value)
        elif isinstance(value, SortItem):
            yield value.expr
        elif value is not None:
            yield value


def _expressions(items: tuple[Any, ...]) -> Iterator[Expr]:
    for item in items:
        if isinstance(item, tuple):
            yield from _expressions(item)
        elif isinstance(item, SortItem):
            yield item.expr
        else:
            yield item


def _is_expr(value: object) -> bool:
    return type(value) in _EXPRESSIONS


def walk(expr: object) -> Iterator[Expr]:
    """``expr`` and everything below it, top down."""
    stack: list[Any] = [expr]
    while stack:
        node = stack.pop()
        if type(node) in _EXPRESSIONS:
            yield node
        stack.extend(reversed(list(children(node))))


def columns_of(*exprs: object) -> set[int]:
    """Ids of the columns that the expressions read."""
    nodes = (node for expr in exprs if expr is not None for node in walk(expr))
    return {node.id for node in nodes if isinstance(node, ColumnRef)}


def conjuncts(condition: Expr | None) -> list[Expr]:
    """The operands of a top-level AND; [] for None."""
    if condition is None:
        return []
    if isinstance(condition, BoolOp) and condition.op == "and":
        return [part for arg in condition.args for part in conjuncts(arg)]
    return [condition]


def conjunction(parts: list[Expr]) -> Expr | None:
    """The AND of ``parts``; None for no parts."""
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else BoolOp("and", tuple(parts))


def substitute(expr: Expr, mapping: dict[int, Expr]) -> Expr:
    """Replace column references by expressions."""
    return rewrite(expr, lambda e: mapping.get(e.id, e) if isinstance(e, ColumnRef) else e)


def rewrite(expr: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """Rebuild an expression bottom up, each node passed through ``change``."""

    def value(item: object) -> object:
        if isinstance(item, tuple):
            new = tuple(value(part) for part in item)
            return new if any(a is not b for a, b in zip(new, item, strict=True)) else item
        if isinstance(item, SortItem):
            return replace(item, expr=rewrite(item.expr, change))
        if _is_expr(item):
            return rewrite(item, change)  # type: ignore[arg-type]
        return item

    updates: dict[str, Any] = {}
    for name in OPERANDS[type(expr)]:
        old: object = getattr(expr, name)
        new = value(old)
        if new is not old:
            updates[name] = new
    return change(replace(expr, **updates) if updates else expr)


def cost_class(expr: Expr) -> int:
    """0 for a column or constant, 1 for what must be computed; used to avoid computing twice."""
    return 0 if isinstance(expr, ColumnRef | Const) else 1


#: pg_proc symbols of the functions that mean the epoch's time
NOW_SYMBOLS = frozenset(
    {
        "now",
        "statement_timestamp",
        "clock_timestamp",
        "timeofday",
        "sql_current_date",
        "sql_current_time",
        "sql_current_timestamp",
        "sql_localtime",
        "sql_localtimestamp",
    }
)


def uses_now(expr: object) -> Call | None:
    """The first call that reads the clock, or None."""
    for node in walk(expr):
        if isinstance(node, Call) and node.function.symbol in NOW_SYMBOLS:
            return node
    return None


def volatile_call(expr: object) -> Call | None:
    """The first volatile call (random() and the like), or None."""
    for node in walk(expr):
        if isinstance(node, Call) and node.function.volatility == "v":
            return node
    return None


def position_of(expr: object) -> int | None:
    """The first known source position in an expression."""
    for node in walk(expr):
        position = getattr(node, "position", 0)
        if position:
            return int(position)
    return None


def without_sort_key(expr: Expr) -> Expr:
    """The value behind a SortKey."""
    return expr.arg if isinstance(expr, SortKey) else expr


def computed(expr: Expr) -> bool:
    """Whether evaluating ``expr`` can do more than pick a column."""
    return isinstance(expr, Call | Cast | Case) or cost_class(expr) == 1
