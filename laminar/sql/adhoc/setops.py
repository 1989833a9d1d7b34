"""DISTINCT, INTERSECT and EXCEPT as operations on numbered rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa

from laminar._native.rowindex import group_rows
from laminar.sql.adhoc.batches import Indices


def number_rows(keys: Sequence[pa.Array], rows: int) -> tuple[Indices, Indices]:
    """(group of each row, first row of each group); without keys all rows are one group."""
    if keys:
        return group_rows(list(keys))
    return np.zeros(rows, dtype=np.int64), np.zeros(min(rows, 1), dtype=np.int64)


def nth_of_kind(groups: Indices) -> Indices:
    """For each row, how many rows of its group come before it."""
    order = np.argsort(groups, kind="stable")
    sorted_groups = groups[order]
    start = np.ones(len(groups), dtype=bool)
    start[1:] = sorted_groups[1:] != sorted_groups[:-1]
    first = np.maximum.accumulate(np.where(start, np.arange(len(groups)), 0)) if len(groups) else order
    nth = np.empty(len(groups), dtype=np.int64)
    nth[order] = np.arange(len(groups)) - first
    return nth


def combine(op: Literal["intersect", "except"], all_: bool, groups: Indices, left_rows: int) -> Indices:
    """Rows of the left input (which comes first in ``groups``) that the operation keeps."""
    left, right = groups[:left_rows], groups[left_rows:]
    kinds = int(groups.max()) + 1 if len(groups) else 0
    others = np.bincount(right, minlength=kinds)[left]
    nth = nth_of_kind(left)
    if op == "intersect":
        keep = nth < others if all_ else (nth == 0) & (others > 0)
    else:
        keep = nth >= others if all_ else (nth == 0) & (others == 0)
    return np.flatnonzero(keep).astype(np.int64, copy=False)
