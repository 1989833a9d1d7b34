"""Order of rows by PostgreSQL's rules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laminar.sql.adhoc.batches import Indices
from laminar.sql.plan import SortItem


def ordered(array: pa.Array) -> pa.Array:
    """A sort key in a form that Arrow sorts as PostgreSQL does: floats with NaN greatest."""
    if not pa.types.is_floating(array.type):
        return array
    wide = np.asarray(array.cast(pa.float64()).fill_null(0))
    bits: Indices = wide.view(np.int64)
    flipped = np.where(bits < 0, bits ^ np.int64((1 << 63) - 1), bits)
    return pa.array(flipped, mask=np.asarray(array.is_null()) if array.null_count else None)


def sort_indices(keys: Sequence[pa.Array], items: Sequence[SortItem]) -> Indices:
    """Stable order of the rows; ``keys[i]`` is the sort key of ``items[i].expr``."""
    columns = [ordered(array) for array in keys]
    order = [
        (
            str(i),
            "descending" if item.descending else "ascending",
            "at_start" if item.nulls_first else "at_end",
        )
        for i, item in enumerate(items)
    ]
    table = pa.Table.from_arrays(columns, names=[str(i) for i in range(len(columns))])
    return np.asarray(pc.sort_indices(table, sort_keys=order)).astype(np.int64)


def group_order(groups: Indices, keys: Sequence[pa.Array], items: Sequence[SortItem]) -> Indices:
    """Stable order by group number, within a group by the items."""
    if not items:
        return np.argsort(groups, kind="stable").astype(np.int64, copy=False)
    by_group = SortItem(items[0].expr)
    return sort_indices([pa.array(groups), *keys], [by_group, *items])
