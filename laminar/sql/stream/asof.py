"""ASOF joins: equalities between the sides, and one inequality that picks the nearest row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from laminar.engine.nodes import AsofJoin, Node, Properties
from laminar.errors import not_supported
from laminar.sql import plan as logical
from laminar.sql.expressions import columns_of
from laminar.sql.plan import NEAREST, Call, Column, Expr
from laminar.sql.stream import joining, legality
from laminar.types import DATE, INT2, INT4, INT8, TIMESTAMP, TIMESTAMPTZ

if TYPE_CHECKING:
    from laminar.sql.stream.planner import Planner

Comparison = Literal[">=", ">", "<=", "<", "nearest"]
_COMPARISONS: dict[str, Comparison] = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
_MIRRORED: dict[Comparison, Comparison] = {">=": "<=", ">": "<", "<=": ">=", "<": ">", "nearest": "nearest"}
_INTEGERS, _TIMES = frozenset({INT2, INT4, INT8}), frozenset({DATE, TIMESTAMP, TIMESTAMPTZ})


def asof_join(planner: Planner, node: logical.Join) -> Node:
    """An AsofJoin with both inputs exchanged by its keys.

    Raises:
        PgError: 0A000 for conditions besides equalities and the one inequality.
    """
    for expr in (node.condition, node.asof):
        legality.check_expression(expr)
    left, right = planner.build_below(node.left, False), planner.build_below(node.right, False)
    pairs, (a, comparison, b) = conditions(node, left.properties.columns, right.properties.columns)
    left, left_ids = joining.with_keys(planner, left, [*(pair[0] for pair in pairs), a])
    right, right_ids = joining.with_keys(planner, right, [*(pair[1] for pair in pairs), b])
    left, right = planner.exchange_pair(left, left_ids[:-1], right, right_ids[:-1])
    of_left, of_right = left.properties, right.properties
    carried: set[int] = set()
    for i, j in zip(left_ids[:-1], right_ids[:-1], strict=True):
        if i in of_left.watermarks and j in of_right.watermarks:
            carried |= {i, j}
    properties = Properties(
        columns=of_left.columns + of_right.columns,
        key=of_left.key,
        partitioning=of_left.partitioning,
        watermarks=frozenset(carried),
    )
    return AsofJoin(
        planner.node_id(),
        left,
        right,
        left_ids[:-1],
        right_ids[:-1],
        left_ids[-1],
        right_ids[-1],
        comparison,
        node.kind == "left",
        properties,
    )


def conditions(
    node: logical.Join, left: Sequence[Column], right: Sequence[Column]
) -> tuple[list[tuple[Expr, Expr]], tuple[Expr, Comparison, Expr]]:
    """The equalities between the sides, and what is compared, the left side first.

    Raises:
        PgError: 0A000 for other conditions.
    """
    pairs, null_safe, rest = joining.split(node, left, right)
    if rest or null_safe:
        raise not_supported(
            "an ASOF join's condition can only be equalities between its sides",
            hint="Filter the inputs in subqueries.",
            position=legality.position(rest[0] if rest else node.condition),
        )
    return pairs, _match_condition(node, left, right)


def _match_condition(
    node: logical.Join, left: Sequence[Column], right: Sequence[Column]
) -> tuple[Expr, Comparison, Expr]:
    condition = node.asof
    lefts, rights = ({c.id for c in side} for side in (left, right))
    if isinstance(condition, Call) and len(condition.args) == 2:
        nearest = condition.function == NEAREST
        comparison = "nearest" if nearest else _COMPARISONS.get(condition.function.symbol[-2:])
        oids = {arg.type.oid for arg in condition.args}
        if nearest and not (oids <= _INTEGERS or (len(oids) == 1 and oids <= _TIMES)):
            raise not_supported(
                "NEAREST needs timestamps, dates or integers on both sides",
                position=legality.position(condition),
            )
        sides = joining.same_type(*condition.args)
        if comparison is not None and sides is not None:
            a, b = sides
            if columns_of(a) and columns_of(b):
                if columns_of(a) <= lefts and columns_of(b) <= rights:
                    return a, comparison, b
                if columns_of(a) <= rights and columns_of(b) <= lefts:
                    return b, _MIRRORED[comparison], a
    raise not_supported(
        "an ASOF join needs a comparison of its sides by <, <=, >, >= or NEAREST(a, b)",
        position=legality.position(condition),
    )
