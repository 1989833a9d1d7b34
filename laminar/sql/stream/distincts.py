"""DISTINCT aggregates in two phases: groups of group and value first, whose values each count once.

For aggregates over different values of one expression, beside others that partial results add up to; what
else there is needs the group's rows (see ``reduction``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from laminar.engine.nodes import GroupAggregate, Node, Properties
from laminar.sql.plan import BOOLEAN, Aggregate, Call, Column, ColumnRef, Const, Expr, Function
from laminar.sql.stream import legality, reduction, twophase
from laminar.types import INT8, PgType

if TYPE_CHECKING:
    from laminar.sql.stream.planner import Planner

_COUNT = Function(2803, "count", "count()", False, "i")
_GREATER = Function(413, "int8gt", "int8gt", True, "i")
_LONG = PgType(INT8)


def argument(aggregates: tuple[Aggregate, ...]) -> Expr | None:
    """The expression whose different values are aggregated, None when two phases cannot do it."""
    found: set[Expr] = set()
    for aggregate in aggregates:
        if aggregate.distinct:
            if aggregate.function.name not in legality.MAINTAINED or len(aggregate.args) != 1:
                return None
            found.add(aggregate.args[0])
        elif reduction.needs_rows(aggregate) or not twophase.adds_up(aggregate):
            return None
    return found.pop() if len(found) == 1 else None


def first_phase(
    planner: Planner,
    node: Node,
    keys: tuple[int, ...],
    value: Column,
    aggregates: tuple[Aggregate, ...],
    window_end: int | None,
) -> tuple[Node, tuple[Aggregate, ...]]:
    """The groups of keys and value over ``node``, and the aggregates over them.

    Args:
        value: a column of ``node`` that is equal where values are.
    """
    # without keys the values are spread over the reactors, and come together after this
    node = planner.exchange(node, keys or (value.id,))
    by_id = {column.id: column for column in node.properties.columns}
    partial: list[tuple[Column, Aggregate]] = []

    def add(aggregate: Aggregate) -> ColumnRef:
        for column, known in partial:
            if known == aggregate:
                return ColumnRef(column.id, column.type)
        column = planner.column("partial", aggregate.type)
        partial.append((column, aggregate))
        return ColumnRef(column.id, column.type)

    def final(aggregate: Aggregate) -> Aggregate:
        if not aggregate.distinct:
            return twophase.final(aggregate, add(aggregate))
        (over,) = aggregate.args
        one: Expr = ColumnRef(value.id, value.type)
        if over.type.needs_sort_key:
            one = add(Aggregate(twophase.ANY_VALUE, (over,), over.type))
        condition = None
        if aggregate.filter is not None:
            passed = add(Aggregate(_COUNT, (), _LONG, filter=aggregate.filter))
            condition = Call(_GREATER, (passed, Const(0, _LONG)), BOOLEAN)
        return replace(aggregate, args=(one,), distinct=False, filter=condition)

    finals = tuple(final(a) for a in aggregates)
    every = keys if value.id in keys else (*keys, value.id)
    properties = Properties(
        columns=(*(by_id[k] for k in every), *(column for column, _ in partial)),
        key=every,
        partitioning=node.properties.partitioning,
        watermarks=node.properties.watermarks & frozenset(keys),
    )
    emit = planner.emit if window_end is not None else None
    calls = tuple(aggregate for _, aggregate in partial)
    local = GroupAggregate(
        planner.node_id(), node, every, calls, properties, window_end, emit, partial=True
    )  # fmt: skip
    return local, finals
