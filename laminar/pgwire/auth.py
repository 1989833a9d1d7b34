"""The authentication exchange: who decides is the :class:`Authenticator`, this only carries it out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from laminar import errors
from laminar.errors import PgError
from laminar.pgwire import constants as c
from laminar.pgwire import messages as m
from laminar.security.scram import ScramServer

if TYPE_CHECKING:
    from laminar.pgwire.backend import Authenticator
    from laminar.pgwire.startup import Startup
    from laminar.pgwire.wire import Wire


async def authenticate(
    wire: Wire, startup: Startup, authenticator: Authenticator, certificate_hash: bytes | None
) -> None:
    """Let the client prove itself; sends AuthenticationOk.

    Args:
        certificate_hash: of the server's certificate (RFC 5929, tls-server-end-point), for
            channel binding on encrypted connections; None offers no channel binding.

    Raises:
        PgError: FATAL 28000 or 28P01.
    """
    method = authenticator.method(startup.user, startup.database, wire.peer, startup.tls)
    if method == "scram":
        binding = certificate_hash if startup.tls else None
        await _scram(wire, startup.user, authenticator.scram_verifier(startup.user), binding)
    elif method != "trust":
        encryption = "SSL encryption" if startup.tls else "no encryption"
        raise PgError(
            errors.INVALID_AUTHORIZATION,
            f'no pg_hba.conf entry for host "{wire.peer}", user "{startup.user}", '
            f'database "{startup.database}", {encryption}',
            severity="FATAL",
        )
    wire.write(m.AUTHENTICATION_OK)


async def _scram(wire: Wire, user: str, verifier: str | None, binding: bytes | None) -> None:
    server = ScramServer(user, verifier, binding)
    wire.write(m.authentication(10, b"".join(map(m.cstring, server.mechanisms)) + b"\0"))
    wire.flush()
    body = m.Body(await _response(wire))
    server.select(body.string())
    initial = body.value()
    body.end()
    if initial is None:  # the client waits for an empty challenge before it speaks
        wire.write(m.authentication(11))
        wire.flush()
        initial = await _response(wire)
    wire.write(m.authentication(11, server.first(initial)))
    wire.flush()
    wire.write(m.authentication(12, server.final(await _response(wire))))


async def _response(wire: Wire) -> bytes:
    code, body = await wire.read_message(c.MAX_AUTHENTICATION_LENGTH)
    if code != c.PASSWORD:
        raise m.violation(f"expected SASL response, got message type {code}", fatal=True)
    return body
