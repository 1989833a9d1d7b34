"""Session settings that the text forms of values depend on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache

from laminar._native.textio import FormatSettings


def output_settings(settings: Mapping[str, str]) -> FormatSettings:
    """For values on their way out."""
    return _cached(*_values(settings))


def input_settings(settings: Mapping[str, str], now: int | None = None) -> FormatSettings:
    """For values on their way in. ``now``: what now and today mean (microseconds), by default the time."""
    return FormatSettings(*_values(settings), now=time.time_ns() // 1000 if now is None else now)


def _values(settings: Mapping[str, str]) -> tuple[str, str, str, int, str]:
    get = settings.get
    return (
        get("DateStyle", "ISO, MDY"),
        get("IntervalStyle", "postgres"),
        get("TimeZone", "UTC"),
        int(get("extra_float_digits", "1")),
        get("bytea_output", "hex"),
    )


@lru_cache(maxsize=256)
def _cached(
    date_style: str, interval_style: str, timezone: str, extra_float_digits: int, bytea_output: str
) -> FormatSettings:
    return FormatSettings(date_style, interval_style, timezone, extra_float_digits, bytea_output)
