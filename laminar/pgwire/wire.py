"""The socket: framing, flow control, time-outs.

Bytes come in through :class:`asyncio.Protocol` callbacks and are handed out as whole
messages; bytes go out through a list that is written once per turn of the event loop.
Both directions are bounded: reading pauses while the client is ahead of us, and
:meth:`Wire.drain` waits while we are ahead of the client.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final, cast

from laminar._native.copyparse import gather
from laminar.errors import PgError
from laminar.pgwire import constants as c
from laminar.pgwire.messages import violation

#: output is handed to the transport when this much has gathered
_CHUNK: Final = 128 * 1024
#: bytes of COPY data taken at a time
_COPY_CHUNK: Final = 1024 * 1024
#: seconds a client has to take what was sent last
_LINGER: Final = 1.0


class ConnectionClosed(Exception):
    """The client is gone."""


class Wire(asyncio.Protocol):
    """One client's socket.

    Args:
        limits: bounds of the buffers.
        on_connect: called with the wire once it is connected; starts whoever reads from it.
        on_lost: called once when the connection is gone.
    """

    def __init__(self, limits: c.Limits, on_connect: Callable[[Wire], None]) -> None:
        self.limits = limits
        self.on_lost: Callable[[], None] | None = None
        #: answers what has come in if it can, when nothing was waited for but a message
        self.at_once: Callable[[], None] | None = None
        self.closed = False
        self._on_connect = on_connect
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._loop = asyncio.get_running_loop()
        self._input = bytearray()
        self._needed = 0
        self._reading_paused = False
        self._lingering = False
        self._held = False
        self._reader: asyncio.Future[None] | None = None
        self._output: list[bytes] = []
        self._output_size = 0
        self._flush_scheduled = False
        self._writing_paused = False
        self._drained: asyncio.Future[None] | None = None

    # --- callbacks of the event loop ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        first = self._transport is None
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self.limits.write_buffer)
        if first:
            self._keep_alive()
            self._on_connect(self)

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            return
        self._input += data
        if not self._held and len(self._input) == len(data):
            self._answer()
        self._hand_over()

    def _answer(self) -> None:
        """Have what has come answered at once, if it can be."""
        if self.at_once is not None and self._reader is not None:
            self.at_once()

    def _hand_over(self) -> None:
        """What has come and was not answered is for whoever reads."""
        if not self._input:
            return
        if len(self._input) >= max(self._needed, self.limits.read_buffer) and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()
        self._wake(self._reader, not self._held and len(self._input) >= self._needed)

    def hold(self) -> None:
        """Leave what comes alone until ``release``: an answer is due that is not known yet."""
        self._held = True

    def release(self) -> None:
        """The answer has been written."""
        self._held = False
        self.flush()
        if self._input:
            self._answer()
        self._hand_over()

    def eof_received(self) -> bool:
        return False  # the transport closes itself: a client that stops sending has left

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._output.clear()
        self._wake(self._reader, True)
        self._wake(self._drained, True)
        if self.on_lost is not None:
            self.on_lost()

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._wake(self._drained, True)

    # --- reading ---

    async def read_startup(self) -> bytes:
        """A packet without a type: its length, then the code and what belongs to it."""
        await self._have(4)
        length = int.from_bytes(self._input[:4], "big")
        if not 8 <= length <= c.MAX_STARTUP_LENGTH:
            raise violation("invalid length of startup packet", fatal=True)
        await self._have(length)
        body = bytes(self._input[4:length])
        self._consume(length)
        return body

    async def read_message(self, max_length: int | None = None) -> tuple[int, bytes]:
        """The next message's type and body.

        Raises:
            ConnectionClosed: the client is gone.
            PgError: FATAL 08P01, the bytes aren't a message or are longer than allowed.
        """
        if len(self._input) < 5:
            await self._have(5)
        code = self._input[0]
        length = int.from_bytes(self._input[1:5], "big")
        self._check(code, length, max_length)
        if len(self._input) <= length:
            await self._have(length + 1)
        body = bytes(memoryview(self._input)[5 : length + 1])
        self._consume(length + 1)
        return code, body

    def read_copy_data(self) -> bytes:
        """The data of the CopyData messages that are buffered whole, joined; empty when there are none."""
        if len(self._input) < 5 or self._input[0] != c.COPY_DATA:
            return b""
        data, used = gather(self._input, _COPY_CHUNK)
        self._consume(used)
        return data

    def peek(self) -> bytes:
        """What has been received and not consumed."""
        return bytes(self._input)

    def consume(self, count: int) -> None:
        """Take bytes that were looked at."""
        self._consume(count)

    def interrupt(self, error: PgError) -> bool:
        """Make whoever waits for the client raise the error; False when nobody does."""
        for waiting in (self._reader, self._drained):
            if waiting is not None and not waiting.done():
                waiting.set_exception(error)
                return True
        return False

    @property
    def held(self) -> bool:
        """Whether an answer is due."""
        return self._held

    @property
    def behind(self) -> bool:
        """Whether the client has not taken what was sent, or has left."""
        return self._writing_paused or self.closed

    @property
    def buffered(self) -> int:
        """Bytes received and not consumed."""
        return len(self._input)

    def _check(self, code: int, length: int, max_length: int | None) -> None:
        if code not in c.FRONTEND_TYPES:
            raise violation(f"invalid frontend message type {code}", fatal=True)
        limit = max_length or (self.limits.max_message if code in c.LONG_TYPES else c.SHORT_LENGTH)
        if not 4 <= length <= limit:
            raise violation("invalid message length", fatal=True)

    async def _have(self, count: int) -> None:
        """Wait until at least ``count`` bytes are buffered."""
        while len(self._input) < count:
            if self.closed:
                raise ConnectionClosed
            self._needed = count
            self._resume_reading()
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
                self._needed = 0

    def _consume(self, count: int) -> None:
        del self._input[:count]
        if self._reading_paused and len(self._input) < self.limits.read_buffer // 2:
            self._resume_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and not self.closed:
            self._reading_paused = False
            self._transport.resume_reading()

    # --- writing ---

    def write(self, data: bytes) -> None:
        """Queue bytes; they leave at the next turn of the event loop at the latest."""
        self._output.append(data)
        self._output_size += len(data)
        if self._output_size >= _CHUNK:
            self.flush()
        elif not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush_late)

    def flush(self) -> None:
        """Hand what is queued to the transport."""
        if self._output:
            data = self._output[0] if len(self._output) == 1 else b"".join(self._output)
            self._output.clear()
            self._output_size = 0
            if not self.closed:
                self._transport.write(data)

    async def drain(self) -> None:
        """Wait while the client is slower than we are.

        Raises:
            ConnectionClosed: the client is gone.
        """
        while self._writing_paused and not self.closed:
            self._drained = self._loop.create_future()
            try:
                await self._drained
            finally:
                self._drained = None
        if self.closed:
            raise ConnectionClosed

    def close(self) -> None:
        """Close after what is queued has been sent, if the client takes it."""
        if not self.closed:
            self.flush()
            self._transport.close()
            if self._transport.get_write_buffer_size():
                self._loop.call_later(_LINGER, self.abort)

    def linger(self) -> None:
        """Close, but let the client read what was sent before: closing a socket with unread input resets
        the connection, and the client might lose the message that says why."""
        if not self.closed and not self._lingering:
            self.flush()
            self._lingering = True
            self._input.clear()
            self._resume_reading()
            if self._transport.can_write_eof():
                self._transport.write_eof()
            self._loop.call_later(_LINGER, self.abort)

    def abort(self) -> None:
        """Close at once."""
        if not self.closed:
            self._transport.abort()

    @property
    def peer(self) -> str:
        """The client's address, ``[local]`` for a Unix socket."""
        name = self._transport.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) and name else "[local]"

    async def start_tls(self, context: object) -> None:
        """Go on encrypted; nothing may have been received beyond the request for it."""
        if self._input:
            # what was sent in clear must not be taken for encrypted (CVE-2021-23214)
            raise violation("received unencrypted data after SSL request", fatal=True)
        transport = await self._loop.start_tls(
            self._transport,
            self,
            context,  # type: ignore[arg-type]
            server_side=True,
            ssl_handshake_timeout=self.limits.authentication_timeout,
        )
        if transport is None:
            raise ConnectionClosed
        self.connection_made(transport)

    def _keep_alive(self) -> None:
        """Have the system notice clients that vanish without a word."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def _flush_late(self) -> None:
        self._flush_scheduled = False
        self.flush()

    @staticmethod
    def _wake(future: asyncio.Future[None] | None, condition: bool) -> None:
        if condition and future is not None and not future.done():
            future.set_result(None)
