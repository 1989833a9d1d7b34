"""The constraints of domains: the value goes through, or an error is raised for the first row that fails."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laminar.errors import PgError
from laminar.sql.kernels.registry import kernel


def _failing(failed: pa.Array, sqlstate: str, message: Any) -> None:
    if failed.true_count:
        text = message.as_py() if isinstance(message, pa.Scalar) else message[0].as_py()
        error = PgError(sqlstate, text)
        error.row = int(np.flatnonzero(np.asarray(failed))[0])
        raise error


def _column(value: Any, n: int) -> pa.Array:
    return pa.repeat(value, n) if isinstance(value, pa.Scalar) else value


@kernel("laminar_domain_not_null", rows=True)
def _not_null(_env: Any, n: int, value: Any, message: Any) -> Any:
    _failing(_column(value, n).is_null(), "23502", message)
    return value


@kernel("laminar_domain_check", rows=True)
def _check(_env: Any, n: int, value: Any, holds: Any, message: Any) -> Any:
    # a check that is null holds
    false = pc.invert(_column(holds, n).fill_null(True))
    _failing(false, "23514", message)
    return value
