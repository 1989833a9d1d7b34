"""Column pruning: what nobody reads is not carried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from laminar.sql import plan as p
from laminar.sql.expressions import columns_of
from laminar.sql.trees import expressions, identity, inputs, with_inputs

Needed = set[int]


def prune(plan: p.Plan, needed: Needed) -> p.Plan:
    """The plan with at least the ``needed`` of its columns."""
    special = _SPECIAL.get(type(plan))
    if special is not None:
        return special(plan, needed)
    below = needed | columns_of(*expressions(plan))
    return with_inputs(plan, tuple(prune(child, below) for child in inputs(plan)))


def _scan(plan: p.Scan, needed: Needed) -> p.Plan:
    kept = [i for i, column in enumerate(plan.columns) if column.id in needed]
    if not kept and plan.columns:
        kept = [min(range(len(plan.columns)), key=lambda i: _width(plan.columns[i]))]
    if len(kept) == len(plan.columns):
        return plan
    return p.Scan(plan.relation, tuple(plan.columns[i] for i in kept), tuple(plan.attnums[i] for i in kept))


def _width(column: p.Column) -> int:
    """Bytes of a value, variable ones last."""
    try:
        return int(column.type.storage.bit_width)
    except ValueError:
        return 1 << 20


def _project(plan: p.Project, needed: Needed) -> p.Plan:
    kept = [i for i, column in enumerate(plan.columns) if column.id in needed] or ([0] if plan.exprs else [])
    exprs = tuple(plan.exprs[i] for i in kept)
    below = prune(plan.input, columns_of(*exprs))
    if len(kept) == len(plan.columns) and below is plan.input:
        return plan
    return p.Project(below, exprs, tuple(plan.columns[i] for i in kept))


def _group_by(plan: p.GroupBy, needed: Needed) -> p.Plan:
    n, m = len(plan.keys), len(plan.aggregates)
    results = plan.columns[n : n + m]
    kept = [i for i, column in enumerate(results) if column.id in needed]
    if not kept and not n and m:
        kept = [0]
    aggregates = tuple(plan.aggregates[i] for i in kept)
    columns = (*plan.columns[:n], *(results[i] for i in kept), *plan.columns[n + m :])
    below = prune(plan.input, columns_of(*plan.keys, *aggregates))
    return replace(plan, input=below, aggregates=aggregates, columns=columns)


def _distinct(plan: p.DistinctOn, needed: Needed) -> p.Plan:
    on = {key.id for key in plan.on}
    wanted = on | (needed if plan.order_by or on < {c.id for c in plan.columns} else set())
    below = prune(plan.input, wanted | columns_of(*plan.order_by))
    if not plan.order_by and not needed - on:
        # plain DISTINCT is over exactly its columns
        below = identity(below, tuple(column for column in plan.columns if column.id in on))
    return replace(plan, input=below)


def _set_operation(plan: p.SetOp, needed: Needed) -> p.Plan:
    kept = list(range(len(plan.columns)))
    if plan.op == "union" and plan.all:
        kept = [i for i in kept if plan.columns[i].id in needed] or kept[:1]
    sides = []
    for side in (plan.left, plan.right):
        columns = tuple(side.columns[i] for i in kept)
        sides.append(identity(prune(side, {column.id for column in columns}), columns))
    return replace(plan, left=sides[0], right=sides[1], columns=tuple(plan.columns[i] for i in kept))


def _window(plan: p.Window, needed: Needed) -> p.Plan:
    kept = [i for i, column in enumerate(plan.added) if column.id in needed]
    calls = tuple(plan.calls[i] for i in kept)
    below = prune(
        plan.input, (needed - {column.id for column in plan.added}) | columns_of(*calls, *_frames(calls))
    )
    if not calls:
        return below
    return replace(plan, input=below, calls=calls, added=tuple(plan.added[i] for i in kept))


def _frames(calls: tuple[p.WindowCall, ...]) -> list[p.Expr]:
    bounds = [bound for call in calls for bound in (call.frame.start[1], call.frame.end[1])]
    return [bound for bound in bounds if bound is not None]


def _recursive(plan: p.Recursive, needed: Needed) -> p.Plan:
    """All its columns: what one round makes, the next reads."""
    sides = [prune(side, {c.id for c in side.columns}) for side in (plan.start, plan.step)]
    start, step = (
        identity(new, old.columns) for new, old in zip(sides, (plan.start, plan.step), strict=True)
    )
    return replace(plan, start=start, step=step)


def _leaf(plan: p.Plan, needed: Needed) -> p.Plan:
    return plan


_SPECIAL: Final[dict[type, Callable[..., p.Plan]]] = {
    p.Scan: _scan,
    p.Project: _project,
    p.GroupBy: _group_by,
    p.DistinctOn: _distinct,
    p.SetOp: _set_operation,
    p.Recursive: _recursive,
    p.WorkTable: _leaf,
    p.Window: _window,
    p.Values: _leaf,
    p.TableFunction: _leaf,
}
