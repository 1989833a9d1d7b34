"""Spreads changes over reactors."""

from __future__ import annotations

from collections.abc import Sequence

from laminar._native import hashing
from laminar.engine.change import Change


def partition(change: Change, keys: Sequence[int], n: int) -> list[Change | None]:
    """Rows by the reactor that owns them, ``n`` parts; None where there are none.

    The owner follows from a hash of the columns at positions ``keys`` that never changes between
    versions, so restored state finds its rows again. Without keys all rows are reactor 0's.
    """
    if not keys or n == 1:
        return [change if len(change) else None, *([None] * (n - 1))]
    parts = hashing.partition(change.batch, change.weights, keys, n)
    return [None if part is None else Change(*part) for part in parts]
