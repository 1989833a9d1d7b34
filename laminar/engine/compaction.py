"""Merging a reactor's state files: for each key only its newest entry stays, deleted ones go.

Entries are first divided into parts by the hash of their keys, each in a file of its own beside the
target, and then merged part by part: memory holds one part's entries and not the state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from laminar._native.rowindex import hash_rows
from laminar._native.statetable import StateTable
from laminar.engine.statefile import END, MAGIC, StateEntries, block, read_states, write_states

#: bytes of files per part; in memory they are several times as many
_PART_BYTES = 2 << 20
#: more would be many files with few entries each
_MOST_PARTS = 256
#: bytes of entries on their way to the parts
_HELD_BYTES = 4 << 20
#: of the hash that divides keys; any other than the tables' own
_SEED = 0x5EED

_Entries = Iterator[tuple[int, int, pa.RecordBatch]]


def compact(files: list[Path], target: Path, dataflows: set[int], part_bytes: int = _PART_BYTES) -> int:
    """Merge ``files`` (all of a reactor's, oldest first) into ``target``; returns its size.

    Entries of dataflows that are not in ``dataflows`` are left out.
    """
    count = min(_MOST_PARTS, 1 + sum(file.stat().st_size for file in files) // part_bytes)
    entries = _kept(files, dataflows)
    if count == 1:
        return write_states(target, _merged(entries))[0]
    parts = [target.with_name(f"{target.name}.part{number}") for number in range(count)]
    try:
        _divide(entries, parts)
        return write_states(target, _merged_parts(parts))[0]
    finally:
        for path in parts:
            path.unlink(missing_ok=True)


def _kept(files: list[Path], dataflows: set[int]) -> _Entries:
    for file in files:
        for dataflow, node, batch in read_states(file):
            if dataflow in dataflows:
                yield dataflow, node, batch


def _divide(entries: _Entries, parts: list[Path]) -> None:
    """Write each entry to the part of its key, in the same order."""
    for path in parts:
        path.write_bytes(MAGIC)
    held: dict[tuple[int, int, int], list[pa.RecordBatch]] = {}
    size = 0
    for dataflow, node, batch in entries:
        owners = hash_rows([batch.column(0)], _SEED) % np.uint64(len(parts))
        order = np.argsort(owners, kind="stable")
        rows = batch.take(pa.array(order))
        ends = np.searchsorted(owners[order], np.arange(len(parts) + 1))
        for part in np.flatnonzero(np.diff(ends)).tolist():
            mine = rows.slice(ends[part], ends[part + 1] - ends[part])
            held.setdefault((part, dataflow, node), []).append(mine)
        size += batch.nbytes
        if size > _HELD_BYTES:
            _append(parts, held)
            size = 0
    _append(parts, held)
    for path in parts:
        with path.open("ab") as file:
            file.write(END)


def _append(parts: list[Path], held: dict[tuple[int, int, int], list[pa.RecordBatch]]) -> None:
    for (part, dataflow, node), batches in held.items():
        rows = pa.Table.from_batches(batches).combine_chunks().to_batches()
        with parts[part].open("ab") as file:
            file.writelines(block(dataflow, node, rows))
    held.clear()


def _merged_parts(parts: list[Path]) -> Iterator[StateEntries]:
    for path in parts:
        yield from _merged(read_states(path))
        path.unlink()


def _merged(entries: _Entries) -> Iterator[StateEntries]:
    tables: dict[tuple[int, int], StateTable] = {}
    for dataflow, node, batch in entries:
        _put(tables.setdefault((dataflow, node), StateTable()), batch)
    for dataflow, node in list(tables):
        for batch in tables.pop((dataflow, node)).scan():
            yield dataflow, node, [batch]


def newest(batches: Iterable[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """The last entry of each key, without deletions; columns key and value."""
    table = StateTable()
    for batch in batches:
        _put(table, batch)
    return table.snapshot()


def _put(table: StateTable, batch: pa.RecordBatch) -> None:
    table.put_batch(batch.column(0), batch.column(1))
