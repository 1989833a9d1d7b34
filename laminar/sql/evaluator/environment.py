"""What an expression may depend on besides its columns."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class CatalogNames(Protocol):
    """What expressions may ask the catalog."""

    def parse_reg(self, name: str, type_oid: int) -> int:
        """The oid a regclass, regtype or regproc text names; raises 42P01, 42704, 42883."""

    def format_reg(self, oid: int, type_oid: int) -> str:
        """The other way round; an unknown oid as its digits."""

    def answer(self, symbol: str, *args: Any) -> Any:
        """What a function says about the catalog's objects."""

    def role_name(self, oid: int) -> str: ...

    def setting(self, name: str) -> str:
        """A setting's value; raises 42704."""

    def random(self, count: int) -> npt.NDArray[np.float64]:
        """Numbers of random()."""

    def seed_random(self, seed: float) -> None:
        """setseed(): what random() gives from now on."""

    def assign(self, name: str, value: str | None, local: bool) -> str:
        """SET [LOCAL] name, to its default for None; returns what it is then. Raises what SET does."""


@dataclass(frozen=True, slots=True)
class Env:
    """
    Args:
        now: transaction (ad-hoc) or epoch (views) time, microseconds since 1970.
        timezone: the session's TimeZone setting.
        params: values of ``$1``, ``$2``, … in the storage types of the plan's Params.
        settings: :class:`laminar._native.textio.FormatSettings`, None for the defaults.
        user, session_user, database, search_path, backend_pid: for the session functions.
        catalog: looks up names for regclass, regtype, to_regclass, current_setting().
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
    catalog: CatalogNames | None = None
    #: set when the query is cancelled; None where nothing may wait
    cancelled: threading.Event | None = None
