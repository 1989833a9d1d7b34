"""EMIT: where a view's rows are held back, and until when."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from laminar.engine.nodes import (
    EmitEvery,
    EmitGate,
    Exchange,
    GroupAggregate,
    GroupReduce,
    Linear,
    Node,
    OverWindow,
    SessionWindow,
    TemporalJoin,
    TopN,
)
from laminar.engine.relations import children
from laminar.errors import not_supported
from laminar.sql.plan import Emit

if TYPE_CHECKING:
    from laminar.sql.stream.planner import Planner


#: operators that keep state per window
Keyed = GroupAggregate | TopN | OverWindow | GroupReduce


def clause_name(emit: Emit) -> str:
    """The clause as a message names it."""
    names = {"watermark": "AFTER WATERMARK", "close": "ON WINDOW CLOSE", "final": "FINAL"}
    return f"EMIT {names[emit.mode]}" if emit.mode in names else "ALLOW LATENESS"


def settled(emit: Emit) -> Emit:
    """One form for clauses that mean the same: what nothing corrects appears when its window closes."""
    if emit.mode == "final" or (emit.mode == "watermark" and not emit.lateness):
        return replace(emit, mode="close", lateness=None)
    return emit


def emit_above(planner: Planner, node: Node) -> Emit:
    """The EMIT clause for a windowed operator over ``node``.

    Where one below judges lateness, the watermark it passes on is already less the lateness.
    """
    if planner.emit.lateness is not None and judged(node):
        return replace(planner.emit, lateness=0)
    return planner.emit


def gate(planner: Planner, node: Node) -> Node:
    """Apply the view's EMIT to its output ``node``.

    Filters and projections above the last windowed operator stay above the gate, so the end of
    a row's window need not be among the view's columns.
    """
    emit = planner.emit
    if emit.mode in ("update", "every") and emit.lateness is not None and not judged(node):
        raise _nothing_closes(planner, node)
    if emit.mode == "update" or isinstance(node, EmitGate | EmitEvery):
        return node
    end = _window_end(planner, node)
    if end is None:
        if emit.mode == "every":
            return hold(planner, node, None)
        raise _nothing_closes(planner, _base(node))
    if isinstance(node, Linear):
        inner = gate(planner, node.input)
        passed = tuple(w for w in node.watermarks if w[1] in inner.properties.watermarks)
        properties = replace(
            node.properties,
            append_only=inner.properties.append_only,
            watermarks=frozenset(out for out, _, _ in passed),
        )
        return replace(node, input=inner, properties=properties, watermarks=passed)
    if isinstance(node, Keyed) and node.window_end is not None and emit.mode != "every":
        return _fused(planner, node)
    return hold(planner, node, end)


def _fused(planner: Planner, node: Keyed) -> Keyed:
    """The operator itself holds its groups back."""
    once = planner.emit.mode == "close"
    if not once and any(judged(below) for below in children(node)):
        raise _corrected_twice(planner)
    below = sessions_once(node.input) if once else node.input
    return replace(node, input=below, closes=True, properties=replace(node.properties, append_only=once))


def sessions_once(node: Node) -> Node:
    """Let sessions that only what holds windows back reads give their rows when they are over."""
    if isinstance(node, SessionWindow):
        return replace(node, closes=True, properties=replace(node.properties, append_only=True))
    if not isinstance(node, Linear | Exchange) or not isinstance(_base(node), SessionWindow | Exchange):
        return node
    below = sessions_once(node.input)
    properties = replace(node.properties, append_only=below.properties.append_only)
    return replace(node, input=below, properties=properties)


def hold(planner: Planner, node: Node, end: int | None) -> EmitGate | EmitEvery:
    """Hold rows back as EMIT says; column ``end`` bounds their window."""
    inner, emit = node.properties, planner.emit
    kept = tuple(column for column in inner.columns if column.id != inner.row_watermark)
    properties = replace(inner, columns=kept, row_watermark=None)
    if emit.mode == "every":
        marks = inner.watermarks & ({end} if end is not None else set())
        properties = replace(properties, watermarks=marks)
        return EmitEvery(planner.node_id(), node, emit.every, end, properties)
    assert end is not None
    if judged(node):
        if emit.mode == "watermark":
            raise _corrected_twice(planner)
        emit = replace(emit, lateness=None)
    if emit.mode == "close":
        node = sessions_once(node)
    properties = replace(properties, append_only=inner.append_only or emit.mode == "close")
    return EmitGate(planner.node_id(), node, end, emit, properties, of_sessions(node))


def _base(node: Node) -> Node:
    """What lies below the filters and projections."""
    while isinstance(node, Linear):
        node = node.input
    return node


def _window_end(planner: Planner, node: Node) -> int | None:
    """The column with the end of the rows' windows, as of the last windowed operator."""
    node = _base(node)
    if isinstance(node, EmitGate | EmitEvery):
        return node.end
    if isinstance(node, Keyed) and (node.window_end is not None or planner.judges):
        return node.window_end
    for column in node.properties.watermarks:
        role = planner.windows.get(column)
        if role is not None and role.bound == "end":
            return column
    return None


