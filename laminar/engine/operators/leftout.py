"""Rows that a view leaves out, on their way to a table: LATE DATA TO.

For all batches the table gets one row per change that the judging operator has counted as late, in the
epoch in which it was judged. A judge keeps such rows only when somebody asks for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar.engine.change import Barrier, Change, Watermarks
from laminar.engine.nodes import LateRows
from laminar.engine.operators.columns import Weights, one_by_one, positions, storage_schema
from laminar.types import INTERVAL_STORAGE


class LeftOut:
    """What a judging operator has left out, until it is taken."""

    def __init__(self) -> None:
        #: somebody takes it
        self.wanted = False
        self._found: list[Change] = []

    def add(
        self,
        batch: pa.RecordBatch,
        weights: Weights,
        late: npt.NDArray[np.bool_],
        late_by: npt.NDArray[np.int64],
    ) -> None:
        """Keep the rows where ``late``, with how many microseconds too late each of the batch is."""
        if self.wanted:
            columns = [*batch.columns, pa.array(late_by)]
            whole = pa.RecordBatch.from_arrays(columns, [str(i) for i in range(len(columns))])
            self._found.append(
                Change(whole.filter(pa.array(late)), None if weights is None else weights[late])
            )

    def take(self) -> list[Change]:
        """The rows since the last time: the judge's input columns, then the lateness."""
        found, self._found = self._found, []
        return found


@runtime_checkable
class Judge(Protocol):
    """An operator that may find rows late."""

    left_out: LeftOut


class LateRowsOperator:
    """A :class:`~laminar.engine.nodes.LateRows` node in one reactor."""

    def __init__(self, node: LateRows) -> None:
        (judged,) = (node.input.input,)  # type: ignore[union-attr]
        place = positions(judged.properties.columns)
        self._picks = [place[p] if isinstance(p, int) else p for p in node.picks]
        self._schema = storage_schema(node.properties.columns)
        self._pending: list[Change] = []
        self.rows = 0

    def process(self, port: int, change: Change) -> list[Change]:
        self._pending.append(change)
        return []

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[list[Change], Watermarks]:
        pending, self._pending = self._pending, []
        return [self._rows(change, barrier.now) for change in pending], Watermarks()

    def _rows(self, change: Change, now: int) -> Change:
        batch, signs = one_by_one(change)
        self.rows += len(signs)
        arrays: list[pa.Array] = []
        for pick, field in zip(self._picks, self._schema, strict=True):
            match pick:
                case "late_by":
                    arrays.append(_intervals(batch.column(batch.num_columns - 1)))
                case "arrived_at":
                    arrays.append(pa.array(np.full(len(signs), now)).view(field.type))
                case "laminar_diff":
                    arrays.append(pa.array(signs))
                case _:
                    arrays.append(batch.column(pick))
        return Change(pa.RecordBatch.from_arrays(arrays, schema=self._schema))

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        return iter(())

    def restore(self, entries: pa.RecordBatch) -> None:
        raise AssertionError("late rows leave at every barrier")

    def stats(self) -> dict[str, int]:
        return {"rows_in": self.rows, "rows_out": self.rows}

    def close(self) -> None:
        pass


def _intervals(microseconds: pa.Array) -> pa.Array:
    """Intervals of so many microseconds, without months and days."""
    parts = np.zeros((len(microseconds), 2), np.int64)
    parts[:, 1] = microseconds.to_numpy()
    return pa.Array.from_buffers(INTERVAL_STORAGE, len(parts), [None, pa.py_buffer(parts.tobytes())])
