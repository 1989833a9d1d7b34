"""Aggregation in two phases: each reactor groups its own rows, then partial results are exchanged.

Without it every row crosses the exchange; with it, each group once per reactor and epoch. Only for
aggregates whose partial results add up exactly, so that the answer is the same for every number of
reactors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from laminar.engine.nodes import GroupAggregate, Node, Properties, Slices
from laminar.sql.plan import Aggregate, ColumnRef, Function
from laminar.types import FLOAT4, FLOAT8, INT8, PgType

if TYPE_CHECKING:
    from laminar.sql.stream.planner import Planner

#: count's partial results are summed; pg_proc's sum(int8), but its result is int8 again
_SUM = Function(2107, "sum", "sum(int8)", False, "i")
#: any one of a group's values; used for keys whose equal values differ in storage
ANY_VALUE = Function(10012, "any_value", "any_value", True, "i")
_IDEMPOTENT = frozenset({"min", "max", "bool_and", "bool_or", "every", "any_value"})


def splits(node: Node, aggregates: tuple[Aggregate, ...]) -> bool:
    """Whether all of them can be computed from partial results of ``node``'s rows.

    Only of rows that are never taken back: a deletion may come to another reactor than its insertion
    did, and would leave both with groups that never were.
    Sums of floats could not be told apart from one-phase sums within PostgreSQL's own error, but they
    would depend on the number of reactors in the last digit; avg would need its parts.
    """
    return node.properties.append_only and all(map(adds_up, aggregates))


def adds_up(aggregate: Aggregate) -> bool:
    """Whether the aggregate is exactly that of its partial results."""
    name = aggregate.function.name
    if aggregate.function.routine is not None:
        return False
    if name in _IDEMPOTENT:
        return True
    if aggregate.distinct or name not in ("count", "sum"):
        return False
    return name == "count" or aggregate.args[0].type.oid not in (FLOAT4, FLOAT8)


def partial(
    planner: Planner,
    node: Node,
    keys: tuple[int, ...],
    aggregates: tuple[Aggregate, ...],
    window_end: int | None,
    slices: Slices | None,
) -> tuple[Node, tuple[Aggregate, ...]]:
    """The local phase over ``node``, and the aggregates that the final phase computes from it."""
    by_id = {column.id: column for column in node.properties.columns}
    results = tuple(planner.column("partial", a.type) for a in aggregates)
    properties = Properties(
        columns=(*(by_id[k] for k in keys), *results),
        # not unique: every reactor may have a partial result of the same group
        key=(),
        watermarks=node.properties.watermarks & frozenset(keys),
    )
    emit = planner.emit if window_end is not None else None
    local = GroupAggregate(
        planner.node_id(), node, keys, aggregates, properties, window_end, emit, partial=True, slices=slices
    )
    return local, tuple(final(a, ColumnRef(c.id, c.type)) for a, c in zip(aggregates, results, strict=True))


def final(aggregate: Aggregate, column: ColumnRef) -> Aggregate:
    """The aggregate over its partial results."""
    if aggregate.function.name == "count":
        return Aggregate(_SUM, (column,), PgType(INT8), position=aggregate.position)
    function = _SUM if aggregate.function.name == "sum" else aggregate.function
    return Aggregate(function, (column,), aggregate.type, position=aggregate.position)
