"""Aggregates over frames without writing the frames out: prefix sums and running extremes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from laminar.sql.adhoc.batches import Indices
from laminar.sql.adhoc.grouping import Prepared
from laminar.sql.evaluator import Env
from laminar.types import INT2, INT4

if TYPE_CHECKING:
    from laminar.sql.adhoc.windows import Sorted


def aggregate(prepared: Prepared, by: Sorted, low: Indices, high: Indices, env: Env) -> pa.Array | None:
    """The aggregate's value at each position, or None when there is no quick way."""
    if prepared.rows is not None:
        return None
    symbol = prepared.call.function.symbol
    high = np.maximum(high, low)
    if symbol.startswith("count("):
        return pa.array(_difference(_present(prepared, by), low, high))
    if symbol in ("sum(int2)", "sum(int4)"):
        present = _difference(_present(prepared, by), low, high)
        values = np.asarray(prepared.args[0].fill_null(0)).astype(np.int64)[by.order]
        return pa.array(_difference(values, low, high), mask=present == 0)
    if prepared.types and prepared.types[0].oid in (INT2, INT4) and symbol.startswith(("min(", "max(")):
        return _running_extreme(prepared, by, low, high, largest=symbol.startswith("max("))
    return None


def _present(prepared: Prepared, by: Sorted) -> Indices:
    """1 for rows whose arguments are not null."""
    present = np.ones(len(by.order), dtype=np.int64)
    for array in prepared.args:
        if array.null_count:
            present &= np.asarray(array.is_valid()).astype(np.int64)
    return present[by.order]


def _difference(values: Indices, low: Indices, high: Indices) -> Indices:
    """Sum over [low, high) of each position, by prefix sums."""
    prefix = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=prefix[1:])
    return prefix[high] - prefix[low]


def _running_extreme(
    prepared: Prepared, by: Sorted, low: Indices, high: Indices, *, largest: bool
) -> pa.Array | None:
    """min and max over frames that start with the partition."""
    if (low != by.partition[0]).any():
        return None
    none = -(1 << 40) if largest else 1 << 40
    array = prepared.args[0].take(pa.array(by.order))
    values = np.asarray(array.cast(pa.int64()).fill_null(none))
    # partitions are told apart by an offset larger than any difference, so one scan does them all
    number = np.cumsum(np.arange(len(values)) == by.partition[0])
    lift = (number if largest else -number) * (1 << 42)
    scan = np.maximum.accumulate(values + lift) if largest else np.minimum.accumulate(values + lift)
    at = np.maximum(high - 1, 0)
    result = scan[at] - lift
    empty = (high <= low) | (result == none)
    return pa.array(np.where(empty, 0, result), mask=empty).cast(array.type)
