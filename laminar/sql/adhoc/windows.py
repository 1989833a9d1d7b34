"""Window functions over sorted partitions, a column at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar.errors import PgError, not_supported
from laminar.sql.adhoc import frames, running, sorting
from laminar.sql.adhoc.batches import Indices, take_or_null
from laminar.sql.adhoc.calls import NUMERIC_VAR, compiled, to_numeric
from laminar.sql.adhoc.grouping import Prepared, prepare
from laminar.sql.adhoc.setops import number_rows
from laminar.sql.evaluator import Env
from laminar.sql.plan import Aggregate, Expr, SortItem, Window, WindowCall
from laminar.sql.sortkeys import sort_key

#: rows of frames expanded at once
EXPAND_ROWS: Final = 4_000_000
Floats = npt.NDArray[np.float64]


@dataclass(slots=True)
class Sorted:
    """Rows sorted by partition and order. Positions below are in that order.

    Args:
        order: input row at each position.
        partition: start and end of the position's partition.
        peers: start and end of the rows that the ORDER BY cannot tell apart.
        values: the first ORDER BY expression's values, sorted (None without ORDER BY).
    """

    order: Indices
    partition: tuple[Indices, Indices]
    peers: tuple[Indices, Indices]
    values: pa.Array | None
    items: tuple[SortItem, ...]

    @property
    def row(self) -> Indices:
        """0-based number within the partition."""
        return np.arange(len(self.order)) - self.partition[0]

    @property
    def size(self) -> Indices:
        return self.partition[1] - self.partition[0]


def window(node: Window, rows: pa.RecordBatch, env: Env) -> list[pa.Array]:
    """One column per call, in the order of the input rows."""
    ids = [c.id for c in node.input.columns]
    sorts: dict[tuple[tuple[Expr, ...], tuple[SortItem, ...]], Sorted] = {}
    result = []
    for call in node.calls:
        spec = (call.partition_by, call.order_by)
        if spec not in sorts:
            sorts[spec] = _sort(call, rows, ids, env)
        by = sorts[spec]
        values = _evaluate(call, by, rows, ids, env)
        back = np.empty(len(by.order), dtype=np.int64)
        back[by.order] = np.arange(len(by.order))
        result.append(values.take(pa.array(back)))
    return result


def _sort(call: WindowCall, rows: pa.RecordBatch, ids: Sequence[int], env: Env) -> Sorted:
    exprs = [sort_key(e) for e in call.partition_by] + [sort_key(i.expr) for i in call.order_by]
    exprs += [i.expr for i in call.order_by[:1]]
    columns = compiled(tuple(exprs), ids)(rows, env) if exprs else []
    split, end = len(call.partition_by), len(call.partition_by) + len(call.order_by)
    groups, _ = number_rows(columns[:split], rows.num_rows)
    order = sorting.group_order(groups, columns[split:end], call.order_by)
    peer_ids, _ = number_rows([pa.array(groups), *columns[split:end]], rows.num_rows)
    values = columns[end].take(pa.array(order)) if call.order_by else None
    return Sorted(order, _spans(groups[order]), _spans(peer_ids[order]), values, call.order_by)


def _spans(ids: Indices) -> tuple[Indices, Indices]:
    """Start and end of the run of equal ids that each position lies in."""
    n = len(ids)
    if not n:
        return ids, ids
    first = np.ones(n, dtype=bool)
    first[1:] = ids[1:] != ids[:-1]
    starts = np.flatnonzero(first)
    lengths = np.diff(np.append(starts, n))
    return np.repeat(starts, lengths), np.repeat(starts + lengths, lengths)


def _evaluate(call: WindowCall, by: Sorted, rows: pa.RecordBatch, ids: Sequence[int], env: Env) -> pa.Array:
    """The call's values at the sorted positions."""
    ranking = _RANKING.get(call.function.symbol)
    if ranking is not None:
        return ranking(by)
    args = compiled(call.args, ids)(rows, env) if call.args else []
    args = [a.take(pa.array(by.order)) for a in args]
    if call.type == NUMERIC_VAR:
        args = [to_numeric(env, a, e.type) for a, e in zip(args, call.args, strict=True)]
    symbol = call.function.symbol
    if symbol == "window_ntile":
        return _ntile(by, args[0])
    if symbol.startswith(("window_lag", "window_lead")):
        return _shift(by, args, 1 if symbol.startswith("window_lead") else -1)
    low, high = frames.bounds(call.frame, by, env)
    if symbol in ("window_first_value", "window_last_value", "window_nth_value"):
        return _pick(call, by, args, low, high)
    if symbol.startswith("window_"):
        raise not_supported(f"window function {call.function.name} is not supported")
    return _aggregate(call, by, rows, ids, (low, high), env)


def _row_number(by: Sorted) -> pa.Array:
    return pa.array(by.row + 1)


def _rank(by: Sorted) -> pa.Array:
    return pa.array(by.peers[0] - by.partition[0] + 1)


