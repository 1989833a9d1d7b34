"""What generators share: random numbers as a function of a row's number, and a rows-per-second pace."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.uint64]


def mix64(x: Bits) -> Bits:
    """The output function of SplitMix64 (Steele, Lea, Flood 2014): 64 well-mixed bits per input."""
    with np.errstate(over="ignore"):
        x = (x + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def uniform(numbers: npt.NDArray[np.int64], stream: np.uint64, bound: int) -> npt.NDArray[np.int64]:
    """For each row number an integer in [0, bound), bound < 2**63; ``stream`` tells columns apart."""
    with np.errstate(over="ignore"):
        bits = mix64(numbers.view(np.uint64) * np.uint64(0xD1342543DE82EF95) + stream)
    if bound & (bound - 1) == 0:
        return (bits & np.uint64(bound - 1)).view(np.int64)
    return (bits % np.uint64(bound)).view(np.int64)


class Pace:
    """How many rows each partition may give by now, from the first time it is asked.

    Args:
        rows_per_second: over all partitions; None: no limit.
        clock: seconds, monotonic.
    """

    def __init__(self, rows_per_second: float | None, partitions: int, clock: Callable[[], float]) -> None:
        self._rate = rows_per_second / partitions if rows_per_second is not None else None
        self._clock = clock
        self._given: dict[str, tuple[float, int]] = {}

    def allowed(self, partition: str, wanted: int) -> int:
        """How many of ``wanted`` rows may go now; they count as given."""
        if self._rate is None:
            return wanted
        now = self._clock()
        since, given = self._given.get(partition, (now, 0))
        granted = max(0, min(wanted, int((now - since) * self._rate) - given + 1))
        self._given[partition] = (since, given + granted)
        return granted