def judged(node: Node) -> bool:
    """Whether rows have passed an operator that refuses late ones: its output is the lateness behind."""
    if isinstance(node, Keyed) and node.window_end is not None and not getattr(node, "partial", False):
        return True
    if isinstance(node, TemporalJoin) and node.versions is not None:
        return True
    return any(judged(below) for below in children(node))


def of_sessions(node: Node) -> bool:
    """Whether all rows come from sessions that judge lateness, so that nobody above has to.

    A deletion can leave sessions that are past already: judged again, their rows would be lost.
    """
    if isinstance(node, SessionWindow):
        return node.lateness is not None
    below = children(node)
    return bool(below) and all(map(of_sessions, below))


def check_sessions(node: Node, keys: tuple[int, ...], position: int | None) -> None:
    """Refuse to partition by windows alone what comes from sessions of changing rows.

    What a deletion leaves of one key's session may be past when the sessions of other keys that ended
    at that time have been emitted and forgotten.

    Raises:
        PgError: 0A000.
    """
    if not _shrinks(node):
        return
    have = node.properties.partitioning
    if have is None or not set(have) <= set(keys):
        raise not_supported(
            "sessions of several keys cannot share a group when their rows can be deleted and late",
            hint="Group by the session's PARTITION BY columns too, or use a plain EMIT ON UPDATE.",
            position=position,
        )


def _shrinks(node: Node) -> bool:
    """Whether rows come from sessions that deletions can cut off in the past."""
    if isinstance(node, SessionWindow):
        return node.lateness is not None and not node.input.properties.append_only
    return any(map(_shrinks, children(node)))


def _corrected_twice(planner: Planner) -> Exception:
    """The inner windows' results are corrected for the lateness, so the outer ones end when that is over."""
    return not_supported(
        "EMIT AFTER WATERMARK with ALLOW LATENESS over windows of windows is not supported",
        hint="Use EMIT ON WINDOW CLOSE, or create a view of the inner windows.",
        position=planner.emit.position or None,
    )


def _nothing_closes(planner: Planner, node: Node) -> Exception:
    if isinstance(node, GroupAggregate | GroupReduce):
        hint = (
            "Group by window_start and window_end of TUMBLE(...) or HOP(...) over a column that the source "
            "declares WATERMARK FOR."
        )
    elif isinstance(node, TopN | OverWindow):
        hint = "Partition by window_end of a window over a column that the source declares WATERMARK FOR."
    elif len(children(node)) > 1:
        hint = "An equi-join passes a watermark only on its key columns: join on window_end of both sides."
    else:
        hint = (
            "Select from TUMBLE(...) or HOP(...) over a source with WATERMARK FOR on the time column, "
            "or use EMIT ON UPDATE."
        )
    return not_supported(
        f"{planner.clause} needs a window on a column with a watermark",
        hint=hint,
        position=planner.emit.position or None,
    )
