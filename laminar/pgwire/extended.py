"""The extended query protocol: prepared statements, portals, Sync."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from laminar import errors
from laminar.errors import PgError
from laminar.pgwire import constants as c
from laminar.pgwire import messages as m
from laminar.pgwire.cursor import RowCursor
from laminar.pgwire.params import decode_params
from laminar.pgwire.portals import Portal, Statement, check_room
from laminar.pgwire.rows import expand_formats, tag_with_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from laminar.pgwire.backend import Prepared
    from laminar.pgwire.session import Session

_MAX_SHORTCUTS: Final = 50


class ExtendedQuery:
    """The extended query messages of one connection."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._statements = session.statements
        self._portals = session.portals
        #: an Execute has been answered, and no Sync since
        self.in_pipeline = False
        #: bodies of Parse messages without a name that made a statement with a shortcut, used last
        self.shortcuts: dict[bytes, Prepared] = {}
        self._handlers = {
            c.PARSE: self._parse,
            c.BIND: self._bind,
            c.DESCRIBE: self._describe,
            c.EXECUTE: self._execute,
            c.CLOSE: self._close,
        }

    async def handle(self, code: int, body: bytes) -> bool:
        """Answer one message; False after an error, which makes the rest unanswered up to Sync."""
        try:
            await self._handlers[code](m.Body(body))
        except Exception as error:
            self._session.fail(error)
            return False
        return True

    async def sync(self) -> None:
        """End of the pipeline: its implicit transaction ends."""
        if self.in_pipeline:
            self.in_pipeline = False
            await self._session.sync()
        await self.forget_portals()

    async def before_simple_query(self) -> None:
        """A simple query takes the place of the unnamed statement and portal."""
        self._statements.pop("", None)
        await self._portals.drop("")

    async def forget_portals(self) -> None:
        """Outside a transaction there are no portals but held ones."""
        if self._portals and self._session.backend.transaction_status == "I":
            await self._portals.end_transaction()

    # --- messages ---

    async def _parse(self, body: m.Body) -> None:
        name, sql = body.string(), body.string()
        oids = [body.uint32() for _ in range(body.count())]
        body.end()
        if name:
            self._statements.check_free(name)
            check_room(self._statements, name, self._session.limit)
        else:
            self._statements.pop("", None)
        backend = self._session.backend
        texts = backend.split(sql)
        if len(texts) > 1:
            raise PgError(errors.SYNTAX_ERROR, "cannot insert multiple commands into a prepared statement")
        # the text as it came: positions in errors count from its start
        prepared = await backend.prepare(sql, oids) if texts else None
        self._statements[name] = Statement(prepared, sql, created=time.time_ns() // 1000)
        if prepared is not None and not name and prepared.shortcut is not None:
            if len(self.shortcuts) >= _MAX_SHORTCUTS:
                self.shortcuts.clear()
            self.shortcuts[body.data] = prepared
        self._session.wire.write(m.PARSE_COMPLETE)

    async def _bind(self, body: m.Body) -> None:
        portal_name, statement_name = body.string(), body.string()
        param_formats = [body.int16() for _ in range(body.count())]
        values = [body.value() for _ in range(body.count())]
        result_formats = [body.int16() for _ in range(body.count())]
        body.end()
        statement = self._statements.find(statement_name)
        types = statement.prepared.param_types if statement.prepared else ()
        if len(param_formats) > 1 and len(param_formats) != len(values):
            raise m.violation(
                f"bind message has {len(param_formats)} parameter formats but {len(values)} parameters"
            )
        if len(values) != len(types):
            raise m.violation(
                f"bind message supplies {len(values)} parameters, but prepared statement "
                f'"{statement_name}" requires {len(types)}'
            )
        formats = expand_formats(result_formats, len(statement.fields or ()))
        _check_formats(formats)
        _check_formats(param_formats)
        backend = self._session.backend
        params = decode_params(types, param_formats, values, backend.settings, backend.read_value)
        self._portals.check_free(portal_name)
        await self._portals.drop(portal_name)
        portal = Portal(statement.prepared, params, formats, statement.fields, statement.sql)
        self._portals.add(portal_name, portal, self._session.limit)
        self._session.wire.write(m.BIND_COMPLETE)

    async def _describe(self, body: m.Body) -> None:
        kind, name = body.byte(), body.string()
        body.end()
        formats: Sequence[int] = ()
        if kind == ord("S"):
            statement = self._statements.find(name)
            self._session.wire.write(m.parameter_description(statement.param_oids))
            fields = statement.fields
        elif kind == ord("P"):
            portal = self._portals.find(name)
            fields, formats = portal.fields, portal.formats
        else:
            raise m.violation(f"invalid DESCRIBE message subtype {kind}")
        self._session.wire.write(m.NO_DATA if fields is None else m.row_description(fields, formats))

    async def _execute(self, body: m.Body) -> None:
        name, limit = body.string(), body.int32()
        body.end()
        portal = self._portals.find(name)
        wire, backend = self._session.wire, self._session.backend
        prepared = portal.prepared
        if prepared is None and portal.cursor is None:
            wire.write(m.EMPTY_QUERY_RESPONSE)
            return
        if portal.result is None:
            assert prepared is not None
            await backend.begin_implicit()
            self.in_pipeline = True
            self._portals.running = name
            try:
                portal.result = await backend.execute(prepared, portal.params)
            finally:
                self._portals.running = None
            self._session.send_notices(portal.result)
            if not await self._start(portal):
                await self.forget_portals_but(name)
                return
        if portal.cursor is None:
            raise PgError(errors.OBJECT_NOT_IN_PREREQUISITE_STATE, f'portal "{name}" cannot be run')
        if portal.sender is None:
            portal.sender = self._session.row_sender(portal.result, portal.cursor, portal.formats)
        sender = portal.sender
        try:
            count = await sender.send(wire, max(limit, 0))
        except BaseException:
            await self._portals.drop(name)
            raise
        if sender.finished:
            wire.write(tag_with_count(portal.result.tag, portal.result.counts_rows, count))
        else:
            wire.write(m.PORTAL_SUSPENDED)

    async def _close(self, body: m.Body) -> None:
        kind, name = body.byte(), body.string()
        body.end()
        if kind == ord("S"):
            self._statements.pop(name, None)
        elif kind == ord("P"):
            await self._portals.drop(name)
        else:
            raise m.violation(f"invalid CLOSE message subtype {kind}")
        self._session.wire.write(m.CLOSE_COMPLETE)

    # --- parts ---

    async def _start(self, portal: Portal) -> bool:
        """After the statement ran: prepare for sending rows (True), or send what is no row set (False)."""
        result = portal.result
        assert result is not None
        if result.rows is None or result.copy_out is not None:
            await self._session.send_rowless(result)
            return False
        portal.cursor = RowCursor(result.rows)
        return True

    async def forget_portals_but(self, name: str) -> None:
        """COMMIT and ROLLBACK end all portals but the one that ran them."""
        if self._session.backend.transaction_status == "I":
            self._portals.running = name
            try:
                await self._portals.end_transaction()
            finally:
                self._portals.running = None


def _check_formats(formats: Sequence[int]) -> None:
    for code in formats:
        if code not in (c.TEXT, c.BINARY):
            raise PgError(errors.INVALID_PARAMETER_VALUE, f"unsupported format code: {code}")
