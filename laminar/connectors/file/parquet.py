"""Parquet files: wanted columns only, and row groups that cannot match are not read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from laminar.connectors.base import ScanRequest, SourceColumn
from laminar.connectors.file.columns import Projection, find_field
from laminar.connectors.file.convert import inferred_columns
from laminar.connectors.file.skip import GroupRanges, as_microseconds, may_match
from laminar.connectors.rejected import Rejections

#: rows decoded at a time: a few milliseconds, and small enough for the cache
DECODE_ROWS = 65536


def columns(path: str) -> tuple[SourceColumn, ...]:
    """The file's own columns."""
    with pq.ParquetFile(path) as file:
        return inferred_columns(file.schema_arrow, f'file "{path}"')


class ParquetRows:
    """The rows of one file; a position is a row number, skipped rows counted."""

    def __init__(
        self,
        path: str,
        columns: Sequence[SourceColumn],
        watermark: int | None,
        request: ScanRequest,
        rejections: Rejections,
    ) -> None:
        self._file = pq.ParquetFile(path, memory_map=True)
        self._meta = self._file.metadata
        schema, what = self._file.schema_arrow, f'file "{path}"'
        self._projection = Projection(schema, columns, request, rejections, what)
        self.bytes_read = 0
        self._ranges = GroupRanges(
            self._meta, schema, [find_field(schema, c.name, what) for c in columns], columns
        )
        self._columns = columns
        self._watermark = watermark
        self._request = request
        #: the event times of rows that are read are not asked for: the footer tells the latest
        self._unseen_times = watermark is not None and watermark not in request.columns
        self._names = [schema.field(i).name for i in self._projection.indexes]
        self._skipped: int | None = None
        #: the next row group to open, the row that ``read`` gives next
        self._group = 0
        self._row = 0
        #: behind the last row of the group that was opened last
        self._end = 0
        #: what is left of the current group, and the piece of it that is being handed out
        self._pieces: Iterator[pa.RecordBatch] | None = None
        self._batch: pa.RecordBatch | None = None
        self._taken = 0

    def read(self, max_rows: int, until: int | None = None) -> pa.RecordBatch | None:
        self._skipped = None
        while self._batch is None:
            if not self._decode():
                return None
        if until is not None:
            max_rows = max(0, min(max_rows, until - self._row))
        piece = self._batch.slice(self._taken, max_rows)
        first = self._row
        self._taken += piece.num_rows
        self._row += piece.num_rows
        if self._taken == self._batch.num_rows:
            self._batch = None
        if self._unseen_times and self._row == self._end:
            self._pass_over(self._latest(self._group - 1))
        return self._projection.apply(piece, first)

    def _decode(self) -> bool:
        """Take the next piece of the current row group, or go to the next one; False at the end."""
        if self._pieces is not None:
            self._batch, self._taken = next(self._pieces, None), 0
            if self._batch is None:
                self._pieces = None
            return True
        if self._group >= self._meta.num_row_groups:
            return False
        group, self._group = self._group, self._group + 1
        if self._skip(group):
            self._row += self._meta.row_group(group).num_rows
        else:
            self._open(group)
        return True

    def _skip(self, group: int) -> bool:
        """Whether no row of the group can match, remembering what the watermark must know of it."""
        if self._request.filter is None:
            return False
        latest = self._latest(group)
        if self._watermark is not None and latest is None:
            return False
        index_of = self._request.filter_columns
        if may_match(self._request.filter, lambda c: self._ranges.of(group, index_of[c])):
            return False
        self._pass_over(latest)
        return True

    def _latest(self, group: int) -> int | None:
        """The latest event time of a row group in microseconds, None when the footer does not tell."""
        span = None if self._watermark is None else self._ranges.of(group, self._watermark)
        if self._watermark is None or span is None:
            return None
        return as_microseconds(span.maximum, self._columns[self._watermark].type)

    def _pass_over(self, latest: int | None) -> None:
        """Remember the latest event time of rows whose times are not returned."""
        if latest is not None:
            self._skipped = latest if self._skipped is None else max(self._skipped, latest)

    def _open(self, group: int) -> None:
        self._end = self._row + self._meta.row_group(group).num_rows
        self.bytes_read += sum(
            self._meta.row_group(group).column(i).total_compressed_size
            for i in range(self._meta.num_columns)
            if self._meta.row_group(group).column(i).path_in_schema.split(".")[0] in self._names
        )
        self._pieces = self._batches(group)

    def _batches(self, group: int) -> Iterator[pa.RecordBatch]:
        for batch in self._file.iter_batches(DECODE_ROWS, [group], self._names, use_threads=False):
            yield batch.select(self._names) if self._names else batch

    def skipped(self) -> int | None:
        return self._skipped

    @property
    def position(self) -> int:
        return self._row

    def seek(self, position: int | None) -> None:
        self._group, self._row, self._taken = 0, 0, 0
        self._batch = self._pieces = None
        target = position or 0
        while self._group < self._meta.num_row_groups:
            rows = self._meta.row_group(self._group).num_rows
            if self._row + rows > target:
                break
            self._row += rows
            self._group += 1
        if self._row < target:
            self._open(self._group)
            self._group += 1
        while self._row < target and self._decode():
            if self._batch is not None:
                self._taken = min(target - self._row, self._batch.num_rows)
                self._row += self._taken
                if self._taken == self._batch.num_rows:
                    self._batch = None

    def close(self) -> None:
        self._batch = self._pieces = None
        self._file.close()
