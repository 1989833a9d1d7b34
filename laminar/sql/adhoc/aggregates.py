"""PostgreSQL's aggregates over grouped rows.

Each takes the argument columns (rows that FILTER and DISTINCT left, in the order ORDER BY asks for),
the group number of each row and the number of groups, and gives one value per group.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from laminar._native.rowindex import group_sums
from laminar.errors import NUMERIC_VALUE_OUT_OF_RANGE, PgError, not_supported
from laminar.sql.adhoc import hyperloglog, segments
from laminar.sql.adhoc.batches import Indices, take_or_null
from laminar.sql.adhoc.calls import NUMERIC_VAR, call, sort_key, to_numeric
from laminar.sql.adhoc.jsonaggregates import json_agg, json_object_agg
from laminar.sql.adhoc.orderedsets import mode, percentile
from laminar.sql.adhoc.sorting import ordered
from laminar.sql.evaluator import Env
from laminar.sql.plan import BOOLEAN, Function
from laminar.sql.routines import aggregate_groups
from laminar.types import BPCHAR, FLOAT8, INT2, INT4, INT8, NUMERIC, PgType

Floats = npt.NDArray[Any]
_INTEGERS = {INT2, INT4, INT8}


@dataclass(slots=True)
class Input:
    """What an aggregate sees.

    Args:
        args: argument columns, one value per row.
        types: their types.
        groups: group number of each row.
        count: number of groups.
        result: the aggregate's type.
    """

    args: list[pa.Array]
    types: list[PgType]
    groups: Indices
    count: int
    result: PgType
    env: Env

    def present(self) -> Input:
        """Only the rows without a null argument (strict transition functions)."""
        keep = np.ones(len(self.groups), dtype=bool)
        for array in self.args:
            if array.null_count:
                keep &= np.asarray(array.is_valid())
        if keep.all():
            return self
        mask = pa.array(keep)
        args = [array.filter(mask) for array in self.args]
        return Input(args, self.types, self.groups[keep], self.count, self.result, self.env)

    def counts(self) -> Indices:
        return segments.counts(self.groups, self.count)


def aggregate(function: Function, data: Input) -> pa.Array:
    """One value per group, in the storage of ``data.result``; 0A000 for an aggregate that is not here."""
    if function.routine is not None:
        return _users(function, data)
    symbol = function.symbol
    name = symbol.partition("(")[0]
    reduce = _AGGREGATES.get(name)
    if reduce is None:
        raise not_supported(f"aggregate function {name} is not supported")
    result = reduce(data)
    if data.result == NUMERIC_VAR and pa.types.is_decimal(result.type):  # of the argument's precision
        kind = PgType(NUMERIC, -1, (result.type.precision, result.type.scale))
        result = to_numeric(data.env, result, kind)
    if result.type != data.result.storage:
        raise TypeError(f"{symbol} gave {result.type} for {data.result}")
    return result


def _users(function: Function, data: Input) -> pa.Array:
    """An aggregate in Python; STRICT ones see no row with a null argument."""
    data = data.present() if function.strict else data
    return aggregate_groups(
        function, data.args, data.types, data.groups, data.count, data.result, data.env.settings
    )


def count(data: Input) -> pa.Array:
    return pa.array(data.present().counts())


def total(data: Input) -> pa.Array:
    """sum()."""
    data = data.present()
    values, type_ = data.args[0], data.types[0]
    if type_.oid in (INT2, INT4):
        return segments.hashed(values.cast(pa.int64()), data.groups, data.count, "sum")
    if type_.oid == INT8:
        exact = values.cast(pa.decimal128(19, 0))
        result = segments.hashed(exact, data.groups, data.count, "sum")
        return result if data.result.decimal else to_numeric(data.env, result, PgType(NUMERIC, -1, (38, 0)))
    if type_.oid == NUMERIC and data.result.decimal and type_.decimal:
        return _decimal_sum(data)
    if type_.oid == NUMERIC:
        values, symbol, kind = to_numeric(data.env, values, type_), "numeric_add", NUMERIC_VAR
    elif pa.types.is_floating(values.type):
        return _float_sum(data)
    else:
        symbol, kind = "interval_pl", type_
    return _fold(data, values, kind, symbol)


def _float_sum(data: Input) -> pa.Array:
    """Sum of floats; 22003 when finite values give an infinite one."""
    values = np.asarray(data.args[0].cast(pa.float64()))
    sums = group_sums(values, np.ascontiguousarray(data.groups), data.count)
    single = data.result.storage == pa.float32()
    with np.errstate(over="ignore"):
        overflowed = np.isinf(sums.astype(np.float32) if single else sums)
    if overflowed.any():
        infinite = np.zeros(data.count, dtype=bool)
        infinite[data.groups[np.isinf(values)]] = True
        if (overflowed & ~infinite).any():
            raise PgError(NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow")
    result = pa.array(sums, mask=data.counts() == 0)
    return result.cast(pa.float32(), safe=False) if single else result


def _fold(data: Input, values: pa.Array, type_: PgType, symbol: str) -> pa.Array:
    def combine(a: pa.Array, b: pa.Array) -> pa.Array:
        return call(data.env, symbol, type_, (a, type_), (b, type_))

    return segments.tree(values, data.groups, data.count, combine)


def _decimal_sum(data: Input) -> pa.Array:
    """Sum of numeric(p <= 28, s): 38 digits hold that of 10**10 rows."""
    values = data.args[0]
    nan = segments.decimal_nan(values)
    if nan.any():
        clean = values.filter(pa.array(~nan))
        sums = segments.hashed(clean, data.groups[~nan], data.count, "sum")
        return segments.with_decimal_nan(sums, segments.counts(data.groups[nan], data.count) > 0)
    return segments.hashed(values, data.groups, data.count, "sum")


def average(data: Input) -> pa.Array:
    """avg()."""
    data = data.present()
    type_, env = data.types[0], data.env
    numbers = pa.array(data.counts())
    if type_.oid in _INTEGERS or type_.oid == NUMERIC:
        n = call(env, "int8_numeric", NUMERIC_VAR, (numbers, PgType(INT8)))
        return _divide(env, _numeric_sum(data), n, data.counts())
    if pa.types.is_floating(data.args[0].type):
        wide = Input(
            [data.args[0].cast(pa.float64())], [PgType(FLOAT8)], data.groups, data.count, PgType(FLOAT8), env
        )
        return pc.divide(total(wide), numbers.cast(pa.float64()))
    sums = total(Input(data.args, data.types, data.groups, data.count, type_, env))
    divisor = pc.if_else(pc.equal(numbers, 0), pa.scalar(1.0), numbers.cast(pa.float64()))
    return call(env, "interval_div", type_, (sums, type_), (divisor, PgType(FLOAT8)))


def _numeric_sum(data: Input) -> pa.Array:
    """Sum of integers or numerics in unconstrained storage."""
    type_ = data.types[0]
    if type_.oid in _INTEGERS:
        wide = data.args[0].cast(pa.int64()).cast(pa.decimal128(19, 0))
        sums = segments.hashed(wide, data.groups, data.count, "sum")
        return to_numeric(data.env, sums, PgType(NUMERIC, -1, (38, 0)))
    if type_.decimal and type_.decimal[0] <= 28:
        return to_numeric(data.env, _decimal_sum(data), PgType(NUMERIC, -1, (38, type_.decimal[1])))
    return _fold(data, to_numeric(data.env, data.args[0], type_), NUMERIC_VAR, "numeric_add")


def _divide(env: Env, dividend: pa.Array, divisor: pa.Array, rows: Indices) -> pa.Array:
    """numeric division, null for empty groups."""
    some = pa.array(rows > 0)
    safe = pc.if_else(some, divisor, pa.scalar(None, divisor.type))
    return call(env, "numeric_div", NUMERIC_VAR, (dividend, NUMERIC_VAR), (safe, NUMERIC_VAR))


def extreme(data: Input, *, largest: bool) -> pa.Array:
    """min() and max()."""
    data = data.present()
    values, type_ = data.args[0], data.types[0]
    if not type_.needs_sort_key and not pa.types.is_fixed_size_binary(values.type) and type_.oid != NUMERIC:
        return segments.hashed(values, data.groups, data.count, "max" if largest else "min")
    key = ordered(sort_key(values, type_))
    # of equal values that differ in storage the last one counts, of bpchar the first, as with PostgreSQL
    place = pa.array(np.arange(len(key)))
    table = pa.Table.from_arrays([pa.array(data.groups), key, place], names=["g", "k", "place"])
    order = np.asarray(
        pc.sort_indices(
            table,
            sort_keys=[
                ("g", "ascending"),
                ("k", "descending" if largest else "ascending"),
                ("place", "ascending" if type_.oid == BPCHAR else "descending"),
            ],
        )
    ).astype(np.int64)
    return take_or_null(values, segments.firsts(order, data.groups, data.count))


def boolean(data: Input, function: str) -> pa.Array:
    data = data.present()
    return segments.hashed(data.args[0], data.groups, data.count, function)


def bits(data: Input, name: str) -> pa.Array:
    data = data.present()
    type_ = data.types[0]
    symbol = {INT2: "int2", INT4: "int4", INT8: "int8"}.get(type_.oid)
    if symbol is None:
        raise not_supported(f"bit_{name} of bit strings is not supported")
    return _fold(data, data.args[0], type_, symbol + name)


def common_range(data: Input) -> pa.Array:
    """range_intersect_agg()."""
    data = data.present()
    return _fold(data, data.args[0], data.types[0], "range_intersect")


def any_value(data: Input) -> pa.Array:
    data = data.present()
    order = np.argsort(data.groups, kind="stable")
    return take_or_null(data.args[0], segments.firsts(order, data.groups, data.count))


def approx_count_distinct(data: Input) -> pa.Array:
    data = data.present()
    found = hyperloglog.hashes(data.args[0], data.types[0])
    return pa.array(hyperloglog.estimates(found, data.groups, data.count))


def array_agg(data: Input) -> pa.Array:
    if data.types[0].is_array:
        raise not_supported("array_agg of arrays is not supported")
    values, type_ = data.args[0], data.types[0]
    # an array of numeric has no precision of its own
    return _lists(to_numeric(data.env, values, type_) if type_.oid == NUMERIC else values, data)


def _lists(values: pa.Array, data: Input) -> pa.Array:
    """A list per group, null for empty groups."""
    order = np.argsort(data.groups, kind="stable")
    at = segments.offsets(data.groups, data.count)
    starts = pa.array(at.astype(np.int32), mask=np.append(at[1:] == at[:-1], False))
    return pa.ListArray.from_arrays(starts, values.take(pa.array(order)))


def string_agg(data: Input) -> pa.Array:
    """Values with the delimiter of every row but the first before them."""
    keep = np.asarray(data.args[0].is_valid())
    mask = pa.array(keep)
    values, delimiters = (a.filter(mask) for a in data.args)
    groups = data.groups[keep]
    nothing = pa.scalar("" if values.type == pa.string() else b"", values.type)
    order = np.argsort(groups, kind="stable")
    first = np.zeros(len(groups), dtype=bool)
    starts = segments.firsts(order, groups, data.count)
    first[starts[starts >= 0]] = True
    lead = pc.if_else(pa.array(first), nothing, pc.fill_null(delimiters, nothing))
    parts = pc.binary_join_element_wise(lead, values, nothing)
    lists = _lists(parts, Input([parts], data.types, groups, data.count, data.result, data.env))
    return pc.binary_join(lists, nothing)


def spread(data: Input, *, sample: bool, root: bool) -> pa.Array:
    """variance and stddev: exact on integers and numeric, two passes on floats."""
    data = data.present()
    if pa.types.is_floating(data.args[0].type):
        return _float_spread(data, sample=sample, root=root)
    return _numeric_spread(data, sample=sample, root=root)


def _float_spread(data: Input, *, sample: bool, root: bool) -> pa.Array:
    values = np.asarray(data.args[0].cast(pa.float64()))
    n = data.counts()
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        mean = np.bincount(data.groups, weights=values, minlength=data.count) / n
        squares = np.bincount(data.groups, weights=(values - mean[data.groups]) ** 2, minlength=data.count)
        result = squares / (n - 1 if sample else n)
        if root:
            result = np.sqrt(result)
    return pa.array(result, mask=n < (2 if sample else 1))


def _numeric_spread(data: Input, *, sample: bool, root: bool) -> pa.Array:
    """(N * sum(x*x) - sum(x)**2) / (N * (N - 1)), as numeric_stddev_internal does."""
    env = data.env
    values = _as_numeric(data)
    var = NUMERIC_VAR
    squares = call(env, "numeric_mul", var, (values, var), (values, var))
    sums, square_sums = (_fold(data, array, var, "numeric_add") for array in (values, squares))
    rows = (pa.array(data.counts()), PgType(INT8))
    flags = [(pa.array(np.full(data.count, flag)), BOOLEAN) for flag in (sample, root)]
    return call(env, "laminar_variance_of_sums", var, (sums, var), (square_sums, var), rows, *flags)


def _as_numeric(data: Input) -> pa.Array:
    type_ = data.types[0]
    if type_.oid in _INTEGERS:
        symbol = {INT2: "int2_numeric", INT4: "int4_numeric", INT8: "int8_numeric"}[type_.oid]
        return call(data.env, symbol, NUMERIC_VAR, (data.args[0], type_))
    return to_numeric(data.env, data.args[0], type_)


def regression(data: Input, name: str) -> pa.Array:
    """The two-argument statistics; the first argument is Y."""
    data = data.present()
    y, x = (np.asarray(a) for a in data.args)
    n = data.counts()

    def sums(weights: Floats) -> Floats:
        return np.bincount(data.groups, weights=weights, minlength=data.count)

    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        mean_x, mean_y = sums(x) / n, sums(y) / n
        dx, dy = x - mean_x[data.groups], y - mean_y[data.groups]
        sxx, syy, sxy = sums(dx * dx), sums(dy * dy), sums(dx * dy)
        value, missing = {
            "regr_sxx": (sxx, n < 1),
            "regr_syy": (syy, n < 1),
            "regr_sxy": (sxy, n < 1),
            "regr_avgx": (mean_x, n < 1),
            "regr_avgy": (mean_y, n < 1),
            "regr_slope": (sxy / sxx, (n < 1) | (sxx == 0)),
            "regr_intercept": (mean_y - mean_x * sxy / sxx, (n < 1) | (sxx == 0)),
            "regr_r2": (np.where(syy == 0, 1.0, sxy * sxy / (sxx * syy)), (n < 1) | (sxx == 0)),
            "covar_pop": (sxy / n, n < 1),
            "covar_samp": (sxy / (n - 1), n < 2),
            "corr": (sxy / np.sqrt(sxx * syy), (n < 1) | (sxx == 0) | (syy == 0)),
        }[name]
    return pa.array(value, mask=missing)


_AGGREGATES: Final[dict[str, Callable[[Input], pa.Array]]] = {
    "count": count,
    "regr_count": count,
    "sum": total,
    "avg": average,
    "min": partial(extreme, largest=False),
    "max": partial(extreme, largest=True),
    "bool_and": partial(boolean, function="all"),
    "every": partial(boolean, function="all"),
    "bool_or": partial(boolean, function="any"),
    "bit_and": partial(bits, name="and"),
    "bit_or": partial(bits, name="or"),
    "bit_xor": partial(bits, name="xor"),
    "range_intersect_agg": common_range,
    "any_value": any_value,
    "approx_count_distinct": approx_count_distinct,
    "array_agg": array_agg,
    "string_agg": string_agg,
    "json_agg": json_agg,
    "jsonb_agg": json_agg,
    "json_object_agg": json_object_agg,
    "jsonb_object_agg": json_object_agg,
    "variance": partial(spread, sample=True, root=False),
    "var_samp": partial(spread, sample=True, root=False),
    "var_pop": partial(spread, sample=False, root=False),
    "stddev": partial(spread, sample=True, root=True),
    "stddev_samp": partial(spread, sample=True, root=True),
    "stddev_pop": partial(spread, sample=False, root=True),
    "percentile_cont": partial(percentile, continuous=True),
    "percentile_disc": partial(percentile, continuous=False),
    "mode": mode,
}
_AGGREGATES.update(
    (name, partial(regression, name=name))
    for name in (
        *("regr_sxx", "regr_syy", "regr_sxy", "regr_avgx", "regr_avgy", "regr_r2", "regr_slope"),
        *("regr_intercept", "covar_pop", "covar_samp", "corr"),
    )
)
