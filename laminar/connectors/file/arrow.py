"""Arrow IPC files, memory-mapped: columns that are stored as declared are never copied."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from laminar.connectors.base import ScanRequest, SourceColumn
from laminar.connectors.file.columns import Projection
from laminar.connectors.file.convert import inferred_columns
from laminar.connectors.rejected import Rejections


def columns(path: str) -> tuple[SourceColumn, ...]:
    """The file's own columns."""
    with pa.memory_map(path) as source:
        return inferred_columns(pa.ipc.open_file(source).schema, f'file "{path}"')


class ArrowRows:
    """The rows of one file; a position is a row number.

    The footer tells where record batches are but not how long they are, so a seek opens
    the batches before it (their metadata only).
    """

    def __init__(
        self, path: str, columns: Sequence[SourceColumn], request: ScanRequest, rejections: Rejections
    ) -> None:
        self._map = pa.memory_map(path)
        self._reader = pa.ipc.open_file(self._map)
        self._projection = Projection(self._reader.schema, columns, request, rejections, f'file "{path}"')
        self.bytes_read = 0
        self._next = 0
        self._batch: pa.RecordBatch | None = None
        self._taken = 0
        self._row = 0

    def read(self, max_rows: int, until: int | None = None) -> pa.RecordBatch | None:
        if until is not None:
            max_rows = min(max_rows, until - self._row)
        if self._batch is None and not self._advance():
            return None
        assert self._batch is not None
        piece = self._batch.slice(self._taken, max_rows)
        first = self._row
        self._move(piece.num_rows)
        self.bytes_read += piece.nbytes
        return self._projection.apply(piece, first)

    def _advance(self) -> bool:
        """Load the next record batch that has rows; False at the end."""
        while self._next < self._reader.num_record_batches:
            batch = self._projection.prune(self._reader.get_batch(self._next))
            batch.validate()
            self._next += 1
            if batch.num_rows:
                self._batch, self._taken = batch, 0
                return True
        return False

    def _move(self, rows: int) -> None:
        assert self._batch is not None
        self._taken += rows
        self._row += rows
        if self._taken == self._batch.num_rows:
            self._batch = None

    def skipped(self) -> int | None:
        return None

    @property
    def position(self) -> int:
        return self._row

    def seek(self, position: int | None) -> None:
        self._next, self._batch, self._taken, self._row = 0, None, 0, 0
        left = position or 0
        while left and (self._batch is not None or self._advance()):
            assert self._batch is not None
            step = min(left, self._batch.num_rows - self._taken)
            self._move(step)
            left -= step

    def close(self) -> None:
        self._batch = None
        self._map.close()
