"""Constant relations and set-returning functions, in FROM and in the select list."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from laminar.engine.nodes import Constant, FlatMap, Node, Properties
from laminar.sql import plan as logical
from laminar.sql.expressions import columns_of
from laminar.sql.plan import Call, Column
from laminar.sql.setreturning import Lifted
from laminar.sql.stream import legality
from laminar.types import TIMESTAMP, TIMESTAMPTZ

if TYPE_CHECKING:
    from laminar.sql.stream.planner import Planner


def values(planner: Planner, node: logical.Values) -> Constant:
    """VALUES; one row without columns stands for a missing FROM."""
    for row in node.rows:
        for expr in row:
            legality.check_expression(expr)
    properties = Properties(
        columns=node.columns,
        append_only=True,
        partitioning=(),
        watermarks=frozenset(c.id for c in node.columns if c.type.oid in (TIMESTAMP, TIMESTAMPTZ)),
    )
    return Constant(planner.node_id(), node.rows, properties)


def project_set(planner: Planner, node: logical.ProjectSet, row_watermark: bool) -> Node:
    """A select list with set-returning functions: the functions first, then the rest over their values."""
    for expr in node.exprs:
        legality.check_expression(expr)
    added: list[Column] = []
    types = {}

    def column(n: int) -> int:
        added.append(planner.column("set", node.columns[0].type))
        return added[n].id

    lifted = Lifted(node.exprs, column)
    types = {i: call.type for i, call in zip(lifted.ids, lifted.calls, strict=True)}
    results = tuple(replace(c, type=types[c.id]) for c in added)
    below = planner.build(node.input, row_watermark)
    inner = below.properties
    needed = columns_of(*lifted.exprs) | {inner.row_watermark}
    kept = tuple(c for c in inner.columns if c.id in needed)
    flat = _flat_map(planner, below, kept, tuple(lifted.calls), (1,) * len(lifted.calls), results)
    return planner.project(flat, list(zip(node.columns, lifted.exprs, strict=True)))


def table_function(planner: Planner, node: logical.TableFunction) -> FlatMap:
    """A function in FROM that depends on nothing else: its results for one row."""
    results = node.columns[: len(node.columns) - node.ordinality]
    call = Call(node.function, node.args, results[0].type, node.position)
    legality.check_expression(call)
    one = values(planner, logical.Values(((),), ()))
    return _flat_map(planner, one, (), (call,), (len(results),), node.columns, node.ordinality)


def _flat_map(
    planner: Planner,
    below: Node,
    kept: tuple[Column, ...],
    calls: tuple[Call, ...],
    widths: tuple[int, ...],
    results: tuple[Column, ...],
    ordinality: bool = False,
) -> FlatMap:
    inner = below.properties
    ids = {c.id for c in kept}
    spread = inner.partitioning
    properties = Properties(
        columns=(*kept, *results),
        append_only=inner.append_only,
        partitioning=spread if spread is not None and set(spread) <= ids else None,
        watermarks=inner.watermarks & ids,
        row_watermark=inner.row_watermark,
    )
    return FlatMap(planner.node_id(), below, calls, widths, properties, ordinality)
