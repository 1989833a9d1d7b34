"""Removes subqueries: after :func:`unnest` a plan has no Apply, Outer or Subquery."""

from __future__ import annotations

from laminar.errors import not_supported
from laminar.sql import plan as p
from laminar.sql.trees import walk_expressions, walk_plan


def unnest(plan: p.Plan) -> p.Plan:
    """The plan with subqueries as joins."""
    for part in walk_expressions(plan):
        if isinstance(part, p.Subquery):
            raise not_supported("subqueries are not supported yet", position=part.position or None)
    if any(isinstance(node, p.Apply) for node in walk_plan(plan)):
        raise not_supported("LATERAL is not supported yet")
    return plan
