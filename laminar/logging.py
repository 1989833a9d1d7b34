"""Structured logs: JSON lines for machines, coloured text on a terminal."""

from __future__ import annotations

import logging as stdlib
import sys
from typing import Literal

import structlog


def configure(level: str, form: Literal["auto", "json", "text"]) -> None:
    """Send logs to stderr from ``level`` up; "auto" is text on a terminal, else JSON."""
    text = sys.stderr.isatty() if form == "auto" else form == "text"
    renderer: structlog.typing.Processor
    renderer = structlog.dev.ConsoleRenderer() if text else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(stdlib, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def get(name: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of a module."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(component=name)
    return logger
