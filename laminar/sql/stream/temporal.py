"""Temporal joins: FOR SYSTEM_TIME AS OF an event time, or PROCTIME()."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from laminar.engine.nodes import Node, Properties, TemporalJoin, Versions
from laminar.errors import not_supported
from laminar.sql import plan as logical
from laminar.sql.plan import Call, Column, ColumnRef, Const, Expr
from laminar.sql.stream import joining, legality
from laminar.sql.stream.emission import judged
from laminar.sql.stream.timewindow import JUST_PAST, interval_bytes
from laminar.types import INTERVAL, TIMESTAMP, TIMESTAMPTZ, PgType

if TYPE_CHECKING:
    from laminar.sql.stream.planner import Planner


def temporal_join(planner: Planner, node: logical.Join) -> Node:
    """A TemporalJoin with both inputs exchanged by its keys.

    Raises:
        PgError: 0A000 for conditions besides equalities, a right side that is not told apart by them, and
            times without a watermark.
    """
    legality.check_expression(node.condition)
    by_time = node.temporal != "proctime"
    left = planner.build_below(node.left, row_watermark=by_time or planner.judges)
    right = planner.build_below(node.right, row_watermark=by_time)
    pairs, null_safe, rest = joining.split(node, left.properties.columns, right.properties.columns)
    if rest or null_safe:
        raise not_supported(
            "a temporal join's condition can only be equalities between its sides",
            hint="Filter in WHERE, or the left side in a subquery.",
            position=legality.position(rest[0] if rest else node.condition),
        )
    left, left_keys = joining.with_keys(planner, left, [pair[0] for pair in pairs])
    right, right_keys = joining.with_keys(planner, right, [pair[1] for pair in pairs])
    if not right.properties.key or not set(right.properties.key) <= set(right_keys):
        raise not_supported(
            "a temporal join needs equalities with the whole primary key of its right side",
            hint="Join a table or source that declares a PRIMARY KEY by all of its columns.",
            position=legality.position(node.condition),
        )
    if by_time:
        return _by_time(planner, node, left, left_keys, right, right_keys)
    if not left.properties.append_only:
        raise not_supported(
            "the left side of a join AS OF PROCTIME() must only grow",
            hint="Results are not corrected later, so rows of the left side must not be taken back.",
            position=legality.position(node.condition),
        )
    left, right = planner.exchange_pair(left, left_keys, right, right_keys)
    inner = left.properties
    of_right = right.properties.columns
    properties = replace(inner, columns=inner.columns + of_right)
    return TemporalJoin(
        planner.node_id(), left, right, left_keys, right_keys, of_right, node.kind == "left", properties
    )


def _by_time(
    planner: Planner,
    node: logical.Join,
    left: Node,
    left_keys: tuple[int, ...],
    right: Node,
    right_keys: tuple[int, ...],
) -> TemporalJoin:
    """Left rows wait until their time is past, in a hidden column just behind it."""
    assert isinstance(node.temporal, Call)
    time, version = node.temporal.args
    position = legality.position(time)
    if not isinstance(time, ColumnRef) or time.id not in left.properties.watermarks:
        raise not_supported(
            "FOR SYSTEM_TIME AS OF needs a column of the left side with a watermark",
            hint="Declare WATERMARK FOR the column on its source, or join AS OF PROCTIME().",
            position=position,
        )
    assert isinstance(version, ColumnRef)
    if time.type.oid not in (TIMESTAMP, TIMESTAMPTZ) or version.type.oid != time.type.oid:
        raise not_supported(
            "a temporal join needs times that are both timestamp or both timestamp with time zone",
            position=position,
        )
    if judged(left) or judged(right):
        raise not_supported(
            "a temporal join by event time over windows whose lateness is judged is not supported",
            hint="Create a view of the inner windows.",
            position=position,
        )
    past: Expr = Call(JUST_PAST, (time, Const(interval_bytes((0, 0, 1)), PgType(INTERVAL))), time.type)
    end = planner.column("just_past", time.type)
    kept: list[tuple[Column, Expr]] = [(c, ColumnRef(c.id, c.type)) for c in left.properties.columns]
    left = planner.project(left, [*kept, (end, past)])
    left, right = planner.exchange_pair(left, left_keys, right, right_keys)
    inner, other = left.properties, right.properties
    held = replace(
        inner,
        columns=tuple(c for c in inner.columns if c.id != inner.row_watermark),
        append_only=True,
        row_watermark=None,
    )
    of_right = tuple(c for c in other.columns if c.id != other.row_watermark)
    properties = Properties(
        columns=(*(c for c in held.columns if c.id != end.id), *of_right),
        key=inner.key,
        append_only=True,
        partitioning=inner.partitioning,
        watermarks=frozenset({time.id}),
    )
    lateness = (planner.emit.lateness or 0) if planner.judges else 0
    versions = Versions(time.id, end.id, version.id, lateness)
    return TemporalJoin(
        planner.node_id(),
        left,
        right,
        left_keys,
        right_keys,
        of_right,
        node.kind == "left",
        properties,
        versions,
        held,
    )
