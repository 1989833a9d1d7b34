"""Window functions: one operator per way of partitioning."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from laminar.engine.nodes import Node, OverWindow, Properties
from laminar.errors import PgError
from laminar.sql import plan as logical
from laminar.sql.adhoc import batches
from laminar.sql.adhoc.windows import window as compute
from laminar.sql.evaluator import Env
from laminar.sql.plan import Column, Expr, SortItem, WindowCall
from laminar.sql.stream import legality
from laminar.sql.stream.emission import check_sessions, emit_above, of_sessions
from laminar.sql.stream.keying import Keying
from laminar.sql.stream.ranking import kept_partitioning

if TYPE_CHECKING:
    from laminar.sql.stream.planner import Planner


def window(planner: Planner, node: logical.Window) -> Node:
    """The calls of a Window, those with the same partitions together."""
    _check(node)
    by_partition: dict[tuple[Expr, ...], list[tuple[WindowCall, Column]]] = {}
    for call, column in zip(node.calls, node.added, strict=True):
        by_partition.setdefault(call.partition_by, []).append((call, column))
    result = planner.build_below(node.input, row_watermark=planner.judges)
    for partition_by, calls in by_partition.items():
        result = _over(planner, result, partition_by, calls)
    return result


def _over(
    planner: Planner, below: Node, partition_by: tuple[Expr, ...], calls: list[tuple[WindowCall, Column]]
) -> OverWindow:
    keying = Keying(planner, below)
    keys = keying.partition(partition_by)
    end = keying.window_end(partition_by)
    if end is not None and end not in keys:
        keys = (*keys, end)
    read = tuple(_read(keying, call) for call, _ in calls)
    order = keying.order(calls[0][0].order_by)
    inner = below.properties
    node = keying.node()
    if end is not None:
        check_sessions(node, keys, planner.emit.position)
    node = planner.exchange(node, keys)
    columns = [c for c in inner.columns if c.id != inner.row_watermark]
    properties = Properties(
        columns=(*columns, *(column for _, column in calls)),
        key=inner.key,
        partitioning=kept_partitioning(node, {c.id for c in columns}),
        watermarks=inner.watermarks & frozenset(keys),
    )
    emit = emit_above(planner, node) if end is not None else None
    return OverWindow(
        planner.node_id(), node, keys, order, read, properties, end, emit, judged=of_sessions(node)
    )


def _read(keying: Keying, call: WindowCall) -> WindowCall:
    """The call over columns and constants: an expression that fails takes out its row, not its partition."""
    return replace(
        call,
        args=tuple(keying.read(a) for a in call.args),
        partition_by=(),
        order_by=tuple(SortItem(keying.read(i.expr), i.descending, i.nulls_first) for i in call.order_by),
        filter=None if call.filter is None else keying.read(call.filter),
    )


def _check(node: logical.Window) -> None:
    """Refuse what the operator could not compute, by computing it for a row of nulls."""
    rows = batches.make([pa.nulls(1, c.type.storage) for c in node.input.columns], 1)
    for call in node.calls:
        legality.check_expression(call)
        alone = replace(node, calls=(call,), added=node.added[:1])
        try:
            compute(alone, rows, Env())
        except PgError as error:
            raise error.at(call.position or None) from None
