"""Who may connect, and how they prove it."""

from __future__ import annotations

import ipaddress
import time
from typing import TYPE_CHECKING, Literal

from laminar.errors import (
    CANNOT_CONNECT_NOW,
    INSUFFICIENT_PRIVILEGE,
    INVALID_AUTHORIZATION,
    INVALID_CATALOG_NAME,
    INVALID_PARAMETER_VALUE,
    OBJECT_NOT_IN_PREREQUISITE_STATE,
    TOO_MANY_CONNECTIONS,
    PgError,
)
from laminar.pgwire.backend import Backend, Client
from laminar.server import privileges
from laminar.server.session import Session

if TYPE_CHECKING:
    from laminar.catalog.objects import Role
    from laminar.config import Settings
    from laminar.server.database import Database
    from laminar.server.instance import Instance


def check_listen(settings: Settings) -> None:
    """Refuse to listen beyond loopback while nobody has to prove anything (22023)."""
    if settings.auth == "trust" and not settings.loopback_only:
        raise PgError(
            INVALID_PARAMETER_VALUE,
            f'will not listen on "{settings.listen}" without authentication',
            hint='Set auth = "scram-sha-256" and superuser_password_file, or listen on 127.0.0.1.',
        )


class Admission:
    """pgwire's Authenticator: trust on loopback, SCRAM elsewhere, as configured."""

    def __init__(self, instance: Instance, settings: Settings) -> None:
        self._instance = instance
        self._settings = settings

    def method(self, user: str, database: str, peer: str, tls: bool) -> Literal["trust", "scram", "reject"]:
        """SCRAM when configured; otherwise trust, and only peers on this machine."""
        if self._settings.auth == "scram-sha-256":
            return "scram"
        return "trust" if _is_loopback(peer) else "reject"

    def scram_verifier(self, user: str) -> str | None:
        """The stored verifier of a role that may log in."""
        if not self._instance.ready:
            return None
        role = self._instance.cluster.roles.get(user)
        if role is None or not role.login:
            return None
        expired = role.valid_until is not None and role.valid_until <= time.time_ns() // 1000
        return None if expired else role.verifier

    async def open(
        self, user: str, database: str, options: dict[str, str], peer: str, client: Client
    ) -> Backend:
        """A session for a role that exists, in the database that exists."""
        if not self._instance.ready:
            raise PgError(CANNOT_CONNECT_NOW, "the database system is starting up", severity="FATAL")
        role = self._instance.cluster.roles.get(user)
        if role is None:
            raise PgError(INVALID_AUTHORIZATION, f'role "{user}" does not exist', severity="FATAL")
        if not role.login:
            raise PgError(
                INVALID_AUTHORIZATION, f'role "{user}" is not permitted to log in', severity="FATAL"
            )
        found = self._instance.find(database)
        if found is None:
            raise PgError(INVALID_CATALOG_NAME, f'database "{database}" does not exist', severity="FATAL")
        self._check_room(found, role)
        session = Session(found, role, client)
        session.apply_startup(options)
        self._instance.sessions.add(session)
        return session

    def _check_room(self, database: Database, role: Role) -> None:
        """Raise 53300 where there are too many sessions already, 42501, 55000 for who may not connect."""
        sessions = self._instance.sessions
        if len(sessions) >= self._settings.max_connections:
            raise PgError(TOO_MANY_CONNECTIONS, "sorry, too many clients already", severity="FATAL")
        stored = database.catalog.database
        if not stored.allow_connections:
            text = f'database "{stored.name}" is not currently accepting connections'
            raise PgError(OBJECT_NOT_IN_PREREQUISITE_STATE, text, severity="FATAL")
        if role.superuser:
            return
        if "c" not in privileges.database_letters(database.catalog, role.name):
            raise PgError(
                INSUFFICIENT_PRIVILEGE,
                f'permission denied for database "{stored.name}"',
                detail="User does not have CONNECT privilege.",
                severity="FATAL",
            )
        if 0 <= stored.connection_limit <= len(database.my_sessions):
            text = f'too many connections for database "{stored.name}"'
            raise PgError(TOO_MANY_CONNECTIONS, text, severity="FATAL")
        mine = sum(session.authenticated == role.name for session in sessions)
        if 0 <= role.connection_limit <= mine:
            text = f'too many connections for role "{role.name}"'
            raise PgError(TOO_MANY_CONNECTIONS, text, severity="FATAL")


def _is_loopback(peer: str) -> bool:
    """Whether the peer ("host:port", "[v6]:port", "host" or "" for a Unix socket) is this machine."""
    if peer in ("", "[local]"):
        return True
    host = peer[1:].partition("]")[0] if peer.startswith("[") else peer
    for candidate in (host, host.rpartition(":")[0]):
        try:
            return ipaddress.ip_address(candidate).is_loopback
        except ValueError:
            continue
    return False
