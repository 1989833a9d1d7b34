"""Logical plan to stream plan: what the reactors run for a view."""

from laminar.sql.stream.planner import plan_into, plan_sink, plan_view

__all__ = ["plan_into", "plan_sink", "plan_view"]
