"""Connector sources with a primary key: the last row of every key, which deletions remove.

The later of two rows is the one of the greater partition, then of the greater position, so the answer does
not depend on the order in which partitions happen to be read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from laminar.engine.nodes import Input, Node, TopN
from laminar.sql import plan as logical
from laminar.sql.expressions import conjunction
from laminar.sql.plan import ColumnRef, Expr, SortItem, Test
from laminar.sql.stream.keying import Keying
from laminar.sql.stream.ranking import kept_partitioning
from laminar.sql.stream.shape import Shape

if TYPE_CHECKING:
    from laminar.sql.stream.planner import Planner


def last_rows(planner: Planner, node: logical.Scan, shape: Shape) -> Node:
    """A scan's rows, the last one of every key."""
    upserts = shape.upserts
    assert upserts is not None
    source = planner.input(node, shape, (*shape.key, *upserts.deletions, *upserts.order))
    column = dict(zip(source.attnums, source.properties.columns, strict=True))
    rows = replace(source, properties=replace(source.properties, key=(), append_only=True))
    last = _last(planner, rows, [ref(column[a]) for a in shape.key], [ref(column[a]) for a in upserts.order])
    wanted = [c for a, c in column.items() if a in node.attnums or planner.carries(c)]
    there: list[Expr] = [Test(ref(column[a]), "true", negated=True) for a in upserts.deletions]
    return planner.project(last, [(c, ref(c)) for c in wanted], conjunction(there))


def ref(column: logical.Column) -> ColumnRef:
    return ColumnRef(column.id, column.type)


def _last(planner: Planner, rows: Input, key: list[ColumnRef], order: list[ColumnRef]) -> TopN:
    keying = Keying(planner, rows)
    keys = keying.partition(key)
    latest = keying.order([SortItem(column, descending=True, nulls_first=True) for column in order])
    below = planner.exchange(keying.node(), keys)
    columns = rows.properties.columns
    properties = replace(
        rows.properties,
        key=tuple(column.id for column in key),
        append_only=False,
        partitioning=kept_partitioning(below, {column.id for column in columns}),
    )
    return TopN(planner.node_id(), below, keys, latest, "row_number", 1, 0, None, properties)