def _dense(by: Sorted) -> Indices:
    """0-based number of the peer group within the partition."""
    starts = (np.arange(len(by.order)) == by.peers[0]).astype(np.int64)
    running_count = np.cumsum(starts)
    return running_count - running_count[by.partition[0]] if len(starts) else starts


def _dense_rank(by: Sorted) -> pa.Array:
    return pa.array(_dense(by) + 1)


def _percent_rank(by: Sorted) -> pa.Array:
    return pa.array((by.peers[0] - by.partition[0]) / np.maximum(by.size - 1, 1))


def _cume_dist(by: Sorted) -> pa.Array:
    return pa.array((by.peers[1] - by.partition[0]) / by.size)


_RANKING: Final[dict[str, Callable[[Sorted], pa.Array]]] = {
    "window_row_number": _row_number,
    "window_rank": _rank,
    "window_dense_rank": _dense_rank,
    "window_percent_rank": _percent_rank,
    "window_cume_dist": _cume_dist,
}


def _ntile(by: Sorted, buckets: pa.Array) -> pa.Array:
    """Bucket numbers; the argument of each partition's first row counts."""
    first = buckets.take(pa.array(by.partition[0]))
    n = np.asarray(first.fill_null(1)).astype(np.int64)
    if (n <= 0).any():
        raise PgError("22014", "argument of ntile must be greater than zero")
    per, extra = by.size // n, by.size % n
    edge = extra * (per + 1)
    row = by.row
    bucket = np.where(row < edge, row // (per + 1), extra + (row - edge) // np.maximum(per, 1)) + 1
    return pa.array(bucket.astype(np.int32), mask=np.asarray(first.is_null()))


def _shift(by: Sorted, args: Sequence[pa.Array], direction: int) -> pa.Array:
    """lag and lead."""
    offset = np.ones(len(by.order), dtype=np.int64)
    missing = np.zeros(len(by.order), dtype=bool)
    if len(args) > 1:
        offset = np.asarray(args[1].fill_null(0)).astype(np.int64)
        missing = np.asarray(args[1].is_null())
    target = np.arange(len(by.order)) + direction * offset
    inside = (target >= by.partition[0]) & (target < by.partition[1]) & ~missing
    values = take_or_null(args[0], np.where(inside, target, -1))
    if len(args) < 3:
        return values
    both = pa.concat_arrays([values, args[2]])
    n = len(by.order)
    choice = np.where(inside, np.arange(n), np.arange(n) + n)
    return take_or_null(both, np.where(missing, -1, choice))


def _pick(call: WindowCall, by: Sorted, args: Sequence[pa.Array], low: Indices, high: Indices) -> pa.Array:
    """first_value, last_value, nth_value."""
    if call.frame.exclude != "no_others":
        raise not_supported("EXCLUDE with first_value, last_value and nth_value is not supported")
    some = low < high
    if call.function.symbol == "window_first_value":
        return take_or_null(args[0], np.where(some, low, -1))
    if call.function.symbol == "window_last_value":
        return take_or_null(args[0], np.where(some, high - 1, -1))
    nth = np.asarray(args[1].fill_null(1)).astype(np.int64)
    if (nth <= 0).any():
        raise PgError("22016", "argument of nth_value must be greater than zero")
    target = low + nth - 1
    inside = some & (target < high) & np.asarray(args[1].is_valid())
    return take_or_null(args[0], np.where(inside, target, -1))


def _aggregate(
    call: WindowCall,
    by: Sorted,
    rows: pa.RecordBatch,
    ids: Sequence[int],
    bounds: tuple[Indices, Indices],
    env: Env,
) -> pa.Array:
    """An aggregate over each position's frame."""
    plain = Aggregate(call.function, call.args, call.type, filter=call.filter, position=call.position)
    prepared = prepare([plain], rows, ids, env)[0]
    low, high = bounds
    if call.frame.exclude == "no_others":
        quick = running.aggregate(prepared, by, low, high, env)
        if quick is not None:
            return quick
        which, first = number_rows([pa.array(low), pa.array(high)], len(low))
        return _expanded(prepared, by, low[first], high[first], env, None).take(pa.array(which))
    return _expanded(prepared, by, low, high, env, call.frame.exclude)


def _expanded(
    prepared: Prepared, by: Sorted, low: Indices, high: Indices, env: Env, exclude: str | None
) -> pa.Array:
    """Each frame's rows written out, some frames at a time."""
    sizes = np.maximum(high - low, 0)
    edges = np.append(0, np.cumsum(sizes))
    parts = []
    start = 0
    while start < len(low):
        stop = max(start + 1, int(np.searchsorted(edges, edges[start] + EXPAND_ROWS, side="right")) - 1)
        frame = np.repeat(np.arange(stop - start), sizes[start:stop])
        members = np.arange(len(frame)) - (edges[start:stop] - edges[start])[frame] + low[start:stop][frame]
        if exclude is not None:
            keep = frames.not_excluded(exclude, by, frame + start, members)
            frame, members = frame[keep], members[keep]
        parts.append(prepared.over(frame, stop - start, env, by.order[members]))
        start = stop
    if not parts:
        return pa.array([], prepared.call.type.storage)
    return pa.concat_arrays(parts)
