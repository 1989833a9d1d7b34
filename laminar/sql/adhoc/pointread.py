"""Reads of one row by its key, through the relation's index instead of a scan.

What a web application does most: SELECT … FROM t WHERE id = $1. The plan stays as it is and runs over
a snapshot of no more than the row in question, so nothing can come out differently.
"""

from __future__ import annotations

from collections.abc import Callable

from laminar.engine.serving import Layout, RelationStore, Snapshot
from laminar.engine.serving.chunk import Chunk
from laminar.sql import plan as logical
from laminar.sql.adhoc import batches
from laminar.sql.adhoc.calls import compiled
from laminar.sql.adhoc.relational import EQUALS
from laminar.sql.evaluator import Env
from laminar.sql.expressions import conjuncts, walk
from laminar.sql.plan import Call, ColumnRef, Expr, Outer, Plan

#: relation oid -> its live store, if the query's snapshot is what the store has now
Stores = Callable[[int], RelationStore | None]


def narrowed(plan: Plan, stores: Stores, env: Env) -> tuple[int, Snapshot] | None:
    """The relation that a plan without joins reads by its whole key, and the row (or none) that it needs.

    To be called on the thread that writes the stores.
    """
    found = _filtered_scan(plan)
    if found is None:
        return None
    scan, condition = found
    store = stores(scan.relation)
    if store is None or not store.layout.key:
        return None
    keys = _keys(scan, condition, store.layout)
    if keys is None:
        return None
    values = [compiled((key,), ())(batches.make([], 1), env)[0] for key in keys]
    if any(value.null_count for value in values):
        return scan.relation, Snapshot(store.layout, ())
    rows = store.lookup(values)
    chunks = (Chunk(rows, None, rows.num_rows, (0, 0)),) if rows.num_rows else ()
    return scan.relation, Snapshot(store.layout, chunks)


def _filtered_scan(plan: Plan) -> tuple[logical.Scan, Expr] | None:
    """The Filter over a Scan that a chain of plain nodes ends in."""
    while isinstance(plan, logical.Project | logical.Sort | logical.Limit | logical.Filter):
        if isinstance(plan, logical.Filter) and isinstance(plan.input, logical.Scan):
            return plan.input, plan.condition
        plan = plan.input
    return None


def _keys(scan: logical.Scan, condition: Expr, layout: Layout) -> list[Expr] | None:
    """What each key column must equal, in the key's order."""
    attnums = {c.id: a for c, a in zip(scan.columns, scan.attnums, strict=True)}
    wanted: dict[int, Expr] = {}
    for part in conjuncts(condition):
        if not isinstance(part, Call) or part.function.symbol not in EQUALS:
            continue
        for column, value in (part.args, part.args[::-1]):
            if isinstance(column, ColumnRef) and column.type == value.type and _constant(value):
                wanted.setdefault(attnums[column.id], value)
    keys = [wanted.get(layout.attnums[position]) for position in layout.key]
    same = [k.type.storage == t.storage for k, t in zip(keys, layout.key_types, strict=True) if k is not None]
    return [k for k in keys if k is not None] if len(same) == len(keys) and all(same) else None


def _constant(expr: Expr) -> bool:
    """Whether the value is the same in every row."""
    return not any(
        isinstance(e, ColumnRef | Outer) or (isinstance(e, Call) and e.function.volatility == "v")
        for e in walk(expr)
    )
