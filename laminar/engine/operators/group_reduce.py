"""Aggregates of whole groups: for all batches, those of each group's rows, as an ad-hoc query computes them.

For aggregates that no fixed number of words can hold: array_agg, percentiles, mode. A touched group
costs as much as aggregating it twice.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from laminar.engine.nodes import GroupReduce
from laminar.engine.operators.context import OperatorContext
from laminar.engine.operators.recompute import RecomputeOperator, Rows
from laminar.sql.adhoc.grouping import prepare
from laminar.sql.evaluator import Env
from laminar.sql.expressions import columns_of


class GroupReduceOperator(RecomputeOperator):
    """A :class:`~laminar.engine.nodes.GroupReduce` node in one reactor."""

    def __init__(self, node: GroupReduce, context: OperatorContext) -> None:
        used = columns_of(*node.aggregates)
        stored = [c for c in node.input.properties.columns if c.id in used]
        super().__init__(node, context, stored, single=not node.keys and context.index == 0)
        self._aggregates = node.aggregates
        # a batch without columns has one of nulls instead, so that its rows are counted
        self._ids = [c.id for c in stored] or [-1]

    def results(self, rows: Rows, partitions: pa.BinaryArray) -> pa.RecordBatch:
        env = Env(now=self.now, timezone=self.timezone)
        prepared = prepare(self._aggregates, rows.batch, self._ids, env)
        values = [one.over(rows.partition, rows.partitions, env) for one in prepared]
        batch = pa.RecordBatch.from_arrays([*self.keys_of(partitions), *values], schema=self.schema)
        if self._single:
            return batch
        return batch.take(pa.array(np.unique(rows.partition)))
