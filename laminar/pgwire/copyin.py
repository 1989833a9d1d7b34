"""COPY FROM STDIN: the copy-in sub-protocol."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from laminar import errors
from laminar._native.copyparse import CopyParser
from laminar.errors import PgError
from laminar.pgwire import constants as c
from laminar.pgwire import messages as m
from laminar.pgwire.backend import CopyOptions
from laminar.pgwire.settings import input_settings

if TYPE_CHECKING:
    from laminar.pgwire.backend import CopySink, Result
    from laminar.pgwire.session import Session

#: rows per batch handed to the sink
_BATCH_ROWS: Final = 65_536
#: bytes parsed before other connections get their turn: some milliseconds
_SLICE: Final = 512 * 1024
#: bytes of input after which a batch is handed over however few rows it has
_BATCH_BYTES: Final = 32 * 1024 * 1024


async def copy_in(session: Session, result: Result) -> str:
    """Feed the client's data into the sink; returns the command tag.

    Raises:
        PgError: a malformed row, the sink's errors, or CopyFail (57014). The sink is aborted then; what the
            client still sends of its data is for the caller to ignore.
    """
    sink = result.copy_in
    assert sink is not None
    options = result.copy_options or CopyOptions()
    try:
        copy = _CopyIn(session, sink, options)
        session.wire.write(m.copy_response(b"G", options.format == "binary", len(sink.types)))
        session.wire.flush()
        await copy.receive()
    except BaseException as error:
        await sink.abort(str(error))
        raise
    return await sink.finish()


class _CopyIn:
    def __init__(self, session: Session, sink: CopySink, options: CopyOptions) -> None:
        self._session = session
        self._sink = sink
        self._bytes = 0
        self._parser = CopyParser(
            sink.relation,
            sink.names,
            sink.types,
            options,
            input_settings(session.backend.settings),
            session.wire.limits.max_message,
        )

    async def receive(self) -> None:
        """Take messages until CopyDone."""
        while True:
            code, body = await self._session.next_copy_message()
            if code == c.COPY_DATA:
                self._parser.feed(body)
                await self._parse(last=False)
            elif code == c.COPY_DONE:
                await self._parse(last=True)
                if self._parser.ready:
                    await self._write()
                return
            elif code == c.COPY_FAIL:
                reason = m.Body(body).string()
                raise PgError(errors.QUERY_CANCELED, f"COPY from stdin failed: {reason}")
            elif code not in (c.FLUSH, c.SYNC):  # those two are ignored here (PostgreSQL, COPY Operations)
                raise m.violation(f"unexpected message type 0x{code:02X} during COPY from stdin")

    async def _parse(self, *, last: bool) -> None:
        parser = self._parser
        finished = False
        while not finished:
            finished = parser.parse(_BATCH_ROWS, _SLICE, last)
            self._bytes += _SLICE if not finished else 0
            if parser.ready >= _BATCH_ROWS or (parser.ready and self._bytes >= _BATCH_BYTES):
                self._bytes = 0
                await self._write()
            if not finished:
                await asyncio.sleep(0)

    async def _write(self) -> None:
        """Hand the rows over; an error about one of them says in which line of the data it is."""
        parser = self._parser
        batch = parser.take()
        try:
            await self._sink.write(batch)
        except PgError as error:
            if error.row is not None:
                # PostgreSQL finds keys that are taken after it has read on, without the line's text
                shown = error.sqlstate != errors.UNIQUE_VIOLATION
                error.fields["W"] = parser.place_row(error.row, shown)
            raise
