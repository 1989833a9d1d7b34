"""PROCTIME() in select lists and conditions: the time of a row's epoch, as a hidden column."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from laminar.engine.nodes import Closing, Node, ProcessingTime
from laminar.errors import not_supported
from laminar.sql import plan as logical
from laminar.sql.expressions import rewrite, walk
from laminar.sql.plan import Call, ColumnRef, Expr
from laminar.types import TIMESTAMPTZ, PgType

if TYPE_CHECKING:
    from laminar.sql.stream.planner import Planner

_DAY = 86_400_000_000


def is_proctime(expr: object) -> bool:
    """Whether ``expr`` is a call of PROCTIME()."""
    return isinstance(expr, Call) and expr.function.name == "proctime" and expr.function.symbol == "now"


def uses_proctime(*exprs: object) -> Call | None:
    """The first PROCTIME() in expressions."""
    calls = (part for expr in exprs for part in walk(expr) if isinstance(part, Call))
    return next((call for call in calls if is_proctime(call)), None)


def with_time(planner: Planner, node: Node, exprs: list[Expr]) -> tuple[Node, list[Expr]]:
    """The node with the column, and the expressions over that instead of PROCTIME().

    Raises:
        PgError: 0A000 for an input that takes rows back: they had another time when they came.
    """
    call = uses_proctime(*exprs)
    if call is None:
        return node, exprs
    inner = node.properties
    if not inner.append_only:
        raise not_supported(
            "PROCTIME() needs rows that are never updated or deleted",
            hint="Take it of a source or an APPEND ONLY table, before aggregating.",
            position=call.position or None,
        )
    time = planner.column("proctime", PgType(TIMESTAMPTZ))
    kept = tuple(c for c in inner.columns if c.id != inner.row_watermark)
    properties = replace(
        inner, columns=(*kept, time), watermarks=inner.watermarks | {time.id}, row_watermark=None
    )
    timed = ProcessingTime(planner.node_id(), node, properties, planner.closing)
    return timed, [
        rewrite(expr, lambda e: ColumnRef(time.id, time.type) if is_proctime(e) else e) for expr in exprs
    ]


def closing(planner: Planner, node: logical.TimeWindow) -> Closing | None:
    """When windows are over, where the view waits for that."""
    if not planner.judges:
        return None
    spans = [months * 28 * _DAY or days * _DAY + micros for months, days, micros in node.spans]
    lateness = planner.emit.lateness or 0
    if node.kind == "session":
        return Closing(None, spans[0], 0, lateness)
    if node.spans[0][0]:
        return Closing(_DAY, 31 * node.spans[0][0] * _DAY, 0, lateness)
    return Closing(spans[0], spans[-1], node.offset, lateness)
