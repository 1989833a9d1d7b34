"""Picking and converting the wanted columns of a columnar file."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from laminar.connectors.base import ScanRequest, SourceColumn
from laminar.connectors.file.convert import OnError, convert_batch, converter, make_batch
from laminar.errors import UNDEFINED_COLUMN, PgError


class Projection:
    """A request, resolved against one file's schema.

    Args:
        schema: the file's.
        columns: the source's.
        what: how messages name the file.
    """

    def __init__(
        self,
        schema: pa.Schema,
        columns: Sequence[SourceColumn],
        request: ScanRequest,
        on_error: OnError,
        what: str,
    ) -> None:
        self._columns = columns
        self._wanted = request.columns
        self._on_error = on_error
        self.dropped: dict[str, int] = {}
        #: the wanted columns' indexes in the file
        self.indexes = [find_field(schema, columns[i].name, what) for i in request.columns]
        self._converters = [
            converter(schema.field(at).type, columns[i], what)
            for at, i in zip(self.indexes, request.columns, strict=True)
        ]

    def prune(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Only the wanted columns, in the wanted order, unconverted."""
        return batch.select(self.indexes)

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Convert a pruned batch; rows that do not fit are dropped and counted."""
        arrays, keep = convert_batch(batch.columns, self._converters, self._on_error, self.dropped)
        rows = batch.num_rows if keep is None else int(keep.sum())
        return make_batch(self._columns, self._wanted, arrays, rows)


def find_field(schema: pa.Schema, name: str, what: str) -> int:
    """The field called ``name``, or the only one that differs from it in case; 42703."""
    exact = schema.get_field_index(name)
    if exact >= 0:
        return exact
    folded = [i for i, field in enumerate(schema) if field.name.lower() == name.lower()]
    if len(folded) == 1:
        return folded[0]
    raise PgError(
        UNDEFINED_COLUMN,
        f'column "{name}" does not exist in {what}',
        hint=f"Columns: {', '.join(schema.names)}.",
    )
