"""Joins: the equalities between the sides become keys, all other conditions filter the pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from laminar.engine.nodes import HashJoin, Node, Properties, TimeBound
from laminar.sql import plan as logical
from laminar.sql.expressions import columns_of, conjunction, conjuncts
from laminar.sql.plan import Call, Column, ColumnRef, Const, Distinct, Expr
from laminar.sql.sortkeys import key_type, sort_key
from laminar.sql.stream import legality
from laminar.sql.stream.timebounds import may_bound, time_bound

if TYPE_CHECKING:
    from laminar.sql.stream.planner import Planner


def join(planner: Planner, node: logical.Join) -> Node:
    """A HashJoin with both inputs exchanged by the join's keys."""
    if node.temporal is not None:
        from laminar.sql.stream.temporal import temporal_join

        return temporal_join(planner, node)
    if node.asof is not None:
        from laminar.sql.stream.asof import asof_join

        return asof_join(planner, node)
    from laminar.sql.stream.lookup import lookup_join

    looked_up = lookup_join(planner, node)
    if looked_up is not None:
        return looked_up
    if node.condition is not None:
        legality.check_expression(node.condition)
    kind = "inner" if node.kind == "cross" else node.kind
    # rows are judged here if their times may turn out to be bounded
    conditions = conjuncts(node.condition)
    judges = may_bound(node.left.columns, node.right.columns, conditions, equal=planner.judges)
    left, right = planner.build_below(node.left, judges), planner.build_below(node.right, judges)
    pairs, null_safe, rest = split(node, left.properties.columns, right.properties.columns)
    left, left_keys = with_keys(planner, left, [pair[0] for pair in pairs])
    right, right_keys = with_keys(planner, right, [pair[1] for pair in pairs])
    if kind in ("semi", "anti"):
        right = _narrowed(planner, right, right_keys, columns_of(*rest))
    keys = [pair for n, pair in enumerate(zip(left_keys, right_keys, strict=True)) if n not in null_safe]
    bound = time_bound(left, right, keys, rest, (planner.emit.lateness or 0) if planner.judges else None)
    if bound is None:
        left, right = unjudged(planner, left), unjudged(planner, right)
    left, right = planner.exchange_pair(left, left_keys, right, right_keys)
    return HashJoin(
        planner.node_id(),
        left,
        right,
        left_keys,
        right_keys,
        conjunction(rest),
        _properties(kind, left, right, left_keys, right_keys, bound),
        tuple(null_safe),
        kind,
        bound,
    )


def unjudged(planner: Planner, node: Node) -> Node:
    """The input without the watermarks of its rows."""
    hidden = node.properties.row_watermark
    if hidden is None:
        return node
    kept = [c for c in node.properties.columns if c.id != hidden]
    return planner.drop_row_watermark(node, [(c, ColumnRef(c.id, c.type)) for c in kept])


def _narrowed(planner: Planner, node: Node, keys: tuple[int, ...], used: set[int]) -> Node:
    """Only the columns that decide whether a row of the other side has a match."""
    wanted = used | set(keys)
    columns = node.properties.columns
    kept: list[tuple[Column, Expr]] = [(c, ColumnRef(c.id, c.type)) for c in columns if c.id in wanted]
    return node if len(kept) == len(columns) else planner.project(node, kept)


def _properties(
    kind: str,
    left: Node,
    right: Node,
    left_keys: tuple[int, ...],
    right_keys: tuple[int, ...],
    bound: TimeBound | None,
) -> Properties:
    """What holds for the output. A watermark holds for padded rows too: they come and go with their key."""
    a, b = left.properties, right.properties
    one_sided = kind in ("semi", "anti")
    carried: set[int] = set()
    for i, j in zip(left_keys, right_keys, strict=True):
        if i in a.watermarks and j in b.watermarks:
            carried |= {i} if one_sided else {i, j}
    if bound is not None:
        carried |= {bound.left} if one_sided else {bound.left, bound.right}
    partitioning = b.partitioning if kind == "right" else a.partitioning
    if kind == "full" and partitioning:
        partitioning = None
    columns = a.columns if one_sided else a.columns + b.columns
    return Properties(
        columns=tuple(c for c in columns if c.id not in (a.row_watermark, b.row_watermark)),
        key=a.key if one_sided else _key(kind, a, b, left_keys, right_keys),
        append_only=a.append_only and b.append_only and kind in ("inner", "semi"),
        partitioning=partitioning,
        watermarks=frozenset(carried),
    )


