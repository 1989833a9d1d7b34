"""One server per data directory."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from laminar.errors import OBJECT_IN_USE, PgError


class DirectoryLock:
    """Held from construction to ``release``; the kernel lets go of it when the process dies.

    Raises PgError 55006 when another process has it.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / "laminar.pid"
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise PgError(
                OBJECT_IN_USE,
                f'data directory "{directory}" is in use by another server (process {owner})',
                hint="Stop that server, or start this one with another --data-dir.",
                severity="FATAL",
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another server have the directory."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
