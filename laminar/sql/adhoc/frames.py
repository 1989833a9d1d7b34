"""Frames of window functions: which positions each row's frame spans."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laminar.errors import PgError, not_supported
from laminar.sql.adhoc import batches, sorting
from laminar.sql.adhoc.batches import Indices
from laminar.sql.adhoc.calls import compiled
from laminar.sql.evaluator import Env
from laminar.sql.plan import Call, Cast, ColumnRef, Expr, Frame, Function, SortItem
from laminar.types import (
    DATE,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    NUMERIC,
    TIMESTAMP,
    TIMESTAMPTZ,
    PgType,
)

if TYPE_CHECKING:
    from laminar.sql.adhoc.windows import Sorted


def bounds(frame: Frame, by: Sorted, env: Env) -> tuple[Indices, Indices]:
    """First position of each row's frame and the one past the last (which may be before it)."""
    low = _edge(frame, frame.start, by, env, end=False)
    high = _edge(frame, frame.end, by, env, end=True)
    start, stop = by.partition
    return np.clip(low, start, stop), np.clip(high, start, stop)


def _edge(frame: Frame, edge: tuple[str, Expr | None], by: Sorted, env: Env, *, end: bool) -> Indices:
    kind, expr = edge
    here = np.arange(len(by.order))
    if kind == "unbounded_preceding":
        return by.partition[0]
    if kind == "unbounded_following":
        return by.partition[1]
    if kind == "current":
        if frame.mode == "rows":
            return here + 1 if end else here
        return by.peers[1] if end else by.peers[0]
    assert expr is not None
    offset = _offset(expr, env, end=end)
    sign = 1 if kind == "following" else -1
    if frame.mode == "rows":
        return here + sign * _count(offset) + (1 if end else 0)
    if frame.mode == "groups":
        return _groups(by, sign * _count(offset), end=end)
    return _range(by, expr, offset, sign, env, end=end)


def _offset(expr: Expr, env: Env, *, end: bool) -> pa.Array:
    """The frame's offset, one row."""
    value = compiled((expr,), ())(batches.make([], 1), env)[0]
    if value.null_count:
        raise PgError("22004", f"frame {'ending' if end else 'starting'} offset must not be null")
    number = value[0].as_py()
    if isinstance(number, int) and number < 0:
        raise PgError("22013", f"frame {'ending' if end else 'starting'} offset must not be negative")
    return value


def _count(offset: pa.Array) -> int:
    return min(int(offset[0].as_py()), 1 << 62)


def _groups(by: Sorted, shift: int, *, end: bool) -> Indices:
    """The peer group ``shift`` groups away."""
    starts = np.flatnonzero(np.arange(len(by.order)) == by.peers[0])
    number = np.searchsorted(starts, by.peers[0])
    shift = max(-len(starts) - 1, min(shift, len(starts) + 1))
    target = number + shift
    edges = np.append(starts, len(by.order))
    first, last = np.searchsorted(starts, by.partition[0]), np.searchsorted(starts, by.partition[1]) - 1
    if end:
        return np.where(target < first, by.partition[0], edges[np.clip(target, first, last) + 1])
    return np.where(target > last, by.partition[1], edges[np.clip(target, first, last)])


def _range(by: Sorted, expr: Expr, offset: pa.Array, sign: int, env: Env, *, end: bool) -> Indices:
    """Where a key ``offset`` away from the row's would stand among the partition's keys."""
    item = by.items[0]
    type_ = item.expr.type
    raw = by.values
    assert raw is not None
    forward = sign if not item.descending else -sign
    if type_.oid in (INT2, INT4, INT8):  # a bound beyond the type's range is no error
        keys = raw.cast(pa.int64()).cast(pa.decimal128(19, 0))
        limit = pc.add(keys, pa.scalar(Decimal(forward * offset[0].as_py()), pa.decimal128(20, 0)))
        keys = keys.cast(limit.type)
    else:
        limit, limit_type = _shifted(raw, type_, offset, expr.type, forward, env)
        keys = _as_timestamp(raw, env) if type_.oid == DATE else raw
        keys, limit = _comparable(keys, limit_type), _comparable(limit, limit_type)
    found = _search(by, keys, limit, item, after=end)
    null = np.asarray(raw.is_null())
    return np.where(null, by.peers[1] if end else by.peers[0], found)


