"""Joins with lookup tables, by their whole primary key; the rest of the condition decides what matches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from laminar.engine.nodes import Input, LookupJoin, Node, Properties
from laminar.engine.relations import ASKED_EPOCH, FOUND, asked_keys
from laminar.errors import PgError, not_supported
from laminar.sql import plan as logical
from laminar.sql.expressions import columns_of, conjunction, conjuncts, substitute, uses_now
from laminar.sql.plan import ColumnRef, Distinct, Expr, Plan
from laminar.sql.stream import joining, legality
from laminar.sql.stream.shape import LookupShape
from laminar.types import BOOL, INT8, PgType

if TYPE_CHECKING:
    from laminar.sql.stream.planner import Planner

Kind = Literal["inner", "left", "semi", "anti"]


@dataclass(frozen=True, slots=True)
class Looked:
    """A lookup table under filters and projections: its scan, what the columns above are, the filters."""

    scan: logical.Scan
    exprs: dict[int, Expr]
    conditions: tuple[Expr, ...] = ()


def looked_up(planner: Planner, plan: Plan) -> Looked | None:
    """``plan`` as a lookup table's rows; None when it is anything else."""
    match plan:
        case logical.Scan() if planner.shapes.is_lookup(plan.relation):
            return Looked(plan, {c.id: ColumnRef(c.id, c.type) for c in plan.columns})
        case logical.Filter() if uses_now(plan.condition) is None:
            below = looked_up(planner, plan.input)
            if below is None:
                return None
            added = tuple(substitute(part, below.exprs) for part in conjuncts(plan.condition))
            return replace(below, conditions=below.conditions + added)
        case logical.Project():
            below = looked_up(planner, plan.input)
            if below is None:
                return None
            pairs = zip(plan.columns, plan.exprs, strict=True)
            return replace(below, exprs={c.id: substitute(expr, below.exprs) for c, expr in pairs})
    return None


def lookup_join(planner: Planner, node: logical.Join) -> Node | None:
    """The join when one side is a lookup table and rows of the other decide what is asked; else None.

    Raises:
        PgError: 0A000 without equalities with the whole primary key.
    """
    kind = "inner" if node.kind == "cross" else node.kind
    if kind == "right" or (kind == "inner" and looked_up(planner, node.right) is None):
        kind = "left" if kind == "right" else kind
        node = replace(node, left=node.right, right=node.left)
    looked = looked_up(planner, node.right)
    if looked is None or kind == "full":
        return None
    if kind == "left" and not all(isinstance(expr, ColumnRef) for expr in looked.exprs.values()):
        # they would have to be null where there is no row
        return None
    shape = planner.shapes.shape(looked.scan.relation)
    assert shape.lookup is not None
    legality.check_expression(node.condition)
    left = planner.build_below(node.left, planner.judges)
    if not left.properties.append_only:
        # what takes a row back does not come with the same watermark
        left = joining.unjudged(planner, left)
    parts = (*(substitute(part, looked.exprs) for part in conjuncts(node.condition)), *looked.conditions)
    attnums = dict(zip((c.id for c in looked.scan.columns), looked.scan.attnums, strict=True))
    keys, rest = _split(parts, shape.key, attnums, {c.id for c in left.properties.columns})
    if len(keys) < len(shape.key):
        raise unbound(shape.lookup.name, legality.position(node.condition))
    left, left_keys = joining.with_keys(planner, left, [keys[attnum] for attnum in shape.key])
    joined = _joined(planner, left, left_keys, looked.scan, shape.lookup, kind, conjunction(list(rest)))
    if kind in ("semi", "anti"):
        return joined
    kept = [c for c in left.properties.columns if c.id != left.properties.row_watermark]
    outputs = [(c, ColumnRef(c.id, c.type)) for c in kept]
    return planner.project(joined, [*outputs, *((c, looked.exprs[c.id]) for c in node.right.columns)])


def _joined(
    planner: Planner,
    left: Node,
    left_keys: tuple[int, ...],
    scan: logical.Scan,
    lookup: LookupShape,
    kind: Kind,
    residual: Expr | None,
) -> LookupJoin:
    types = {c.id: c.type for c in left.properties.columns}
    hidden = [planner.column("asked", PgType(INT8)), planner.column("found", PgType(BOOL))]
    keys = [planner.column("asked_key", types[k]) for k in left_keys]
    answers = Properties(columns=(*scan.columns, *hidden, *keys), append_only=True)
    attnums = (*scan.attnums, ASKED_EPOCH, FOUND, *asked_keys(len(keys)))
    right: Node = Input(planner.node_id(), scan.relation, attnums, answers)
    left, right = planner.exchange_pair(left, left_keys, right, tuple(c.id for c in keys))
    inner = left.properties
    columns = inner.columns if kind in ("semi", "anti") else inner.columns + scan.columns
    return LookupJoin(
        planner.node_id(),
        left,
        right,
        scan.relation,
        left_keys,
        tuple(c.id for c in (*hidden, *keys)),
        scan.columns,
        residual,
        kind,
        lookup.ttl,
        lookup.size,
        replace(inner, columns=columns),
    )


def _split(
    parts: tuple[Expr, ...], key: tuple[int, ...], attnums: dict[int, int], lefts: set[int]
) -> tuple[dict[int, Expr], list[Expr]]:
    """By key attribute what it is equal to, and the other conditions."""
    found: dict[int, Expr] = {}
    rest: list[Expr] = []
    for part in parts:
        sides = None if isinstance(part, Distinct) else joining.equality(part)
        for mine, other in (sides, sides[::-1]) if sides is not None else ():
            attnum = attnums.get(other.id) if isinstance(other, ColumnRef) else None
            used = columns_of(mine)
            if attnum in key and attnum not in found and used and used <= lefts:
                found[attnum] = mine
                break
        else:
            if not (isinstance(part, logical.Const) and part.value is True):
                rest.append(part)
    return found, rest


def unbound(name: str, position: int | None) -> PgError:
    """0A000: nothing says which of its rows are wanted."""
    return not_supported(
        f'lookup table "{name}" can only be joined by its whole primary key',
        hint="Write JOIN … ON a.x = d.key for every key column, with a.x of the key's type or a smaller one.",
        position=position,
    )
