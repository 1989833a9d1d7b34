"""Native window ends and row watermarks against models in Python's integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from laminar._native.timewindow import row_watermarks, window_end
from laminar.engine.change import END_OF_TIME, NO_WATERMARK

MAX, MIN = (1 << 63) - 1, -(1 << 63)
TIMES = st.one_of(
    st.integers(-50, 50),
    st.integers(MIN, MIN + 50),
    st.integers(MAX - 50, MAX),
)


@given(st.lists(TIMES), st.one_of(st.integers(1, 60), st.just(MAX)))
def test_window_end(starts: list[int], size: int) -> None:
    expected = [s if s in (MIN, MAX) else min(s + size, MAX) for s in starts]
    assert window_end(np.array(starts, np.int64), size).tolist() == expected


@given(st.lists(TIMES), TIMES, st.one_of(st.integers(0, 60), st.just(MAX)))
@example([5, 9, 7, 9, 20], NO_WATERMARK, 3)
@example([5, 9], END_OF_TIME, 0)
@example([MIN, MIN + 3, MIN + 4, MAX], NO_WATERMARK, 3)
def test_row_watermarks(times: list[int], before: int, delay: int) -> None:
    mark, expected = before, []
    for time in times:
        expected.append(mark)
        if time != MAX:
            mark = max(mark, time - delay, NO_WATERMARK)
    marks, after = row_watermarks(np.array(times, np.int64), before, delay)
    assert (marks.tolist(), after) == (expected, mark)


def test_sizes_and_delays_are_checked() -> None:
    with pytest.raises(ValueError, match="positive"):
        window_end(np.zeros(1, np.int64), 0)
    with pytest.raises(ValueError, match="negative"):
        row_watermarks(np.zeros(1, np.int64), 0, -1)
