"""How a memory limit is divided."""

from __future__ import annotations

import pytest

from laminar.engine.config import state_memory


@pytest.mark.parametrize("reactors", [1, 2, 8])
@pytest.mark.parametrize("limit", [256 << 20, 1 << 30, 64 << 30])
def test_state_and_processes_fit(limit: int, reactors: int) -> None:
    state = state_memory(limit, reactors)
    assert state >= 16 << 20
    if limit >= 4 << 30:
        assert reactors * state + (reactors + 1) * (160 << 20) < limit
    assert state_memory(2 * limit, reactors) >= state
