"""EMIT: where a view's rows are held back until their window is complete."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from laminar.engine.nodes import EmitGate, GroupAggregate, HashJoin, Linear, Node
from laminar.errors import not_supported

if TYPE_CHECKING:
    from laminar.sql.stream.planner import Planner


def gate(planner: Planner, node: Node) -> Node:
    """Apply the view's EMIT to its output ``node``.

    Filters and projections above the last windowed operator stay above the gate, so the end of
    a row's window need not be among the view's columns.
    """
    emit = planner.emit
    if emit.mode == "update":
        _check_lateness(planner, node)
        return node
    if isinstance(node, EmitGate):
        return node
    if isinstance(node, Linear):
        inner = gate(planner, node.input)
        return replace(node, input=inner, properties=replace(node.properties, append_only=True))
    if isinstance(node, GroupAggregate):
        if node.window_end is None:
            raise _nothing_closes(planner, node)
        return replace(node, closes=True, properties=replace(node.properties, append_only=True))
    end = _window_end(planner, node)
    if end is None:
        raise _nothing_closes(planner, node)
    return hold(planner, node, end)


def hold(planner: Planner, node: Node, end: int) -> EmitGate:
    """Hold rows back until the window that column ``end`` bounds is complete."""
    inner = node.properties
    kept = tuple(column for column in inner.columns if column.id != inner.row_watermark)
    properties = replace(inner, columns=kept, append_only=True, row_watermark=None)
    return EmitGate(planner.node_id(), node, end, planner.emit, properties)


def _window_end(planner: Planner, node: Node) -> int | None:
    for column in node.properties.watermarks:
        role = planner.windows.get(column)
        if role is not None and role.bound == "end":
            return column
    return None


def _check_lateness(planner: Planner, node: Node) -> None:
    """ALLOW LATENESS means nothing where nothing is windowed."""
    if planner.emit.lateness is None or _windowed(node):
        return
    raise _nothing_closes(planner, node, "ALLOW LATENESS")


def _windowed(node: object) -> bool:
    if isinstance(node, GroupAggregate) and node.window_end is not None:
        return True
    inputs = (node.left, node.right) if isinstance(node, HashJoin) else (getattr(node, "input", None),)
    return any(_windowed(below) for below in inputs if below is not None)


def _nothing_closes(planner: Planner, node: Node, clause: str = "EMIT ON WINDOW CLOSE") -> Exception:
    if isinstance(node, GroupAggregate):
        hint = (
            "Group by window_start and window_end of TUMBLE(...) or HOP(...) over a column that the source "
            "declares WATERMARK FOR."
        )
    elif isinstance(node, HashJoin):
        hint = "An equi-join passes a watermark only on its key columns: join on window_end of both sides."
    else:
        hint = (
            "Select from TUMBLE(...) or HOP(...) over a source with WATERMARK FOR on the time column, "
            "or use EMIT ON UPDATE."
        )
    return not_supported(
        f"{clause} needs a window on a column with a watermark",
        hint=hint,
        position=planner.emit.position or None,
    )
