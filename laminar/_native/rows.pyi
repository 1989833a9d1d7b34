from collections.abc import Container

import pyarrow as pa

class RowFormat:
    """Rows of one schema in the compact form: canonical, equal values have equal bytes."""

    schema: pa.Schema

    def __init__(self, schema: pa.Schema) -> None: ...
    def encode(self, batch: pa.RecordBatch) -> pa.BinaryArray:
        """One binary value per row. Raises PgError 54000 when a row exceeds 1 GB."""
    def decode(self, rows: pa.BinaryArray) -> pa.RecordBatch:
        """The rows back. Raises PgError XX001 for bytes that :meth:`encode` cannot have made."""

def comparable(batch: pa.RecordBatch, descending: Container[int] = ()) -> pa.BinaryArray:
    """Keys that memcmp orders as PostgreSQL orders the rows, column by column, nulls last
    (first in the columns named in ``descending``, which are inverted). -0 and 0 are one, and so are NaNs."""

def from_comparable(keys: pa.BinaryArray, schema: pa.Schema, descending: Container[int] = ()) -> pa.RecordBatch:
    """What :func:`comparable` was made of. Raises PgError XX001 for other bytes."""

def pack(order: pa.Array | None, payload: pa.Array) -> pa.BinaryArray:
    """Values that compare by ``order``, then by the payload's bytes, and carry the payload; null where it is."""

def unpack(packed: pa.BinaryArray, type: pa.DataType) -> pa.Array:
    """The payloads of a column that :func:`pack` made."""
