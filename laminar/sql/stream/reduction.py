"""Aggregates that need all rows of a group: which they are, and what is kept for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from laminar.engine.nodes import Node
from laminar.engine.operators.accumulators import maintained
from laminar.errors import FEATURE_NOT_SUPPORTED, PgError, not_supported
from laminar.sql.adhoc import batches
from laminar.sql.adhoc.grouping import prepare
from laminar.sql.evaluator import Env
from laminar.sql.expressions import walk
from laminar.sql.facts.own import APPROXIMATE
from laminar.sql.plan import Aggregate, ColumnRef, SortItem
from laminar.sql.routines import Steps, compile_aggregate
from laminar.sql.stream import legality
from laminar.sql.stream.keying import Keying

if TYPE_CHECKING:
    from laminar.sql.stream.planner import Planner

#: maintained aggregates to which a value twice is the same as once
_IDEMPOTENT = frozenset({"min", "max", "bool_and", "bool_or", "every", "any_value"})


def simplified(aggregates: tuple[Aggregate, ...]) -> tuple[Aggregate, ...]:
    """Without ORDER BY and DISTINCT where they change nothing."""
    return tuple(map(_simplified, aggregates))


def _simplified(aggregate: Aggregate) -> Aggregate:
    name = aggregate.function.name
    if not maintained(aggregate) or aggregate.direct:
        return aggregate
    distinct = aggregate.distinct and name not in _IDEMPOTENT
    return replace(aggregate, distinct=distinct, order_by=())


def needs_rows(aggregate: Aggregate) -> bool:
    """Whether no fixed number of words per group is enough."""
    return aggregate.distinct or bool(aggregate.direct) or not maintained(aggregate)


def foldable(aggregate: Aggregate, append_only: bool) -> bool:
    """Whether a state per group is enough for the aggregate over such an input."""
    if aggregate.distinct or aggregate.order_by or aggregate.direct:
        return False
    function = aggregate.function
    if function.symbol == APPROXIMATE:
        return append_only
    if function.routine is None or function.routine.vectorized:
        return False
    steps = compile_aggregate(function.name, function.routine)
    return append_only or (isinstance(steps, Steps) and steps.retract is not None)


def check(aggregate: Aggregate) -> None:
    """Refuse what the engine could not compute, by computing it for a row of nulls.

    Users' aggregates are what they are: where one raises, its group has no result.
    """
    legality.check_expression(aggregate)
    if aggregate.function.routine is not None or not needs_rows(_simplified(aggregate)):
        return
    types = {ref.id: ref.type for ref in _refs(aggregate)}
    rows = batches.make([pa.nulls(1, t.storage) for t in types.values()] or [pa.nulls(1)], 1)
    try:
        (one,) = prepare([aggregate], rows, list(types) or [-1], Env())
        one.over(np.zeros(1, dtype=np.int64), 1, Env())
    except PgError as error:
        if error.sqlstate != FEATURE_NOT_SUPPORTED:
            message = f"aggregate {aggregate.function.name}() can fail and is not supported in views yet"
            error = not_supported(message, hint="jsonb_agg and array_agg are.")
        raise error.at(aggregate.position or None) from None


def _refs(aggregate: Aggregate) -> list[ColumnRef]:
    return [e for e in walk(aggregate) if isinstance(e, ColumnRef)]


def read(
    planner: Planner, node: Node, aggregates: tuple[Aggregate, ...]
) -> tuple[Node, tuple[Aggregate, ...]]:
    """The aggregates over columns and constants: an expression that fails takes out its row alone."""
    keying = Keying(planner, node)

    def bare(aggregate: Aggregate) -> Aggregate:
        return replace(
            aggregate,
            args=tuple(keying.read(a) for a in aggregate.args),
            filter=None if aggregate.filter is None else keying.read(aggregate.filter),
            order_by=tuple(
                SortItem(keying.read(i.expr), i.descending, i.nulls_first) for i in aggregate.order_by
            ),
            direct=tuple(keying.read(a) for a in aggregate.direct),
        )

    changed = tuple(bare(a) for a in aggregates)
    return keying.node(), changed
