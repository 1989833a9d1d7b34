"""Row sets on their way out: DataRow messages and COPY data, encoded natively chunk by chunk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from laminar import types as t
from laminar.pgwire import messages as m
from laminar.types import PgType

if TYPE_CHECKING:
    from laminar._native.pgcodec import Encoder
    from laminar.pgwire.backend import Backend
    from laminar.pgwire.wire import Wire

#: bytes encoded at a time: the event loop is held for less than a millisecond
CHUNK: Final = 256 * 1024


class RowSender:
    """Sends the rows of one result, all at once or in parts (a portal).

    Args:
        rows: batches whose columns have the storage types the encoder was made for.
        encoder: knows the columns' types and formats.
    """

    def __init__(self, rows: AsyncIterator[pa.RecordBatch], encoder: Encoder) -> None:
        self._rows = rows
        self._encoder = encoder
        self.sent = 0
        self.finished = False

    async def send(self, wire: Wire, limit: int = 0) -> int:
        """Send up to ``limit`` rows (0: all); returns how many. ``finished`` tells whether more may follow.

        As in PostgreSQL a result that has exactly ``limit`` rows isn't known to be finished yet.
        """
        encoder = self._encoder
        count = 0
        while not self.finished:
            while encoder.remaining:
                if limit and count == limit:
                    return count
                data, rows = encoder.encode(limit - count if limit else 0, CHUNK)
                wire.write(data)
                count += rows
                self.sent += rows
                await wire.drain()
            if limit and count == limit:
                return count
            try:
                encoder.load(await anext(self._rows))
            except StopAsyncIteration:
                self.finished = True
        return count

    async def close(self) -> None:
        """Let go of the rows not sent."""
        self.finished = True
        await close_rows(self._rows)


#: types whose text form is a name in the catalog
_NAMED: Final = frozenset({t.REGCLASS, t.REGTYPE, t.REGPROC})


def resolve_names(
    rows: AsyncIterator[pa.RecordBatch], types: list[PgType], text: Sequence[bool], backend: Backend
) -> tuple[AsyncIterator[pa.RecordBatch], list[PgType]]:
    """Rows in which regclass and the like are text already where text is wanted, and the types of those."""
    named = [i for i, pg_type in enumerate(types) if text[i] and pg_type.oid in _NAMED]
    if not named:
        return rows, types
    shown = [PgType(t.TEXT) if i in named else pg_type for i, pg_type in enumerate(types)]

    async def resolve() -> AsyncIterator[pa.RecordBatch]:
        try:
            async for batch in rows:
                columns = list(batch.columns)
                for i in named:
                    columns[i] = backend.names_of(types[i], columns[i])
                yield pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
        finally:
            await close_rows(rows)

    return resolve(), shown


async def close_rows(rows: AsyncIterator[pa.RecordBatch] | None) -> None:
    """Close an asynchronous generator; other iterators need nothing."""
    close = getattr(rows, "aclose", None)
    if close is not None:
        await close()


def tag_with_count(tag: str, counts_rows: bool, count: int) -> bytes:
    return m.command_complete(f"{tag} {count}" if counts_rows else tag)


def expand_formats(formats: Sequence[int], columns: int) -> list[int]:
    """One format code per column from what Bind says: none (all text), one for all, or each.

    Raises:
        PgError: 08P01 for another number of codes.
    """
    if len(formats) == columns:
        return list(formats)
    if len(formats) <= 1:
        return [formats[0] if formats else 0] * columns
    raise m.violation(f"bind message has {len(formats)} result formats but query has {columns} columns")
