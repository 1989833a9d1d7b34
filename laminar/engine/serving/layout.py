"""What a stored relation's rows look like."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from laminar._native.rowindex import hash_rows, key_digest, row_digests
from laminar.types import PgType

#: attribute number of the hidden row watermark
ROW_WATERMARK = -1
_SEEDS = (secrets.randbits(64), secrets.randbits(64))


def digest(*columns: pa.Array) -> pa.Array:
    """16 bytes per row that are equal, for all practical purposes, only for equal rows (this process)."""
    halves = np.stack([hash_rows(list(columns), seed) for seed in _SEEDS], axis=1)
    return pa.Array.from_buffers(
        pa.binary(16), len(halves), [None, pa.py_buffer(np.ascontiguousarray(halves))]
    )


def digests(*columns: pa.Array) -> list[bytes]:
    """The same, one by one, for few rows."""
    return row_digests(list(columns), *_SEEDS)


def digest_of(values: tuple[int | bytes, ...], widths: tuple[int, ...]) -> bytes:
    """The same for one row of values as ``RowIndex.find_row`` takes them."""
    return key_digest(values, widths, *_SEEDS)


@dataclass(frozen=True)
class Layout:
    """Columns of a stored relation, hidden ones included, and which of them identify a row.

    Args:
        attnums: attribute number of each column; 0 is the hidden stream key, other hidden
            columns have negative numbers. No number twice.
        types: PostgreSQL type of each column.
        key: positions (not attribute numbers) of the key columns. () when nothing less than
            the whole row identifies it: then equal rows are alike, a deletion takes any one.
    """

    attnums: tuple[int, ...]
    types: tuple[PgType, ...]
    key: tuple[int, ...]

    @cached_property
    def schema(self) -> pa.Schema:
        """Arrow schema; columns are named by attribute number."""
        return pa.schema([pa.field(str(a), t.storage) for a, t in zip(self.attnums, self.types, strict=True)])

    @cached_property
    def position(self) -> dict[int, int]:
        """Attribute number to column position."""
        return {attnum: i for i, attnum in enumerate(self.attnums)}

    @cached_property
    def key_types(self) -> tuple[PgType, ...]:
        return tuple(self.types[i] for i in self.key)

    def key_arrays(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """The key columns of rows in this layout, in the form in which equal keys are equal bytes."""
        if not self.key:
            return [digest(a) if pa.types.is_list(a.type) else a for a in batch.columns]
        return self.comparable([batch.column(i) for i in self.key])

    def visible(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """All columns but the row watermark (attribute -1), which says when a change was made."""
        return [c for a, c in zip(self.attnums, batch.columns, strict=True) if a != ROW_WATERMARK]

    def comparable(self, keys: Sequence[pa.Array]) -> list[pa.Array]:
        """Key values in the form in which equal keys are equal bytes (kernels.sort_key)."""
        if [a.type for a in keys] != [t.storage for t in self.key_types]:
            raise TypeError(f"keys of {[str(a.type) for a in keys]} for {self.key_types}")
        if not any(t.needs_sort_key for t in self.key_types):
            return list(keys)
        from laminar.sql.kernels.sortkeys import sort_key

        return [sort_key(a, t) if t.needs_sort_key else a for a, t in zip(keys, self.key_types, strict=True)]

    def conform(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch under this layout's column names; TypeError when storage types differ."""
        schema = self.schema
        if batch.schema.types != schema.types:
            raise TypeError(f"rows of {batch.schema.types} do not fit {schema.types}")
        if batch.schema.names == schema.names:
            return batch
        return pa.RecordBatch.from_arrays(batch.columns, schema=schema)
