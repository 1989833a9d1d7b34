"""How fast is read: the past for a new dataflow while epochs go on, and sources with a rate limit."""

from __future__ import annotations

import time
from collections.abc import Callable

#: rows per epoch, at least and at most
_LEAST, _MOST = 1 << 12, 1 << 20
#: seconds that an epoch may take because of the past
_EPOCH_SECONDS = 0.05


#: seconds of rows that a rate limit lets through at once after a pause
_BURST_SECONDS = 0.1


class RateLimit:
    """At most so many rows per second (token bucket).

    Args:
        rows_per_second: None: no limit.
        clock: seconds, monotonic.
    """

    def __init__(self, rows_per_second: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rows_per_second
        self._clock = clock
        self._since = clock()
        self._room = 0.0

    def allowed(self, wanted: int) -> int:
        """How many of ``wanted`` rows may be read now."""
        if self._rate is None:
            return wanted
        now = self._clock()
        most = max(1.0, self._rate * _BURST_SECONDS)
        self._room = min(most, self._room + (now - self._since) * self._rate)
        self._since = now
        return max(0, min(wanted, int(self._room)))

    def took(self, rows: int) -> None:
        """So many have been read."""
        if self._rate is not None:
            self._room -= rows


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
