"""pg_sleep and its kin: they wait in a thread of their own until it is time or the query is cancelled."""

from __future__ import annotations

import time
from typing import Any, Final

import pyarrow as pa

from laminar.errors import QUERY_CANCELED, PgError
from laminar.sql.kernels.advisory import WAITING
from laminar.sql.kernels.registry import Run, Signature, bind, builder, kernel
from laminar.sql.plan import Function
from laminar.types import INTERVAL, TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY, TIMESTAMPTZ, PgType

#: functions that wait rather than compute
SYMBOLS: Final = WAITING | {"pg_sleep", "pg_sleep_for(interval)", "pg_sleep_until(timestamptz)"}
_TIMESTAMPTZ: Final = pa.timestamp("us", tz="UTC")
#: a longer wait is cut, as threading has a limit; nobody will see it
_LONGEST: Final = 1e6


def _wait(env: Any, seconds: float) -> None:
    """Raises 57014 when the query is cancelled."""
    if env.cancelled is None:
        raise PgError("0A000", "pg_sleep() cannot be used here", hint="Use it in a query of its own.")
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if env.cancelled.wait(min(left, _LONGEST)):
            raise PgError(QUERY_CANCELED, "canceling statement due to user request")


def _each(values: Any, n: int) -> list[Any]:
    given: list[Any] = [values.as_py()] * n if isinstance(values, pa.Scalar) else values.to_pylist()
    return given


@kernel("pg_sleep", rows=True)
def _sleep(env: Any, n: int, seconds: Any) -> Any:
    """One row after the other."""
    for value in _each(seconds, n):
        if value is not None:
            _wait(env, value)
    return pa.array(["" if v is not None else None for v in _each(seconds, n)], pa.string())


@kernel("pg_sleep_until(timestamptz)", rows=True)
def _sleep_until(env: Any, n: int, times: Any) -> Any:
    micros = times.cast(pa.int64())
    for value in _each(micros, n):
        if value == TIMESTAMP_INFINITY:
            _wait(env, float("inf"))
        elif value not in (None, TIMESTAMP_NEG_INFINITY):
            _wait(env, value / 1e6 - time.time())
    return pa.array(["" if v is not None else None for v in _each(micros, n)], pa.string())


@builder("pg_sleep_for(interval)", rows=True)
def _sleep_for(_signature: Signature) -> Run:
    plus = Function(0, "timestamptz_pl_interval", "timestamptz_pl_interval", True, "s")
    add = bind(plus, (PgType(TIMESTAMPTZ), PgType(INTERVAL)), PgType(TIMESTAMPTZ))[1]

    def run(env: Any, n: int, spans: Any) -> Any:
        for i in range(n):
            span = spans if isinstance(spans, pa.Scalar) else spans[i]
            if span.is_valid:
                now = pa.array([time.time_ns() // 1000], _TIMESTAMPTZ)
                until = add(env, now, pa.array([span.as_py()], spans.type))
                _sleep_until(env, 1, until)
        return pa.array(["" if v is not None else None for v in _each(spans, n)], pa.string())

    return run
