"""The first rows of every partition: for all batches, those whose rank by the order is at most n.

Partitions are kept in order, so a change costs one descent and reading the first n rows twice,
however large the partition is. Of rows that are never taken back none beyond the n-th is kept.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from laminar.engine.nodes import TopN
from laminar.engine.operators.columns import Numbers
from laminar.engine.operators.context import OperatorContext
from laminar.engine.operators.recompute import RecomputeOperator, Rows


class TopNOperator(RecomputeOperator):
    """A :class:`~laminar.engine.nodes.TopN` node in one reactor."""

    def __init__(self, node: TopN, context: OperatorContext) -> None:
        stored = node.properties.columns
        super().__init__(
            node,
            context,
            stored[:-1] if node.number is not None else stored,
            limit=-1 if node.limit is None else node.limit,
            rank=node.rank,
            trim=node.limit is not None and node.input.properties.append_only,
        )
        self._offset = node.offset
        self._numbered = node.number is not None

    def results(self, rows: Rows, partitions: pa.BinaryArray) -> pa.RecordBatch:
        columns = list(rows.batch.columns)
        starts = rows.starts
        here = np.arange(len(starts))
        if self._numbered:
            columns.append(pa.array(self._numbers(rows, here, starts)))
        batch = pa.RecordBatch.from_arrays(columns, schema=self.schema)
        if not self._offset:
            return batch
        return batch.filter(pa.array(here - starts >= self._offset))

    def _numbers(self, rows: Rows, here: Numbers, starts: Numbers) -> Numbers:
        """The rank of each row."""
        if self._rank == "row_number":
            return here - starts + 1
        if self._rank == "dense_rank":
            return rows.peer + 1
        opens = np.ones(len(here), dtype=bool)
        opens[1:] = (rows.peer[1:] != rows.peer[:-1]) | (rows.partition[1:] != rows.partition[:-1])
        first: Numbers = np.maximum.accumulate(np.where(opens, here, 0))
        return first - starts + 1
