"""Views of every kind over kills and merged state files; ``make soak`` goes on for an hour."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.views import ViewSoak

pytestmark = [pytest.mark.timeout(400)]


def test_views_equal_their_queries_whatever_is_killed(tmp_path: Path) -> None:
    outcome = ViewSoak(tmp_path, seed=5, random_views=4).run(rounds=6, seconds=80)
    assert outcome.differences == []
    assert outcome.done["rounds"]
