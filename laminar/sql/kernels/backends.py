"""pg_cancel_backend, pg_terminate_backend, pg_listening_channels: what one session does to others."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from laminar.errors import PgError
from laminar.sql.kernels.registry import kernel
from laminar.sql.kernels.rowwise import rows_of


def _catalog(env: Any) -> Any:
    if env.catalog is None:
        raise PgError("0A000", "sessions cannot be reached from this expression")
    return env.catalog


def _signal(symbol: str, *, terminate: bool) -> None:
    def run(env: Any, pids: Any, *_timeout: Any) -> Any:
        reach = _catalog(env).signal_session
        return pa.array([None if p is None else reach(p, terminate) for (p,) in rows_of((pids,))], pa.bool_())

    kernel(symbol)(run)


_signal("pg_cancel_backend", terminate=False)
_signal("pg_terminate_backend", terminate=True)


@kernel("pg_listening_channels", rows=True, sets=True)
def _channels(env: Any, n: int) -> Any:
    return pa.array([_catalog(env).listening()] * n, pa.list_(pa.string()))
