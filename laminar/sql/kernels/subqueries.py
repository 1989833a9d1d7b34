"""Checks that subqueries need."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from laminar.errors import CARDINALITY_VIOLATION, PgError
from laminar.sql.kernels.registry import kernel


@kernel("laminar_single_row")
def single_row(_env: Any, counts: pa.Array) -> pa.Array:
    """True for counts of at most one row; raises 21000 for more."""
    single = pc.less_equal(counts, 1)
    if pc.min(single).as_py() is False:
        raise PgError(CARDINALITY_VIOLATION, "more than one row returned by a subquery used as an expression")
    return single
