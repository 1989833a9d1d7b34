"""One epoch's changes of a relation: split by sign, and what cancels out taken away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar._native.rowindex import group_rows
from laminar.engine.change import Change
from laminar.engine.serving.layout import Layout, digest


def concat(batches: Sequence[pa.RecordBatch], layout: Layout) -> pa.RecordBatch:
    """One batch of all rows, in the layout's schema."""
    if len(batches) == 1:
        return batches[0]
    return (
        pa.concat_batches(batches)
        if batches
        else layout.schema.empty_table().combine_chunks().to_batches()[0]
    )


def split(changes: Iterable[Change], layout: Layout) -> tuple[pa.RecordBatch | None, pa.RecordBatch | None]:
    """Inserted and deleted rows, |weight| times each; None where there are none."""
    inserts: list[pa.RecordBatch] = []
    deletes: list[pa.RecordBatch] = []
    for change in changes:
        if not change.batch.num_rows:
            continue
        batch = layout.conform(change.batch)
        if change.weights is None:
            inserts.append(batch)
            continue
        _collect(inserts, batch, change.weights)
        _collect(deletes, batch, -change.weights)
    return (
        concat(inserts, layout) if inserts else None,
        concat(deletes, layout) if deletes else None,
    )


def _collect(into: list[pa.RecordBatch], batch: pa.RecordBatch, weights: npt.NDArray[np.int64]) -> None:
    """Append the rows of positive weight, weight times each."""
    positive = weights > 0
    if not positive.any():
        return
    if (weights == 1).all():
        into.append(batch)
    elif weights.max() == 1:
        into.append(batch.filter(pa.array(positive)))
    else:
        rows = np.repeat(np.arange(len(weights)), np.where(positive, weights, 0))
        into.append(batch.take(pa.array(rows)))


def cancel(
    inserts: pa.RecordBatch | None, deletes: pa.RecordBatch, layout: Layout
) -> tuple[pa.RecordBatch | None, pa.RecordBatch]:
    """Take away pairs of an insertion and a deletion of the same row.

    Rows are the same when their storage is (by a 128-bit digest); the row watermark does not count.
    """
    if inserts is None:
        return inserts, deletes
    both = concat([inserts, deletes], layout)
    row, firsts = group_rows([digest(*layout.visible(both))])
    row_in, row_out = row[: inserts.num_rows], row[inserts.num_rows :]
    kinds = len(firsts)
    gone = np.minimum(np.bincount(row_in, minlength=kinds), np.bincount(row_out, minlength=kinds))
    return (
        inserts.filter(pa.array(_nth(row_in) >= gone[row_in])),
        deletes.filter(pa.array(_nth(row_out) >= gone[row_out])),
    )


def _nth(values: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """For each element, how many equal ones come before it."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(values) else np.empty(0, np.intp)
    lengths = np.diff(np.r_[starts, len(values)])
    result = np.empty(len(values), dtype=np.intp)
    result[order] = np.arange(len(values)) - np.repeat(starts, lengths)
    return result