def _key(
    kind: str, a: Properties, b: Properties, left_keys: tuple[int, ...], right_keys: tuple[int, ...]
) -> tuple[int, ...]:
    """What identifies a joined row: one side's key when each of its rows has at most one match, else both.

    Padded rows of one side are told apart by that side's key; in a full join two of different sides can
    be alike, when keys are null.
    """
    if not a.key or not b.key or kind == "full":
        return ()
    if kind != "right" and set(b.key) <= set(right_keys):
        return a.key
    if kind != "left" and set(a.key) <= set(left_keys):
        return b.key
    return (*a.key, *b.key)


def split(
    node: logical.Join, left: Sequence[Column], right: Sequence[Column]
) -> tuple[list[tuple[Expr, Expr]], list[int], list[Expr]]:
    """Equalities between the sides, which of them match nulls, and the other conditions."""
    lefts, rights = {c.id for c in left}, {c.id for c in right}
    pairs: list[tuple[Expr, Expr]] = []
    null_safe: list[int] = []
    rest: list[Expr] = []
    for part in conjuncts(node.condition):
        if isinstance(part, Const) and part.value is True:
            continue
        sides = equality(part)
        if sides is None:
            rest.append(part)
            continue
        a, b = sides
        used = columns_of(a), columns_of(b)
        if used[0] and used[1] and used[0] <= rights and used[1] <= lefts:
            a, b, used = b, a, (used[1], used[0])
        if not (used[0] and used[1] and used[0] <= lefts and used[1] <= rights):
            rest.append(part)
            continue
        if isinstance(part, Distinct):
            null_safe.append(len(pairs))
        pairs.append((a, b))
    return pairs, null_safe, rest


def equality(part: Expr) -> tuple[Expr, Expr] | None:
    """Both sides of ``a = b`` or ``a IS NOT DISTINCT FROM b``, brought to one type."""
    if isinstance(part, Call) and len(part.args) == 2 and part.function.symbol in EQUALITIES:
        return same_type(part.args[0], part.args[1])
    if isinstance(part, Distinct) and part.negated and part.equals.symbol in EQUALITIES:
        return same_type(part.left, part.right)
    return None


def same_type(a: Expr, b: Expr) -> tuple[Expr, Expr] | None:
    """Cast integers of different widths to the wider; None when types differ otherwise."""
    if a.type.storage == b.type.storage:
        return a, b
    from laminar.sql.resolve import coerce, common_type

    target = common_type([a, b], None, "JOIN/USING")
    return coerce(a, target, "implicit", None), coerce(b, target, "implicit", None)


def with_keys(planner: Planner, node: Node, keys: list[Expr]) -> tuple[Node, tuple[int, ...]]:
    """Add a hidden column for every key that is no bare, storage-equal column."""
    ids: list[int] = []
    extra: list[tuple[Column, Expr]] = []
    for key in keys:
        expr = sort_key(key)
        if isinstance(expr, ColumnRef):
            ids.append(expr.id)
            continue
        column = planner.column("join_key", key_type(key.type))
        extra.append((column, expr))
        ids.append(column.id)
    if extra:
        kept: list[tuple[Column, Expr]] = [(c, ColumnRef(c.id, c.type)) for c in node.properties.columns]
        node = planner.project(node, kept + extra)
    return node, tuple(ids)


#: pg_proc symbols of = for types where equal values have equal sort keys
EQUALITIES = frozenset(
    {
        f"{name}eq"
        for name in ("bool", "int2", "int4", "int8", "int24", "int42", "int28", "int82", "int48", "int84")
    }
    | {
        f"{name}eq"
        for name in ("float4", "float8", "float48", "float84", "text", "name", "bpchar", "char", "oid")
    }
    | {
        f"{name}_eq"
        for name in ("numeric", "date", "time", "timestamp", "interval", "uuid", "jsonb", "array")
    }
    | {"nameeqtext", "texteqname", "byteaeq", "record_eq", "range_eq", "enum_eq"}
)
