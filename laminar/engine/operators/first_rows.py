"""The first rows of every partition of an input that only grows: the n first are all that is ever needed.

For all batches the output adds up to the rows whose number by the order is at most n. Rows are compared as
they come; the barrier emits what a touched partition shows otherwise than before, once.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from laminar._native.firstrows import MOST, FirstRows
from laminar.engine.change import Barrier, Change, Watermarks
from laminar.engine.nodes import TopN
from laminar.engine.operators.columns import positions, storage_schema
from laminar.engine.operators.context import OperatorContext


def applies(node: TopN) -> bool:
    """Whether the operator does what the node asks for."""
    by_id = {c.id: c for c in node.input.properties.columns}
    return (
        node.input.properties.append_only
        and node.rank == "row_number"
        and node.limit is not None
        and node.limit <= MOST
        and node.window_end is None
        and not any(by_id[c].type.is_array for c, _ in node.order)
    )


class FirstRowsOperator:
    """A :class:`~laminar.engine.nodes.TopN` node to which this ``applies``, in one reactor."""

    def __init__(self, node: TopN, context: OperatorContext) -> None:
        assert node.limit is not None
        columns = node.input.properties.columns
        by_id, place = {c.id: c for c in columns}, positions(columns)
        shown = node.properties.columns[:-1] if node.number is not None else node.properties.columns
        needed = dict.fromkeys([*(c.id for c in shown), *node.keys, *(c for c, _ in node.order)])
        stored = {id_: at for at, id_ in enumerate(needed)}
        self.node = node
        self.schema = storage_schema(node.properties.columns)
        self.rows_in = self.rows_out = 0
        self._shown = len(shown)
        self._stored = [place[i] for i in needed]
        kept = storage_schema([by_id[i] for i in needed])
        if not kept:  # a batch without columns does not know how many rows it has
            kept = pa.schema([("rows", pa.null())])
        self._kept = kept
        self._rows = FirstRows(
            kept,
            [stored[k] for k in node.keys],
            [(stored[c], descending) for c, descending in node.order],
            node.limit,
            node.offset,
            node.number is not None,
            context.state_dir,
        )

    def process(self, port: int, change: Change) -> list[Change]:
        self.rows_in += len(change)
        arrays = [change.batch.column(i) for i in self._stored] or [pa.nulls(len(change))]
        self._rows.apply(pa.RecordBatch.from_arrays(arrays, schema=self._kept), change.weights)
        return []

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[Iterator[Change], Watermarks]:
        known = inputs[0].by_column
        return self._changed(), Watermarks(
            {c: known[c] for c in self.node.properties.watermarks if c in known}
        )

    def _changed(self) -> Iterator[Change]:
        while (found := self._rows.next()) is not None:
            batch, ranks, weights = found
            columns = batch.columns[: self._shown]
            if ranks is not None:
                columns.append(pa.array(ranks))
            self.rows_out += batch.num_rows
            if not columns:
                yield Change(batch.select([]), weights)
            else:
                yield Change(pa.RecordBatch.from_arrays(columns, schema=self.schema), weights)

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        return self._rows.checkpoint()

    def restore(self, entries: pa.RecordBatch) -> None:
        self._rows.restore(entries)

    def stats(self) -> dict[str, int]:
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "entries": self._rows.entries,
            "state_bytes": self._rows.state_bytes,
        }

    def close(self) -> None:
        del self._rows
