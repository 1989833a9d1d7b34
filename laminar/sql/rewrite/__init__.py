"""Simplifies logical plans."""

from __future__ import annotations

from laminar.sql import plan as p


def rewrite(plan: p.Plan, columns: tuple[p.Column, ...]) -> p.Plan:
    """An equivalent plan, cheaper to run, that still gives ``columns``."""
    return plan
