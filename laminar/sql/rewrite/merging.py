"""Adjacent projections become one; projections that change nothing go."""

from __future__ import annotations

from collections import Counter

from laminar.sql import plan as p
from laminar.sql.expressions import substitute, volatile_call, walk
from laminar.sql.trees import inputs, refs, with_inputs


def merge(plan: p.Plan) -> p.Plan:
    """Bottom up."""
    plan = with_inputs(plan, tuple(merge(child) for child in inputs(plan)))
    if isinstance(plan, p.Project):
        return _merged(plan)
    if isinstance(plan, p.Filter) and isinstance(plan.input, p.Filter):
        inner = plan.input
        return p.Filter(inner.input, p.BoolOp("and", (*_parts(inner.condition), *_parts(plan.condition))))
    return plan


def _parts(condition: p.Expr) -> tuple[p.Expr, ...]:
    if isinstance(condition, p.BoolOp) and condition.op == "and":
        return condition.args
    return (condition,)


def _merged(plan: p.Project) -> p.Plan:
    below = plan.input
    if isinstance(below, p.Project) and _may_merge(plan, below):
        mapping = {column.id: expr for column, expr in zip(below.columns, below.exprs, strict=True)}
        exprs = tuple(substitute(expr, mapping) for expr in plan.exprs)
        return _merged(p.Project(below.input, exprs, plan.columns))
    if plan.columns == below.columns and plan.exprs == refs(below.columns):
        return below
    return plan


def _may_merge(plan: p.Project, below: p.Project) -> bool:
    """Whether nothing is computed more often, and nothing volatile moves."""
    uses = Counter(part.id for expr in plan.exprs for part in walk(expr) if isinstance(part, p.ColumnRef))
    for column, expr in zip(below.columns, below.exprs, strict=True):
        if isinstance(expr, p.ColumnRef | p.Const | p.Param):
            continue
        if uses[column.id] > 1 or volatile_call(expr) is not None:
            return False
    return True
