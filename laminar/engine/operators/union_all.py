"""UNION ALL: the output adds up to the sum of the inputs. Rows are passed on as they are."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from laminar.engine.change import Barrier, Change, Watermarks
from laminar.engine.nodes import UnionAll


class UnionAllOperator:
    """A :class:`~laminar.engine.nodes.UnionAll` node in one reactor."""

    def __init__(self, node: UnionAll) -> None:
        self._columns = [c.id for c in node.properties.columns]
        self._inputs = [[c.id for c in below.properties.columns] for below in node.inputs]
        self.rows = 0

    def process(self, port: int, change: Change) -> list[Change]:
        self.rows += len(change)
        return [change]

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[list[Change], Watermarks]:
        marks: dict[int, int] = {}
        for place, column in enumerate(self._columns):
            ids = [ids[place] for ids in self._inputs]
            known = [w.by_column[i] for i, w in zip(ids, inputs, strict=True) if i in w.by_column]
            if len(known) == len(inputs):
                marks[column] = min(known)
        return [], Watermarks(marks)

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        return iter(())

    def restore(self, entries: pa.RecordBatch) -> None:
        pass

    def stats(self) -> dict[str, int]:
        return {"rows_in": self.rows, "rows_out": self.rows}

    def close(self) -> None:
        pass
