"""Constant rows: all of them in the first epoch, none ever after."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from laminar._native.checkpointed import ENTRIES
from laminar.engine.change import END_OF_TIME, Barrier, Change, Watermarks
from laminar.engine.nodes import Constant
from laminar.engine.operators.columns import storage_schema
from laminar.engine.operators.context import OperatorContext
from laminar.sql.evaluator import Env, compile


class ConstantOperator:
    """A :class:`~laminar.engine.nodes.Constant` node in one reactor; reactor 0 has the rows.

    Raises:
        PgError: of the first expression that fails.
    """

    def __init__(self, node: Constant, context: OperatorContext) -> None:
        self.node = node
        self._batch = _rows(node, Env(now=context.now, timezone=context.timezone))
        self._here = context.index == 0
        #: the rows have gone out; whether a checkpoint says so
        self.done = self._saved = False

    def process(self, port: int, change: Change) -> list[Change]:
        raise AssertionError("a constant has no input")

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[list[Change], Watermarks]:
        marks = Watermarks(dict.fromkeys(self.node.properties.watermarks, END_OF_TIME))
        if self.done or not self._here:
            return [], marks
        self.done = True
        return [Change(self._batch)], marks

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        if self.done and not self._saved:
            self._saved = True
            yield pa.RecordBatch.from_pydict({"key": [b"done"], "value": [b""]}, ENTRIES)

    def restore(self, entries: pa.RecordBatch) -> None:
        self.done = self._saved = True

    def stats(self) -> dict[str, int]:
        return {"rows_in": 0, "rows_out": self._batch.num_rows if self.done else 0}

    def close(self) -> None:
        pass


def _rows(node: Constant, env: Env) -> pa.RecordBatch:
    columns = node.properties.columns
    if not columns:
        return pa.RecordBatch.from_arrays([pa.nulls(len(node.rows))], names=["rows"])
    schema = storage_schema(columns)
    flat = [expr for row in node.rows for expr in row]
    one = pa.RecordBatch.from_arrays([pa.nulls(1)], names=["rows"])
    values = compile(flat, [-1])(one, env)
    arrays = [pa.concat_arrays(values[i :: len(columns)]) for i in range(len(columns))]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
