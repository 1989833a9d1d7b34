"""How fast the past is read for a new dataflow while epochs go on."""

from __future__ import annotations

#: rows per epoch, at least and at most
_LEAST, _MOST = 1 << 12, 1 << 20
#: seconds that an epoch may take because of the past
_EPOCH_SECONDS = 0.05


class Pace:
    """How many rows of the past go into one epoch, so that it does not take long.

    What a row costs is known only afterwards: operators emit at an epoch's end, and the store takes that in.
    """

    def __init__(self) -> None:
        self.rows = 1 << 14

    def took(self, seconds: float) -> None:
        """An epoch with so many rows has taken so long."""
        if seconds > 2 * _EPOCH_SECONDS:
            self.rows = max(_LEAST, self.rows // 2)
        elif seconds < _EPOCH_SECONDS:
            self.rows = min(_MOST, self.rows * 2)
