"""Row sets on their way out: DataRow messages and COPY data, encoded natively chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from laminar import types as t
from laminar.pgwire import messages as m
from laminar.types import PgType

if TYPE_CHECKING:
    from laminar._native.pgcodec import Encoder
    from laminar.pgwire.backend import Backend
    from laminar.pgwire.cursor import RowCursor
    from laminar.pgwire.wire import Wire

#: bytes encoded at a time: the event loop is held for less than a millisecond
CHUNK: Final = 256 * 1024


class RowSender:
    """Sends the rows of one result, all at once or in parts (a portal).

    Args:
        cursor: gives batches whose columns have the storage types the encoder was made for, once
            ``convert`` has been applied to them.
        encoder: knows the columns' types and formats.
    """

    def __init__(self, cursor: RowCursor, encoder: Encoder, convert: Convert | None = None) -> None:
        self._cursor = cursor
        self._encoder = encoder
        self._convert = convert
        self.sent = 0
        self.finished = False

    async def send(self, wire: Wire, limit: int = 0) -> int:
        """Send up to ``limit`` rows (0: all); returns how many. ``finished`` tells whether more may follow.

        As in PostgreSQL a result that has exactly ``limit`` rows isn't known to be finished yet.
        """
        encoder = self._encoder
        count = 0
        async for batch in self._cursor.forward(limit or None):
            encoder.load(batch if self._convert is None else self._convert(batch))
            while encoder.remaining:
                data, rows = encoder.encode(0, CHUNK)
                wire.write(data)
                count += rows
                await wire.drain()
        self.sent += count
        self.finished = not limit or count < limit
        return count


#: types whose text form is a name in the catalog
_NAMED: Final = t.REG_TYPES | {t.ARRAY_OF[oid] for oid in t.REG_TYPES}
#: makes of a result's batch what is encoded
Convert = Callable[[pa.RecordBatch], pa.RecordBatch]


def wire_forms(
    types: list[PgType], text: Sequence[bool], backend: Backend
) -> tuple[Convert | None, list[PgType]]:
    """How regclass (where text is wanted), rows and the like become what is encoded, and its types then."""
    outward = [i for i, pg_type in enumerate(types) if pg_type.special or (text[i] and pg_type.oid in _NAMED)]
    if not outward:
        return None, types
    shown = list(types)
    for i in outward:
        shown[i] = PgType(t.TEXT if text[i] else t.BYTEA)

    def convert(batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = list(batch.columns)
        for i in outward:
            columns[i] = backend.wire_form(types[i], columns[i], text[i])
        return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)

    return convert, shown


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
