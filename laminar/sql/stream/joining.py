"""Inner equi-joins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from laminar.engine.nodes import HashJoin, Node, Properties
from laminar.errors import not_supported
from laminar.sql import plan as logical
from laminar.sql.expressions import columns_of, conjunction, conjuncts
from laminar.sql.plan import Call, Column, ColumnRef, Distinct, Expr
from laminar.sql.sortkeys import key_type, sort_key
from laminar.sql.stream import legality

if TYPE_CHECKING:
    from laminar.sql.stream.planner import Planner


def join(planner: Planner, node: logical.Join) -> Node:
    """A HashJoin with both inputs exchanged by the join's keys."""
    if node.kind not in ("inner", "cross") or node.temporal is not None or node.asof is not None:
        what = "temporal" if node.temporal is not None else "ASOF" if node.asof is not None else node.kind
        raise not_supported(
            f"{what} joins are not supported in materialized views yet",
            hint="Inner joins with an equality condition are.",
        )
    if node.condition is not None:
        legality.check_expression(node.condition)
    left, right = planner.build_below(node.left, False), planner.build_below(node.right, False)
    pairs, null_safe, rest = _split(node, left, right)
    if not pairs:
        raise not_supported(
            "a join without an equality between its sides is not supported in materialized views yet",
            hint="Add a condition of the form a.x = b.y.",
            position=legality.position(node.condition),
        )
    left, left_keys = _with_keys(planner, left, [pair[0] for pair in pairs])
    right, right_keys = _with_keys(planner, right, [pair[1] for pair in pairs])
    left, right = planner.exchange(left, left_keys), planner.exchange(right, right_keys)
    return HashJoin(
        planner.node_id(),
        left,
        right,
        left_keys,
        right_keys,
        conjunction(rest),
        _properties(left, right, left_keys, right_keys),
        tuple(null_safe),
    )


def _properties(
    left: Node, right: Node, left_keys: tuple[int, ...], right_keys: tuple[int, ...]
) -> Properties:
    a, b = left.properties, right.properties
    carried: set[int] = set()
    for i, j in zip(left_keys, right_keys, strict=True):
        if i in a.watermarks and j in b.watermarks:
            carried |= {i, j}
    return Properties(
        columns=a.columns + b.columns,
        key=(*a.key, *b.key) if a.key and b.key else (),
        append_only=a.append_only and b.append_only,
        partitioning=a.partitioning,
        watermarks=frozenset(carried),
    )


def _split(
    node: logical.Join, left: Node, right: Node
) -> tuple[list[tuple[Expr, Expr]], list[int], list[Expr]]:
    """Equalities between the sides, which of them match nulls, and the other conditions."""
    lefts = {c.id for c in left.properties.columns}
    rights = {c.id for c in right.properties.columns}
    pairs: list[tuple[Expr, Expr]] = []
    null_safe: list[int] = []
    rest: list[Expr] = []
    for part in conjuncts(node.condition):
        sides = _equality(part)
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


def _equality(part: Expr) -> tuple[Expr, Expr] | None:
    """Both sides of ``a = b`` or ``a IS NOT DISTINCT FROM b``, brought to one type."""
    if isinstance(part, Call) and len(part.args) == 2 and part.function.symbol in EQUALITIES:
        return _same_type(part.args[0], part.args[1])
    if isinstance(part, Distinct) and part.negated and part.equals.symbol in EQUALITIES:
        return _same_type(part.left, part.right)
    return None


def _same_type(a: Expr, b: Expr) -> tuple[Expr, Expr] | None:
    """Cast integers of different widths to the wider; None when types differ otherwise."""
    if a.type.storage == b.type.storage:
        return a, b
    from laminar.sql.resolve import coerce, common_type

    target = common_type([a, b], None, "JOIN/USING")
    return coerce(a, target, "implicit", None), coerce(b, target, "implicit", None)


def _with_keys(planner: Planner, node: Node, keys: list[Expr]) -> tuple[Node, tuple[int, ...]]:
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
    | {"nameeqtext", "texteqname", "byteaeq"}
)
