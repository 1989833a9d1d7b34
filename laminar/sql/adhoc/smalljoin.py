"""Joins of few rows: the rows of both sides are numbered by their keys together, and pairs made at once.

Preparing a plan for DataFusion costs a thousand times what matching a few hundred rows does, and the queries
of catalogs join such relations by the dozen. What is not small is left to ``relational.py``, with the
inputs that are there already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar.sql.adhoc import batches, setops
from laminar.sql.adhoc.batches import Indices
from laminar.sql.adhoc.joinkeys import Key, split_condition
from laminar.sql.plan import Column, Expr, Join, Plan

if TYPE_CHECKING:
    from laminar.sql.adhoc.execute import Execution

#: rows of both sides, and pairs that their keys allow
MOST_ROWS: Final = 50_000
MOST_PAIRS: Final = 200_000

#: by identity of a plan: its rows
Ready = dict[int, list[pa.RecordBatch]]


def small_join(run: Execution, plan: Join, ready: Ready) -> pa.RecordBatch | None:
    """The joined rows, in the left side's order; None when there are too many for this.

    ``ready`` gets the rows of every input that was computed.
    """
    left, right = _input(run, plan.left, ready), _input(run, plan.right, ready)
    if left is None or right is None or left.num_rows + right.num_rows > MOST_ROWS:
        return None
    keys, rest = split_condition(plan)
    pairs = _pairs(run, plan, keys, left, right)
    if pairs is None:
        return None
    if rest is not None:
        pairs = _filtered(run, plan, rest, pairs, left, right)
    return _made(plan, pairs, left, right)


def _input(run: Execution, plan: Plan, ready: Ready) -> pa.RecordBatch | None:
    """All rows of one side, if they are few."""
    if isinstance(plan, Join) and plan.asof is None and plan.temporal is None:
        joined = small_join(run, plan, ready)
        if joined is not None:
            ready[id(plan)] = [joined]
        return joined
    rows = ready[id(plan)] = run.collect(plan)
    if sum(batch.num_rows for batch in rows) > MOST_ROWS:
        return None
    return batches.concat(rows, plan.columns)


def _pairs(
    run: Execution, plan: Join, keys: list[Key], left: pa.RecordBatch, right: pa.RecordBatch
) -> tuple[Indices, Indices] | None:
    """Positions of left and right rows with equal keys, in the order of the left rows."""
    mine = run.evaluate([key.left for key in keys], plan.left.columns, left) if keys else []
    theirs = run.evaluate([key.right for key in keys], plan.right.columns, right) if keys else []
    both = [pa.concat_arrays([a, b]) for a, b in zip(mine, theirs, strict=True)]
    groups, _ = setops.number_rows(both, left.num_rows + right.num_rows)
    usable = np.ones(len(groups), dtype=bool)
    for key, column in zip(keys, both, strict=True):
        if not key.null_safe and column.null_count:
            usable &= column.is_valid().to_numpy(zero_copy_only=False)
    of_left, of_right = groups[: left.num_rows], groups[left.num_rows :]
    candidates = np.flatnonzero(usable[left.num_rows :])
    kinds = int(groups.max()) + 1 if len(groups) else 0
    sizes = np.bincount(of_right[candidates], minlength=kinds)
    counts = np.where(usable[: left.num_rows], sizes[of_left], 0)
    total = int(counts.sum())
    if total > MOST_PAIRS:
        return None
    by_group = candidates[np.argsort(of_right[candidates], kind="stable")]
    first = np.cumsum(sizes) - sizes
    before = np.cumsum(counts) - counts
    nth = np.arange(total) - np.repeat(before, counts)
    return (
        np.repeat(np.arange(left.num_rows), counts),
        by_group[np.repeat(first[of_left], counts) + nth],
    )


def _filtered(
    run: Execution,
    plan: Join,
    rest: Expr,
    pairs: tuple[Indices, Indices],
    left: pa.RecordBatch,
    right: pa.RecordBatch,
) -> tuple[Indices, Indices]:
    """The pairs for which the rest of the condition is true."""
    joined = _columns(pairs, left, right)
    columns: tuple[Column, ...] = plan.left.columns + plan.right.columns
    mask = run.evaluate((rest,), columns, batches.make(joined, len(pairs[0])))[0]
    kept = mask.fill_null(False).to_numpy(zero_copy_only=False)
    return pairs[0][kept], pairs[1][kept]


def _columns(pairs: tuple[Indices, Indices], left: pa.RecordBatch, right: pa.RecordBatch) -> list[pa.Array]:
    return [
        *(batches.take_or_null(column, pairs[0]) for column in left.columns),
        *(batches.take_or_null(column, pairs[1]) for column in right.columns),
    ]


def _made(
    plan: Join, pairs: tuple[Indices, Indices], left: pa.RecordBatch, right: pa.RecordBatch
) -> pa.RecordBatch:
    """The join's rows from its pairs: which of them, and the rows without one."""
    matched = _marked(pairs[0], left.num_rows)
    if plan.kind in ("semi", "anti"):
        return batches.take(left, np.flatnonzero(matched == (plan.kind == "semi")))
    if plan.kind in ("left", "full"):
        alone = np.flatnonzero(~matched)
        one = np.concatenate([pairs[0], alone])
        order = np.argsort(one, kind="stable")
        pairs = one[order], np.concatenate([pairs[1], np.full(len(alone), -1)])[order]
    if plan.kind in ("right", "full"):
        alone = np.flatnonzero(~_marked(pairs[1][pairs[1] >= 0], right.num_rows))
        pairs = np.concatenate([pairs[0], np.full(len(alone), -1)]), np.concatenate([pairs[1], alone])
    return batches.make(_columns(pairs, left, right), len(pairs[0]))


def _marked(rows: Indices, total: int) -> npt.NDArray[np.bool_]:
    marks = np.zeros(total, dtype=bool)
    marks[rows] = True
    return marks
