"""The extended query protocol: prepared statements, portals, Sync."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from laminar import errors
from laminar.errors import PgError
from laminar.pgwire import constants as c
from laminar.pgwire import messages as m
from laminar.pgwire.params import decode_params
from laminar.pgwire.rows import RowSender, expand_formats, tag_with_count

if TYPE_CHECKING:
    import pyarrow as pa

    from laminar.pgwire.backend import Field, Prepared, Result
    from laminar.pgwire.session import Session

_UNDEFINED_STATEMENT: Final = "26000"
_DUPLICATE_CURSOR: Final = "42P03"


@dataclass(slots=True)
class Statement:
    """What Parse made; ``prepared`` is None for an empty query."""

    prepared: Prepared | None

    @property
    def param_oids(self) -> list[int]:
        return [p.oid for p in self.prepared.param_types] if self.prepared else []

    @property
    def fields(self) -> Sequence[Field] | None:
        return self.prepared.fields if self.prepared else None


@dataclass(slots=True)
class Portal:
    """What Bind made: a statement with parameters, and its result once it runs."""

    statement: Statement
    params: list[pa.Scalar | None]
    formats: Sequence[int]
    result: Result | None = None
    sender: RowSender | None = None
    finished: bool = False

    async def close(self) -> None:
        self.finished = True
        if self.sender is not None:
            await self.sender.close()


class ExtendedQuery:
    """The statements and portals of one connection."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._statements: dict[str, Statement] = {}
        self._portals: dict[str, Portal] = {}
        self._in_pipeline = False
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
        if self._in_pipeline:
            self._in_pipeline = False
            await self._session.sync()
        await self.forget_portals()

    async def close(self) -> None:
        """The connection ends."""
        for name in list(self._portals):
            await self._drop_portal(name)

    async def before_simple_query(self) -> None:
        """A simple query takes the place of the unnamed statement and portal."""
        self._statements.pop("", None)
        await self._drop_portal("")

    def deallocate(self, name: str | None) -> None:
        """DEALLOCATE: the statement of that name, or all but the one that runs."""
        if name is None:
            self._statements.clear()
        elif self._statements.pop(name, None) is None:
            raise PgError(_UNDEFINED_STATEMENT, f'prepared statement "{name}" does not exist')

    async def forget_portals(self) -> None:
        """Outside a transaction there are no portals."""
        if self._portals and self._session.backend.transaction_status == "I":
            await self.close()

    # --- messages ---

    async def _parse(self, body: m.Body) -> None:
        name, sql = body.string(), body.string()
        oids = [body.uint32() for _ in range(body.count())]
        body.end()
        if name and name in self._statements:
            raise PgError(errors.DUPLICATE_PREPARED_STATEMENT, f'prepared statement "{name}" already exists')
        self._statements.pop("", None) if not name else self._check_room(self._statements, name)
        backend = self._session.backend
        texts = backend.split(sql)
        if len(texts) > 1:
            raise PgError(errors.SYNTAX_ERROR, "cannot insert multiple commands into a prepared statement")
        # the text as it came: positions in errors count from its start
        prepared = await backend.prepare(sql, oids) if texts else None
        self._statements[name] = Statement(prepared)
        self._session.wire.write(m.PARSE_COMPLETE)

    async def _bind(self, body: m.Body) -> None:
        portal_name, statement_name = body.string(), body.string()
        param_formats = [body.int16() for _ in range(body.count())]
        values = [body.value() for _ in range(body.count())]
        result_formats = [body.int16() for _ in range(body.count())]
        body.end()
        statement = self._statement(statement_name)
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
        params = decode_params(types, param_formats, values, self._session.backend.settings)
        if portal_name and portal_name in self._portals:
            raise PgError(_DUPLICATE_CURSOR, f'cursor "{portal_name}" already exists')
        await self._drop_portal(portal_name)
        self._check_room(self._portals, portal_name)
        self._portals[portal_name] = Portal(statement, params, formats)
        self._session.wire.write(m.BIND_COMPLETE)

    async def _describe(self, body: m.Body) -> None:
        kind, name = body.byte(), body.string()
        body.end()
        formats: Sequence[int] = ()
        if kind == ord("S"):
            statement = self._statement(name)
            self._session.wire.write(m.parameter_description(statement.param_oids))
        elif kind == ord("P"):
            portal = self._portal(name)
            statement, formats = portal.statement, portal.formats
        else:
            raise m.violation(f"invalid DESCRIBE message subtype {kind}")
        fields = statement.fields
        self._session.wire.write(m.NO_DATA if fields is None else m.row_description(fields, formats))

    async def _execute(self, body: m.Body) -> None:
        name, limit = body.string(), body.int32()
        body.end()
        portal = self._portal(name)
        wire, backend = self._session.wire, self._session.backend
        prepared = portal.statement.prepared
        if prepared is None:
            wire.write(m.EMPTY_QUERY_RESPONSE)
            return
        if portal.result is None:
            await backend.begin_implicit()
            self._in_pipeline = True
            portal.result = await backend.execute(prepared, portal.params)
            self._session.send_notices(portal.result)
            if not await self._start(portal):
                await self._after_command(name)
                return
        if portal.sender is None:
            raise PgError(errors.OBJECT_NOT_IN_PREREQUISITE_STATE, f'portal "{name}" cannot be run')
        try:
            count = await portal.sender.send(wire, max(limit, 0))
        except BaseException:
            await self._drop_portal(name)
            raise
        if portal.sender.finished:
            wire.write(tag_with_count(portal.result.tag, portal.result.counts_rows, count))
        else:
            wire.write(m.PORTAL_SUSPENDED)

    async def _close(self, body: m.Body) -> None:
        kind, name = body.byte(), body.string()
        body.end()
        if kind == ord("S"):
            self._statements.pop(name, None)
        elif kind == ord("P"):
            await self._drop_portal(name)
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
        portal.sender = self._session.row_sender(result, portal.formats)
        return True

    async def _after_command(self, name: str) -> None:
        """COMMIT and ROLLBACK end all portals but the one that ran them."""
        if self._session.backend.transaction_status == "I":
            for other in [p for p in self._portals if p != name]:
                await self._drop_portal(other)

    def _statement(self, name: str) -> Statement:
        try:
            return self._statements[name]
        except KeyError:
            what = f'prepared statement "{name}"' if name else "unnamed prepared statement"
            raise PgError(_UNDEFINED_STATEMENT, f"{what} does not exist") from None

    def _portal(self, name: str) -> Portal:
        try:
            return self._portals[name]
        except KeyError:
            raise PgError(errors.INVALID_CURSOR_NAME, f'portal "{name}" does not exist') from None

    async def _drop_portal(self, name: str) -> None:
        portal = self._portals.pop(name, None)
        if portal is not None:
            await portal.close()

    def _check_room(self, held: dict[str, Statement] | dict[str, Portal], name: str) -> None:
        limit = self._session.wire.limits.max_statements
        if name and len(held) >= limit:
            raise PgError(
                errors.CONFIGURATION_LIMIT_EXCEEDED,
                f"too many prepared statements or portals (limit {limit})",
                hint="Close those that are no longer needed.",
            )


def _check_formats(formats: Sequence[int]) -> None:
    for code in formats:
        if code not in (c.TEXT, c.BINARY):
            raise PgError(errors.INVALID_PARAMETER_VALUE, f"unsupported format code: {code}")
