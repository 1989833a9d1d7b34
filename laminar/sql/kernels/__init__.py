"""Kernels: PostgreSQL's functions, operators and casts on Arrow columns.

One module per subject; each registers under the C symbols that pg_proc.prosrc
names, so that whatever resolution finds (a function, an operator, a cast) has one
implementation. Views and ad-hoc queries both call these.
"""

from laminar.sql.kernels.registry import Kernel, Run, Signature, bind, builder, find, kernel, registered

__all__ = ["Kernel", "Run", "Signature", "bind", "builder", "find", "kernel", "registered"]
