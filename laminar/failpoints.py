"""Named points where tests make the process die, wait or fail; nothing happens in production.

``LAMINAR_FAILPOINTS="name=action;…"``: ``kill`` is kill -9 of this process, ``kill:3`` at the third time,
``error`` raises an I/O error, ``error:2`` the first two times, ``error-at:2`` the second time, ``full`` that
there is no space.
With ``LAMINAR_FAILPOINTS_ONCE=folder`` a kill leaves a file there and does not happen again, in whatever
process, while it exists.
"""

from __future__ import annotations

import errno
import os
import signal
from typing import Final

VARIABLE: Final = "LAMINAR_FAILPOINTS"
_ONCE: Final = os.environ.get("LAMINAR_FAILPOINTS_ONCE")


class _Point:
    """What is to happen at one point, and how often it was reached."""

    def __init__(self, action: str) -> None:
        self.action, _, count = action.partition(":")
        self.count = int(count or 1)
        self.reached = 0

    def reach(self, name: str) -> None:
        self.reached += 1
        if self.action == "kill":
            if self.reached == self.count and _first(name):
                os.kill(os.getpid(), signal.SIGKILL)
        elif self.reached == self.count or (self.reached < self.count and not self.action.endswith("-at")):
            code = errno.ENOSPC if self.action.startswith("full") else errno.EIO
            raise OSError(code, os.strerror(code), name)


def _first(name: str) -> bool:
    if _ONCE is None:
        return True
    try:
        os.close(os.open(os.path.join(_ONCE, name.replace(" ", "-")), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


_points: Final[dict[str, _Point]] = {
    name.strip(): _Point(action.strip())
    for name, _, action in (one.partition("=") for one in os.environ.get(VARIABLE, "").split(";"))
    if name.strip()
}


def reach(name: str) -> None:
    """Do what the environment says for this point. OSError when that is to fail."""
    point = _points.get(name) if _points else None
    if point is not None:
        point.reach(name)
