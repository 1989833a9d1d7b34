"""Walking and rebuilding logical plans; expressions have :mod:`laminar.sql.expressions`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, get_args

from laminar.sql import plan as p
from laminar.sql.expressions import OPERANDS, rewrite, walk

#: fields that hold plans, by class
_INPUTS: Final[dict[type, tuple[str, ...]]] = {
    p.Scan: (),
    p.Values: (),
    p.Filter: ("input",),
    p.Project: ("input",),
    p.ProjectSet: ("input",),
    p.Join: ("left", "right"),
    p.Apply: ("left", "right"),
    p.GroupBy: ("input",),
    p.DistinctOn: ("input",),
    p.SetOp: ("left", "right"),
    p.Recursive: ("start", "step"),
    p.WorkTable: (),
    p.Sort: ("input",),
    p.Limit: ("input",),
    p.Window: ("input",),
    p.TableFunction: (),
    p.TimeWindow: ("input",),
}
#: fields that hold expressions, or tuples of what holds them
_EXPRESSIONS: Final[dict[type, tuple[str, ...]]] = {
    p.Scan: (),
    p.Values: ("rows",),
    p.Filter: ("condition",),
    p.Project: ("exprs",),
    p.ProjectSet: ("exprs",),
    p.Join: ("condition", "temporal", "asof"),
    p.Apply: ("condition",),
    p.GroupBy: ("keys", "aggregates"),
    p.DistinctOn: ("on", "order_by"),
    p.SetOp: (),
    p.Recursive: (),
    p.WorkTable: (),
    p.Sort: ("keys",),
    p.Limit: ("count", "offset"),
    p.Window: ("calls",),
    p.TableFunction: ("args",),
    p.TimeWindow: ("time", "partition_by"),
}
_NOT_EXPRESSIONS: Final = (str, int, type(None))

_EXPR: Final = get_args(p.Expr)

Change = Callable[[p.Expr], p.Expr]


def inputs(plan: p.Plan) -> tuple[p.Plan, ...]:
    """The plans directly below."""
    return tuple(getattr(plan, name) for name in _INPUTS[type(plan)])


def with_inputs(plan: p.Plan, new: tuple[p.Plan, ...]) -> p.Plan:
    """The same node over other inputs (of the same columns)."""
    names = _INPUTS[type(plan)]
    if all(getattr(plan, name) is below for name, below in zip(names, new, strict=True)):
        return plan
    changes: dict[str, Any] = dict(zip(names, new, strict=True))
    return replace(plan, **changes)


def walk_plan(plan: p.Plan) -> Iterator[p.Plan]:
    """The plan and everything below it, top down; not into subqueries of expressions."""
    yield plan
    for below in inputs(plan):
        yield from walk_plan(below)


def expressions(plan: p.Plan) -> Iterator[p.Expr]:
    """The node's own expressions (of aggregates and window calls their parts), at the top."""
    for name in _EXPRESSIONS[type(plan)]:
        yield from _leaves(getattr(plan, name))


def _leaves(value: Any) -> Iterator[p.Expr]:
    if isinstance(value, tuple):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, _NOT_EXPRESSIONS):
        return
    elif isinstance(value, p.SortItem):
        yield value.expr
    elif isinstance(value, p.Aggregate):
        yield from _leaves((value.args, value.filter, value.order_by, value.direct))
    elif isinstance(value, p.WindowCall):
        frame = (value.frame.start[1], value.frame.end[1])
        yield from _leaves((value.args, value.partition_by, value.order_by, value.filter, frame))
    else:
        yield value


def map_expressions(plan: p.Plan, change: Change) -> p.Plan:
    """The node with each of its own top-level expressions passed through ``change``."""
    changes: dict[str, Any] = {}
    for name in _EXPRESSIONS[type(plan)]:
        old = getattr(plan, name)
        new = map_value(old, change)
        if new is not old:
            changes[name] = new
    return replace(plan, **changes) if changes else plan


