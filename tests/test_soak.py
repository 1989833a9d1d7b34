"""Twenty kills at random while a known workload runs; ``make soak`` does hundreds."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.soak.harness import Soak

pytestmark = [pytest.mark.timeout(400)]


def test_twenty_kills() -> None:
    folder = Path(tempfile.mkdtemp(prefix="laminar-soak-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user
    outcome = Soak(folder, seed=20, reactors=1).run(kills=20, seconds=80)
    assert outcome.differences == []
    assert outcome.kills and outcome.transactions
    shutil.rmtree(folder, ignore_errors=True)
