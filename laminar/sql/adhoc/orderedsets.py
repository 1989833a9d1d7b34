"""Ordered-set aggregates: percentile_cont, percentile_disc (of one fraction or an array of them), mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from laminar.errors import NUMERIC_VALUE_OUT_OF_RANGE, PgError
from laminar.sql.adhoc import segments
from laminar.sql.adhoc.batches import Indices, take_or_null
from laminar.sql.adhoc.calls import call, sort_key, to_numeric
from laminar.types import FLOAT8, INTERVAL, NUMERIC, PgType

if TYPE_CHECKING:
    from laminar.sql.adhoc.aggregates import Input

_DOUBLE = PgType(FLOAT8)


def percentile(data: Input, *, continuous: bool) -> pa.Array:
    """percentile_cont and percentile_disc; args: fraction or fractions, then the values in order."""
    data = data.present()
    order = np.argsort(data.groups, kind="stable")
    starts = segments.offsets(data.groups, data.count)[:-1]
    first = np.full(data.count, -1, dtype=np.int64)
    some = data.counts() > 0
    first[some] = order[starts[some]]
    fractions = take_or_null(data.args[0], first)  # the same in all rows of a group
    groups = np.arange(data.count)
    if not pa.types.is_list(fractions.type):
        return _at(data, order, starts, groups, fractions, continuous)
    lengths = pc.fill_null(pc.list_value_length(fractions), 0).to_numpy()
    values = _at(data, order, starts, np.repeat(groups, lengths), fractions.flatten(), continuous)
    if data.types[1].oid == NUMERIC:  # an array of numeric has no precision of its own
        values = to_numeric(data.env, values, data.types[1])
    ends = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    return pa.ListArray.from_arrays(ends, values, mask=pa.array(~some)).cast(data.result.storage)


def _at(
    data: Input,
    order: Indices,
    starts: Indices,
    groups: Indices,
    fractions: pa.Array,
    continuous: bool,
) -> pa.Array:
    """The value at each fraction of a group's values; null for no values and for a null fraction."""
    wanted = (data.counts()[groups] > 0) & np.asarray(fractions.is_valid())
    fraction = pc.fill_null(fractions, 0.0).to_numpy()
    wrong = wanted & ~((fraction >= 0) & (fraction <= 1))
    if wrong.any():
        bad = fraction[wrong][0]
        raise PgError(NUMERIC_VALUE_OUT_OF_RANGE, f"percentile value {bad:g} is not between 0 and 1")
    n, at = data.counts()[groups], starts[groups]

    def pick(position: npt.NDArray[Any]) -> pa.Array:
        rows = np.full(len(groups), -1, dtype=np.int64)
        rows[wanted] = order[at[wanted] + position[wanted].astype(np.int64)]
        return take_or_null(data.args[1], rows)

    if not continuous:
        return pick(np.maximum(np.ceil(fraction * n), 1) - 1)
    position = fraction * (n - 1)
    low, high = pick(np.floor(position)), pick(np.ceil(position))
    return _between(data, low, high, pa.array(position - np.floor(position)))


def _between(data: Input, low: pa.Array, high: pa.Array, share: pa.Array) -> pa.Array:
    """``low + share * (high - low)``, of floats or intervals."""
    type_ = data.types[1]
    if type_.oid != INTERVAL:
        return pc.add(low, pc.multiply(share, pc.subtract(high, low)))
    distance = call(data.env, "interval_mi", type_, (high, type_), (low, type_))
    part = call(data.env, "interval_mul", type_, (distance, type_), (share, _DOUBLE))
    return call(data.env, "interval_pl", type_, (low, type_), (part, type_))


def mode(data: Input) -> pa.Array:
    """The most frequent value, the first in order among equals."""
    from laminar.sql.adhoc.setops import number_rows

    data = data.present()
    kinds, first = number_rows(
        [pa.array(data.groups), sort_key(data.args[0], data.types[0])], len(data.groups)
    )
    frequency = np.bincount(kinds, minlength=len(first))
    order = np.lexsort((first, -frequency, data.groups[first]))
    best = segments.firsts(order.astype(np.int64), data.groups[first], data.count)
    rows = np.full(data.count, -1, dtype=np.int64)
    rows[best >= 0] = first[best[best >= 0]]
    return take_or_null(data.args[0], rows)
