"""From a query's syntax tree to a plan without subqueries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from laminar.sql.binder import bind_query
from laminar.sql.plan import Column, Plan
from laminar.sql.rewrite import rewrite
from laminar.sql.unnest import unnest
from laminar.types import PgType

if TYPE_CHECKING:
    from laminar.sql import ast
    from laminar.sql.catalog_view import CatalogView


@dataclass(frozen=True, slots=True)
class PlannedQuery:
    """A query ready for the stream planner or for DataFusion.

    Args:
        columns: the result's columns, out of ``plan.columns``.
        dependencies: oids of the stored relations that it names, views included.
    """

    plan: Plan
    columns: tuple[Column, ...]
    param_types: tuple[PgType, ...]
    dependencies: tuple[int, ...]


def plan_query(query: ast.Query, catalog: CatalogView, param_types: Sequence[int] = ()) -> PlannedQuery:
    """Bind, unnest and rewrite; raises PgError with position."""
    bound = bind_query(query, catalog, param_types)
    plan = rewrite(unnest(bound.plan), bound.columns)
    return PlannedQuery(plan, bound.columns, tuple(bound.param_types), tuple(sorted(bound.dependencies)))
