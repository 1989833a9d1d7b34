"""Rows of commits: hidden columns, watermarks, and how rows are spread over reactors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laminar.engine.change import NO_WATERMARK, Change
from laminar.engine.relations import ROW_ID, ROW_WATERMARK, RelationSpec
from laminar.engine.sources import delayed, event_times
from laminar.errors import INTERNAL_ERROR, PgError

#: rows that go to one reactor at a time
CHUNK_ROWS = 1 << 16


@dataclass(slots=True)
class Prepared:
    """A transaction's changes as they are stored.

    Args:
        changes: with hidden columns.
        watermarks, row_ids: of the relations afterwards.
        refused: rows too far in the future, by relation.
    """

    changes: list[tuple[int, Change]] = field(default_factory=list)
    watermarks: dict[int, int] = field(default_factory=dict)
    row_ids: dict[int, int] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)


class RowKeeper:
    """Numbers rows and advances the watermarks of tables and push sources.

    A transaction counts as one step: all its rows carry the watermark from before it.
    """

    def __init__(self) -> None:
        self.watermarks: dict[int, int] = {}
        self.row_ids: dict[int, int] = {}
        self.refused: dict[int, int] = {}
        #: rows and bytes accepted since the server started
        self.accepted: dict[int, tuple[int, int]] = {}

    def prepare(
        self, changes: list[tuple[RelationSpec, Change]], now: int, max_future: int | None
    ) -> Prepared:
        """Complete the rows; nothing is remembered before ``accept``.

        A change has the relation's visible columns, or all stored ones; in the latter case a null
        row number asks for a new one.
        """
        result = Prepared()
        bounded = [(spec, self._bounded(spec, change, now, max_future, result)) for spec, change in changes]
        for spec, change in bounded:
            if len(change):
                result.changes.append((spec.oid, self._complete(spec, change, result)))
        for spec, change in bounded:
            if spec.watermark is not None:
                self._advance(spec, change, result)
        return result

    def accept(self, prepared: Prepared) -> None:
        """The transaction is in the log."""
        self.watermarks.update(prepared.watermarks)
        self.row_ids.update(prepared.row_ids)
        for oid, refused in prepared.refused.items():
            self.refused[oid] = self.refused.get(oid, 0) + refused
        for oid, change in prepared.changes:
            rows, size = self.accepted.get(oid, (0, 0))
            self.accepted[oid] = (rows + len(change), size + change.batch.nbytes)

    def replayed(self, spec: RelationSpec, change: Change) -> None:
        """Take up where a logged transaction left off."""
        if ROW_ID in spec.stored_attnums and len(change):
            highest = pc.max(change.batch.column(spec.stored_attnums.index(ROW_ID))).as_py()
            self.row_ids[spec.oid] = max(self.row_ids.get(spec.oid, 0), highest + 1)
        if spec.watermark is not None:
            result = Prepared()
            self._advance(spec, change, result)
            self.watermarks.update(result.watermarks)

    def _complete(self, spec: RelationSpec, change: Change, result: Prepared) -> Change:
        columns = list(change.batch.columns)
        rows = len(change)
        schema = spec.schema
        if len(columns) == len(spec.attnums):
            columns += [pa.nulls(rows, pa.int64())] * (len(schema) - len(columns))
        if len(columns) != len(schema):
            raise PgError(
                INTERNAL_ERROR, f"relation {spec.oid} has {len(schema)} columns, not {len(columns)}"
            )
        if ROW_ID in spec.stored_attnums:
            at = spec.stored_attnums.index(ROW_ID)
            columns[at] = self._numbers(spec.oid, columns[at], result)
        if ROW_WATERMARK in spec.stored_attnums:
            at = spec.stored_attnums.index(ROW_WATERMARK)
            before = self.watermarks.get(spec.oid, NO_WATERMARK)
            columns[at] = _filled(columns[at], before)
        return Change(pa.RecordBatch.from_arrays(columns, schema=schema), change.weights)

    def _numbers(self, oid: int, given: pa.Array, result: Prepared) -> pa.Array:
        missing = given.null_count
        if not missing:
            return given
        first = result.row_ids.get(oid, self.row_ids.get(oid, 0))
        result.row_ids[oid] = first + missing
        fresh = pa.array(np.arange(first, first + missing, dtype=np.int64))
        return fresh if missing == len(given) else pc.replace_with_mask(given, pc.is_null(given), fresh)

    def _bounded(
        self, spec: RelationSpec, change: Change, now: int, max_future: int | None, result: Prepared
    ) -> Change:
        """Leave out rows that are dated too far ahead."""
        bound = spec.max_future if spec.max_future is not None else max_future
        if spec.watermark is None or bound is None or not len(change):
            return change
        ahead = _times(spec, change) > now + bound
        if change.weights is not None:
            ahead &= change.weights > 0
        count = int(ahead.sum())
        if not count:
            return change
        result.refused[spec.oid] = result.refused.get(spec.oid, 0) + count
        keep = ~ahead
        weights = None if change.weights is None else change.weights[keep]
        return Change(change.batch.filter(pa.array(keep)), weights)

    def _advance(self, spec: RelationSpec, change: Change, result: Prepared) -> None:
        assert spec.watermark is not None
        times = _times(spec, change)
        if change.weights is not None:
            times = times[change.weights > 0]
        if len(times):
            before = result.watermarks.get(spec.oid, self.watermarks.get(spec.oid, NO_WATERMARK))
            result.watermarks[spec.oid] = max(before, delayed(int(times.max()), spec.watermark[1]))


def _times(spec: RelationSpec, change: Change) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    assert spec.watermark is not None
    at = spec.stored_attnums.index(spec.watermark[0])
    return event_times(change.batch.column(at), spec.types[at].oid)


def _filled(column: pa.Array, value: int) -> pa.Array:
    if column.null_count == len(column):
        return pa.array(np.full(len(column), value, np.int64))
    return pc.fill_null(column, value)


def chunks(change: Change) -> Iterator[Change]:
    """Pieces that go to one reactor each; weights may land in any order within an epoch."""
    rows = len(change)
    if rows <= CHUNK_ROWS:
        yield change
        return
    for start in range(0, rows, CHUNK_ROWS):
        weights = None if change.weights is None else change.weights[start : start + CHUNK_ROWS]
        yield Change(change.batch.slice(start, CHUNK_ROWS), weights)
