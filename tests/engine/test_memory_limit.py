"""How a memory limit is divided."""

from __future__ import annotations

import pytest

from benchmarks.memory import measure
from laminar.engine.config import index_memory, state_memory, store_memory


@pytest.mark.parametrize("reactors", [1, 2, 8])
@pytest.mark.parametrize("limit", [256 << 20, 1 << 30, 64 << 30])
def test_state_and_processes_fit(limit: int, reactors: int) -> None:
    state = state_memory(limit, reactors)
    assert state >= 16 << 20
    if limit >= 4 << 30:
        server = 2 * store_memory(limit, reactors) + index_memory(limit, reactors)
        assert reactors * state + server + (reactors + 1) * (160 << 20) <= limit
    assert state_memory(2 * limit, reactors) >= state


def test_state_beyond_the_limit_takes_no_more_memory() -> None:
    """State of twelve times the memory that is left for it, whose files are merged: all processes fit."""
    limit = 320 << 20
    found = measure("zipf", limit, 1_200_000, 100_000, confined=False)
    assert found.state > 12 * state_memory(limit, 1)
    assert found.peak <= limit, found.peaks
