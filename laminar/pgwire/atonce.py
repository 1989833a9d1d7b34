"""Look-ups by key answered as their messages arrive, without waking the connection's task.

What is recognised: a Query message, and Bind–Describe–Execute–Sync of the unnamed portal, with a Parse of
the unnamed statement before it or not, all of it received whole. Nothing has been sent or changed until the
answer is there, so that anything unusual is left to the connection's task, as if nobody had looked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from struct import Struct
from struct import error as StructError
from typing import TYPE_CHECKING, Final

from laminar.errors import PgError
from laminar.pgwire import constants as c
from laminar.pgwire import messages as m
from laminar.pgwire.portals import Statement

if TYPE_CHECKING:
    from laminar.pgwire.backend import Prepared, RowWrite, Shortcut
    from laminar.pgwire.extended import ExtendedQuery
    from laminar.pgwire.session import Session

#: longer input is the task's to answer
_MAX_INPUT: Final = 16_384
#: statements that are answered before others have their turn
_MAX_STATEMENTS: Final = 32
#: of a shortcut, by the formats of its columns
_MAX_DESCRIPTIONS: Final = 8
_EXECUTE_SYNC: Final = b"E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04"
_DESCRIBE_EXECUTE_SYNC: Final = b"D\0\0\0\x06P\0" + _EXECUTE_SYNC
_READY: Final = m.ready_for_query("I")
_TAGS: Final = tuple(m.command_complete(f"SELECT {n}") + m.ready_for_query("I") for n in (0, 1))
_COUNT: Final = Struct(">H").unpack_from
_LENGTH: Final = Struct(">i").unpack_from


class AtOnce:
    """Answers for one connection; see :attr:`laminar.pgwire.wire.Wire.at_once`."""

    def __init__(self, session: Session, extended: ExtendedQuery) -> None:
        self._session = session
        self._extended = extended
        self._durable: asyncio.Future[None] | None = None

    def answer(self) -> None:
        """Answer what can be answered of what has been received."""
        session = self._session
        wire = session.wire
        if session.ending or wire.behind or wire.buffered > _MAX_INPUT or session.portals:
            return
        data = wire.peek()
        at = 0
        for _ in range(_MAX_STATEMENTS):
            if len(data) - at < 6:
                break
            taken = self._simple(data, at) if data[at] == c.QUERY else self._extended_query(data, at)
            if not taken:
                break
            at += taken
            if wire.held:
                break
        if at:
            wire.consume(at)
            wire.flush()

    def _simple(self, data: bytes, at: int) -> int:
        """Answer a Query message; returns its length, 0 when it has to go the ordinary way."""
        end = at + 1 + _LENGTH(data, at + 1)[0]
        if not at + 5 < end <= len(data) or data.find(b"\0", at + 5) != end - 1:
            return 0
        found = self._session.backend.lifted(data[at + 5 : end - 1])
        if found is None:
            return 0
        shortcut, values = found
        formats = (c.TEXT,) * len(shortcut.fields)
        answer = self._answer_of(shortcut, values, (c.TEXT,) * len(values), formats)
        if answer is None:
            return 0
        self._session.statements.pop("", None)
        self._send((b"" if shortcut.writes is True else _description(shortcut, formats)) + answer)
        return end - at

    def _answer_of(
        self,
        shortcut: Shortcut | RowWrite,
        values: Sequence[bytes | None],
        formats: Sequence[int],
        results: Sequence[int],
    ) -> bytes | None:
        """Rows, CommandComplete and ReadyForQuery; None when the statement has to go the ordinary way.

        What has been written and is not yet durable is left in ``_durable`` for ``_send``.
        """
        if shortcut.writes is True:
            written = shortcut.start(values, formats)
            if written is None:
                return None
            self._durable = written.durable
            return m.command_complete(written.tag) + _READY
        rows = shortcut.rows(values, formats, results)
        return None if rows is None else rows[0] + _TAGS[rows[1]]

    def _send(self, answer: bytes) -> None:
        """Now, or when what was written is durable."""
        wire = self._session.wire
        durable, self._durable = self._durable, None
        if durable is None:
            wire.write(answer)
            return
        wire.flush()
        wire.hold()
        durable.add_done_callback(partial(self._told, answer))

    def _told(self, answer: bytes, durable: asyncio.Future[None]) -> None:
        """What was written is durable, or never will be: then the server is about to end."""
        wire, error = self._session.wire, durable.exception()
        if error is not None:
            if isinstance(error, PgError):
                wire.write(m.error_response(error))
            wire.close()
            return
        wire.write(answer)
        wire.release()

    def _extended_query(self, data: bytes, at: int) -> int:
        """The same for the messages of an extended query."""
        start, parsed, parse = at, None, b""
        if data[at] == c.PARSE:
            end = at + 1 + _LENGTH(data, at + 1)[0]
            parse = data[at + 5 : end]
            parsed = self._extended.shortcuts.get(parse)
            if parsed is None or end + 5 > len(data):
                return 0
            at = end
        if data[at] != c.BIND:
            return 0
        end = at + 1 + _LENGTH(data, at + 1)[0]
        describe = data.startswith(_DESCRIBE_EXECUTE_SYNC, end)
        if end < at or not (describe or data.startswith(_EXECUTE_SYNC, end)):
            return 0
        answer = self._bound(data[at + 5 : end], parsed, describe)
        if answer is None:
            return 0
        if parsed is not None:
            sql = parse[1 : parse.index(b"\0", 1)].decode()
            self._session.statements[""] = Statement(parsed, sql, created=time.time_ns() // 1000)
            answer = m.PARSE_COMPLETE + answer
        self._send(answer)
        return end + len(_DESCRIBE_EXECUTE_SYNC if describe else _EXECUTE_SYNC) - start

    def _bound(self, body: bytes, parsed: Prepared | None, describe: bool) -> bytes | None:
        """What answers Bind and what follows it."""
        if body[:1] != b"\0":
            return None
        at = body.find(b"\0", 1)
        if at < 0 or (parsed is not None and at > 1):
            return None
        if parsed is None:
            name = body[1:at]
            statement = self._session.statements.get(name.decode()) if name.isascii() else None
            parsed = None if statement is None else statement.prepared
        shortcut = None if parsed is None else parsed.shortcut
        if shortcut is None:
            return None
        taken = _arguments(body, at + 1, len(shortcut.fields))
        if taken is None:
            return None
        values, formats, results = taken
        answer = self._answer_of(shortcut, values, formats, results)
        if answer is None:
            return None
        description = b""
        if describe:
            description = m.NO_DATA if shortcut.writes is True else _description(shortcut, results)
        return m.BIND_COMPLETE + description + answer


def _description(shortcut: Shortcut, formats: Sequence[int]) -> bytes:
    """RowDescription."""
    key = bytes(formats)
    if key not in shortcut.descriptions:
        if len(shortcut.descriptions) >= _MAX_DESCRIPTIONS:
            shortcut.descriptions.clear()
        shortcut.descriptions[key] = m.row_description(shortcut.fields, formats)
    return shortcut.descriptions[key]


def _arguments(
    body: bytes, at: int, columns: int
) -> tuple[list[bytes | None], Sequence[int], Sequence[int]] | None:
    """Values, their formats and those of the result columns, from there on in a Bind message; None when
    they are not as they should be."""
    try:
        given, at = _formats(body, at)
        (count,) = _COUNT(body, at)
        at += 2
        values: list[bytes | None] = []
        for _ in range(count):
            (length,) = _LENGTH(body, at)
            at += 4
            if length < -1 or at + length > len(body):
                return None
            values.append(None if length < 0 else body[at : at + length])
            at += max(length, 0)
        asked, at = _formats(body, at)
    except (IndexError, StructError):
        return None
    formats, results = _expanded(given, count), _expanded(asked, columns)
    if at != len(body) or formats is None or results is None:
        return None
    return values, formats, results


def _formats(body: bytes, at: int) -> tuple[Sequence[int], int]:
    """Format codes, 0 and 1; raises IndexError for others, and beyond the end."""
    (count,) = _COUNT(body, at) if at + 2 <= len(body) else (-1,)
    end = at + 2 + 2 * count
    if not at < end <= len(body):
        raise IndexError(at)
    codes = body[at + 3 : end : 2]
    if any(body[at + 2 : end : 2]) or any(code > c.BINARY for code in codes):
        raise IndexError(at)
    return codes, end


def _expanded(codes: Sequence[int], count: int) -> Sequence[int] | None:
    """One format for each of so many values."""
    if len(codes) == count:
        return codes
    if len(codes) > 1:
        return None
    return (codes[0] if codes else c.TEXT,) * count
