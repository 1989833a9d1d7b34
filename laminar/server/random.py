"""random() of a session: chance, or after setseed() PostgreSQL's sequence (src/common/pg_prng.c)."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from laminar.errors import INVALID_PARAMETER_VALUE, PgError

_MASK: Final = (1 << 64) - 1


def _rotated(x: int, bits: int) -> int:
    return (x << bits | x >> (64 - bits)) & _MASK


def _split_mix(state: int) -> int:
    """splitmix64's answer for a state that has been advanced."""
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    state = (state ^ state >> 27) * 0x94D049BB133111EB & _MASK
    return state ^ state >> 31


class SessionRandom:
    """xoroshiro128** once it has a seed."""

    def __init__(self) -> None:
        self._state: tuple[int, int] | None = None

    def seed(self, seed: float) -> None:
        """From -1 to 1; 22023 otherwise."""
        if not -1 <= seed <= 1:
            shown = f"{seed:g}".replace("nan", "NaN").replace("inf", "Infinity")
            raise PgError(
                INVALID_PARAMETER_VALUE, f"setseed parameter {shown} is out of allowed range [-1,1]"
            )
        start = int(float((1 << 52) - 1) * seed) & _MASK
        step = 0x9E3779B97F4A7C15
        self._state = _split_mix(start + step & _MASK), _split_mix(start + 2 * step & _MASK)

    def numbers(self, count: int) -> npt.NDArray[np.float64]:
        """The next ones, at least 0 and below 1."""
        if self._state is None:
            return np.random.random(count)
        s0, s1 = self._state
        values = np.empty(count)
        for i in range(count):
            value = _rotated(s0 * 5 & _MASK, 7) * 9 & _MASK
            values[i] = (value >> 12) * 2.0**-52
            mixed = s1 ^ s0
            s0 = _rotated(s0, 24) ^ mixed ^ (mixed << 16 & _MASK)
            s1 = _rotated(mixed, 37)
        self._state = s0, s1
        return values
