"""TUMBLE, HOP, CUMULATE and SESSION: window bounds as expressions, and what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from laminar.engine.nodes import Hop, Node, SessionWindow
from laminar.sql import plan as logical
from laminar.sql.plan import Call, Column, ColumnRef, Const, Expr, Function, Test
from laminar.sql.stream import proctime
from laminar.sql.stream.emission import hold, judged
from laminar.sql.stream.joining import with_keys
from laminar.sql.stream.shape import WindowRole
from laminar.sql.stream.watermarks import interval_microseconds
from laminar.types import INT8, INTERVAL, PgType

if TYPE_CHECKING:
    from laminar.sql.stream.planner import Planner

#: start of the tumbling window a time lies in: (time, size interval, offset microseconds)
TUMBLE_START = Function(10010, "tumble_start", "laminar_tumble_start", True, "i")
#: end of a tumbling window: (start, size interval)
WINDOW_END = Function(10011, "window_end", "laminar_window_end", True, "i")

#: the moment after a time (time, one microsecond): where the group of that very time ends
JUST_PAST = Function(10013, "just_past", WINDOW_END.symbol, True, "i")


def interval_bytes(span: tuple[int, int, int]) -> bytes:
    """An interval's storage from (months, days, microseconds)."""
    months, days, micros = span
    return (
        months.to_bytes(4, "little", signed=True)
        + days.to_bytes(4, "little", signed=True)
        + micros.to_bytes(8, "little", signed=True)
    )


def span_microseconds(span: tuple[int, int, int]) -> int | None:
    """A span as microseconds; None when the calendar decides."""
    return None if span[0] else span[1] * 86_400_000_000 + span[2]


def tumble_bounds(node: logical.TimeWindow) -> tuple[Call, Call]:
    """Expressions for window_start and window_end of a TUMBLE."""
    size = Const(interval_bytes(node.spans[0]), PgType(INTERVAL))
    offset = Const(node.offset, PgType(INT8))
    start = Call(TUMBLE_START, (node.time, size, offset), node.added[0].type, node.position)
    return start, Call(WINDOW_END, (start, size), node.added[1].type, node.position)


def window_bound(expr: Expr) -> tuple[int, int] | None:
    """(time column, shift of its watermark) when ``expr`` is a bound of a window of fixed size."""
    role = _bound(expr)
    if role is None or role[1].size is None:
        return None
    time, known = role
    return time, 0 if known.bound == "end" else -(known.size or 0)


def roles(outputs: list[tuple[Column, Expr]]) -> dict[int, WindowRole]:
    """Which outputs of a projection are window bounds."""
    found = {column.id: _bound(expr) for column, expr in outputs}
    return {column: bound[1] for column, bound in found.items() if bound is not None}


def _bound(expr: Expr) -> tuple[int, WindowRole] | None:
    if not isinstance(expr, Call):
        return None
    first = expr.args[0] if expr.args else None
    if expr.function.symbol == TUMBLE_START.symbol and isinstance(first, ColumnRef):
        span = expr.args[1]
        size = interval_microseconds(span.value) if isinstance(span, Const) else None
        return first.id, WindowRole("start", size)
    if expr.function == WINDOW_END and first is not None:
        start = _bound(first)
        return None if start is None else (start[0], replace(start[1], bound="end"))
    return None


def closing_key(
    planner: Planner, keys: Sequence[ColumnRef], carried: frozenset[int]
) -> ColumnRef | Call | None:
    """What says when no more rows come for equal ``keys``: a window's end, or what stands for it.

    Args:
        carried: columns with a watermark.
    """
    bounds = [
        (key, planner.windows[key.id]) for key in keys if key.id in carried and key.id in planner.windows
    ]
    for key, role in bounds:
        if role.bound == "end":
            return key
    for key, role in bounds:
        if role.size is not None:
            size = Const(interval_bytes((0, 0, role.size)), PgType(INTERVAL))
            return Call(WINDOW_END, (key, size), key.type)
    for key in keys:
        if key.id in carried:
            just_past = Const(interval_bytes((0, 0, 1)), PgType(INTERVAL))
            return Call(JUST_PAST, (key, just_past), key.type)
    return None


def time_window(planner: Planner, node: logical.TimeWindow, row_watermark: bool) -> Node:
    """The stream node of a windowing table function."""
    before, planner.closing = planner.closing, proctime.closing(planner, node)
    below = planner.build(node.input, row_watermark)
    planner.closing = before
    windowed = _windowed(planner, node, below)
    end = node.added[1].id
    gated = planner.emit.mode in ("close", "watermark", "every")
    if planner.outermost and gated and end in windowed.properties.watermarks:
        # Here, because a projection above need not keep the window's end.
        return hold(planner, windowed, end)
    return windowed


def _windowed(planner: Planner, node: logical.TimeWindow, below: Node) -> Node:
    columns = below.properties.columns
    if planner.carried is not None and node.kind != "session":
        for bound in node.added:
            planner.carried.add(bound)
    if node.kind == "tumble":
        start, end = tumble_bounds(node)
        outputs: list[tuple[Column, Expr]] = [(c, ColumnRef(c.id, c.type)) for c in columns]
        outputs += [(node.added[0], start), (node.added[1], end)]
        return planner.project(below, outputs, Test(node.time, "null", negated=True))
    if node.kind == "session":
        return _session(planner, node, below)
    return _hop(planner, node, below, node.kind)


def _session(planner: Planner, node: logical.TimeWindow, below: Node) -> SessionWindow:
    gap = span_microseconds(node.spans[0])
    assert gap is not None  # the binder refuses months
    below, keys = with_keys(planner, below, list(node.partition_by))
    below = planner.exchange_exactly(below, keys)  # by which emission.check_sessions knows the keys
    start, end = node.added
    planner.windows[start.id] = WindowRole("start", None)
    planner.windows[end.id] = WindowRole("end", None)
    inner = below.properties
    kept = tuple(column for column in inner.columns if column.id != inner.row_watermark)
    properties = replace(
        inner,
        columns=(*kept, start, end),
        append_only=False,
        watermarks=frozenset({end.id} if node.time.id in inner.watermarks else ()),
        row_watermark=None,
    )
    lateness = None
    if planner.judges and node.time.id in inner.watermarks:
        lateness = 0 if judged(below) else planner.emit.lateness or 0
    keeps_late = planner.carried is not None
    number = planner.node_id()
    return SessionWindow(number, below, node.time, keys, gap, lateness, properties, keeps_late=keeps_late)


def _hop(planner: Planner, node: logical.TimeWindow, below: Node, kind: Literal["hop", "cumulate"]) -> Hop:
    slide, size = (span_microseconds(span) for span in node.spans)
    assert slide is not None and size is not None  # the binder refuses months
    start, end = node.added
    # a start does not say where a cumulating window ends
    planner.windows[start.id] = WindowRole("start", size if kind == "hop" else None)
    planner.windows[end.id] = WindowRole("end", size if kind == "hop" else None)
    inner = below.properties
    watermarks = inner.watermarks
    if node.time.id in watermarks:
        watermarks |= {start.id, end.id}
    columns = list(inner.columns)
    properties = replace(
        inner,
        columns=(*columns, start, end),
        key=(*inner.key, start.id, end.id) if inner.key else (),
        watermarks=watermarks,
    )
    return Hop(planner.node_id(), below, node.time, kind, slide, size, node.offset, properties)
