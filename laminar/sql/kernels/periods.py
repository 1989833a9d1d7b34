"""OVERLAPS of periods given as a start and a length: PostgreSQL writes them in SQL over the native ones."""

from __future__ import annotations

from typing import Any, Final

from laminar.sql.kernels.arrays import spread
from laminar.sql.kernels.native import call
from laminar.sql.kernels.registry import Run, Signature, builder
from laminar.types import BOOL, INTERVAL, PgType

_ENDS: Final = {"time": "time_pl_interval", "timestamp": "timestamp_pl_interval"}
_ENDS_TZ: Final = "timestamptz_pl_interval"


def _overlaps(kind: str, first: str, second: str) -> None:
    """``first`` and ``second``: what ends each period, a moment or an interval."""

    def build(signature: Signature) -> Run:
        moment = signature.args[0]
        plus = call(_ENDS.get(kind, _ENDS_TZ), (moment, PgType(INTERVAL)), moment)
        symbol = "overlaps_time" if kind == "time" else "overlaps_timestamp"
        overlap = call(symbol, (moment,) * 4, PgType(BOOL))

        def run(env: Any, *columns: Any) -> Any:
            a, b, c, d = spread(columns)
            b = plus(env, a, b) if first == "interval" else b
            d = plus(env, c, d) if second == "interval" else d
            return overlap(env, a, b, c, d)

        return run

    builder(f"overlaps({kind},{first},{kind},{second})")(build)


for _kind in ("time", "timestamp", "timestamptz"):
    for _first, _second in (("interval", "interval"), ("interval", _kind), (_kind, "interval")):
        _overlaps(_kind, _first, _second)
