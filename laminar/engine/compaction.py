"""Merging a reactor's state files: for each key only its newest entry stays, deleted ones go.

The keys are taken in parts by their hash, so that memory holds one part's entries and not the state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laminar._native.rowindex import hash_rows
from laminar.engine.statefile import read_states, write_states

_BATCH_ROWS = 1 << 16
#: bytes of files per part
_PART_BYTES = 64 << 20
#: of the hash that divides keys; any other than the tables' own
_SEED = 0x5EED


def compact(files: list[Path], target: Path, dataflows: set[int], part_bytes: int = _PART_BYTES) -> int:
    """Merge ``files`` (all of a reactor's, oldest first) into ``target``; returns its size.

    Entries of dataflows that are not in ``dataflows`` are left out.
    """
    parts = 1 + sum(file.stat().st_size for file in files) // part_bytes
    size, _ = write_states(target, _merged(files, dataflows, parts))
    return size


def _merged(
    files: list[Path], dataflows: set[int], parts: int
) -> Iterator[tuple[int, int, list[pa.RecordBatch]]]:
    for part in range(parts):
        found: dict[tuple[int, int], list[pa.RecordBatch]] = {}
        for file in files:
            for dataflow, node, batch in read_states(file):
                if dataflow in dataflows:
                    found.setdefault((dataflow, node), []).append(_part(batch, part, parts))
        for (dataflow, node), batches in found.items():
            yield dataflow, node, newest(batches)


def _part(batch: pa.RecordBatch, part: int, parts: int) -> pa.RecordBatch:
    if parts == 1:
        return batch
    hashes = hash_rows([batch.column(0)], _SEED)
    return batch.filter(pa.array(hashes % np.uint64(parts) == part))


def newest(batches: Iterable[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """The last entry of each key, without deletions; columns key and value."""
    table = pa.Table.from_batches(list(batches))
    numbered = pa.table({"key": table.column(0), "row": pa.array(np.arange(len(table)))})
    rows = numbered.group_by("key", use_threads=False).aggregate([("row", "max")]).column("row_max")
    kept = table.take(rows)
    kept = kept.filter(pc.is_valid(kept.column(1)))
    return list(kept.to_batches(max_chunksize=_BATCH_ROWS))
