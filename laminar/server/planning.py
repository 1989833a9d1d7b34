"""From a query's syntax tree to a plan without subqueries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from laminar.sql import adhoc
from laminar.sql.binder import bind_query
from laminar.sql.plan import Column, Plan
from laminar.sql.rewrite import rewrite
from laminar.sql.unnest import unnest
from laminar.types import PgType

if TYPE_CHECKING:
    from laminar.sql import ast
    from laminar.sql.catalog_view import Access, CatalogView


@dataclass(frozen=True, slots=True)
class PlannedQuery:
    """A query ready for the stream planner or for DataFusion.

    Args:
        columns: the result's columns, out of ``plan.columns``.
        accesses: what it reads, with and within the definitions of views.
        waits: it calls pg_sleep() or the like.
    """

    plan: Plan
    columns: tuple[Column, ...]
    param_types: tuple[PgType, ...]
    accesses: frozenset[Access]
    waits: bool = False

    @property
    def dependencies(self) -> tuple[int, ...]:
        """Oids of the relations that it names, views and what they name included."""
        return tuple(sorted({access.relation for access in self.accesses}))


def plan_query(query: ast.Query, catalog: CatalogView, param_types: Sequence[int] = ()) -> PlannedQuery:
    """Bind, unnest and rewrite; raises PgError with position."""
    bound = bind_query(query, catalog, param_types)
    plan = rewrite(unnest(bound.plan), bound.columns)
    return PlannedQuery(plan, bound.columns, tuple(bound.param_types), bound.accesses, adhoc.waits(plan))
