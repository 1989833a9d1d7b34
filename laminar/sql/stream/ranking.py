"""The first rows: LIMIT, DISTINCT ON, and filters on row_number(), rank() and dense_rank()."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from laminar.engine.nodes import Node, Properties, TopN
from laminar.errors import PgError
from laminar.sql import plan as logical
from laminar.sql.adhoc import batches
from laminar.sql.adhoc.calls import compiled
from laminar.sql.evaluator import Env
from laminar.sql.expressions import conjunction, conjuncts, position_of
from laminar.sql.plan import Call, Column, ColumnRef, Const, Expr, SortItem
from laminar.sql.stream import legality
from laminar.sql.stream.emission import check_sessions, emit_above, of_sessions
from laminar.sql.stream.keying import Keying

if TYPE_CHECKING:
    from laminar.sql.stream.planner import Planner

Rank = Literal["row_number", "rank", "dense_rank"]
_RANKS: Final[dict[str, Rank]] = {
    "window_row_number": "row_number",
    "window_rank": "rank",
    "window_dense_rank": "dense_rank",
}
_COMPARISON: Final = re.compile(r"int(?:8|84|82|48|28)(le|lt|eq|ge|gt)")
_MIRRORED: Final = {"le": "ge", "lt": "gt", "ge": "le", "gt": "lt", "eq": "eq"}


@dataclass(frozen=True, slots=True)
class _First:
    """Which rows of a partition: see :class:`~laminar.engine.nodes.TopN`."""

    rank: Rank
    limit: int | None
    offset: int = 0
    number: Column | None = None


def limit(planner: Planner, node: logical.Limit) -> Node:
    """ORDER BY ... LIMIT ... OFFSET: the first rows of one partition."""
    count = _constant(node.count, "LIMIT", "2201W")
    offset = _constant(node.offset, "OFFSET", "2201X") or 0
    below = node.input
    if isinstance(below, logical.Project):
        inner = replace(node, input=below.input)
        return planner.projection(replace(below, input=inner), row_watermark=False)
    items: tuple[SortItem, ...] = ()
    if isinstance(below, logical.Sort):
        items, below = below.keys, below.input
    rank: Rank = "rank" if node.with_ties else "row_number"
    first = _First(rank, None if count is None else count + offset, offset)
    return _top_n(planner, planner.build_below(below, row_watermark=False), (), items, first)


def distinct_on(planner: Planner, node: logical.DistinctOn) -> Node:
    """The first row of each partition."""
    below = planner.build_below(node.input, row_watermark=planner.judges)
    return _top_n(planner, below, node.on, node.order_by, _First("row_number", 1))


def ranked(planner: Planner, node: logical.Filter) -> Node | None:
    """A filter that bounds the rank that its input computes; None when it is no such filter."""
    window = node.input
    if not isinstance(window, logical.Window) or len(window.calls) != 1:
        return None
    call, added = window.calls[0], window.added[0]
    rank = _RANKS.get(call.function.symbol)
    bounds = {part: _bound(part, added.id) for part in conjuncts(node.condition)}
    known = [bound for bound in bounds.values() if bound is not None]
    if rank is None or not known:
        return None
    legality.check_expression(node.condition)
    top = max(0, min(value for value, _ in known))
    below = planner.build_below(window.input, row_watermark=planner.judges)
    result = _top_n(planner, below, call.partition_by, call.order_by, _First(rank, top, number=added))
    rest = conjunction([part for part, bound in bounds.items() if bound is None or not bound[1]])
    if rest is None:
        return result
    columns = result.properties.columns
    return planner.project(result, [(c, ColumnRef(c.id, c.type)) for c in columns], rest)


def without_number(planner: Planner, node: TopN, used: set[int]) -> TopN:
    """The node without its rank when that is not among the columns used; another node, as the first may
    have other readers."""
    if node.number is None or node.number.id in used:
        return node
    columns = node.properties.columns[:-1]
    properties = replace(node.properties, columns=columns)
    return replace(node, id=planner.node_id(), number=None, properties=properties)


def _top_n(
    planner: Planner, below: Node, partition_by: Sequence[Expr], items: Sequence[SortItem], first: _First
) -> TopN:
    keying = Keying(planner, below)
    keys = keying.partition(partition_by)
    order = keying.order(items)
    end = keying.window_end(partition_by)
    if end is not None and end not in keys:
        keys = (*keys, end)
    inner = below.properties
    node = keying.node()
    if end is not None:
        check_sessions(node, keys, planner.emit.position)
    node = planner.exchange(node, keys)
    columns = [c for c in inner.columns if c.id != inner.row_watermark]
    ids = {c.id for c in columns}
    alone = first.rank == "row_number" and first.limit == 1 and keys and ids.issuperset(keys)
    properties = Properties(
        columns=(*columns, *([first.number] if first.number is not None else [])),
        key=keys if alone else inner.key,
        partitioning=kept_partitioning(node, ids),
        watermarks=inner.watermarks & frozenset(keys),
    )
    emit = emit_above(planner, node) if end is not None else None
    return TopN(
        planner.node_id(),
        node,
        keys,
        order,
        first.rank,
        first.limit,
        first.offset,
        first.number,
        properties,
        end,
        emit,
        judged=of_sessions(node),
    )


def kept_partitioning(node: Node, ids: set[int]) -> tuple[int, ...] | None:
    """How the rows are spread, in terms of the columns ``ids``."""
    have = node.properties.partitioning
    return have if have is not None and ids.issuperset(have) else None


def _bound(part: Expr, column: int) -> tuple[int, bool] | None:
    """(n, whether that is all it says) when ``part`` says that the column is at most n."""
    if not isinstance(part, Call) or len(part.args) != 2:
        return None
    match = _COMPARISON.fullmatch(part.function.symbol)
    if match is None:
        return None
    (left, right), how = part.args, match[1]
    if isinstance(left, Const):
        left, right, how = right, left, _MIRRORED[how]
    if not isinstance(left, ColumnRef) or left.id != column or not isinstance(right, Const):
        return None
    if not isinstance(right.value, int) or how in ("ge", "gt"):
        return None
    if how == "eq":
        return right.value, right.value == 1
    return (right.value if how == "le" else right.value - 1), True


def _constant(expr: Expr | None, clause: str, sqlstate: str) -> int | None:
    if expr is None:
        return None
    legality.check_expression(expr)
    value = compiled((expr,), ())(batches.make([], 1), Env())[0][0].as_py()
    if value is not None and value < 0:
        raise PgError(sqlstate, f"{clause} must not be negative", position=position_of(expr))
    return None if value is None else int(value)
