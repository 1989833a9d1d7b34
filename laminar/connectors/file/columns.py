"""Picking and converting the wanted columns of a columnar file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from laminar.connectors.base import ScanRequest, SourceColumn
from laminar.connectors.file.convert import convert_batch, converter, make_batch, without
from laminar.connectors.rejected import Rejections, row_as_json
from laminar.errors import UNDEFINED_COLUMN, PgError


class Projection:
    """A request, resolved against one file's schema.

    Whether a row can be read does not depend on the columns that are wanted: others are read too where
    their values may be refused.

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
        rejections: Rejections,
        what: str,
    ) -> None:
        self._columns = columns
        self._wanted = request.columns
        self._offsets = "offset" in request.includes
        self._rejections = rejections
        places = [find_field(schema, column.name, what) for column in columns]
        converters = [
            converter(schema.field(at).type, column, what) for at, column in zip(places, columns, strict=True)
        ]
        read = [*request.columns]
        read += [i for i, how in enumerate(converters) if not how.certain and i not in read]
        #: the indexes in the file of the columns that are read, the wanted ones first
        self.indexes = [places[i] for i in read]
        self._converters = [converters[i] for i in read]

    def prune(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Only the columns that are read, in their order, unconverted."""
        return batch.select(self.indexes)

    def apply(self, batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        """Convert a pruned batch of the rows from number ``first`` on; those that do not fit are left out."""
        arrays, bad = convert_batch(batch.columns, self._converters)
        self._rejections.add(bad, lambda row: first + row, lambda row: row_as_json(batch, row))
        offsets = [pa.array(np.arange(first, first + batch.num_rows))] if self._offsets else []
        kept = without([*arrays[: len(self._wanted)], *offsets], bad, batch.num_rows)
        included = [("offset", kept.pop())] if self._offsets else []
        return make_batch(self._columns, self._wanted, kept, batch.num_rows - len(bad), included)


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
