"""ASOF joins: each left row with the right row of its key that is nearest in time, on one side of it.

Right rows are sorted by key and time once; a left row's match is a binary search. Of several at one time
the primary key decides, as in views.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from laminar._native.rows import RowFormat
from laminar.sql import plan as logical
from laminar.sql.adhoc import batches, setops, sorting
from laminar.sql.adhoc.batches import Indices
from laminar.sql.plan import Column, ColumnRef, Expr, SortItem
from laminar.sql.sortkeys import sort_key
from laminar.sql.stream.asof import conditions

if TYPE_CHECKING:
    from laminar.sql.adhoc.execute import Execution


def asof_join(run: Execution, plan: logical.Join) -> pa.RecordBatch:
    """The joined rows.

    Raises:
        PgError: 0A000 for conditions besides equalities and the one inequality.
    """
    pairs, (a, comparison, b) = conditions(plan, plan.left.columns, plan.right.columns)
    left, right = run.whole(plan.left), run.whole(plan.right)
    of_left = _keys(run, [*(pair[0] for pair in pairs), a], plan.left.columns, left)
    of_right = _keys(run, [*(pair[1] for pair in pairs), b], plan.right.columns, right)
    places, known = _places(of_left, of_right)
    mine, theirs = places[: left.num_rows], places[left.num_rows :]
    usable = np.flatnonzero(known[left.num_rows :])
    ties = _ties(run, plan.right, right)
    chosen = [column.take(pa.array(usable)) for column in ties]
    items = [SortItem(ColumnRef(0, c.type)) for c in plan.right.columns[:1]] * (len(chosen) + 1)
    order = usable[sorting.sort_indices([pa.array(theirs[usable]), *chosen], items)]
    width = _span(of_left, of_right)

    def matches(how: str) -> Indices:
        found = _search(mine, theirs[order], how)
        within = (found >= 0) & (found < len(order)) & known[: left.num_rows]
        match = np.full(left.num_rows, -1, dtype=np.int64)
        match[within] = order[found[within]]
        same = match >= 0
        same[same] = theirs[match[same]] // width == mine[same] // width
        match[~same] = -1
        return match

    if comparison == "nearest":
        match = _nearer(matches(">="), matches("<="), _numbers(of_left[-1]), _numbers(of_right[-1]))
    else:
        match = matches(comparison)
    same = match >= 0
    if plan.kind != "left":
        kept = np.flatnonzero(same)
        left, match = batches.take(left, kept), match[kept]
    columns = [batches.take_or_null(column, match) for column in right.columns]
    return batches.make([*left.columns, *columns], left.num_rows)


def _keys(
    run: Execution, exprs: Sequence[Expr], columns: Sequence[Column], batch: pa.RecordBatch
) -> list[pa.Array]:
    return [sorting.ordered(key) for key in run.evaluate([sort_key(e) for e in exprs], columns, batch)]


def _span(left: list[pa.Array], right: list[pa.Array]) -> int:
    """How many places a key's times have."""
    return len(left[-1]) + len(right[-1]) + 1


def _places(left: list[pa.Array], right: list[pa.Array]) -> tuple[Indices, Indices]:
    """Per row of both sides a number that orders by key and time; whether neither is null."""
    both = [pa.concat_arrays([a, b]) for a, b in zip(left, right, strict=True)]
    rows = len(both[-1])
    groups, _ = setops.number_rows(both[:-1], rows)
    ranks = np.asarray(pc.rank(both[-1], tiebreaker="dense")).astype(np.int64) if rows else groups
    known = np.ones(rows, dtype=bool)
    for column in both:
        known &= column.is_valid().to_numpy(zero_copy_only=False)
    return groups * _span(left, right) + ranks, known


def _search(wanted: Indices, sorted_places: Indices, comparison: str) -> Indices:
    """Position of the last place before each wanted one, or of the next."""
    side = "right" if comparison in (">=", "<") else "left"
    at = np.searchsorted(sorted_places, wanted, side=side)  # type: ignore[call-overload]
    found: Indices = at - 1 if comparison in (">=", ">") else at
    return found


def _numbers(times: pa.Array) -> npt.NDArray[np.uint64]:
    """Timestamps, dates or integers as numbers in the same order."""
    width = pa.int32() if pa.types.is_date32(times.type) else pa.int64()
    whole = times.cast(width) if pa.types.is_integer(times.type) else times.view(width)
    signed = whole.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return signed.view(np.uint64) ^ np.uint64(1 << 63)


def _nearer(
    before: Indices, after: Indices, left: npt.NDArray[np.uint64], right: npt.NDArray[np.uint64]
) -> Indices:
    """The nearer of two matches of each left row, the earlier of two equally near ones."""
    both = np.flatnonzero((before >= 0) & (after >= 0))
    match = np.where(before >= 0, before, after)
    back, ahead = left[both] - right[before[both]], right[after[both]] - left[both]
    nearer = both[ahead < back]
    match[nearer] = after[nearer]
    return match


def _ties(run: Execution, plan: logical.Plan, rows: pa.RecordBatch) -> list[pa.Array]:
    """What decides between right rows of one key and time: the primary key, then the row's bytes."""
    if not rows.num_columns:
        return []
    base = plan
    while isinstance(base, logical.Filter):
        base = base.input
    ties: list[pa.Array] = []
    if isinstance(base, logical.Scan):
        layout = run.sources(base.relation, base.attnums).layout
        key = [layout.attnums[i] for i in layout.key]
        if all(attnum in base.attnums for attnum in key):
            refs = [base.columns[base.attnums.index(attnum)] for attnum in key]
            ties = _keys(run, [ColumnRef(c.id, c.type) for c in refs], plan.columns, rows)
    fields = [pa.field(str(c.id), c.type.storage) for c in plan.columns]
    return [*ties, RowFormat(pa.schema(fields)).encode(_named(rows, fields))]


def _named(rows: pa.RecordBatch, fields: list[pa.Field]) -> pa.RecordBatch:
    """The same columns under other names."""
    return pa.RecordBatch.from_arrays(rows.columns, schema=pa.schema(fields))
