"""What the meaning of a literal's text depends on: the session's time zone, date order and clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from laminar._native.textio import FormatSettings

#: None: UTC, ISO, MDY and the time at which the literal is read
literal_settings: ContextVar[FormatSettings | None] = ContextVar("literal_settings", default=None)


@contextmanager
def reading_literals(settings: FormatSettings) -> Iterator[None]:
    """Bind under these settings."""
    token = literal_settings.set(settings)
    try:
        yield
    finally:
        literal_settings.reset(token)
