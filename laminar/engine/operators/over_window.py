"""Window functions: for all batches, those of each partition's rows, as an ad-hoc query computes them.

A touched partition costs as much as computing its window functions twice.
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from laminar.engine.nodes import OverWindow
from laminar.engine.operators.context import OperatorContext
from laminar.engine.operators.recompute import RecomputeOperator, Rows
from laminar.sql.adhoc.windows import window
from laminar.sql.evaluator import Env
from laminar.sql.expressions import columns_of
from laminar.sql.plan import Column, ColumnRef, Values, Window
from laminar.types import INT8, PgType

#: id of the column with the partition's number
_PARTITION = -1


class OverWindowOperator(RecomputeOperator):
    """An :class:`~laminar.engine.nodes.OverWindow` node in one reactor."""

    def __init__(self, node: OverWindow, context: OperatorContext) -> None:
        columns = node.input.properties.columns
        outer = node.properties.columns[: -len(node.calls)]
        kept = {c.id for c in outer} | {i for call in node.calls for i in columns_of(call)}
        stored = [c for c in columns if c.id in kept]
        super().__init__(node, context, stored)
        places = {c.id: i for i, c in enumerate(stored)}
        self._outer = [places[c.id] for c in outer]
        number = Column(_PARTITION, "partition", PgType(INT8))
        partition = (ColumnRef(_PARTITION, number.type),)
        calls = tuple(replace(call, partition_by=partition) for call in node.calls)
        added = node.properties.columns[-len(node.calls) :]
        self._function = Window(Values((), (*stored, number)), calls, added)

    def results(self, rows: Rows, partitions: pa.BinaryArray) -> pa.RecordBatch:
        names = [str(i) for i in range(rows.batch.num_columns + 1)]
        columns = [*rows.batch.columns, pa.array(rows.partition)]
        batch = pa.RecordBatch.from_arrays(columns, names=names)
        added = window(self._function, batch, Env(now=self.now, timezone=self.timezone))
        kept = [columns[i] for i in self._outer]
        return pa.RecordBatch.from_arrays([*kept, *added], schema=self.schema)