def _as_timestamp(dates: pa.Array, env: Env) -> pa.Array:
    """Infinity included."""
    function = Function(0, "date_timestamp", "date_timestamp", True, "i")
    cast = Call(function, (ColumnRef(0, PgType(DATE)),), PgType(TIMESTAMP))
    return compiled((cast,), (0,))(batches.make([dates], len(dates)), env)[0]


def _comparable(array: pa.Array, type_: PgType) -> pa.Array:
    from laminar.sql.adhoc.calls import sort_key

    return sorting.ordered(sort_key(array, type_))


def _search(by: Sorted, keys: pa.Array, limit: pa.Array, item: SortItem, *, after: bool) -> Indices:
    """Per row: the number of the first key in its partition not before (``after``: past) the limit."""
    n = len(keys)
    partition = pa.array(np.concatenate([by.partition[0], by.partition[0]]))
    both = pa.concat_arrays([keys, limit])
    tag = np.zeros(2 * n, dtype=np.int8)
    tag[n:] = 1 if after else -1
    order = sorting.sort_indices(
        [partition, both, pa.array(tag)], [SortItem(item.expr), item, SortItem(item.expr)]
    )
    is_key = order < n
    before: Indices = np.cumsum(is_key) - is_key
    result = np.empty(n, dtype=np.int64)
    result[order[~is_key] - n] = before[~is_key]
    return result


_KERNELS = {
    (FLOAT4, FLOAT8): ("float48pl", "float48mi", FLOAT8),
    (FLOAT8, FLOAT8): ("float8pl", "float8mi", FLOAT8),
    (NUMERIC, NUMERIC): ("numeric_add", "numeric_sub", NUMERIC),
    (TIMESTAMP, INTERVAL): ("timestamp_pl_interval", "timestamp_mi_interval", TIMESTAMP),
    (TIMESTAMPTZ, INTERVAL): ("timestamptz_pl_interval", "timestamptz_mi_interval", TIMESTAMPTZ),
    (DATE, INTERVAL): ("date_pl_interval", "date_mi_interval", TIMESTAMP),
    (INTERVAL, INTERVAL): ("interval_pl", "interval_mi", INTERVAL),
}


def _shifted(
    keys: pa.Array, type_: PgType, offset: pa.Array, offset_type: PgType, sign: int, env: Env
) -> tuple[pa.Array, PgType]:
    """keys plus or minus the offset, and their type."""
    entry = _KERNELS.get((type_.oid, offset_type.oid))
    if entry is None:
        raise not_supported("RANGE with an offset is not supported for these types")
    plus, minus, oid = entry
    result = PgType(oid)
    args: list[Expr] = [ColumnRef(0, type_), ColumnRef(1, offset_type)]
    if oid == NUMERIC:
        args = [Cast(a, result, "rescale") if a.type.decimal else a for a in args]
    symbol = plus if sign > 0 else minus
    expr = Call(Function(0, symbol, symbol, True, "i"), tuple(args), result)
    same = offset.take(pa.array(np.zeros(len(keys), dtype=np.int64)))
    limit = compiled((expr,), (0, 1))(batches.make([keys, same], len(keys)), env)[0]
    if oid == NUMERIC and type_.decimal:
        limit = compiled((Cast(ColumnRef(0, result), type_, "rescale"),), (0,))(
            batches.make([limit], len(limit)), env
        )[0]
        return limit, type_
    return limit, result


def not_excluded(exclude: str, by: Sorted, frame: Indices, members: Indices) -> Indices:
    """Which (frame, member) pairs EXCLUDE leaves."""
    if exclude == "current":
        return np.flatnonzero(members != frame)
    peer = by.peers[0][members] == by.peers[0][frame]
    if exclude == "group":
        return np.flatnonzero(~peer)
    return np.flatnonzero(~peer | (members == frame))
