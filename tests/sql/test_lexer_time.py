"""The lexer's time grows with the text, whatever follows a literal."""

from __future__ import annotations

import time

import pytest

from laminar.sql.parse import split


@pytest.mark.parametrize(
    "gap", [" \n" + " " * 3000, "\n--" + "-" * 3000, " " * 3000 + "-- -- --" * 300 + "\n"]
)
def test_what_may_continue_a_string(gap: str) -> None:
    started = time.perf_counter()
    assert len(split(f"SELECT 'a'{gap}\nAND 1; SELECT 2")) == 2
    assert time.perf_counter() - started < 1
