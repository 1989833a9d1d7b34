"""Set-returning functions, a list of results per input row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa

from laminar.errors import INVALID_PARAMETER_VALUE, PgError, not_supported
from laminar.sql import facts
from laminar.sql.adhoc.calls import call, convert
from laminar.sql.evaluator import Env
from laminar.sql.plan import Function
from laminar.types import INTERVAL, TEXT, TIMESTAMP, TIMESTAMPTZ, PgType

#: a result of more rows than this per input row is refused
MAX_ROWS: Final = 100_000_000


def results(
    function: Function, args: Sequence[pa.Array], types: Sequence[PgType], result: PgType, env: Env
) -> list[pa.Array]:
    """For each row the values that the function returns for it (empty where a strict argument is null)."""
    handler = _FUNCTIONS.get(function.symbol)
    if handler is None:
        raise not_supported(f"set-returning function {function.name} is not supported")
    return handler(args, types, result, env)


def returns_set(function: Function) -> bool:
    """Whether pg_proc says so."""
    return function.symbol in _FUNCTIONS or (function.oid > 0 and facts.function(function.oid).retset)


def _rows(args: Sequence[pa.Array]) -> Iterator[list[Any] | None]:
    for row in zip(*args, strict=True):
        values = [v.as_py() for v in row]
        yield None if None in values else values


def _zero_step() -> PgError:
    return PgError(INVALID_PARAMETER_VALUE, "step size cannot equal zero")


def _too_many() -> PgError:
    return PgError("54000", f"generate_series would return more than {MAX_ROWS} rows")


def _integers(args: Sequence[pa.Array], types: Sequence[PgType], result: PgType, env: Env) -> list[pa.Array]:
    out = []
    for row in _rows(args):
        if row is None:
            out.append(pa.array([], result.storage))
            continue
        start, stop, step = (*row, 1)[:3]
        if step == 0:
            raise _zero_step()
        numbers = range(start, stop + (1 if step > 0 else -1), step)
        if len(numbers) > MAX_ROWS:
            raise _too_many()
        out.append(pa.array(start + step * np.arange(len(numbers), dtype=np.int64)).cast(result.storage))
    return out


def _numerics(args: Sequence[pa.Array], types: Sequence[PgType], result: PgType, env: Env) -> list[pa.Array]:
    """Decimal arithmetic through numeric's text form: exact, with the widest scale of the arguments."""
    texts = [convert(env, a, t, PgType(TEXT)) for a, t in zip(args, types, strict=True)]
    out = []
    for row in _rows(texts):
        if row is None:
            out.append(pa.array([], result.storage))
            continue
        start, stop, step = (Decimal(v) for v in (*row, "1")[:3])
        for what, value in (("start", start), ("stop", stop), ("step size", step)):
            if not value.is_finite():
                kind = "NaN" if value.is_nan() else "infinity"
                raise PgError(
                    INVALID_PARAMETER_VALUE, f"{what} value cannot be {kind}".replace("size value", "size")
                )
        if step == 0:
            raise _zero_step()
        count = max(0, int((stop - start) / step) + 1)
        if count > MAX_ROWS:
            raise _too_many()
        values = [str(start + step * i) for i in range(count)]
        out.append(convert(env, pa.array(values, pa.string()), PgType(TEXT), result))
    return out


def _timestamps(
    args: Sequence[pa.Array], types: Sequence[PgType], result: PgType, env: Env
) -> list[pa.Array]:
    """Adds the step again and again, as PostgreSQL does (months follow the calendar)."""
    out = []
    symbol = "timestamp_pl_interval" if result.oid == TIMESTAMP else "timestamptz_pl_interval"
    step_type = PgType(INTERVAL)
    for i in range(len(args[0])):
        current, stop, step = (a.slice(i, 1) for a in args)
        if current.null_count or stop.null_count or step.null_count:
            out.append(pa.array([], result.storage))
            continue
        sign = _interval_sign(step[0].as_py())
        if sign == 0:
            raise _zero_step()
        last, values = stop.cast(pa.int64())[0].as_py(), []
        fixed = _fixed_step(step[0].as_py(), result)
        first = current.cast(pa.int64())[0].as_py()
        if fixed is not None:
            numbers = range(first, last + sign, fixed)
            if len(numbers) > MAX_ROWS:
                raise _too_many()
            out.append(pa.array(first + fixed * np.arange(len(numbers), dtype=np.int64)).cast(result.storage))
            continue
        while (first <= last) if sign > 0 else (first >= last):
            values.append(first)
            current = call(env, symbol, result, (current, result), (step, step_type))
            first = current.cast(pa.int64())[0].as_py()
        out.append(pa.array(values, pa.int64()).cast(result.storage))
    return out


def _interval_sign(value: bytes) -> int:
    months, days, micros = _interval(value)
    total = (months * 30 + days) * 86_400_000_000 + micros
    return (total > 0) - (total < 0)


def _interval(value: bytes) -> tuple[int, int, int]:
    return (
        int.from_bytes(value[:4], "little", signed=True),
        int.from_bytes(value[4:8], "little", signed=True),
        int.from_bytes(value[8:], "little", signed=True),
    )


def _fixed_step(value: bytes, result: PgType) -> int | None:
    """The step in microseconds when adding it is plain arithmetic."""
    months, days, micros = _interval(value)
    if months or (days and result.oid == TIMESTAMPTZ):
        return None
    return days * 86_400_000_000 + micros


def _unnest(args: Sequence[pa.Array], types: Sequence[PgType], result: PgType, env: Env) -> list[pa.Array]:
    empty = pa.array([], result.storage)
    return [value.values if value.is_valid else empty for value in args[0]]


def _subscripts(
    args: Sequence[pa.Array], types: Sequence[PgType], result: PgType, env: Env
) -> list[pa.Array]:
    out = []
    for row in _rows(args):
        values: list[int] = []
        if row is not None and row[1] == 1:
            values = list(range(1, len(row[0]) + 1))
            if len(row) > 2 and row[2]:
                values.reverse()
        out.append(pa.array(values, pa.int32()))
    return out


_Handler = Callable[[Sequence[pa.Array], Sequence[PgType], PgType, Env], list[pa.Array]]
_FUNCTIONS: Final[dict[str, _Handler]] = {
    "generate_series_int4": _integers,
    "generate_series_step_int4": _integers,
    "generate_series_int8": _integers,
    "generate_series_step_int8": _integers,
    "generate_series_numeric": _numerics,
    "generate_series_step_numeric": _numerics,
    "generate_series_timestamp": _timestamps,
    "generate_series_timestamptz": _timestamps,
    "array_unnest": _unnest,
    "generate_subscripts": _subscripts,
    "generate_subscripts_nodir": _subscripts,
}
