"""TEMPORAL PROBE JOIN: every left row once per offset, with the right side at its time plus that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from laminar.errors import PgError
from laminar.sql import ast
from laminar.sql import plan as p
from laminar.sql.binder.scope import Item, Level
from laminar.sql.resolve import make_operator
from laminar.sql.trees import refs
from laminar.types import INT8, INTERVAL, TIMESTAMP, TIMESTAMPTZ, PgType

if TYPE_CHECKING:
    from laminar.sql.binder.relations import RelationBinder


def probe_join(binder: RelationBinder, node: ast.ProbeRef, level: Level) -> tuple[p.Plan, list[Item]]:
    """The join's plan, and its items: both sides' and the probes', ``(offset_ms, probe_ts)``.

    Raises:
        PgError: 42804 for times that are no timestamps.
    """
    from laminar.sql.stream.timewindow import interval_bytes

    base = list(level.items)
    left, left_items = binder.from_item(node.left, level)
    right, right_items = binder.from_item(node.right, level)
    level.items = base
    binder._check_names(left_items, right_items)
    keys, _ = binder._using(node.keys, left_items, right_items, node)
    time, right_time = (
        binder.expr(written, Level(level.parent, dict(level.ctes), items, clause="TIMESTAMPS"))
        for written, items in zip(node.timestamps, (left_items, right_items), strict=True)
    )
    if time.type.oid not in (TIMESTAMP, TIMESTAMPTZ):
        raise PgError("42804", "TEMPORAL PROBE JOIN needs timestamps", position=node.pos)
    offset = binder.column("offset_ms", PgType(INT8))
    span = binder.column("span", PgType(INTERVAL))
    at = binder.column("probe_ts", time.type)
    values = tuple(
        (p.Const(micros // 1000, offset.type), p.Const(interval_bytes((0, 0, micros)), span.type))
        for micros in sorted(set(node.offsets))
    )
    probes = p.Join("cross", left, p.Values(values, (offset, span)), None)
    moment = make_operator("+", time, p.ColumnRef(span.id, span.type), node.pos)
    shown = (*left.columns, offset)
    below = p.Project(probes, (*refs(shown), moment), (*shown, at))
    nearest = make_operator(">=", p.ColumnRef(at.id, at.type), right_time, node.pos)
    plan = p.Join("left", below, right, keys, None, nearest)
    for item in right_items:
        item.nullable = True
    probe = Item(node.alias, [("offset_ms", offset), ("probe_ts", at)])
    binder._check_names([*left_items, *right_items], [probe])
    return plan, [*left_items, *right_items, probe]
