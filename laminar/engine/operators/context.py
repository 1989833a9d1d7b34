"""What an operator is told about where it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class OperatorContext:
    """
    Args:
        index: the reactor's number.
        count: how many reactors there are.
        state_dir: where operators map scratch files; None keeps their state in anonymous memory.
        now: the epoch's time at the start, microseconds since 1970.
        timezone: the view's TimeZone.
    """

    index: int = 0
    count: int = 1
    state_dir: Path | None = None
    now: int = 0
    timezone: str = "UTC"
