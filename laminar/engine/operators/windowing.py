"""Lateness and units of windows, shared by the operators that close them."""

from __future__ import annotations

from laminar.errors import not_supported
from laminar.sql.plan import Emit
from laminar.types import DATE, INT8, TIMESTAMP, TIMESTAMPTZ, PgType


def judged_lateness(emit: Emit | None) -> int | None:
    """Microseconds after its end at which a window is frozen and freed; None: never."""
    if emit is None:
        return None
    if emit.mode == "final":
        return 0
    if emit.mode == "close":
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
