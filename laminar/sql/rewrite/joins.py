"""Inner joins in an order in which each next input is connected by an equality, where there is one."""

from __future__ import annotations

from collections.abc import Callable

from laminar.sql import plan as p
from laminar.sql.expressions import columns_of, conjunction, volatile_call
from laminar.sql.resolve.rules import category

PushDown = Callable[[p.Plan, list[p.Expr]], p.Plan]


def connected(leaves: list[p.Plan], conditions: list[p.Expr], push_down: PushDown) -> p.Plan:
    """The join of ``leaves`` under ``conditions``: each condition as low as its columns allow."""
    conditions = [*dict.fromkeys(conditions), *_implied(conditions)]
    rest: list[p.Expr] = []
    own: list[list[p.Expr]] = [[] for _ in leaves]
    ids = [{column.id for column in leaf.columns} for leaf in leaves]
    for condition in conditions:
        used = columns_of(condition)
        home = next((i for i, have in enumerate(ids) if used <= have), None)
        if not used and volatile_call(condition) is not None:
            home = None
        (rest if home is None else own[home]).append(condition)
    leaves = [push_down(leaf, parts) if parts else leaf for leaf, parts in zip(leaves, own, strict=True)]
    order = list(range(len(leaves)))
    current = order.pop(0)
    plan, have = leaves[current], set(ids[current])
    while order:
        following = next((i for i in order if _linked(rest, have, ids[i])), None)
        if following is None:
            following = order[0]
        order.remove(following)
        have |= ids[following]
        ready = [part for part in rest if columns_of(part) <= have]
        rest = [part for part in rest if not any(part is one for one in ready)]
        on = conjunction(ready)
        plan = p.Join("inner" if on is not None else "cross", plan, leaves[following], on)
    left = conjunction(rest)
    return plan if left is None else p.Filter(plan, left)


def _linked(conditions: list[p.Expr], have: set[int], other: set[int]) -> bool:
    """Whether an equality ties what is joined already to another input."""
    return any(_ties(part, have, other) for part in conditions)


def _ties(part: p.Expr, have: set[int], other: set[int]) -> bool:
    if isinstance(part, p.Distinct) and part.negated:
        sides: tuple[p.Expr, ...] = (part.left, part.right)
    elif isinstance(part, p.Call) and part.function.symbol.endswith("eq") and len(part.args) == 2:
        sides = part.args
    else:
        return False
    a, b = (columns_of(side) for side in sides)
    if not a or not b:
        return False
    return (a <= have and b <= other) or (b <= have and a <= other)


def _implied(conditions: list[p.Expr]) -> list[p.Expr]:
    """``b = constant`` for every ``a = b`` and ``a = constant`` of one type."""
    equal: list[tuple[p.ColumnRef, p.ColumnRef]] = []
    constants: dict[p.ColumnRef, p.Call] = {}
    for part in conditions:
        if not isinstance(part, p.Call) or not part.function.symbol.endswith("eq") or len(part.args) != 2:
            continue
        a, b = part.args
        if isinstance(a, p.ColumnRef) and isinstance(b, p.ColumnRef) and a.type == b.type:
            equal.append((a, b))
        elif (
            isinstance(a, p.ColumnRef)
            and isinstance(b, p.Const)
            and category(a.type.oid) == category(b.type.oid)
        ):
            constants[a] = part
    implied: list[p.Expr] = []
    for a, b in equal:
        for known, other in ((a, b), (b, a)):
            source = constants.get(known)
            if source is not None and other not in constants:
                implied.append(p.Call(source.function, (other, source.args[1]), source.type, source.position))
    return implied
