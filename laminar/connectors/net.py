"""What many epochs' changes come to, for targets that know rows by a key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from laminar._native.rowindex import group_rows
from laminar.connectors.base import SinkBatch, SourceColumn
from laminar.engine.change import Change
from laminar.engine.serving import Layout
from laminar.engine.serving.consolidate import cancel, concat, split


def net_changes(
    changes: Iterator[SinkBatch], columns: Sequence[SourceColumn], key: tuple[int, ...]
) -> tuple[pa.RecordBatch | None, pa.RecordBatch | None]:
    """Rows whose key is gone, and rows that are new or changed; None where there are none."""
    types = tuple(column.type for column in columns)
    layout = Layout(tuple(range(1, len(columns) + 1)), types, key)
    inserts, deletes = split((Change(c.batch, c.weights) for c in changes), layout)
    if deletes is not None:
        inserts, deletes = cancel(inserts, deletes, layout)
    if inserts is not None and deletes is not None and inserts.num_rows and deletes.num_rows:
        both = concat([inserts, deletes], layout)
        groups, firsts = group_rows(layout.key_arrays(both))
        kept = np.zeros(len(firsts), dtype=bool)
        kept[groups[: inserts.num_rows]] = True
        deletes = deletes.filter(pa.array(~kept[groups[inserts.num_rows :]]))
    return _some(deletes), _some(inserts)


def _some(batch: pa.RecordBatch | None) -> pa.RecordBatch | None:
    return batch if batch is not None and batch.num_rows else None
