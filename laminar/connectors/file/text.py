"""Cutting text files into blocks of whole records, by byte offset.

Read with pread, never mapped, so a file that shrinks is an error and not a SIGBUS.
"""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

from laminar.errors import BAD_COPY_FILE_FORMAT, PgError

#: bytes looked at first; doubled until a whole record fits
WINDOW = 1 << 20
#: a longer record is taken for an unclosed quote
MAX_RECORD = 1 << 28
_NEWLINE = 10


class TextBlocks:
    """A file of records that end with a newline.

    Args:
        quote: newlines inside a pair of these bytes do not end a record; None if none do.
    """

    def __init__(self, path: str, quote: int | None) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._quote = quote
        self._path = path
        self.offset = 0

    def next(self, max_records: int, until: int | None = None) -> bytes | None:
        """The bytes of 1 to ``max_records`` records from ``offset`` on, which moves; None at the end.

        ``until``: an offset between records to stop at.
        """
        window = WINDOW
        while True:
            wanted = window if until is None else min(window, until - self.offset)
            data = os.pread(self._fd, wanted, self.offset)
            if not data:
                return None
            at_end = len(data) < window
            size = self._cut(data, max_records, at_end)
            if size:
                self.offset += size
                return data[:size]
            window *= 2
            if window > MAX_RECORD:
                raise PgError(
                    BAD_COPY_FILE_FORMAT, f'a record at byte {self.offset} of "{self._path}" does not end'
                )

    def _cut(self, data: bytes, max_records: int, at_end: bool) -> int:
        """Length of the first whole records of ``data``; 0 when not even one is whole."""
        ends = self._ends(data)
        if len(ends) >= max_records:
            return int(ends[max_records - 1]) + 1
        if at_end:
            return len(data)
        return int(ends[-1]) + 1 if len(ends) else 0

    def _ends(self, data: bytes) -> npt.NDArray[np.int64]:
        """Where the newlines are that end a record."""
        values = np.frombuffer(data, np.uint8)
        ends = np.flatnonzero(values == _NEWLINE)
        if self._quote is not None and self._quote in data:
            inside = np.cumsum(values == self._quote, dtype=np.int32) & 1
            ends = ends[inside[ends] == 0]
        return ends

    def bounds(self, data: bytes) -> npt.NDArray[np.int64]:
        """Where records begin in what ``next`` gave, and behind them where the last one ends."""
        ends = self._ends(data) + 1
        if not len(ends) or ends[-1] != len(data):
            ends = np.append(ends, len(data))
        return np.concatenate(([0], ends))

    def close(self) -> None:
        os.close(self._fd)
