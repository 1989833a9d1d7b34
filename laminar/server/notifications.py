"""LISTEN and NOTIFY: who listens to what, and what a transaction has to say when it commits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from laminar.errors import INVALID_PARAMETER_VALUE, PgError

if TYPE_CHECKING:
    from laminar.server.session import Session

_MAX_NAME: Final = 63
_MAX_PAYLOAD: Final = 8000
#: notifications kept for a session that is in a transaction; more end its connection
MAX_WAITING: Final = 100_000


@dataclass(slots=True)
class Notifications:
    """What one transaction has asked for, in order. Undone by savepoints through ``count``."""

    #: ("listen" | "unlisten" | "notify", channel or None for all, payload)
    asked: list[tuple[str, str | None, str]] = field(default_factory=list)

    def listen(self, channel: str) -> None:
        self.asked.append(("listen", channel, ""))

    def unlisten(self, channel: str | None) -> None:
        self.asked.append(("unlisten", channel, ""))

    def notify(self, channel: str, payload: str) -> None:
        """The same notification is sent once per transaction."""
        if ("notify", channel, payload) not in self.asked:
            self.asked.append(("notify", channel, payload))


class Channels:
    """The database's listeners."""

    def __init__(self) -> None:
        self._listeners: dict[str, dict[Session, None]] = {}

    def of(self, session: Session) -> list[str]:
        """The channels that a session listens to."""
        return [channel for channel, sessions in self._listeners.items() if session in sessions]

    def commit(self, session: Session, asked: Notifications) -> None:
        """The session's transaction has committed."""
        for what, channel, _ in asked.asked:
            if what == "listen":
                assert channel is not None
                self._listeners.setdefault(channel, {})[session] = None
            elif what == "unlisten":
                self.forget(session, channel)
        for what, channel, payload in asked.asked:
            if what == "notify":
                assert channel is not None
                for listener in list(self._listeners.get(channel, ())):
                    listener.notified(session.client.process_id, channel, payload)

    def forget(self, session: Session, channel: str | None = None) -> None:
        """UNLISTEN, or the session has ended."""
        for name in [channel] if channel is not None else list(self._listeners):
            sessions = self._listeners.get(name)
            if sessions is not None:
                sessions.pop(session, None)
                if not sessions:
                    del self._listeners[name]


def check_notification(channel: str, payload: str) -> None:
    """Raise 22023 as pg_notify does."""
    if not channel:
        raise PgError(INVALID_PARAMETER_VALUE, "channel name cannot be empty")
    if len(channel.encode()) > _MAX_NAME:
        raise PgError(INVALID_PARAMETER_VALUE, "channel name too long")
    if len(payload.encode()) >= _MAX_PAYLOAD:
        raise PgError(INVALID_PARAMETER_VALUE, "payload string too long")
