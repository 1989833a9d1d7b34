"""Reductions of values by group number, a column at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from laminar.sql.adhoc.batches import Indices, take_or_null

Bools = npt.NDArray[np.bool_]


def hashed(values: pa.Array, groups: Indices, count: int, function: str) -> pa.Array:
    """Arrow's own hash aggregation; null for groups without a value."""
    table = pa.Table.from_arrays([pa.array(groups), values], names=["g", "v"])
    done = table.group_by("g", use_threads=False).aggregate([("v", function)]).combine_chunks()
    where = np.full(count, -1, dtype=np.int64)
    where[np.asarray(done.column("g"))] = np.arange(done.num_rows)
    result = done.column(f"v_{function}")
    array = result.chunk(0) if result.num_chunks else pa.array([], result.type)
    return take_or_null(array, where)


def counts(groups: Indices, count: int) -> Indices:
    return np.bincount(groups, minlength=count).astype(np.int64, copy=False)


def offsets(groups: Indices, count: int) -> Indices:
    """Where each group starts among rows sorted by group, and the end."""
    result = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(counts(groups, count), out=result[1:])
    return result


def firsts(order: Indices, groups: Indices, count: int) -> Indices:
    """The first row of each group under ``order`` (which sorts by group), -1 for empty groups."""
    at = offsets(groups, count)
    empty = at[1:] == at[:-1]
    result = np.full(count, -1, dtype=np.int64)
    result[~empty] = order[at[:-1][~empty]]
    return result


def tree(
    values: pa.Array, groups: Indices, count: int, combine: Callable[[pa.Array, pa.Array], pa.Array]
) -> pa.Array:
    """Fold each group with an associative operation, pairs first: log2(rows) calls, small rounding errors.

    Null for groups without a value. The order within a group is that of the rows.
    """
    order = np.argsort(groups, kind="stable")
    values, groups = values.take(pa.array(order)), groups[order]
    while len(groups) > 1 and (groups[1:] == groups[:-1]).any():
        start = np.ones(len(groups), dtype=bool)
        start[1:] = groups[1:] != groups[:-1]
        begin = np.maximum.accumulate(np.where(start, np.arange(len(groups)), 0))
        even = np.flatnonzero((np.arange(len(groups)) - begin) % 2 == 0)
        partner = np.minimum(even + 1, len(groups) - 1)
        paired = (partner > even) & (groups[partner] == groups[even])
        left, right = values.take(pa.array(even[paired])), values.take(pa.array(partner[paired]))
        merged = pa.concat_arrays([combine(left, right), values.take(pa.array(even[~paired]))])
        back = np.empty(len(even), dtype=np.int64)
        back[np.flatnonzero(paired)] = np.arange(int(paired.sum()))
        back[np.flatnonzero(~paired)] = np.arange(int(paired.sum()), len(even))
        values, groups = merged.take(pa.array(back)), groups[even]
    where = np.full(count, -1, dtype=np.int64)
    where[groups] = np.arange(len(groups))
    return take_or_null(values, where)


def decimal_nan(array: pa.Array) -> Bools:
    """Which decimal128 values are NaN (laminar.types.DECIMAL_NAN); false for nulls."""
    if not len(array):
        return np.zeros(0, dtype=bool)
    words = np.frombuffer(array.buffers()[1], dtype=np.int64).reshape(-1, 2)
    high = words[array.offset : array.offset + len(array), 1]
    nan = high == (1 << 63) - 1
    return nan & np.asarray(array.is_valid()) if array.null_count else nan


def with_decimal_nan(array: pa.Array, nan: Bools) -> pa.Array:
    """The array with NaN where ``nan`` says so."""
    words = np.empty((len(array), 2), dtype=np.uint64)
    words[:, 0], words[:, 1] = (1 << 64) - 1, (1 << 63) - 1
    nans = pa.Array.from_buffers(array.type, len(array), [None, pa.py_buffer(words)])
    return pc.if_else(pa.array(nan), nans, array)
