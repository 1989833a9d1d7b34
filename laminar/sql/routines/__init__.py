"""Users' functions and aggregates in Python: compiled once per process, called with columns."""

from laminar.sql.routines.aggregating import Steps, aggregate_groups, compile_aggregate
from laminar.sql.routines.calling import kernel_run
from laminar.sql.routines.source import compile_routine

__all__ = ["Steps", "aggregate_groups", "compile_aggregate", "compile_routine", "kernel_run"]
