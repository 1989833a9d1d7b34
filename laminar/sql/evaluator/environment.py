"""What an expression may depend on besides its columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Env:
    """
    Args:
        now: transaction (ad-hoc) or epoch (views) time, microseconds since 1970.
        timezone: the session's TimeZone setting.
        params: values of ``$1``, ``$2``, … in the storage types of the plan's Params.
        settings: :class:`laminar._native.textio.FormatSettings`, None for the defaults.
        user, session_user, database, search_path, backend_pid: for the session functions.
        catalog: looks up names for regclass, regtype, to_regclass (see kernels/session.py).
    """

    now: int = 0
    timezone: str = "UTC"
    params: tuple[Any, ...] = ()
    settings: Any = None
    user: str = "laminar"
    session_user: str = "laminar"
    database: str = "laminar"
    search_path: tuple[str, ...] = ("public",)
    backend_pid: int = 0
    catalog: Any = None
