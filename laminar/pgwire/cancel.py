"""Who may be cancelled: process ids and their secret keys."""

from __future__ import annotations

import hmac
import itertools
import secrets
from collections.abc import Callable

from laminar.pgwire import constants as c


class CancelRegistry:
    """Open connections by process id.

    The "process id" is a number for clients to show and cancel by; the server has one process.
    """

    def __init__(self) -> None:
        self._entries: dict[int, tuple[bytes, Callable[[], None]]] = {}
        self._numbers = itertools.count(1)

    def add(self, version: int, cancel: Callable[[], None]) -> tuple[int, bytes]:
        """A process id and key for a new connection; protocol 3.2 allows a longer key."""
        key = secrets.token_bytes(32 if version >= c.PROTOCOL_3_2 else 4)
        process_id = next(
            number for n in self._numbers if (number := n & 0x7FFFFFFF) and number not in self._entries
        )
        self._entries[process_id] = (key, cancel)
        return process_id, key

    def remove(self, process_id: int) -> None:
        self._entries.pop(process_id, None)

    def cancel(self, process_id: int, key: bytes) -> bool:
        """Cancel what runs there if the key is right; the comparison takes the same time either way."""
        expected, cancel = self._entries.get(process_id, (bytes(len(key)), None))
        if hmac.compare_digest(expected, key) and cancel is not None:
            cancel()
            return True
        return False
