"""What simple and extended query share: the wire, the backend, settings, errors, results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from laminar import errors, logging
from laminar._native.pgcodec import CopyEncoder, RowEncoder
from laminar.errors import PgError
from laminar.pgwire import constants as c
from laminar.pgwire import messages as m
from laminar.pgwire.copyin import copy_in
from laminar.pgwire.cursor import RowCursor
from laminar.pgwire.portals import Portals, Statements
from laminar.pgwire.rows import RowSender, expand_formats, tag_with_count, wire_forms
from laminar.pgwire.settings import output_settings
from laminar.pgwire.wire import ConnectionClosed

if TYPE_CHECKING:
    from laminar.pgwire.backend import Backend, Notice, Result
    from laminar.pgwire.wire import Wire

log = logging.get(__name__)


class Session:
    """A logged-in connection; the :class:`~laminar.pgwire.backend.Client` of its backend."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.process_id = 0
        self.backend: Backend = cast("Backend", None)
        self.statements = Statements()
        self.portals = Portals()
        self._reported: dict[str, str] = {}
        self._termination: PgError | None = None
        self._copying = self._copy_cancelled = False

    # --- Client ---

    def notice(self, notice: Notice) -> None:
        self.wire.write(m.notice_response(notice))

    def notify(self, process_id: int, channel: str, payload: str) -> None:
        self.wire.write(m.notification(process_id, channel, payload))

    def terminate(self, error: PgError) -> None:
        error.severity = "FATAL"
        self._termination = error
        if not self.wire.interrupt(error):
            self.cancel()

    @property
    def limit(self) -> int:
        return self.wire.limits.max_statements

    # --- messages ---

    def cancel(self) -> None:
        """Stop the statement that runs; COPY FROM also while it waits for data."""
        if self._copying:
            self._copy_cancelled = True
            self.wire.interrupt(_canceled())
        if self.backend is not None:
            self.backend.cancel()

    async def next_message(self) -> tuple[int, bytes]:
        """The client's next message; raises the termination instead when there is one."""
        if self._termination is not None:
            raise self._termination
        return await self.wire.read_message()

    @property
    def ending(self) -> bool:
        """Whether somebody has ended the connection."""
        return self._termination is not None

    async def next_copy_message(self) -> tuple[int, bytes]:
        """The same during COPY FROM STDIN, many small messages of data taken as one."""
        if self._termination is not None:
            raise self._termination
        if self._copy_cancelled:
            raise _canceled()
        data = self.wire.read_copy_data()
        return (c.COPY_DATA, data) if data else await self.wire.read_message()

    def ready(self) -> None:
        """ReadyForQuery, after the settings that changed and what other sessions have sent."""
        self.backend.idle()
        self.report_settings()
        self.wire.write(m.ready_for_query(self.backend.transaction_status))
        self.wire.flush()

    def report_settings(self) -> None:
        """ParameterStatus for each reported setting whose value the client doesn't know yet."""
        settings, reported = self.backend.settings, self._reported
        for name in c.REPORTED_SETTINGS:
            value = settings.get(name)
            if value is not None and reported.get(name) != value:
                reported[name] = value
                self.wire.write(m.parameter_status(name, value))

    def fail(self, error: Exception) -> None:
        """A statement failed: tell the backend and the client.

        Errors that end the connection (FATAL, the client gone, a termination) are raised.
        """
        if self._termination is not None:
            raise self._termination from error
        if isinstance(error, ConnectionClosed) or (isinstance(error, PgError) and error.severity != "ERROR"):
            raise error
        self.backend.fail()
        self.wire.write(m.error_response(_as_pg_error(error)))

    async def sync(self) -> None:
        """End the implicit transaction; its commit may fail."""
        try:
            await self.backend.sync()
        except Exception as error:
            self.fail(error)

    # --- results ---

    async def send_result(self, result: Result) -> None:
        """All of a result as simple query shows it, RowDescription included."""
        self.send_notices(result)
        if result.rows is None or result.copy_out is not None or result.copy_in is not None:
            await self.send_rowless(result)
            return
        fields = result.fields or ()
        formats = (c.BINARY,) if result.binary else ()
        self.wire.write(m.row_description(fields, formats))
        cursor = RowCursor(result.rows)
        try:
            sender = self.row_sender(result, cursor, formats)
            await sender.send(self.wire)
        finally:
            await cursor.close()
        self.wire.write(tag_with_count(result.tag, result.counts_rows, sender.sent))

    async def send_rowless(self, result: Result) -> None:
        """A result that is no row set for DataRow messages: a tag alone, or COPY either way."""
        if result.copy_in is not None:
            self._copying = True
            try:
                tag = await copy_in(self, result)
            finally:
                self._copying = self._copy_cancelled = False
            self.wire.write(m.command_complete(tag))
        elif result.copy_out is not None:
            await self._copy_out(result)
        else:
            self.wire.write(m.command_complete(result.tag))

    def send_notices(self, result: Result) -> None:
        for notice in result.notices:
            self.notice(notice)

    def row_sender(self, result: Result, cursor: RowCursor, formats: Sequence[int]) -> RowSender:
        """Whatever sends the result's rows as DataRow messages."""
        types = [field.type for field in result.fields or ()]
        formats = expand_formats(formats, len(types))
        text = [code == c.TEXT for code in formats]
        convert, types = wire_forms(types, text, self.backend)
        encoder = RowEncoder(types, formats, output_settings(self.backend.settings))
        return RowSender(cursor, encoder, convert)

    async def _copy_out(self, result: Result) -> None:
        options, fields = result.copy_out, result.fields or ()
        assert options is not None and result.rows is not None
        names, types = [field.name for field in fields], [field.type for field in fields]
        text = [options.format != "binary"] * len(types)
        convert, types = wire_forms(types, text, self.backend)
        cursor = RowCursor(result.rows)
        try:
            encoder = CopyEncoder(types, names, options, output_settings(self.backend.settings))
            self.wire.write(m.copy_response(b"H", options.format == "binary", len(types)))
            self.wire.write(encoder.begin())
            sender = RowSender(cursor, encoder, convert)
            await sender.send(self.wire)
            self.wire.write(encoder.end_of_data())
        finally:
            await cursor.close()
        self.wire.write(m.COPY_DONE)
        self.wire.write(tag_with_count(result.tag, result.counts_rows, sender.sent))


def _canceled() -> PgError:
    return PgError(errors.QUERY_CANCELED, "canceling statement due to user request")


def _as_pg_error(error: Exception) -> PgError:
    """Whatever a statement raised as what the client is told; surprises are logged."""
    if isinstance(error, PgError):
        return error
    log.error("statement failed unexpectedly", exc_info=error)
    return PgError(errors.INTERNAL_ERROR, f"internal error: {type(error).__name__}: {error}")
