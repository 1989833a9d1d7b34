"""GROUP BY: rows numbered by their keys, then one column reduction per aggregate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from laminar.sql.adhoc import batches, sorting
from laminar.sql.adhoc.aggregates import Input, aggregate
from laminar.sql.adhoc.batches import Indices
from laminar.sql.adhoc.calls import compiled
from laminar.sql.adhoc.setops import number_rows
from laminar.sql.evaluator import Env
from laminar.sql.plan import Aggregate, Expr, GroupBy, SortItem
from laminar.sql.sortkeys import sort_key
from laminar.types import PgType


def group_by(node: GroupBy, rows: pa.RecordBatch, env: Env) -> Iterator[pa.RecordBatch]:
    """One batch per grouping set."""
    prepared = prepare([*node.aggregates], rows, [c.id for c in node.input.columns], env)
    ids = [c.id for c in node.input.columns]
    positions = [ids.index(key.id) for key in node.keys]
    program = compiled(tuple(sort_key(key) for key in node.keys), ids)
    keys = program(rows, env) if node.keys else []
    every = tuple(range(len(node.keys)))
    for chosen in node.sets or (every,):
        groups, first = number_rows([keys[i] for i in chosen], rows.num_rows)
        count = len(first) if chosen else 1
        columns = []
        for i, position in enumerate(positions):
            kind = rows.column(position).type
            columns.append(
                rows.column(position).take(pa.array(first)) if i in chosen else pa.nulls(count, kind)
            )
        columns += [one.over(groups, count, env) for one in prepared]
        if len(node.sets) > 1:
            columns.append(_grouping_id(len(node.keys), chosen, count))
        yield batches.make(columns, count)


def _grouping_id(keys: int, chosen: Sequence[int], count: int) -> pa.Array:
    """PostgreSQL's GROUPING(): a bit per key, the first most significant, 1 where it is not grouped by."""
    bits = sum(1 << (keys - 1 - i) for i in range(keys) if i not in chosen)
    return pa.array(np.full(count, bits, dtype=np.int32))


@dataclass(slots=True)
class Prepared:
    """An aggregate call with its argument columns computed.

    Args:
        rows: which input rows FILTER lets through, None for all.
        distinct: sort keys of the arguments, when DISTINCT.
        order: sort keys for ``items``.
    """

    call: Aggregate
    args: list[pa.Array]
    types: list[PgType]
    rows: Indices | None
    distinct: list[pa.Array]
    order: list[pa.Array]
    items: tuple[SortItem, ...]

    def over(self, groups: Indices, count: int, env: Env, members: Indices | None = None) -> pa.Array:
        """One value per group; ``members``: the input row behind each entry of ``groups``."""
        picked: Indices | None = members
        if self.rows is not None:
            if members is None:
                picked, groups = self.rows, groups[self.rows]
            else:
                keep = np.isin(members, self.rows)
                picked, groups = members[keep], groups[keep]
        if self.distinct:
            keys = [_pick(a, picked) for a in self.distinct]
            first = number_rows([pa.array(groups), *keys], len(groups))[1]
            picked = first if picked is None else picked[first]
            groups = groups[first]
        if self.items:
            order = sorting.group_order(groups, [_pick(a, picked) for a in self.order], self.items)
            picked = order if picked is None else picked[order]
            groups = groups[order]
        args = [_pick(a, picked) for a in self.args]
        return aggregate(self.call.function, Input(args, self.types, groups, count, self.call.type, env))


def _pick(array: pa.Array, rows: Indices | None) -> pa.Array:
    return array if rows is None else array.take(pa.array(rows))


def prepare(calls: Sequence[Aggregate], rows: pa.RecordBatch, ids: Sequence[int], env: Env) -> list[Prepared]:
    """Compute what the aggregates need of the input, all in one evaluation."""
    wanted: list[Expr] = []

    def want(expr: Expr) -> int:
        wanted.append(expr)
        return len(wanted) - 1

    plans = []
    for call in calls:
        values = call.args or (tuple(i.expr for i in call.order_by) if call.direct else ())
        args = [*call.direct, *values]
        items = call.order_by
        if call.distinct and not items:
            items = tuple(SortItem(a) for a in call.args)
        plans.append(
            (
                call,
                [want(a) for a in args],
                [a.type for a in args],
                want(call.filter) if call.filter is not None else None,
                [want(sort_key(a)) for a in call.args] if call.distinct else [],
                [want(sort_key(i.expr)) for i in items],
                items,
            )
        )
    columns = compiled(tuple(wanted), ids)(rows, env) if wanted else []
    result = []
    for call, arg_at, types, filter_, distinct, order, items in plans:
        kept = None
        if filter_ is not None:
            kept = np.flatnonzero(np.asarray(columns[filter_].fill_null(False))).astype(np.int64, copy=False)
        result.append(
            Prepared(
                call,
                [columns[i] for i in arg_at],
                types,
                kept,
                [columns[i] for i in distinct],
                [columns[i] for i in order],
                items,
            )
        )
    return result
