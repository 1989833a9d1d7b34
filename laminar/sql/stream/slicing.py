"""Hopping and cumulating windows grouped by slices: each row is aggregated once, not once per window."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from laminar.engine.nodes import Hop, Linear, Node, Slices
from laminar.sql.expressions import columns_of
from laminar.sql.plan import Aggregate, Call, ColumnRef, Expr
from laminar.sql.stream.timewindow import WINDOW_END
from laminar.types import TIMESTAMP, TIMESTAMPTZ

if TYPE_CHECKING:
    from laminar.sql.stream.planner import Planner


def by_slices(
    planner: Planner, node: Node, keys: tuple[int, ...], aggregates: tuple[Aggregate, ...]
) -> tuple[Node, Slices] | None:
    """The input of an aggregation by ``keys`` in slices, and how to make windows of them.

    None where a window's bounds are more than keys, where late rows are kept with the bounds of the windows
    that they missed, and for bounds that are not timestamps.
    """
    hop = node.input if isinstance(node, Linear) else node
    if not isinstance(hop, Hop) or planner.carried is not None:
        return None
    start, end = hop.properties.columns[-2:]
    if start.type.oid not in (TIMESTAMP, TIMESTAMPTZ):
        return None
    sliced = replace(hop, sliced=True)
    if not isinstance(node, Linear):
        outputs: list[tuple[int, Expr]] = [(c.id, ColumnRef(c.id, c.type)) for c in hop.properties.columns]
        below: Node = sliced
    else:
        exprs = tuple(_end_of(hop, expr) for expr in node.exprs)
        outputs = [(c.id, expr) for c, expr in zip(node.properties.columns, exprs, strict=True)]
        below = replace(node, input=sliced, exprs=exprs)
        if {start.id, end.id} & columns_of(node.filter):
            return None
    reading = {column: expr for column, expr in outputs if {start.id, end.id} & columns_of(expr)}
    named = {expr.id: column for column, expr in reading.items() if isinstance(expr, ColumnRef)}
    grouped = [column for column in reading if column in keys]
    read_elsewhere = columns_of(*aggregates) & set(reading)
    if not grouped or len(named) != len(reading) or read_elsewhere:
        return None
    if isinstance(node, Linear) and len(grouped) != len(reading):
        return None
    first, last = (named[b.id] if named.get(b.id) in keys else None for b in (start, end))
    return below, Slices(first, last, hop.kind, hop.step, hop.size, hop.offset)


def _end_of(hop: Hop, expr: Expr) -> Expr:
    """A window's end computed from its start, as the end itself."""
    start, end = hop.properties.columns[-2:]
    if hop.kind == "hop" and isinstance(expr, Call) and expr.function == WINDOW_END:
        first = expr.args[0]
        if isinstance(first, ColumnRef) and first.id == start.id:
            return ColumnRef(end.id, end.type)
    return expr
