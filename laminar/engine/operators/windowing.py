"""Lateness and units of windows, shared by the operators that close them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar.errors import not_supported
from laminar.sql.plan import Emit
from laminar.types import DATE, INT8, TIMESTAMP, TIMESTAMPTZ, PgType

DAY = 86_400_000_000


def judged_lateness(emit: Emit | None) -> int | None:
    """Microseconds after its end at which a window is frozen and freed; None: never."""
    if emit is None:
        return None
    if emit.mode in ("final", "close", "watermark"):
        return emit.lateness or 0
    return emit.lateness


def window_unit(type_: PgType) -> int:
    """Microseconds per unit of a window bound's storage.

    Raises:
        PgError: 0A000 for a type that is no time.
    """
    units = {TIMESTAMP: 1, TIMESTAMPTZ: 1, DATE: 86_400_000_000, INT8: 1000}
    if type_.oid not in units:
        raise not_supported("windows need a timestamp, date or bigint (milliseconds) column")
    return units[type_.oid]


def microseconds(times: pa.Array) -> tuple[pa.Array, int]:
    """Times as int64 microseconds, and how many microseconds a unit of the column is."""
    if pa.types.is_timestamp(times.type):
        return times.view(pa.int64()), 1
    if pa.types.is_date32(times.type):
        return _scaled(times.view(pa.int32()), DAY, (1 << 31) - 1), DAY
    return _scaled(times, 1000, (1 << 63) - 1), 1000


def lateness_of(
    ends: pa.Array, lateness: int, row_watermarks: pa.Array | None, watermark: int
) -> npt.NDArray[np.int64]:
    """How many microseconds rows come after ``ends`` + ``lateness``, of those that are late.

    By the watermark that each found, else by the last barrier's.
    """
    bounds, _ = microseconds(ends)
    marks = np.int64(watermark) if row_watermarks is None else row_watermarks.to_numpy(zero_copy_only=False)
    # what wraps is not late
    return np.asarray(marks - (bounds.fill_null(0).to_numpy() + np.int64(lateness)), np.int64)


def _scaled(values: pa.Array, unit: int, infinity: int) -> pa.Array:
    raw = values.fill_null(0).to_numpy().astype(np.int64)
    top = (1 << 63) - 1
    scaled = np.clip(raw, -(top // unit), top // unit) * unit
    scaled[raw == infinity] = top
    scaled[raw == -infinity - 1] = -top - 1
    return pa.array(scaled, mask=values.is_null().to_numpy(zero_copy_only=False))
