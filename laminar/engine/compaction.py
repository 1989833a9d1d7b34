"""Merging a reactor's state files: for each key only its newest entry stays, deleted ones go."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laminar.engine.statefile import read_states, write_states

_BATCH_ROWS = 1 << 16


def compact(files: list[Path], target: Path, dataflows: set[int]) -> int:
    """Merge ``files`` (all of a reactor's, oldest first) into ``target``; returns its size.

    Entries of dataflows that are not in ``dataflows`` are left out.
    """
    found: dict[tuple[int, int], list[pa.RecordBatch]] = {}
    for file in files:
        for dataflow, node, batch in read_states(file):
            if dataflow in dataflows:
                found.setdefault((dataflow, node), []).append(batch)
    entries = [(dataflow, node, newest(batches)) for (dataflow, node), batches in found.items()]
    size, _ = write_states(target, entries)
    return size


def newest(batches: Iterable[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """The last entry of each key, without deletions; columns key and value."""
    table = pa.Table.from_batches(list(batches))
    numbered = pa.table({"key": table.column(0), "row": pa.array(np.arange(len(table)))})
    rows = numbered.group_by("key", use_threads=False).aggregate([("row", "max")]).column("row_max")
    kept = table.take(rows)
    kept = kept.filter(pc.is_valid(kept.column(1)))
    return list(kept.to_batches(max_chunksize=_BATCH_ROWS))