def map_value(value: Any, change: Change) -> Any:
    """``change`` applied to the expressions in a tuple, sort item, aggregate or window call."""
    if isinstance(value, tuple):
        new = tuple(map_value(item, change) for item in value)
        return new if any(a is not b for a, b in zip(new, value, strict=True)) else value
    if isinstance(value, _NOT_EXPRESSIONS):
        return value
    if isinstance(value, p.SortItem):
        expr = change(value.expr)
        return value if expr is value.expr else replace(value, expr=expr)
    if isinstance(value, p.Aggregate):
        return replace(
            value,
            args=map_value(value.args, change),
            filter=map_value(value.filter, change),
            order_by=map_value(value.order_by, change),
            direct=map_value(value.direct, change),
        )
    if isinstance(value, p.WindowCall):
        frame = value.frame
        return replace(
            value,
            args=map_value(value.args, change),
            partition_by=map_value(value.partition_by, change),
            order_by=map_value(value.order_by, change),
            filter=map_value(value.filter, change),
            frame=replace(
                frame,
                start=(frame.start[0], map_value(frame.start[1], change)),
                end=(frame.end[0], map_value(frame.end[1], change)),
            ),
        )
    return change(value)


def rewrite_deep(plan: p.Plan, change: Change) -> p.Plan:
    """``change`` applied bottom up to every expression node of the whole plan, subqueries included."""

    def one(expr: p.Expr) -> p.Expr:
        if isinstance(expr, p.Subquery):
            expr = replace(expr, plan=rewrite_deep(expr.plan, change))
        return change(expr)

    below = tuple(rewrite_deep(child, change) for child in inputs(plan))
    return map_expressions(with_inputs(plan, below), lambda expr: rewrite(expr, one))


def walk_expressions(plan: p.Plan) -> Iterator[p.Expr]:
    """Every expression node of the whole plan, subqueries' included."""
    for node in walk_plan(plan):
        for expr in expressions(node):
            for part in walk(expr):
                yield part
                if isinstance(part, p.Subquery):
                    yield from walk_expressions(part.plan)


def has_subquery(value: object) -> bool:
    """Whether an expression, aggregate or sort item contains a Subquery."""
    return any(isinstance(part, p.Subquery) for part in walk(value))


def canonical(expr: p.Expr) -> p.Expr:
    """The expression without positions: equal for equal expressions wherever they stand."""
    return rewrite(expr, _without_position)


def _without_position(expr: p.Expr) -> p.Expr:
    if isinstance(expr, p.Call | p.Cast | p.ArrayCompare | p.Subquery) and expr.position:
        return replace(expr, position=0)
    return expr


def ref(column: p.Column) -> p.ColumnRef:
    return p.ColumnRef(column.id, column.type)


def refs(columns: tuple[p.Column, ...]) -> tuple[p.ColumnRef, ...]:
    return tuple(p.ColumnRef(column.id, column.type) for column in columns)


def identity(plan: p.Plan, columns: tuple[p.Column, ...]) -> p.Plan:
    """The plan with exactly these of its columns, in this order."""
    if plan.columns == columns:
        return plan
    return p.Project(plan, refs(columns), columns)


def outer_ids(plan: p.Plan) -> set[int]:
    """Ids of the columns of enclosing queries, or of siblings in FROM, that the plan reads."""
    return {part.id for part in walk_expressions(plan) if isinstance(part, p.Outer)}


def map_children(expr: p.Expr, change: Change) -> p.Expr:
    """The expression with its direct operands passed through ``change``; subqueries' plans stay."""
    changes: dict[str, Any] = {}
    for name in OPERANDS[type(expr)]:
        old = getattr(expr, name)
        new = _map_operand(old, change)
        if new is not old:
            changes[name] = new
    return replace(expr, **changes) if changes else expr


def _map_operand(value: Any, change: Change) -> Any:
    if isinstance(value, tuple):
        new = tuple(_map_operand(item, change) for item in value)
        return new if any(a is not b for a, b in zip(new, value, strict=True)) else value
    return change(value) if isinstance(value, _EXPR) else value
