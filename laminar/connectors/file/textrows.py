"""What text files have in common: blocks of whole records, parsed and converted column by column.

All declared columns are converted, whichever are wanted, so that whether a record can be read does not
depend on who reads it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar.connectors.base import ScanRequest, SourceColumn
from laminar.connectors.file.convert import ColumnConverter, convert_batch, make_batch, without
from laminar.connectors.file.text import TextBlocks
from laminar.connectors.rejected import Rejections
from laminar.errors import BAD_COPY_FILE_FORMAT, DATA_CORRUPTED, PgError


@dataclass(slots=True)
class Parsed:
    """A block's records.

    Args:
        values: the declared columns of those that could be parsed.
        converters: how to convert them.
        rows: how many there are.
        malformed: number of a record among those that are not blank -> what is wrong with it.
    """

    values: list[pa.Array]
    converters: list[ColumnConverter]
    rows: int
    malformed: dict[int, str] = field(default_factory=dict)


class TextRows(ABC):
    """The rows of one file; a position is a byte offset.

    Args:
        quote: the byte between whose pairs newlines do not end a record; None if there is none.
    """

    #: bytes that a blank record, which is no row, may have
    blanks: bytes

    def __init__(
        self,
        path: str,
        columns: Sequence[SourceColumn],
        request: ScanRequest,
        rejections: Rejections,
        quote: int | None,
    ) -> None:
        self._blocks = TextBlocks(path, quote)
        self._path = path
        self._columns = columns
        self._wanted = request.columns
        self._offsets = "offset" in request.includes
        self._rejections = rejections
        #: where the first record starts
        self._start = 0
        self.bytes_read = 0

    @abstractmethod
    def _parse(self, data: bytes) -> Parsed:
        """The records of a block."""

    def read(self, max_rows: int, until: int | None = None) -> pa.RecordBatch | None:
        data = self._blocks.next(max_rows, until)
        if data is None:
            return None
        self.bytes_read += len(data)
        parsed = self._parse(data)
        arrays, bad = convert_batch(parsed.values, parsed.converters)
        included = []
        if self._offsets or parsed.malformed or bad:
            records = _Records(self._blocks, data, self.blanks)
            rows = records.without(parsed.malformed)
            if len(rows) != parsed.rows:
                raise PgError(DATA_CORRUPTED, f'records of "{self._path}" cannot be told apart')
            self._rejections.add(
                [
                    (
                        record,
                        "malformed",
                        PgError(BAD_COPY_FILE_FORMAT, message, detail=f"Row: {records.text(record)}"),
                    )
                    for record, message in parsed.malformed.items()
                ],
                records.offset,
                records.text,
            )
            self._rejections.add(
                bad, lambda row: records.offset(rows[row]), lambda row: records.text(rows[row])
            )
            if self._offsets:
                (offsets,) = without([pa.array(records.offsets(rows))], bad, parsed.rows)
                included.append(("offset", offsets))
        kept = without([arrays[i] for i in self._wanted], bad, parsed.rows)
        return make_batch(self._columns, self._wanted, kept, parsed.rows - len(bad), included)

    def skipped(self) -> int | None:
        return None

    @property
    def position(self) -> int:
        return self._blocks.offset

    def seek(self, position: int | None) -> None:
        self._blocks.offset = max(position or 0, self._start)

    def close(self) -> None:
        self._blocks.close()


class _Records:
    """Where the records of a block are that are not blank."""

    def __init__(self, blocks: TextBlocks, data: bytes, blanks: bytes) -> None:
        self._data = data
        self._first = blocks.offset - len(data)
        bounds = blocks.bounds(data)
        starts, ends = bounds[:-1], bounds[1:]
        doubtful = np.flatnonzero(np.isin(np.frombuffer(data, np.uint8)[starts], list(blanks)))
        blank = [i for i in doubtful.tolist() if not data[starts[i] : ends[i]].strip(blanks)]
        self._starts, self._ends = np.delete(starts, blank), np.delete(ends, blank)

    def without(self, numbers: Sequence[int] | dict[int, str]) -> npt.NDArray[np.int64]:
        """The numbers of the other records."""
        return np.delete(np.arange(len(self._starts)), list(numbers))

    def offsets(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """In the file."""
        return self._first + self._starts[numbers]

    def offset(self, number: int) -> int:
        return int(self._first + self._starts[number])

    def text(self, number: int) -> str:
        """Without its newline."""
        raw = self._data[self._starts[number] : self._ends[number]]
        return raw.decode(errors="replace").removesuffix("\n").removesuffix("\r")
