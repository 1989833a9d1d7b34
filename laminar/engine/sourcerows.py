"""A connector source's rows as a dataflow wants them: what the reader gives, and computed columns."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pyarrow as pa

from laminar.connectors.base import ScanRequest
from laminar.connectors.rejected import Rejections, row_as_json
from laminar.engine.relations import RelationSpec
from laminar.errors import NOT_NULL_VIOLATION, PgError
from laminar.sql.evaluator import Env
from laminar.sql.evaluator import compile as compile_exprs


class SourceRows:
    """What to ask a reader for, and what to make of its batches.

    All computed columns are computed, whichever are wanted, so that whether a row fails does not depend on
    who reads it.

    Args:
        wanted: attribute numbers.
        rejects: rows that fail are kept until they are taken.
    """

    def __init__(self, spec: RelationSpec, wanted: Collection[int], rejects: bool) -> None:
        self.spec = spec
        inputs = sorted({attnum for column in spec.computed for attnum in column.inputs})
        needed = {*wanted, *inputs}
        self._physical = [a for a in spec.physical if a in needed]
        included = [(a, what) for a, what in spec.included if a in needed]
        #: attribute numbers of the columns that ``complete`` gives
        self.attnums = [*self._physical, *(a for a, _ in included), *(c.attnum for c in spec.computed)]
        self._includes = tuple(what for _, what in included)
        # a failing row's position
        self._extra = ("offset",) if rejects and spec.computed and "offset" not in self._includes else ()
        self._rejects = rejects
        self.rejections = Rejections("fail" if spec.on_error == "fail" else "skip", rejects)
        self._evaluator: Any = None
        if spec.computed:
            self._inputs = [self.attnums.index(attnum) for attnum in inputs]
            self._evaluator = compile_exprs([column.expr for column in spec.computed], inputs)

    @property
    def request(self) -> ScanRequest:
        """What a reader is asked for."""
        columns = tuple(self.spec.physical.index(a) for a in self._physical)
        return ScanRequest(columns, includes=(*self._includes, *self._extra), rejects=self._rejects)

    def complete(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The reader's batch with the computed columns, without the rows of which one fails."""
        if self._evaluator is None:
            return batch
        width = len(self._physical) + len(self._includes)
        given = batch.select(range(width))
        inputs = [batch.column(i) for i in self._inputs]
        rows = record_batch(inputs, batch.num_rows)
        values, _, errors = self._evaluator.safe(rows, Env())
        bad = {row: ("error", error) for row, error in errors.items()}
        for column, value in zip(self.spec.computed, values, strict=True):
            if column.not_null and value.null_count:
                message = f'null value in column "{column.name}" violates not-null constraint'
                for row in np.flatnonzero(value.is_null().to_numpy(zero_copy_only=False)).tolist():
                    bad.setdefault(row, ("not_null", PgError(NOT_NULL_VIOLATION, message)))
        columns = [*given.columns, *values]
        if bad:
            offsets = self._offsets(batch)
            self.rejections.add(
                [(row, *bad[row]) for row in sorted(bad)],
                lambda row: offsets[row].as_py(),
                lambda row: row_as_json(given, row),
            )
            keep = np.ones(batch.num_rows, np.bool_)
            keep[list(bad)] = False
            columns = [column.filter(pa.array(keep)) for column in columns]
        return record_batch(columns, batch.num_rows - len(bad))

    def _offsets(self, batch: pa.RecordBatch) -> pa.Array:
        if self._extra:
            return batch.column(batch.num_columns - 1)
        if "offset" in self._includes:
            return batch.column(len(self._physical) + self._includes.index("offset"))
        return pa.nulls(batch.num_rows)


def record_batch(columns: list[pa.Array], rows: int) -> pa.RecordBatch:
    """A batch of columns named by position; with none it still has its number of rows."""
    if not columns:
        return pa.record_batch([pa.nulls(rows)], names=["0"]).select([])
    return pa.RecordBatch.from_arrays(columns, [str(i) for i in range(len(columns))])
