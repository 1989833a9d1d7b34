"""UNION, INTERSECT, EXCEPT: all rows together, then counted by the side that they come from.

A row that is l times on the left and r times on the right is in INTERSECT ALL min(l, r) times and
in EXCEPT ALL max(l - r, 0) times. The counts are an aggregation's, so state and checkpoints are too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from laminar.engine.nodes import Node, Properties, Repeat, UnionAll
from laminar.sql import plan as logical
from laminar.sql.plan import Aggregate, Case, Column, ColumnRef, Const, Expr
from laminar.sql.resolve import make_operator, resolve_function
from laminar.types import BOOL, INT8, PgType

if TYPE_CHECKING:
    from laminar.sql.stream.planner import Planner

_BIGINT = PgType(INT8)


def set_operation(planner: Planner, node: logical.SetOp, row_watermark: bool) -> Node:
    """The stream nodes of a set operation."""
    if node.op == "union" and node.all:
        sides = [(planner.build_below(p, row_watermark), p.columns) for p in _operands(node)]
        return union_all(planner, sides, node.columns)
    if node.op == "union":
        together = replace(node, all=True)
        return planner.build(logical.DistinctOn(together, _refs(node.columns)), row_watermark)
    counted, left, right = _counted(planner, node)
    if node.all:
        return _repeated(planner, node, counted, left, right)
    zero = Const(0, _BIGINT)
    kept = make_operator(">", left, zero)
    other = make_operator(">" if node.op == "intersect" else "=", right, zero)
    both = logical.Filter(counted, logical.BoolOp("and", (kept, other)))
    return planner.build(logical.Project(both, _refs(node.columns), node.columns), row_watermark)


def _operands(node: logical.Plan) -> list[logical.Plan]:
    """What a chain of UNION ALL puts together."""
    if isinstance(node, logical.SetOp) and node.op == "union" and node.all:
        return _operands(node.left) + _operands(node.right)
    return [node]


def union_all(
    planner: Planner, sides: Sequence[tuple[Node, Sequence[Column]]], columns: tuple[Column, ...]
) -> UnionAll:
    """A UnionAll whose ``columns`` are, in order, those given of each side."""
    judging = all(node.properties.row_watermark is not None for node, _ in sides)
    inputs = tuple(_side(planner, node, picked, judging) for node, picked in sides)
    known = [node.properties for node in inputs]
    if judging:
        columns = (*columns, planner.column("laminar_row_watermark", _BIGINT))
    aligned = [dict(zip(columns, p.columns, strict=True)) for p in known]
    for column in columns:
        roles = [planner.windows.get(side[column].id) for side in aligned]
        if roles[0] is not None and all(role == roles[0] for role in roles):
            planner.windows[column.id] = roles[0]
    properties = Properties(
        columns=columns,
        append_only=all(p.append_only for p in known),
        partitioning=_partitioning(known, columns),
        watermarks=frozenset(
            c.id
            for c in columns
            if all(side[c].id in p.watermarks for side, p in zip(aligned, known, strict=True))
        ),
        row_watermark=columns[-1].id if judging else None,
    )
    return UnionAll(planner.node_id(), inputs, properties)


def _side(planner: Planner, node: Node, picked: Sequence[Column], judging: bool) -> Node:
    """An input with just the columns wanted, and its row watermark behind them if all have one."""
    hidden = node.properties.row_watermark
    wanted = [c.id for c in picked] + ([hidden] if judging and hidden is not None else [])
    if [c.id for c in node.properties.columns] == wanted:
        return node
    outputs: list[tuple[Column, Expr]] = []
    for column in picked:
        taken = any(column.id == c.id for c, _ in outputs)
        target = planner.column(column.name, column.type) if taken else column
        outputs.append((target, ColumnRef(column.id, column.type)))
    return planner.project(node, outputs) if judging else planner.drop_row_watermark(node, outputs)


def _partitioning(inputs: list[Properties], columns: tuple[Column, ...]) -> tuple[int, ...] | None:
    """By which columns all inputs are spread, if by the same."""
    places = []
    for p in inputs:
        if p.partitioning is None:
            return None
        ids = [c.id for c in p.columns]
        places.append(tuple(ids.index(i) for i in p.partitioning))
    if any(place != places[0] for place in places):
        return None
    return tuple(columns[i].id for i in places[0])


def _counted(planner: Planner, node: logical.SetOp) -> tuple[logical.GroupBy, ColumnRef, ColumnRef]:
    """Each distinct row, how often it is on the left, and how often on the right."""
    tag = planner.column("left", PgType(BOOL))
    sides = []
    for plan, value in ((node.left, True), (node.right, False)):
        columns = tuple(planner.column(c.name, c.type) for c in plan.columns)
        mark = planner.column("left", tag.type)
        exprs: tuple[Expr, ...] = (*_refs(plan.columns), Const(value, tag.type))
        sides.append(logical.Project(plan, exprs, (*columns, mark)))
    columns = tuple(planner.column(c.name, c.type) for c in node.columns)
    together = logical.SetOp("union", True, sides[0], sides[1], (*columns, tag))
    count = resolve_function("count", None, []).function
    is_left = ColumnRef(tag.id, tag.type)
    aggregates = tuple(
        Aggregate(count, (), _BIGINT, filter=side) for side in (is_left, logical.BoolOp("not", (is_left,)))
    )
    results = (planner.column("left_rows", _BIGINT), planner.column("right_rows", _BIGINT))
    keys = _refs(columns)
    grouped = logical.GroupBy(
        together, keys, aggregates, (*node.columns, *results), (tuple(range(len(keys))),)
    )
    left, right = (ColumnRef(c.id, c.type) for c in results)
    return grouped, left, right


def _repeated(
    planner: Planner, node: logical.SetOp, counted: logical.GroupBy, left: ColumnRef, right: ColumnRef
) -> Repeat:
    times: Expr
    if node.op == "except":
        times = make_operator("-", left, right)
    else:
        times = Case(((make_operator("<", left, right), left),), right, _BIGINT)
    column = planner.column("times", _BIGINT)
    exprs: tuple[Expr, ...] = (*_refs(node.columns), times)
    below = planner.build_below(logical.Project(counted, exprs, (*node.columns, column)), False)
    inner = below.properties
    properties = replace(inner, columns=node.columns, key=(), append_only=False, row_watermark=None)
    return Repeat(planner.node_id(), below, column.id, properties)


def _refs(columns: tuple[Column, ...]) -> tuple[ColumnRef, ...]:
    return tuple(ColumnRef(c.id, c.type) for c in columns)
