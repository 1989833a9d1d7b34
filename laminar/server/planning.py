"""From a query's syntax tree to a plan without subqueries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from laminar.errors import not_supported
from laminar.sql import adhoc
from laminar.sql.binder import BoundModifying, bind_query
from laminar.sql.binder.locking import BoundLocking
from laminar.sql.plan import Column, Plan, Scan
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
        scanned: oids of the relations that the plan scans.
        locking: queries whose rows are locked before it runs.
        modifying: statements in WITH that change rows.
    """

    plan: Plan
    columns: tuple[Column, ...]
    param_types: tuple[PgType, ...]
    accesses: frozenset[Access]
    waits: bool = False
    scanned: frozenset[int] = frozenset()
    locking: tuple[BoundLocking, ...] = ()
    modifying: tuple[BoundModifying, ...] = ()

    @property
    def dependencies(self) -> tuple[int, ...]:
        """Oids of the relations that it names, views and what they name included."""
        return tuple(sorted({access.relation for access in self.accesses}))


def plan_query(
    query: ast.Query,
    catalog: CatalogView,
    param_types: Sequence[int] | None = None,
    *,
    locks: bool = False,
    modifies: bool = False,
) -> PlannedQuery:
    """Bind, unnest and rewrite; raises PgError with position. Without types it cannot have parameters.

    Args:
        locks: the query may lock rows (FOR UPDATE).
        modifies: it may change rows (WITH).
    """
    bound = bind_query(query, catalog, param_types)
    if bound.locking and not locks:
        raise not_supported("FOR UPDATE and its kin are not supported in this statement")
    if bound.modifying and not modifies:
        raise not_supported("data-modifying statements in WITH are not supported in this statement")
    plan = rewrite(unnest(bound.plan), bound.columns)
    waits, params = adhoc.waits(plan), tuple(bound.param_types)
    locking = planned_locking(bound.locking)
    return PlannedQuery(
        plan, bound.columns, params, bound.accesses, waits, scanned(plan), locking, bound.modifying
    )


def planned_locking(locking: Sequence[BoundLocking]) -> tuple[BoundLocking, ...]:
    """The same with plans as they run."""
    return tuple(replace(one, plan=rewrite(unnest(one.plan), one.plan.columns)) for one in locking)


def scanned(plan: object) -> frozenset[int]:
    """Oids of the relations that a plan scans."""
    found: set[int] = set()
    stack: list[object] = [plan]
    while stack:
        item = stack.pop()
        if isinstance(item, Scan):
            found.add(item.relation)
        elif isinstance(item, tuple):
            stack.extend(item)
        elif hasattr(item, "__dataclass_fields__"):
            stack.extend(getattr(item, name) for name in item.__dataclass_fields__)
    return frozenset(found)
