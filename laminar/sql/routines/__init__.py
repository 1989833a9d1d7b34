"""Users' functions in Python: compiled once per process, called with columns."""

from laminar.sql.routines.calling import kernel_run
from laminar.sql.routines.source import compile_routine

__all__ = ["compile_routine", "kernel_run"]
