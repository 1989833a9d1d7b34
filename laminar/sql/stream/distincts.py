"""DISTINCT aggregates without a group's rows: groups of group and value first, whose values each count once.

Beside aggregates that partial results add up to, different values of one expression take two phases. With
values of several expressions, or other aggregates, each expression's groups are put beside the rows
(UNION ALL), and every aggregate of the second phase looks at its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from laminar.engine.nodes import GroupAggregate, Node, Properties
from laminar.engine.operators.accumulators import maintained
from laminar.sql.expressions import columns_of, substitute
from laminar.sql.plan import BOOLEAN, Aggregate, BoolOp, Column, ColumnRef, Const, Expr, Function
from laminar.sql.resolve import make_operator
from laminar.sql.stream import reduction, twophase
from laminar.sql.stream.emission import of_sessions
from laminar.sql.stream.setops import union_all
from laminar.types import INT8, PgType

if TYPE_CHECKING:
    from laminar.sql.stream.planner import Planner

_COUNT = Function(2803, "count", "count()", False, "i")
_LONG = PgType(INT8)


def arguments(aggregates: tuple[Aggregate, ...]) -> list[Expr]:
    """The expressions whose different values are aggregated; [] when that needs the groups' rows."""
    found: list[Expr] = []
    for aggregate in aggregates:
        if not aggregate.distinct:
            if reduction.needs_rows(aggregate):
                return []
        elif not maintained(aggregate) or len(aggregate.args) != 1:
            return []
        elif aggregate.args[0] not in found:
            found.append(aggregate.args[0])
    return found


def in_two_phases(aggregates: tuple[Aggregate, ...]) -> bool:
    """Whether those that are not DISTINCT are what their partial results add up to."""
    one = len(arguments(aggregates)) == 1
    return one and all(a.distinct or twophase.adds_up(a) for a in aggregates)


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
    phase = _Values(planner, keys, value)

    def final(aggregate: Aggregate) -> Aggregate:
        if aggregate.distinct:
            return phase.final(aggregate)
        return twophase.final(aggregate, phase.add(aggregate))

    finals = tuple(final(a) for a in aggregates)
    return phase.node(node, window_end), finals


def beside(
    planner: Planner,
    node: Node,
    keys: tuple[int, ...],
    values: dict[Expr, Column],
    aggregates: tuple[Aggregate, ...],
) -> tuple[Node, tuple[Aggregate, ...]]:
    """The rows of ``node`` and, per argument, its groups; and the aggregates over both.

    Args:
        values: per argument the column of ``node`` that is equal where its values are.
        aggregates: over columns and constants.
    """
    node = planner.exchange(node, keys)
    phases = {expr: _Values(planner, keys, column) for expr, column in values.items()}
    plain = columns_of(*(a for a in aggregates if not a.distinct))
    mark = planner.column("row", BOOLEAN)
    is_row = ColumnRef(mark.id, BOOLEAN)

    def final(aggregate: Aggregate) -> Aggregate:
        if aggregate.distinct:
            return phases[aggregate.args[0]].final(aggregate)
        condition = aggregate.filter
        return replace(aggregate, filter=BoolOp("and", (is_row, condition)) if condition else is_row)

    finals = tuple(final(a) for a in aggregates)
    grouped = [phase.node(node, None) for phase in phases.values()]
    inner = node.properties.columns
    kept = [c for c in inner if c.id in keys] + [c for c in inner if c.id in plain and c.id not in keys]
    own = [(side, c) for side in grouped for c in side.properties.columns if c.id not in keys]
    # renamed, as a value may be a row's column too
    columns = [*kept, mark, *(planner.column(c.name, c.type) for _, c in own)]
    renamed = {c.id: ColumnRef(o.id, o.type) for (_, c), o in zip(own, columns[len(kept) + 1 :], strict=True)}
    sides: list[tuple[Node, list[Column]]] = []
    for side in (node, *grouped):
        read = [c.id in keys or side is node for c in kept] + [False] + [one is side for one, _ in own]
        sources = [*kept, mark, *(c for _, c in own)]
        exprs: list[Expr] = [
            ColumnRef(c.id, c.type) if there else Const(None, c.type)
            for c, there in zip(sources, read, strict=True)
        ]
        exprs[len(kept)] = Const(side is node, BOOLEAN)
        outputs = [planner.column(c.name, c.type) for c in columns]
        sides.append((planner.project(side, list(zip(outputs, exprs, strict=True))), outputs))
    together = union_all(planner, sides, tuple(columns))
    return together, tuple(
        a if not was.distinct else _renamed(a, renamed) for a, was in zip(finals, aggregates, strict=True)
    )


def _renamed(aggregate: Aggregate, columns: dict[int, ColumnRef]) -> Aggregate:
    mapping: dict[int, Expr] = {**columns}
    condition = None if aggregate.filter is None else substitute(aggregate.filter, mapping)
    return replace(aggregate, args=tuple(substitute(a, mapping) for a in aggregate.args), filter=condition)


class _Values:
    """Groups of keys and one value, and what is computed of each for the second phase."""

    def __init__(self, planner: Planner, keys: tuple[int, ...], value: Column) -> None:
        self._planner = planner
        self._keys = keys
        self._value = value
        self._partial: list[tuple[Column, Aggregate]] = []

    def add(self, aggregate: Aggregate) -> ColumnRef:
        """The column with the aggregate's partial result."""
        for column, known in self._partial:
            if known == aggregate:
                return ColumnRef(column.id, column.type)
        column = self._planner.column("partial", aggregate.type)
        self._partial.append((column, aggregate))
        return ColumnRef(column.id, column.type)

    def final(self, aggregate: Aggregate) -> Aggregate:
        """A DISTINCT aggregate over the groups."""
        (over,) = aggregate.args
        one: Expr = ColumnRef(self._value.id, self._value.type)
        if over.type.needs_sort_key:
            one = self.add(Aggregate(twophase.ANY_VALUE, (over,), over.type))
        condition: Expr | None = None
        if aggregate.filter is not None:
            passed = self.add(Aggregate(_COUNT, (), _LONG, filter=aggregate.filter))
            condition = make_operator(">", passed, Const(0, _LONG))
        return replace(aggregate, args=(one,), distinct=False, filter=condition)

    def node(self, below: Node, window_end: int | None) -> GroupAggregate:
        """The grouping, once all aggregates are known."""
        inner, keys = below.properties, self._keys
        by_id = {column.id: column for column in inner.columns}
        every = (*keys, self._value.id)
        properties = Properties(
            columns=(*(by_id[k] for k in every), *(column for column, _ in self._partial)),
            key=every,
            partitioning=inner.partitioning,
            watermarks=inner.watermarks & frozenset(keys),
        )
        emit = self._planner.emit if window_end is not None else None
        calls = tuple(aggregate for _, aggregate in self._partial)
        number = self._planner.node_id()
        judged = of_sessions(below)
        return GroupAggregate(
            number, below, every, calls, properties, window_end, emit, partial=True, judged=judged
        )
