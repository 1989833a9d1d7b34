"""Reads of one row by its key, through the relation's index instead of a scan.

What a web application does most: SELECT … FROM t WHERE id = $1. The plan stays as it is and runs over
a snapshot of no more than the row in question, so nothing can come out differently.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from laminar.engine.serving import RelationStore, Snapshot
from laminar.engine.serving.chunk import Chunk
from laminar.sql import plan as logical
from laminar.sql.adhoc import batches
from laminar.sql.adhoc.calls import compiled
from laminar.sql.adhoc.joinkeys import EQUALS, INTEGER_EQUALS
from laminar.sql.evaluator import Env
from laminar.sql.expressions import conjuncts, walk
from laminar.sql.plan import Call, ColumnRef, Expr, Outer, Plan
from laminar.types import PgType

#: relation oid -> its live store, if the query's snapshot is what the store has now
Stores = Callable[[int], RelationStore | None]


def narrowed(plan: Plan, stores: Stores, env: Env) -> tuple[int, Snapshot] | None:
    """The relation that a plan without joins reads by its whole key, and the row (or none) that it needs.

    To be called on the thread that writes the stores.
    """
    found = filtered_scan(plan)
    if found is None:
        return None
    scan, condition = found
    store = stores(scan.relation)
    if store is None or not store.layout.key:
        return None
    equal = equalities(scan, condition)
    layout = store.layout
    keys = [equal.get(layout.attnums[position]) for position in layout.key]
    if any(key is None for key in keys):
        return None
    values = [
        key_value(key, t, env) for key, t in zip(keys, layout.key_types, strict=True) if key is not None
    ]
    if any(value is None for value in values):
        return scan.relation, Snapshot(layout, ())
    rows = store.lookup([value for value in values if value is not None])
    chunks = (Chunk(rows, None, rows.num_rows, (0, 0)),) if rows.num_rows else ()
    return scan.relation, Snapshot(layout, chunks)


def key_value(expr: Expr, type_: PgType, env: Env) -> pa.Array | None:
    """A constant as an array of one value of an indexed column; None when no row can be equal to it."""
    value = compiled((expr,), ())(batches.make([], 1), env)[0]
    if value.null_count:
        return None
    if value.type == type_.storage:
        return value
    try:
        return value.cast(type_.storage)
    except pa.ArrowInvalid:  # an integer that the column's type does not have
        return None


def filtered_scan(plan: Plan) -> tuple[logical.Scan, Expr] | None:
    """The Filter over a Scan that a chain of plain nodes ends in."""
    while isinstance(plan, logical.Project | logical.Sort | logical.Limit | logical.Filter):
        if isinstance(plan, logical.Filter) and isinstance(plan.input, logical.Scan):
            return plan.input, plan.condition
        plan = plan.input
    return None


def equalities(scan: logical.Scan, condition: Expr) -> dict[int, Expr]:
    """Columns (attribute numbers) that must equal a constant, of their type or another integer."""
    attnums = {c.id: a for c, a in zip(scan.columns, scan.attnums, strict=True)}
    wanted: dict[int, Expr] = {}
    for part in conjuncts(condition):
        if not isinstance(part, Call) or part.function.symbol not in (*EQUALS, *INTEGER_EQUALS):
            continue
        for column, value in (part.args, part.args[::-1]):
            if not isinstance(column, ColumnRef) or not constant(value):
                continue
            if column.type == value.type or part.function.symbol in INTEGER_EQUALS:
                wanted.setdefault(attnums[column.id], value)
    return wanted


def constant(expr: Expr) -> bool:
    """Whether the value is the same in every row."""
    return not any(
        isinstance(e, ColumnRef | Outer) or (isinstance(e, Call) and e.function.volatility == "v")
        for e in walk(expr)
    )
