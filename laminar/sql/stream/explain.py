"""A stream plan as text: one line per node, its properties behind it."""

from __future__ import annotations

from collections.abc import Iterator

from laminar.engine.nodes import (
    Append,
    AsofJoin,
    Constant,
    EmitEvery,
    EmitGate,
    Exchange,
    FailedRows,
    FlatMap,
    GroupAggregate,
    GroupFold,
    GroupReduce,
    HashJoin,
    Hop,
    Input,
    LateRows,
    Linear,
    LookupJoin,
    Materialize,
    Node,
    OverWindow,
    ProcessingTime,
    Repeat,
    SessionWindow,
    Sink,
    TemporalFilter,
    TemporalJoin,
    TopN,
    UnionAll,
)
from laminar.engine.relations import children
from laminar.sql.explain import expression
from laminar.sql.plan import Aggregate, SortItem, WindowCall


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
    for child in () if isinstance(node, LateRows | FailedRows) else children(node):
        yield from _lines(child, names, depth + 1)


def _head(node: Node, names: dict[int, str]) -> str:
    match node:
        case Input():
            return f"Input {names.get(node.relation, str(node.relation))}"
        case Linear():
            what = f"Linear [{', '.join(expression(e) for e in node.exprs)}]"
            return what if node.filter is None else f"{what} where {expression(node.filter)}"
        case Hop():
            by = " by slices" * node.sliced
            return f"Hop {expression(node.time)} every {_span(node.step)} of {_span(node.size)}{by}"
        case Constant():
            return f"Constant {len(node.rows)} row{'s' * (len(node.rows) != 1)}"
        case UnionAll():
            return "UnionAll"
        case FlatMap():
            numbered = " with ordinality" * node.ordinality
            return f"FlatMap [{', '.join(expression(c) for c in node.calls)}]{numbered}"
        case Repeat():
            return f"Repeat #{node.times} times"
        case TemporalFilter():
            held = " and ".join(expression(bound.condition) for bound in node.bounds)
            return f"TemporalFilter #{node.clock} is now() where {held}"
        case ProcessingTime():
            return f"ProcessingTime #{node.properties.columns[-1].id}"
        case SessionWindow():
            closes = " once over" if node.closes else ""
            return (
                f"SessionWindow {expression(node.time)} by ({_ids(node.keys)}) gap {_span(node.gap)}{closes}"
            )
        case Exchange():
            return f"Exchange by ({_ids(node.keys)})" if node.keys else "Exchange to one reactor"
        case GroupAggregate() | GroupReduce() | GroupFold():
            return _aggregate(node)
        case TopN():
            return _top_n(node)
        case OverWindow():
            calls = ", ".join(_window_call(c) for c in node.calls)
            by = f" by ({_ids(node.keys)})" if node.keys else ""
            return f"OverWindow{by} [{calls}]{_closing(node)}"
        case AsofJoin():
            pairs = [f"#{a} = #{b}" for a, b in zip(node.left_keys, node.right_keys, strict=True)]
            nearest = f"nearest #{node.left_time} {node.comparison} #{node.right_time}"
            return f"AsofJoin{' left' if node.padded else ''} on {' and '.join([*pairs, nearest])}"
        case TemporalJoin():
            pairs = [f"#{a} = #{b}" for a, b in zip(node.left_keys, node.right_keys, strict=True)]
            at = "proctime" if node.versions is None else f"#{node.versions.left_time}"
            return f"TemporalJoin{' left' if node.padded else ''} on {' and '.join(pairs)} as of {at}"
        case LookupJoin():
            pairs = [f"#{k}" for k in node.left_keys]
            kind = "" if node.kind == "inner" else f" {node.kind}"
            rest = "" if node.residual is None else f" and {expression(node.residual)}"
            name = names.get(node.relation, str(node.relation))
            return f"LookupJoin{kind} {name} by ({', '.join(pairs)}){rest} for {_span(node.ttl)}"
        case HashJoin():
            return _join(node)
        case EmitGate():
            return f"EmitGate until #{node.end} has passed"
        case EmitEvery():
            return f"EmitEvery {_span(node.every)}"
        case LateRows():
            return f"LateRows left out by {_head(node.input, names)}"
        case FailedRows():
            return "FailedRows of " + ", ".join(f"#{below.id}" for below in node.inputs)
        case Append():
            return f"Append to {names.get(node.relation, '')}".rstrip()
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


def _aggregate(node: GroupAggregate | GroupReduce | GroupFold) -> str:
    calls = ", ".join(_call(a) for a in node.aggregates)
    by = f" by ({_ids(node.keys)})" if node.keys else ""
    closing = "" if isinstance(node, GroupFold) else _closing(node)
    return f"{type(node).__name__}{by} [{calls}]{closing}"


def _closing(node: GroupAggregate | GroupReduce | TopN | OverWindow) -> str:
    """When state is freed, or results go out."""
    if node.window_end is None:
        return ""
    text = f" {'once when' if node.closes else 'until'} #{node.window_end} has passed"
    if node.emit is not None and node.emit.lateness:
        text += f" by {_span(node.emit.lateness)}"
    return text


def _top_n(node: TopN) -> str:
    what = f"{node.rank} <= {node.limit}" if node.limit is not None else "all rows"
    by = f" by ({_ids(node.keys)})" if node.keys else ""
    order = ", ".join(f"#{column}{' desc' if descending else ''}" for column, descending in node.order)
    skipped = f" after {node.offset} rows" if node.offset else ""
    return f"TopN{by} [{what}{skipped}{' order by ' + order if order else ''}]{_closing(node)}"


def _window_call(call: WindowCall) -> str:
    args = ", ".join(expression(a) for a in call.args)
    return f"{call.function.name}({args}{_order(call.order_by)}){_filter(call)}"


def _order(items: tuple[SortItem, ...]) -> str:
    if not items:
        return ""
    return " order by " + ", ".join(f"{expression(i.expr)}{' desc' if i.descending else ''}" for i in items)


def _filter(call: Aggregate | WindowCall) -> str:
    return "" if call.filter is None else f" filter ({expression(call.filter)})"


def _call(aggregate: Aggregate) -> str:
    distinct = "distinct " if aggregate.distinct else ""
    args = ", ".join(expression(a) for a in (*aggregate.direct, *aggregate.args)) or "*"
    order = _order(aggregate.order_by)
    return f"{aggregate.function.name}({distinct}{args}{order}){_filter(aggregate)}"


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
