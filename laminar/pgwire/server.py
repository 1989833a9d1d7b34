"""Listening: one :class:`Connection` per accepted socket."""

from __future__ import annotations

import asyncio
import os
import ssl
import weakref
from typing import Final

from laminar import errors
from laminar.errors import PgError
from laminar.pgwire.backend import Authenticator
from laminar.pgwire.cancel import CancelRegistry
from laminar.pgwire.connection import Connection
from laminar.pgwire.constants import Limits
from laminar.pgwire.wire import Wire

#: connections beyond the limit that are told so, or may still cancel
_SPARE: Final = 100


class PgServer:
    """Speaks PostgreSQL's protocol on any number of addresses.

    Args:
        authenticator: admits users and makes their sessions.
        limits: bounds per connection.
        tls: encrypts connections that ask for it; None answers that there is no encryption.
        certificate_hash: see :func:`laminar.pgwire.auth.authenticate`.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
        certificate_hash: bytes | None = None,
    ) -> None:
        self.registry = CancelRegistry()
        self._authenticator = authenticator
        self._limits = limits or Limits()
        self._tls = tls
        self._certificate_hash = certificate_hash
        self._listeners: list[asyncio.Server] = []
        self._connections: dict[asyncio.Task[None], Connection] = {}
        self._wires: weakref.WeakSet[Wire] = weakref.WeakSet()

    async def listen(self, host: str, port: int) -> int:
        """Accept connections at an address; returns the port (chosen by the system when 0)."""
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(
            lambda: Wire(self._limits, self._connected), host, port, backlog=512
        )
        self._listeners.append(listener)
        return int(listener.sockets[0].getsockname()[1])

    async def listen_unix(self, path: str) -> None:
        """Accept connections at a Unix socket that only the server's own user can open."""
        loop = asyncio.get_running_loop()
        listener = await loop.create_unix_server(
            lambda: Wire(self._limits, self._connected), path, backlog=512, start_serving=False
        )
        os.chmod(path, 0o700)
        await listener.start_serving()
        self._listeners.append(listener)

    async def close(self, timeout: float = 5.0) -> None:
        """Stop accepting, end all connections with 57P01 and wait for them.

        Connections that don't end within ``timeout`` seconds are cut.
        """
        for listener in self._listeners:
            listener.close()
        for connection in list(self._connections.values()):
            connection.terminate(
                PgError(errors.ADMIN_SHUTDOWN, "terminating connection due to administrator command")
            )
        if self._connections:
            _, late = await asyncio.wait(list(self._connections), timeout=timeout)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for wire in list(self._wires):
            wire.close()

    @property
    def connections(self) -> int:
        """How many are open, those not yet logged in included."""
        return len(self._connections)

    def _connected(self, wire: Wire) -> None:
        limit = self._limits.max_connections
        if len(self._connections) >= limit + _SPARE:
            wire.abort()
            return
        full = len(self._connections) >= limit
        connection = Connection(
            wire, self._authenticator, self.registry, self._tls, self._certificate_hash, full
        )
        self._wires.add(wire)
        task = asyncio.get_running_loop().create_task(connection.run())
        self._connections[task] = connection
        task.add_done_callback(lambda done: self._connections.pop(done, None))
