"""nextval, currval, lastval, setval: what they do is the session's catalog's to say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from laminar.errors import PgError
from laminar.sql.kernels.registry import kernel
from laminar.sql.kernels.rowwise import apply, rows_of


def _catalog(env: Any) -> Any:
    if env.catalog is None:
        raise PgError("0A000", "sequences cannot be used in this expression")
    return env.catalog


@kernel("nextval_oid", rows=True)
def _nextval(env: Any, n: int, oids: Any) -> Any:
    """A value for each row, in the rows' order."""
    catalog = _catalog(env)
    if isinstance(oids, pa.Scalar):
        return pa.array(catalog.next_values(oids.as_py(), n)) if n else pa.array([], pa.int64())
    values = np.zeros(n, dtype=np.int64)
    numbers = np.asarray(oids.fill_null(0))
    for oid in np.unique(numbers).tolist():
        if oid:
            at = numbers == oid
            values[at] = catalog.next_values(oid, int(at.sum()))
    return pa.array(values, mask=numbers == 0)


@kernel("currval_oid")
def _currval(env: Any, oids: Any) -> Any:
    return apply(_catalog(env).current_value, (oids,), pa.int64())


@kernel("lastval", rows=True)
def _lastval(env: Any, _n: int) -> Any:
    return pa.scalar(_catalog(env).last_value(), pa.int64())


@kernel("setval_oid", "setval3_oid")
def _setval(env: Any, oids: Any, values: Any, *called: Any) -> Any:
    """Every row sets it, the last one stays."""
    set_value = _catalog(env).set_value
    return pa.array(
        [None if None in row else set_value(*row) for row in rows_of((oids, values, *called))], pa.int64()
    )


@kernel("pg_get_serial_sequence")
def _serial_sequence(env: Any, tables: Any, columns: Any) -> Any:
    return apply(_catalog(env).serial_sequence, (tables, columns), pa.string())


@kernel("pg_notify", rows=True)
def _notify(env: Any, n: int, channels: Any, payloads: Any) -> Any:
    given = [
        [column.as_py()] * n if isinstance(column, pa.Scalar) else column.to_pylist()
        for column in (channels, payloads)
    ]
    for channel, payload in zip(*given, strict=True):
        _catalog(env).notify(channel, payload or "")
    return pa.array([""] * n, pa.string())
