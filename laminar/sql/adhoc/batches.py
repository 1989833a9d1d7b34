"""Batches between the nodes of an ad-hoc query: columns by position, named "0", "1", ..."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar.errors import OUT_OF_MEMORY, PgError
from laminar.sql.plan import Column

Indices = npt.NDArray[np.int64]


def schema_of(columns: Sequence[Column]) -> pa.Schema:
    """Schema of a node's batches."""
    return pa.schema([pa.field(str(i), c.type.storage) for i, c in enumerate(columns)])


def make(arrays: Sequence[pa.Array], rows: int) -> pa.RecordBatch:
    """A batch of these columns; ``rows`` counts when there are none."""
    if not arrays:
        return pa.RecordBatch.from_struct_array(pa.StructArray.from_buffers(pa.struct([]), rows, [None]))
    return pa.RecordBatch.from_arrays(list(arrays), names=[str(i) for i in range(len(arrays))])


def empty(columns: Sequence[Column]) -> pa.RecordBatch:
    return make([pa.array([], c.type.storage) for c in columns], 0)


def concat(batches: Iterable[pa.RecordBatch], columns: Sequence[Column]) -> pa.RecordBatch:
    """One batch of all rows; 53200 when a column would not fit."""
    kept = [b for b in batches if b.num_rows]
    if not kept:
        return empty(columns)
    if len(kept) == 1:
        return kept[0]
    if not columns:
        return make([], sum(b.num_rows for b in kept))
    try:
        return pa.concat_batches(kept)
    except pa.ArrowInvalid as error:
        raise PgError(
            OUT_OF_MEMORY, "out of memory", detail=f"An intermediate result is too large: {error}."
        ) from error


def take(batch: pa.RecordBatch, rows: Indices) -> pa.RecordBatch:
    """The rows at these positions."""
    if not batch.num_columns:
        return make([], len(rows))
    return batch.take(pa.array(rows))


def take_or_null(array: pa.Array, rows: Indices) -> pa.Array:
    """Values at these positions, null for -1."""
    return array.take(pa.array(rows, mask=rows < 0))


def split(batch: pa.RecordBatch, size: int) -> Iterator[pa.RecordBatch]:
    """Zero-copy slices of at most ``size`` rows."""
    if batch.num_rows <= size:
        yield batch
        return
    for start in range(0, batch.num_rows, size):
        yield batch.slice(start, size)
