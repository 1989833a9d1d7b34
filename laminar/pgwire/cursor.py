"""A result's rows with a position among them: what FETCH, MOVE and partial Execute read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final, Literal

import numpy as np
import pyarrow as pa

from laminar.errors import OBJECT_NOT_IN_PREREQUISITE_STATE, OUT_OF_MEMORY, PgError

#: bytes of passed rows that a cursor keeps so that it can go back
KEPT_BYTES: Final = 64 << 20

Direction = Literal["forward", "backward", "absolute", "relative"]


class RowCursor:
    """Rows are numbered from 1; ``position`` is the row it stands on, 0 before the first, one more than
    there are behind the last.

    Args:
        rows: the result's batches, read as they are needed.
        scroll: True keeps rows that were passed (53200 beyond ``KEPT_BYTES``), None keeps as many as there
            is room for and then gives up going back, False keeps none.
    """

    def __init__(self, rows: AsyncIterator[pa.RecordBatch], scroll: bool | None = False) -> None:
        self._rows = rows
        self._scroll = scroll
        #: (number of its first row, batch), oldest first
        self._kept: list[tuple[int, pa.RecordBatch]] = []
        self._bytes = 0
        self._read = 0
        self._ended = False
        #: a batch that somebody has stopped waiting for
        self._coming: asyncio.Future[pa.RecordBatch | None] | None = None
        self.position = 0

    async def forward(self, count: int | None) -> AsyncIterator[pa.RecordBatch]:
        """The next rows, all of them for None; stands on the last one, or behind it when there are fewer."""
        left = count
        while left is None or left > 0:
            batch = await self._at(self.position + 1, left)
            if batch is None:
                self.position = self._read + 1
                return
            self.position += batch.num_rows
            if left is not None:
                left -= batch.num_rows
            yield batch

    async def forward_within(self, count: int | None, seconds: float) -> list[pa.RecordBatch]:
        """As FETCH FORWARD, but gives up waiting for more rows after some time."""
        found: list[pa.RecordBatch] = []
        end = asyncio.get_running_loop().time() + seconds
        left = count
        while left is None or left > 0:
            if self.position >= self._read and not self._ended and not await self._read_until(end):
                break
            batch = await self._at(self.position + 1, left)
            if batch is None:
                self.position = self._read + 1
                break
            self.position += batch.num_rows
            left = None if left is None else left - batch.num_rows
            found.append(batch)
        return found

    async def _read_until(self, end: float) -> bool:
        """Whether a batch has come before that time; one that is on its way is not lost."""
        if self._coming is None:
            self._coming = asyncio.ensure_future(anext(self._rows, None))
        left = max(0.0, end - asyncio.get_running_loop().time())
        done, _ = await asyncio.wait((self._coming,), timeout=left)
        return bool(done)

    async def fetch(self, direction: Direction, count: int | None) -> list[pa.RecordBatch]:
        """What FETCH gives; ``count`` None is ALL.

        Raises:
            PgError: 55000 when it would have to go back and cannot.
        """
        if direction == "forward" and count != 0:
            return [batch async for batch in self.forward(count)]
        if direction == "backward" and count != 0:
            return await self._backward(count)
        if direction == "absolute":
            assert count is not None
            if count < 0 and self._scroll is False:
                raise _forward_only()
            return await self._go_to(count if count >= 0 else await self._total() + 1 + count)
        return await self._go_to(self.position + (count or 0 if direction == "relative" else 0))

    async def read_all(self) -> None:
        """Take all that is left into memory, so that the rows outlive their transaction; 53200."""
        while await self._more():
            if self._bytes > KEPT_BYTES:
                raise _too_large()

    async def close(self) -> None:
        """Let go of the rows."""
        self._ended = True
        self._kept.clear()
        if self._coming is not None:
            self._coming.cancel()
            await asyncio.wait((self._coming,))
        close = getattr(self._rows, "aclose", None)
        if close is not None:
            await close()

    async def _backward(self, count: int | None) -> list[pa.RecordBatch]:
        """Rows before the position, nearest first."""
        last = self.position - 1
        first = 1 if count is None else max(1, self.position - count)
        if self.position > 0:
            self._check_back(first)
        parts = [p async for p in self._slices(first, last)] if last >= first else []
        self.position = first if count is not None and self.position - count >= 1 else 0
        return [p.take(pa.array(np.arange(p.num_rows - 1, -1, -1))) for p in reversed(parts)]

    async def _slices(self, first: int, last: int) -> AsyncIterator[pa.RecordBatch]:
        while first <= last:
            batch = await self._at(first, last - first + 1)
            if batch is None:
                return
            first += batch.num_rows
            yield batch

    async def _go_to(self, number: int) -> list[pa.RecordBatch]:
        """Stand on a row and give it; outside, stand before the first or behind the last."""
        if number <= self.position and self.position > 0:
            self._check_back(max(number, 1))
        if number <= 0:
            self.position = 0
            return []
        batch = await self._at(number, 1)
        self.position = number if batch is not None else self._read + 1
        return [] if batch is None else [batch]

    async def _total(self) -> int:
        while await self._more():
            if self._scroll is not True and self._bytes > KEPT_BYTES:
                self._scroll = None
        return self._read

    def _check_back(self, first: int) -> None:
        oldest = self._kept[0][0] if self._kept else self._read + 1
        if self._scroll is False or (first < oldest and self._read):
            raise _forward_only()

    async def _at(self, number: int, most: int | None) -> pa.RecordBatch | None:
        """Up to ``most`` rows from row ``number`` on, out of one batch."""
        while number > self._read:
            if not await self._more():
                return None
            self._forget(number)
        for first, batch in reversed(self._kept):
            if first <= number:
                return batch.slice(number - first, most)
        raise AssertionError(number)

    async def _more(self) -> bool:
        """Read another batch."""
        while not self._ended:
            coming, self._coming = self._coming, None
            batch = await (coming if coming is not None else anext(self._rows, None))
            if batch is None:
                self._ended = True
            elif batch.num_rows:
                self._kept.append((self._read + 1, batch))
                self._read += batch.num_rows
                self._bytes += batch.nbytes
                return True
        return False

    def _forget(self, needed: int) -> None:
        """Drop batches before a row unless they are kept for going back."""
        if self._scroll is not False and self._bytes > KEPT_BYTES:
            if self._scroll:
                raise _too_large()
            self._scroll = False
        while self._scroll is False and self._kept and self._kept[0][0] + self._kept[0][1].num_rows <= needed:
            self._bytes -= self._kept.pop(0)[1].nbytes


def _forward_only() -> PgError:
    return PgError(
        OBJECT_NOT_IN_PREREQUISITE_STATE,
        "cursor can only scan forward",
        hint="Declare it with SCROLL option to enable backward scan.",
    )


def _too_large() -> PgError:
    return PgError(
        OUT_OF_MEMORY,
        "out of memory",
        detail=f"The rows of a cursor take more than the limit of {KEPT_BYTES} bytes.",
        hint="Fetch all rows within the transaction, with NO SCROLL.",
    )
