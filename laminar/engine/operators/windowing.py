"""Lateness and units of windows, shared by the operators that close them."""

from __future__ import annotations

from laminar.errors import not_supported
from laminar.sql.plan import Emit
from laminar.types import DATE, INT8, TIMESTAMP, TIMESTAMPTZ, PgType


def judged_lateness(emit: Emit | None) -> int | None:
    """Microseconds after its end at which a window is frozen and freed; None: never.

    Raises:
        PgError: 0A000 for what no operator does, so that it is not accepted and then ignored.
    """
    if emit is None:
        return None
    if emit.late_table is not None:
        raise not_supported(
            "LATE DATA TO is not supported yet",
            hint="Late rows are counted in laminar_catalog.dropped_rows.",
            position=emit.position or None,
        )
    if emit.mode in ("watermark", "every"):
        raise not_supported(
            "this EMIT clause is not supported yet",
            hint="EMIT ON UPDATE and EMIT ON WINDOW CLOSE are.",
            position=emit.position or None,
        )
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
