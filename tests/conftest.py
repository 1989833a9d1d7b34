"""Fixtures and settings for all tests."""

import os

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.harness.postgres", "tests.harness.server"]

settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("dev"), derandomize=True, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))
