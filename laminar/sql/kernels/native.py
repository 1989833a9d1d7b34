"""numeric, date, time and interval functions: native, and those PostgreSQL writes in SQL over them."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from laminar._native import kernels as native
from laminar.sql import facts
from laminar.sql.kernels.registry import Kernel, Run, Signature, add, bind, builder, find_registered
from laminar.sql.plan import Function
from laminar.types import DATE, INT4, INTERVAL, NUMERIC, TIMESTAMP, TIMESTAMPTZ, PgType

_SIZERS: Final = ("numeric", "timestamp_scale", "timestamptz_scale", "time_scale", "interval_scale")
#: endings of symbols that cannot fail
_TOTAL: Final = ("_eq", "_ne", "_lt", "_le", "_gt", "_ge", "_cmp", "_larger", "_smaller", "_abs", "_uminus")


def _build(signature: Signature) -> Run:
    run = native.Kernel(signature.symbol, signature.args, signature.result)
    return lambda env, *columns: run(columns, env.settings)


def _sized(signature: Signature) -> Run:
    """Length coercion: the modifier is the result type's, the function's second argument."""
    args = (signature.args[0], PgType(INT4))
    run = native.Kernel(signature.symbol.removesuffix("!"), args, signature.result)
    typmod = pa.scalar(signature.result.typmod, pa.int32())
    return lambda env, x: run((x, typmod), env.settings)


@builder("int2_numeric", "int4_numeric", "int8_numeric", total=True)
def _integer_numeric(signature: Signature) -> Run:
    """Into decimal storage Arrow's cast is exact and fast."""
    if signature.result.decimal is None:
        return _build(signature)
    storage = signature.result.storage
    return lambda _env, x: x.cast(storage)


def _rescale(signature: Signature) -> Run:
    """The same values in the other storage of numeric."""
    run = native.Kernel("numeric_uplus", signature.args, signature.result)
    return lambda env, x: run((x,), env.settings)


def _register() -> None:
    for sizer in _SIZERS:
        add(sizer, Kernel(_sized))
        add(f"{sizer}!", Kernel(_sized))
    known = {row[2] for row in facts.raw("functions")[1]}
    for symbol in sorted(s for s in native.SYMBOLS if s in known or s.startswith("laminar_")):
        if find_registered(symbol) is None:
            add(symbol, Kernel(_build, symbol.endswith(_TOTAL) or "_eq_" in symbol))
    add("numeric_rescale", Kernel(_rescale))


_register()


def call(symbol: str, args: tuple[PgType, ...], result: PgType) -> Run:
    """Another kernel, as a part of one."""
    return bind(Function(0, symbol, symbol, True, "i"), args, result)[1]


def _swapped(symbol: str, target: str) -> None:
    """``f(a, b)`` as ``g(b, a)``."""

    def build(signature: Signature) -> Run:
        run = call(target, signature.args[::-1], signature.result)
        return lambda env, a, b: run(env, b, a)

    builder(symbol)(build)


for _symbol, _target in {
    "integer_pl_date(int4,date)": "date_pli",
    "timedate_pl(time,date)": "datetime_timestamp",
    "interval_pl_date(interval,date)": "date_pl_interval",
    "interval_pl_time(interval,time)": "time_pl_interval",
    "interval_pl_timestamp(interval,timestamp)": "timestamp_pl_interval",
    "interval_pl_timestamptz(interval,timestamptz)": "timestamptz_pl_interval",
}.items():
    _swapped(_symbol, _target)


def _to_whole(symbol: str, target: str) -> None:
    """round(numeric) and trunc(numeric)."""

    def build(signature: Signature) -> Run:
        run = call(target, (signature.args[0], PgType(INT4)), signature.result)
        zero = pa.scalar(0, pa.int32())
        return lambda env, x: run(env, x, zero)

    builder(symbol)(build)


_to_whole("round(numeric)", "numeric_round")
_to_whole("trunc(numeric)", "numeric_trunc")


@builder("log(numeric)", "log10(numeric)")
def _log10(signature: Signature) -> Run:
    from decimal import Decimal

    ten = PgType(NUMERIC, -1, (2, 0))
    run = call("numeric_log", (ten, signature.args[0]), signature.result)
    base = pa.scalar(Decimal(10), ten.storage)
    return lambda env, x: run(env, base, x)


@builder("date_part(text,date)")
def _date_part(signature: Signature) -> Run:
    stamp = PgType(TIMESTAMP)
    widen = call("date_timestamp", (PgType(DATE),), stamp)
    part = call("timestamp_part", (signature.args[0], stamp), signature.result)
    return lambda env, field, date: part(env, field, _one(widen, env, date))


def _one(run: Run, env: Any, value: Any) -> Any:
    """A kernel of one argument, of a scalar too."""
    return run(env, pa.repeat(value, 1))[0] if isinstance(value, pa.Scalar) else run(env, value)


def _age(symbol: str, between: str, stamp: PgType) -> None:
    """age(x): from x to midnight of today."""

    def build(signature: Signature) -> Run:
        local = call("timestamptz_date", (PgType(TIMESTAMPTZ),), PgType(DATE))
        widen = call(
            "date_timestamp" if stamp.oid == TIMESTAMP else "date_timestamptz", (PgType(DATE),), stamp
        )
        age = call(between, (stamp, stamp), PgType(INTERVAL))

        def run(env: Any, x: Any) -> Any:
            now = pa.array([env.now], PgType(TIMESTAMPTZ).storage)
            return age(env, widen(env, local(env, now))[0], x)

        return run

    builder(symbol)(build)


_age("age(timestamp)", "timestamp_age", PgType(TIMESTAMP))
_age("age(timestamptz)", "timestamptz_age", PgType(TIMESTAMPTZ))


@builder("timestamptz(date,time)")
def _date_time_zone(signature: Signature) -> Run:
    stamp = PgType(TIMESTAMP)
    join = call("datetime_timestamp", signature.args, stamp)
    zoned = call("timestamp_timestamptz", (stamp,), PgType(TIMESTAMPTZ))
    return lambda env, date, time: zoned(env, join(env, date, time))
