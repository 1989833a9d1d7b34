"""pg_advisory_lock and its kin: what they do is the session's to say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa

from laminar.errors import PgError
from laminar.sql.kernels.registry import kernel
from laminar.sql.kernels.rowwise import rows_of

#: those that wait for a lock
WAITING: Final = frozenset(
    f"pg_advisory{level}_lock{mode}_{keys}"
    for level in ("", "_xact")
    for mode in ("", "_shared")
    for keys in ("int8", "int4")
)


def _kernel(name: str, gives: pa.DataType) -> Callable[..., Any]:
    def run(env: Any, n: int, *keys: Any) -> Any:
        if env.catalog is None:
            raise PgError("0A000", f"{name}() cannot be used in this expression")
        rows = rows_of(keys) if keys else [()] * n
        done = [None if None in row else env.catalog.advisory(name, row, env.cancelled) for row in rows]
        if gives != pa.bool_():
            done = [None if value is None else "" for value in done]
        return pa.array(done, gives)

    return run


for _symbol in sorted(WAITING):
    _name = _symbol.rpartition("_")[0]
    _trying = _name.replace("pg_", "pg_try_", 1)
    kernel(_symbol, rows=True)(_kernel(_name, pa.string()))
    kernel(_symbol.replace("pg_", "pg_try_", 1), rows=True)(_kernel(_trying, pa.bool_()))
for _mode in ("", "_shared"):
    for _keys in ("int8", "int4"):
        _name = f"pg_advisory_unlock{_mode}"
        kernel(f"{_name}_{_keys}", rows=True)(_kernel(_name, pa.bool_()))
kernel("pg_advisory_unlock_all", rows=True)(_kernel("pg_advisory_unlock_all", pa.string()))
