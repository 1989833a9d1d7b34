"""Predicate push-down: conditions to where their columns come from."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from laminar.sql import plan as p
from laminar.sql.expressions import columns_of, conjunction, conjuncts, substitute, volatile_call
from laminar.sql.rewrite.folding import fold
from laminar.sql.rewrite.joins import connected
from laminar.sql.trees import identity, inputs, ref, with_inputs
from laminar.types import BOOL, PgType

_TRUE: Final = p.Const(True, PgType(BOOL))


def push_down(plan: p.Plan, parts: list[p.Expr]) -> p.Plan:
    """``plan`` filtered by the conjunction of ``parts`` (over its columns)."""
    if isinstance(plan, p.Filter):
        return push_down(plan.input, [*parts, *conjuncts(plan.condition)])
    parts = [part for part in dict.fromkeys(parts) if part != _TRUE]
    stay = [part for part in parts if volatile_call(part) is not None]
    parts = [part for part in parts if volatile_call(part) is None]
    if isinstance(plan, p.Join):
        return _filtered(_join(plan, parts), stay)
    if isinstance(plan, p.SetOp):
        return _filtered(_set_operation(plan, parts), stay)
    down: list[p.Expr] = []
    for part in parts:
        moved = _through(plan, part)
        if moved is None:
            stay.append(part)
        else:
            down.append(moved)
    below = tuple(push_down(child, down if index == 0 else []) for index, child in enumerate(inputs(plan)))
    return _filtered(with_inputs(plan, below), stay)


def _filtered(plan: p.Plan, parts: list[p.Expr]) -> p.Plan:
    condition = conjunction(parts)
    return plan if condition is None else p.Filter(plan, condition)


def _through(plan: p.Plan, part: p.Expr) -> p.Expr | None:
    """The predicate below a node of one input, None if it must stay above."""
    used = columns_of(part)
    if isinstance(plan, p.Project | p.ProjectSet):
        mapping = {c.id: e for c, e in zip(plan.columns, plan.exprs, strict=True)}
        exprs = [mapping[id_] for id_ in used]
        if isinstance(plan, p.ProjectSet):
            return substitute(part, mapping) if all(isinstance(e, p.ColumnRef) for e in exprs) else None
        if any(volatile_call(e) is not None for e in exprs):
            return None
        return fold(substitute(part, mapping))
    if isinstance(plan, p.Sort):
        return part
    allowed = _determining(plan)
    return substitute(part, allowed) if allowed is not None and used and used <= allowed.keys() else None


def _determining(plan: p.Plan) -> dict[int, p.Expr] | None:
    """Columns such that a predicate on them alone may as well apply to the input."""
    if isinstance(plan, p.GroupBy):
        if len(plan.sets) > 1:
            return None
        return {c.id: key for c, key in zip(plan.columns, plan.keys, strict=False)}
    if isinstance(plan, p.DistinctOn):
        return {key.id: key for key in plan.on}
    if isinstance(plan, p.Window):
        shared: set[p.Expr] = set(plan.calls[0].partition_by)
        for call in plan.calls[1:]:
            shared &= set(call.partition_by)
        return {expr.id: expr for expr in shared if isinstance(expr, p.ColumnRef)}
    if isinstance(plan, p.TimeWindow):
        columns = plan.partition_by if plan.kind == "session" else [ref(c) for c in plan.input.columns]
        return {column.id: column for column in columns}
    return None


def _set_operation(plan: p.SetOp, parts: list[p.Expr]) -> p.Plan:
    sides = []
    for side in (plan.left, plan.right):
        mapping: dict[int, p.Expr] = {
            c.id: ref(below) for c, below in zip(plan.columns, side.columns, strict=True)
        }
        moved = push_down(side, [substitute(part, mapping) for part in parts])
        sides.append(identity(moved, side.columns))
    return replace(plan, left=sides[0], right=sides[1])


# --- joins


def _join(plan: p.Join, parts: list[p.Expr]) -> p.Plan:
    if plan.temporal is not None or plan.asof is not None:
        return _special(plan, parts)
    if plan.kind in ("left", "right", "full"):
        plan = _stricter(plan, parts)
    if plan.kind in ("inner", "cross"):
        leaves, conditions = _flatten(plan)
        joined = connected([push_down(leaf, []) for leaf in leaves], [*parts, *conditions], push_down)
        return identity(joined, plan.columns)
    if plan.kind == "full":
        both = replace(plan, left=push_down(plan.left, []), right=push_down(plan.right, []))
        return _filtered(both, parts)
    return _one_sided(plan, parts)


def _special(plan: p.Join, parts: list[p.Expr]) -> p.Plan:
    """Temporal and ASOF joins: the right side is what it is; the left may be filtered."""
    left, stay = _split(parts, plan.left)
    joined = replace(plan, left=push_down(plan.left, left), right=push_down(plan.right, []))
    return _filtered(joined, stay)


def _split(parts: list[p.Expr], side: p.Plan) -> tuple[list[p.Expr], list[p.Expr]]:
    """Those that read columns of ``side`` alone, and the others."""
    ids = {column.id for column in side.columns}
    own = [part for part in parts if columns_of(part) <= ids and columns_of(part)]
    return own, [part for part in parts if not any(part is one for one in own)]


def _one_sided(plan: p.Join, parts: list[p.Expr]) -> p.Plan:
    """LEFT, RIGHT, semi and anti joins."""
    keeps = plan.right if plan.kind == "right" else plan.left
    other = plan.left if plan.kind == "right" else plan.right
    above, stay = _split(parts, keeps)
    condition = conjuncts(plan.condition)
    inside, condition = _split(condition, other)
    if plan.kind == "semi":
        more, condition = _split(condition, keeps)
        above += more
    kept, filtered = push_down(keeps, above), push_down(other, inside)
    left, right = (filtered, kept) if plan.kind == "right" else (kept, filtered)
    joined = p.Join(plan.kind, left, right, conjunction(condition) or _TRUE)
    return _filtered(joined, stay)


def _stricter(plan: p.Join, parts: list[p.Expr]) -> p.Join:
    """An outer join whose padded rows a predicate drops is a plainer one."""
    left = {column.id for column in plan.left.columns}
    right = {column.id for column in plan.right.columns}
    drops_right = any(rejects_null(part, right) for part in parts)
    drops_left = any(rejects_null(part, left) for part in parts)
    kind: p.JoinKind = plan.kind
    if kind == "full":
        kind = (
            "inner"
            if drops_left and drops_right
            else "left"
            if drops_left
            else "right"
            if drops_right
            else "full"
        )
    elif (kind == "left" and drops_right) or (kind == "right" and drops_left):
        kind = "inner"
    return plan if kind == plan.kind else replace(plan, kind=kind)


def rejects_null(part: p.Expr, ids: set[int]) -> bool:
    """Whether a predicate is not true when all these columns are null."""
    if isinstance(part, p.Call):
        return part.function.strict and any(_null_with(arg, ids) for arg in part.args)
    if isinstance(part, p.Test):
        if part.what == "null":
            return part.negated and _null_with(part.arg, ids)
        return not part.negated and _null_with(part.arg, ids)
    if isinstance(part, p.BoolOp):
        if part.op == "not":
            return _null_with(part.args[0], ids)
        verdicts = [rejects_null(arg, ids) for arg in part.args]
        return any(verdicts) if part.op == "and" else all(verdicts)
    if isinstance(part, p.ArrayCompare):
        # ALL over no items is true whatever is on the left
        return part.any and part.function.strict and _null_with(part.left, ids)
    return _null_with(part, ids)


def _null_with(expr: p.Expr, ids: set[int]) -> bool:
    """Whether an expression is null when all these columns are."""
    if isinstance(expr, p.ColumnRef):
        return expr.id in ids
    if isinstance(expr, p.Call):
        return expr.function.strict and any(_null_with(arg, ids) for arg in expr.args)
    return isinstance(expr, p.Cast) and _null_with(expr.arg, ids)


def _flatten(plan: p.Plan) -> tuple[list[p.Plan], list[p.Expr]]:
    """A tree of inner joins and filters as its leaves and conditions."""
    if isinstance(plan, p.Join) and plan.kind in ("inner", "cross") and not (plan.temporal or plan.asof):
        left, conditions = _flatten(plan.left)
        right, more = _flatten(plan.right)
        return [*left, *right], [*conditions, *more, *conjuncts(plan.condition)]
    if isinstance(plan, p.Filter) and volatile_call(plan.condition) is None:
        leaves, conditions = _flatten(plan.input)
        return leaves, [*conditions, *conjuncts(plan.condition)]
    return [plan], []
