"""What text files have in common: blocks of whole records, parsed and converted column by column."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import pyarrow as pa

from laminar.connectors.base import ScanRequest, SourceColumn
from laminar.connectors.file.convert import ColumnConverter, OnError, convert_batch, make_batch
from laminar.connectors.file.text import TextBlocks


class TextRows(ABC):
    """The rows of one file; a position is a byte offset.

    Args:
        quote: the byte between whose pairs newlines do not end a record; None if there is none.
    """

    def __init__(
        self,
        path: str,
        columns: Sequence[SourceColumn],
        request: ScanRequest,
        on_error: OnError,
        quote: int | None,
    ) -> None:
        self._blocks = TextBlocks(path, quote)
        self._columns = columns
        self._wanted = request.columns
        self._on_error = on_error
        #: where the first record starts
        self._start = 0
        self.dropped: dict[str, int] = {}
        self.bytes_read = 0

    @abstractmethod
    def _parse(self, data: bytes) -> tuple[list[pa.Array], list[ColumnConverter], int]:
        """The wanted columns of a block, how to convert them, and how many rows there are."""

    def _drop_malformed(self) -> None:
        self.dropped["malformed"] = self.dropped.get("malformed", 0) + 1

    def read(self, max_rows: int, until: int | None = None) -> pa.RecordBatch | None:
        data = self._blocks.next(max_rows, until)
        if data is None:
            return None
        self.bytes_read += len(data)
        values, converters, rows = self._parse(data)
        arrays, keep = convert_batch(values, converters, self._on_error, self.dropped)
        return make_batch(self._columns, self._wanted, arrays, rows if keep is None else int(keep.sum()))

    def skipped(self) -> int | None:
        return None

    @property
    def position(self) -> int:
        return self._blocks.offset

    def seek(self, position: int | None) -> None:
        self._blocks.offset = max(position or 0, self._start)

    def close(self) -> None:
        self._blocks.close()
