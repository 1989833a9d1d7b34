"""FOR UPDATE, FOR SHARE and their kin: which rows a SELECT locks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from laminar.errors import UNDEFINED_TABLE, WRONG_OBJECT_TYPE, PgError, not_supported
from laminar.sql import ast
from laminar.sql import plan as p
from laminar.sql.trees import walk_plan

if TYPE_CHECKING:
    from laminar.sql.binder.scope import Item, Level

_ORDER = ("key share", "share", "no key update", "update")
_POLICIES = ("block", "skip", "nowait")


@dataclass(frozen=True, slots=True)
class LockTarget:
    """``key``: columns of the query that identify the row of the relation."""

    relation: int
    strength: str
    policy: Literal["block", "skip", "nowait"]
    key: tuple[p.Column, ...]


@dataclass(frozen=True, slots=True)
class BoundLocking:
    """A query whose rows are locked before the statement runs, in which it is a Scan of relation ``number``.

    ``plan`` gives ``columns`` and the targets' keys, without LIMIT and OFFSET.
    """

    number: int
    plan: p.Plan
    columns: tuple[p.Column, ...]
    count: p.Expr | None
    offset: p.Expr | None
    targets: tuple[LockTarget, ...]


def clause_name(clauses: list[ast.Locking]) -> str:
    """The first clause as messages call it."""
    return f"FOR {clauses[0].strength.upper()}"


def refuse_shape(node: ast.Select, level: Level) -> None:
    """0A000 for queries whose rows are no rows of tables."""
    reasons = (
        (node.distinct is not None, "DISTINCT clause"),
        (bool(node.group_by), "GROUP BY clause"),
        (node.having is not None, "HAVING clause"),
        (bool(level.aggregates), "aggregate functions"),
        (bool(level.windows), "window functions"),
        (level.set_returning, "set-returning functions in the target list"),
    )
    for there, what in reasons:
        if there:
            raise not_supported(f"{clause_name(node.tail.locking)} is not allowed with {what}")


def targets(clauses: list[ast.Locking], level: Level, plan: p.Plan) -> tuple[LockTarget, ...]:
    """What the clauses lock: each relation as the strongest of them says.

    Raises:
        PgError: 42P01 for OF names that are not there, 42809, 0A000 for what cannot be locked.
    """
    found: dict[int, LockTarget] = {}
    nullable = _nullable(plan)
    for clause in clauses:
        for item in _named(clause, level):
            target = _target(clause, item)
            if target is None:
                continue
            if any(column.id in nullable for column in target.key):
                raise not_supported(
                    f"{clause_name([clause])} cannot be applied to the nullable side of an outer join"
                )
            known = found.get(target.key[0].id)
            found[target.key[0].id] = target if known is None else _stronger(known, target)
    return tuple(found.values())


def _named(clause: ast.Locking, level: Level) -> Iterable[Item]:
    items = [item for item in level.items if item.by_name and item.name]
    if not clause.of:
        return items
    named = []
    for name, pos in clause.of:
        item = next((item for item in items if item.name == name), None)
        if item is None:
            raise PgError(
                UNDEFINED_TABLE,
                f'relation "{name}" in {clause_name([clause])} clause not found in FROM clause',
                position=pos,
            )
        named.append(item)
    return named


def _target(clause: ast.Locking, item: Item) -> LockTarget | None:
    relation = item.relation
    if relation is None:
        raise not_supported(
            f"{clause_name([clause])} of views, subqueries and joins with names is not supported",
            hint="Say which tables: FOR UPDATE OF t.",
            position=clause.pos,
        )
    if relation.kind == "system":
        return None
    if relation.kind not in ("table", "source") or not relation.scannable:
        what = {"mview": "materialized view"}.get(relation.kind, relation.kind)
        raise PgError(WRONG_OBJECT_TYPE, f'cannot lock rows in {what} "{relation.name}"', position=clause.pos)
    attnums = relation.primary_key or (0,)
    by_id = {attnum: column for (_, column), attnum in zip(item.columns, item.ids, strict=True)}
    key = tuple(item.row_key if attnum == 0 else by_id[attnum] for attnum in attnums)
    assert all(column is not None for column in key)
    return LockTarget(relation.oid, clause.strength, clause.policy, key)  # type: ignore[arg-type]


def _stronger(one: LockTarget, other: LockTarget) -> LockTarget:
    strength = max(one.strength, other.strength, key=_ORDER.index)
    policy = max(one.policy, other.policy, key=_POLICIES.index)
    return LockTarget(one.relation, strength, policy, one.key)


def _nullable(plan: p.Plan) -> set[int]:
    """Columns that an outer join may fill with nulls."""
    found: set[int] = set()
    for node in walk_plan(plan):
        if isinstance(node, p.Join | p.Apply):
            sides = {"left": (node.right,), "right": (node.left,), "full": (node.left, node.right)}
            for side in sides.get(node.kind, ()):
                found |= {column.id for column in side.columns}
    return found
