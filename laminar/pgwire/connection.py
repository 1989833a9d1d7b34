"""One client's connection from the first packet to the last: start-up, log-in, the message loop."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from laminar import errors, logging
from laminar.errors import PgError
from laminar.pgwire import constants as c
from laminar.pgwire import messages as m
from laminar.pgwire.atonce import AtOnce
from laminar.pgwire.auth import authenticate
from laminar.pgwire.extended import ExtendedQuery
from laminar.pgwire.session import Session
from laminar.pgwire.simple import simple_query
from laminar.pgwire.startup import Cancel, receive_startup
from laminar.pgwire.wire import ConnectionClosed, Wire

if TYPE_CHECKING:
    from laminar.pgwire.backend import Authenticator
    from laminar.pgwire.cancel import CancelRegistry

log = logging.get(__name__)


class Connection:
    """Runs one connection.

    Args:
        certificate_hash: see :func:`laminar.pgwire.auth.authenticate`.
        full: there are too many connections already: only a CancelRequest is served.
    """

    def __init__(
        self,
        wire: Wire,
        authenticator: Authenticator,
        registry: CancelRegistry,
        tls: ssl.SSLContext | None = None,
        certificate_hash: bytes | None = None,
        full: bool = False,
    ) -> None:
        self._wire = wire
        self._authenticator = authenticator
        self._registry = registry
        self._tls = tls
        self._certificate_hash = certificate_hash
        self._full = full
        self._session: Session | None = None

    async def run(self) -> None:
        """Serve the client until it leaves; raises nothing but CancelledError."""
        try:
            try:
                async with asyncio.timeout(self._wire.limits.authentication_timeout):
                    session = await self._log_in()
            except TimeoutError:
                return self._wire.abort()  # as PostgreSQL: no message, whoever it is has had its time
            if session is not None:
                await self._serve(session)
            self._wire.close()
        except ConnectionClosed:
            self._wire.close()
        except PgError as error:
            self._say_goodbye(error)
        except Exception:
            log.exception("connection failed")
            self._say_goodbye(PgError(errors.INTERNAL_ERROR, "internal error"))
        except BaseException:
            self._wire.abort()
            raise

    def terminate(self, error: PgError) -> None:
        """End the connection with this error (an administrator's command, shutdown)."""
        if self._session is None:
            self._wire.abort()
        else:
            self._session.terminate(error)

    async def _log_in(self) -> Session | None:
        """Start-up and authentication; None when it was a CancelRequest."""
        wire = self._wire
        startup = await receive_startup(wire, self._tls)
        if isinstance(startup, Cancel):
            self._registry.cancel(startup.process_id, startup.key)
            return None
        if self._full:
            raise PgError(errors.TOO_MANY_CONNECTIONS, "sorry, too many clients already")
        await authenticate(wire, startup, self._authenticator, self._certificate_hash)
        session = Session(wire)
        session.process_id, key = self._registry.add(startup.version, session.cancel)
        try:
            session.backend = await self._authenticator.open(
                startup.user, startup.database, startup.parameters, wire.peer, session
            )
        except BaseException:
            self._registry.remove(session.process_id)
            raise
        self._session = session
        session.report_settings()
        wire.write(m.backend_key_data(session.process_id, key))
        return session

    async def _serve(self, session: Session) -> None:
        self._wire.on_lost = session.cancel
        try:
            if self._wire.closed:
                return
            await _message_loop(session)
        finally:
            self._registry.remove(session.process_id)
            await session.backend.close()

    def _say_goodbye(self, error: PgError) -> None:
        error.severity = "FATAL"
        self._wire.write(m.error_response(error))
        self._wire.linger()


async def _message_loop(session: Session) -> None:
    extended = ExtendedQuery(session)
    try:
        session.ready()
        await _answer_messages(session, extended)
    finally:
        await session.portals.clear_all()


async def _answer_messages(session: Session, extended: ExtendedQuery) -> None:
    """Answer messages until Terminate.

    An error in an extended-query message makes everything up to the next Sync go unanswered.
    """
    skipping = False
    at_once = AtOnce(session, extended)
    while True:
        session.wire.at_once = None if skipping or extended.in_pipeline else at_once.answer
        try:
            code, body = await session.next_message()
        finally:
            session.wire.at_once = None
        session.backend.busy()
        if code == c.TERMINATE:
            return
        if code == c.SYNC:
            skipping = False
            await extended.sync()
            session.ready()
        elif skipping:
            continue
        elif code == c.QUERY:
            await extended.before_simple_query()
            await simple_query(session, body)
            await extended.forget_portals()
            session.ready()
        elif code in c.EXTENDED_TYPES:
            skipping = not await extended.handle(code, body)
        elif code == c.FLUSH:
            session.wire.flush()
        elif code == c.FUNCTION_CALL:
            session.fail(
                errors.not_supported(
                    "the function-call sub-protocol is not supported",
                    hint="Call the function in a SELECT statement.",
                )
            )
            session.ready()
        elif code == c.PASSWORD:
            raise m.violation(f"invalid frontend message type {code}", fatal=True)
        # CopyData, CopyDone and CopyFail may still come in after COPY has failed: ignored, as the manual says
