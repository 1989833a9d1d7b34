"""What of a join's condition is equality of keys: expressions of either side whose bytes are equal when
PostgreSQL calls the values equal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from laminar.sql.expressions import columns_of, conjunction, conjuncts
from laminar.sql.plan import Call, Cast, Distinct, Expr, Function, Join
from laminar.sql.sortkeys import sort_key
from laminar.types import INT2, INT4, INT8, NUMERIC, PgType

#: comparisons that Arrow does as PostgreSQL does, both sides being of the same storage
_PREFIXES: Final = (
    *("int2", "int4", "int8", "oid", "text", "bytea", "bool", "name", "char"),
    *("date_", "time_", "timestamp_", "timestamptz_", "uuid_"),
)
COMPARISONS: Final = {
    prefix + suffix: name
    for prefix in _PREFIXES
    for suffix, name in {
        "eq": "equal", "ne": "not_equal", "lt": "lt", "le": "lte", "gt": "gt", "ge": "gte",
    }.items()
} | {"text_lt": "lt", "text_le": "lte", "text_gt": "gt", "text_ge": "gte"}  # fmt: skip
EQUALS: Final = frozenset(
    [s for s, name in COMPARISONS.items() if name == "equal"]
    + ["numeric_eq", "float4eq", "float8eq", "interval_eq", "bpchareq", "jsonb_eq", "array_eq", "oidvectoreq"]
)
INTEGER_EQUALS: Final = frozenset(["int24eq", "int42eq", "int28eq", "int82eq", "int48eq", "int84eq"])


@dataclass(frozen=True, slots=True)
class Key:
    """A pair of expressions that must be equal; both are of the same storage."""

    left: Expr
    right: Expr
    null_safe: bool


def split_condition(plan: Join) -> tuple[list[Key], Expr | None]:
    """The equalities between the two sides, and the rest of the condition."""
    left = {c.id for c in plan.left.columns}
    right = {c.id for c in plan.right.columns}
    keys, rest = [], []
    for part in conjuncts(plan.condition):
        key = _key(part, left, right)
        if key is None:
            rest.append(part)
        else:
            keys.append(key)
    return keys, conjunction(rest)


def _key(part: Expr, left: set[int], right: set[int]) -> Key | None:
    if isinstance(part, Call) and len(part.args) == 2:
        symbol, sides, null_safe = part.function.symbol, part.args, False
    elif isinstance(part, Distinct) and part.negated:
        symbol, sides, null_safe = part.equals.symbol, (part.left, part.right), True
    else:
        return None
    if symbol not in EQUALS and symbol not in INTEGER_EQUALS:
        return None
    used = [columns_of(side) for side in sides]
    if not used[0] or not used[1]:
        return None
    if used[0] <= right and used[1] <= left:
        sides = (sides[1], sides[0])
    elif not (used[0] <= left and used[1] <= right):
        return None
    try:
        hash(sides)
    except TypeError:  # a constant array: left to the rest of the condition
        return None
    comparable = _comparable(*sides)
    return Key(*comparable, null_safe) if comparable is not None else None


def _comparable(a: Expr, b: Expr) -> tuple[Expr, Expr] | None:
    """Both sides in a form whose bytes are equal when the values are."""
    if {a.type.oid, b.type.oid} <= {INT2, INT4, INT8} and a.type.oid != b.type.oid:
        return _wide(a), _wide(b)
    if a.type.oid == NUMERIC and b.type.oid == NUMERIC and a.type.decimal != b.type.decimal:
        a, b = (Cast(e, PgType(NUMERIC), "rescale") if e.type.decimal else e for e in (a, b))
    if a.type.storage != b.type.storage:
        return None
    return sort_key(a), sort_key(b)


def _wide(expr: Expr) -> Expr:
    """An integer as int8."""
    symbol = {INT2: "int28", INT4: "int48"}.get(expr.type.oid)
    if symbol is None:
        return expr
    return Call(Function(0, "int8", symbol, True, "i"), (expr,), PgType(INT8))
