"""Set-returning functions: each row's result rows as one list (of structs for several columns)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, localcontext
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laminar.errors import INVALID_PARAMETER_VALUE, PgError
from laminar.sql.kernels.arrays import lengths, spread, within
from laminar.sql.kernels.registry import Run, Signature, builder, kernel
from laminar.sql.kernels.vectors import numbers, with_nulls
from laminar.types import VECTORS, PgType

#: more rows than this in one call are refused rather than built in memory
MAX_ROWS: Final = 100_000_000


@kernel("array_unnest", total=True, sets=True)
def _unnest(_env: object, lists: Any) -> Any:
    return lists


def _lists(counts: Any, values: pa.Array) -> pa.Array:
    total = int(counts.sum())
    if total > MAX_ROWS:
        raise PgError("54000", f"a set of {total} rows is too large", hint=f"The limit is {MAX_ROWS} rows.")
    offsets = pa.array(np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, values)


@builder(
    "generate_series_int4",
    "generate_series_step_int4",
    "generate_series_int8",
    "generate_series_step_int8",
    sets=True,
)
def _integers(signature: Signature) -> Run:
    storage = signature.result.storage

    def run(_env: object, *columns: Any) -> Any:
        arrays = spread(columns)
        first, last = (numbers(a).astype(object) for a in arrays[:2])
        step = numbers(arrays[2]).astype(object) if len(arrays) > 2 else np.ones(len(first), dtype=object)
        valid = np.ones(len(first), dtype=bool)
        for array in arrays:
            valid &= array.is_valid().to_numpy(zero_copy_only=False)
        if any(s == 0 for s, v in zip(step, valid, strict=True) if v):
            raise PgError(INVALID_PARAMETER_VALUE, "step size cannot equal zero")
        counts = np.array(
            [
                max(0, (b - a) // s + 1) if v else 0
                for a, b, s, v in zip(
                    first.tolist(), last.tolist(), step.tolist(), valid.tolist(), strict=True
                )
            ],
            dtype=np.float64,
        )
        if counts.sum() > MAX_ROWS:
            raise PgError("54000", f"a set of {int(counts.sum())} rows is too large")
        whole = counts.astype(np.int64)
        values = np.repeat(first.astype(np.int64), whole) + within(whole) * np.repeat(
            step.astype(np.int64), whole
        )
        return _lists(whole, pa.array(values).cast(storage))

    return run


@builder("generate_subscripts", "generate_subscripts_nodir", total=True, sets=True)
def _subscripts(signature: Signature) -> Run:
    first = 0 if signature.args[0].oid in VECTORS else 1

    def run(_env: object, *columns: Any) -> Any:
        return _places(first, *columns)

    return run


def _places(first: int, lists: Any, dimension: Any, reverse: Any = None) -> Any:
    """Each element's place in its array, counted from ``first``."""
    lists, dimension, *rest = spread((lists, dimension) if reverse is None else (lists, dimension, reverse))
    counts = lengths(lists)
    counts[numbers(dimension) != 1] = 0
    for column in (dimension, *rest):
        counts[column.is_null().to_numpy(zero_copy_only=False)] = 0
    places = within(counts) + 1
    if rest:
        backwards = np.repeat(pc.fill_null(rest[0], True).to_numpy(zero_copy_only=False), counts)
        places = np.where(backwards, np.repeat(counts, counts) - places + 1, places)
    return _lists(counts, pa.array((places + (first - 1)).astype(np.int32)))


@builder("generate_series_timestamp", "generate_series_timestamptz", sets=True)
def _timestamps(signature: Signature) -> Run:
    """Adds the step until the end is passed; months and days as the calendar (and time zone) has them."""
    from laminar.sql.kernels.registry import bind
    from laminar.sql.plan import Function

    stamp: PgType = signature.args[0]
    symbol = "timestamp_pl_interval" if signature.symbol.endswith("timestamp") else "timestamptz_pl_interval"
    plus = bind(Function(0, symbol, symbol, True, "s"), (stamp, signature.args[2]), stamp)[1]

    def run(env: Any, *columns: Any) -> Any:
        first, last, step = spread(columns)
        rows: list[list[int]] = []
        for i in range(len(first)):
            if not (first[i].is_valid and last[i].is_valid and step[i].is_valid):
                rows.append([])
                continue
            rows.append(_series(env, plus, first.slice(i, 1), last[i].value, step.slice(i, 1)))
        counts = np.array([len(r) for r in rows], dtype=np.int64)
        flat = np.array([v for r in rows for v in r], dtype=np.int64)
        return _lists(counts, with_nulls(flat, stamp.storage))

    return run


def _series(env: Any, plus: Run, first: pa.Array, last: int, step: pa.Array) -> list[int]:
    months, days, micros = (int.from_bytes(step[0].as_py()[a:b], "little", signed=True) for a, b in _PARTS)
    sign = (months * 30 + days) * 86_400_000_000 + micros
    if sign == 0:
        raise PgError(INVALID_PARAMETER_VALUE, "step size cannot equal zero")
    values: list[int] = []
    current = first
    while (current[0].value <= last) if sign > 0 else (current[0].value >= last):
        values.append(current[0].value)
        if len(values) > MAX_ROWS:
            raise PgError("54000", "a set of rows is too large")
        current = plus(env, current, step)
    return values


@builder("generate_series_numeric", "generate_series_step_numeric", sets=True)
def _numerics(signature: Signature) -> Run:
    """Numbers of any size: exact sums in Decimal, so this way is for sets of moderate size."""
    from laminar._native import textio

    def decimals(column: Any, type_: PgType) -> list[Decimal | None]:
        texts = textio.format_text(column, type_, textio.FormatSettings()).to_pylist()
        return [None if t is None else Decimal(t) for t in texts]

    def run(_env: object, *columns: Any) -> Any:
        parts = [decimals(c, t) for c, t in zip(spread(columns), signature.args, strict=True)]
        lists = [[] if None in row else list(_decimal_series(*row)) for row in zip(*parts, strict=True)]
        counts = np.array([len(row) for row in lists], dtype=np.int64)
        texts = pa.array([f"{value:f}" for row in lists for value in row], pa.string())
        return _lists(counts, textio.parse_text(texts, signature.result))

    return run


def _decimal_series(first: Decimal, last: Decimal, step: Decimal = Decimal(1)) -> Iterator[Decimal]:
    for what, value in (("start value", first), ("stop value", last), ("step size", step)):
        if not value.is_finite():
            kind = "NaN" if value.is_nan() else "infinity"
            raise PgError(INVALID_PARAMETER_VALUE, f"{what} cannot be {kind}")
    if step == 0:
        raise PgError(INVALID_PARAMETER_VALUE, "step size cannot equal zero")
    count = 0
    with localcontext(Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)):
        current = first
        while current <= last if step > 0 else current >= last:
            count += 1
            if count > MAX_ROWS:
                raise PgError("54000", "a set of rows is too large")
            yield current
            current += step


_PARTS: Final = ((0, 4), (4, 8), (8, 16))
