"""A stream plan as text: one line per node, its properties behind it."""

from __future__ import annotations

from collections.abc import Iterator

from laminar.engine.nodes import (
    EmitEvery,
    EmitGate,
    Exchange,
    GroupAggregate,
    HashJoin,
    Hop,
    Input,
    Linear,
    Materialize,
    Node,
    Sink,
)
from laminar.engine.relations import children
from laminar.sql.explain import expression
from laminar.sql.plan import Aggregate


def explain_stream(root: Node, names: dict[int, str]) -> list[str]:
    """Lines of the plan, inputs indented below what reads them.

    Args:
        names: relation oid to name.
    """
    return list(_lines(root, names, 0))


def _lines(node: Node, names: dict[int, str], depth: int) -> Iterator[str]:
    arrow = "  " * depth + ("-> " if depth else "")
    yield f"{arrow}{_head(node, names)}"
    yield f"{'  ' * depth}{'   ' if depth else ''}  {_properties(node)}"
    for child in children(node):
        yield from _lines(child, names, depth + 1)


def _head(node: Node, names: dict[int, str]) -> str:
    match node:
        case Input():
            return f"Input {names.get(node.relation, str(node.relation))}"
        case Linear():
            what = f"Linear [{', '.join(expression(e) for e in node.exprs)}]"
            return what if node.filter is None else f"{what} where {expression(node.filter)}"
        case Hop():
            return f"Hop {expression(node.time)} every {_span(node.step)} of {_span(node.size)}"
        case Exchange():
            return f"Exchange by ({_ids(node.keys)})" if node.keys else "Exchange to one reactor"
        case GroupAggregate():
            return _aggregate(node)
        case HashJoin():
            return _join(node)
        case EmitGate():
            return f"EmitGate until #{node.end} has passed"
        case EmitEvery():
            return f"EmitEvery {_span(node.every)}"
        case Materialize():
            return f"Materialize {names.get(node.relation, '')}".rstrip()
        case Sink():
            return f"Sink {node.spec.connector}"


def _join(node: HashJoin) -> str:
    kind = "" if node.kind == "inner" else f" {node.kind}"
    pairs = enumerate(zip(node.left_keys, node.right_keys, strict=True))
    conditions = [f"#{a} {'is' if n in node.null_safe else '='} #{b}" for n, (a, b) in pairs]
    if node.residual is not None:
        conditions.append(expression(node.residual))
    head = f"HashJoin{kind} on {' and '.join(conditions) or 'true'}"
    if node.bound is None:
        return head
    b = node.bound
    spans = f"from {_span(b.low)} to {_span(b.high)}"
    late = f", late after {_span(b.lateness)}" if b.lateness else ""
    return f"{head}, time #{b.left} - #{b.right} {spans}{late}"


def _aggregate(node: GroupAggregate) -> str:
    calls = ", ".join(_call(a) for a in node.aggregates)
    by = f" by ({_ids(node.keys)})" if node.keys else ""
    head = f"GroupAggregate{by} [{calls}]"
    if node.closes:
        head += f" once when #{node.window_end} has passed"
    elif node.window_end is not None:
        head += f" until #{node.window_end} has passed"
    if node.window_end is not None and node.emit is not None and node.emit.lateness:
        head += f" by {_span(node.emit.lateness)}"
    return head


def _call(aggregate: Aggregate) -> str:
    distinct = "distinct " if aggregate.distinct else ""
    text = f"{aggregate.function.name}({distinct}{', '.join(expression(a) for a in aggregate.args) or '*'})"
    return text if aggregate.filter is None else f"{text} filter ({expression(aggregate.filter)})"


def _properties(node: Node) -> str:
    p = node.properties
    hidden = {p.row_watermark}
    parts = [f"columns: {', '.join(f'#{c.id} {c.name}' for c in p.columns if c.id not in hidden)}"]
    parts.append("append-only" if p.append_only else "retracting")
    if p.key:
        parts.append(f"key: {_ids(p.key)}")
    if p.partitioning is not None:
        parts.append(f"partitioned by: {_ids(p.partitioning) or 'one reactor'}")
    if p.watermarks:
        parts.append(f"watermarks: {_ids(tuple(sorted(p.watermarks)))}")
    if p.row_watermark is not None:
        parts.append("row watermark")
    return "; ".join(parts)


def _ids(ids: tuple[int, ...]) -> str:
    return ", ".join(f"#{i}" for i in ids)


def _span(microseconds: int) -> str:
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{seconds} s" if not rest else f"{microseconds} us"
