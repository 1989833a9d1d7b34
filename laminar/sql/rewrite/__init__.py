"""Simplifies logical plans: the few rewrites that pay.

Constants are computed, predicates move down (through joins, where equalities become join conditions and
cross joins inner ones, ordered by what connects), columns nobody reads go, adjacent projections merge.
"""

from __future__ import annotations

from laminar.sql import plan as p
from laminar.sql.rewrite.folding import fold
from laminar.sql.rewrite.merging import merge
from laminar.sql.rewrite.pruning import prune
from laminar.sql.rewrite.pushdown import push_down
from laminar.sql.trees import identity, inputs, map_expressions, with_inputs

__all__ = ["fold", "rewrite"]


def rewrite(plan: p.Plan, columns: tuple[p.Column, ...]) -> p.Plan:
    """An equivalent plan, cheaper to run, of exactly ``columns``. Takes plans without subqueries."""
    plan = identity(plan, columns)
    plan = _folded(plan)
    plan = push_down(plan, [])
    plan = prune(plan, {column.id for column in columns})
    return identity(merge(plan), columns)


def _folded(plan: p.Plan) -> p.Plan:
    below = tuple(_folded(child) for child in inputs(plan))
    return map_expressions(with_inputs(plan, below), _fold_value)


def _fold_value(expr: p.Expr) -> p.Expr:
    # keys and columns stay references, whatever they are computed from
    return expr if isinstance(expr, p.ColumnRef) else fold(expr)
