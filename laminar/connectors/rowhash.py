"""One 64-bit hash per row over all columns of a batch, of the storage bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from laminar._native.rowhash import fold_binary, fold_boolean, fold_fixed, fold_lists

Hashes = npt.NDArray[np.uint64]


def row_hashes(batch: pa.RecordBatch) -> Hashes:
    """uint64 per row; equal rows (storage and nulls) have equal hashes."""
    acc = np.zeros(batch.num_rows, np.uint64)
    for column in batch.columns:
        _fold(acc, column)
    return acc


def _fold(acc: Hashes, column: pa.Array) -> None:
    kind = column.type
    buffers = column.buffers()
    valid, data = _address(buffers[0]), _address(buffers[-1])
    if types.is_boolean(kind):
        fold_boolean(acc, valid, column.offset, data)
    elif types.is_string(kind) or types.is_binary(kind):
        fold_binary(acc, valid, column.offset, _address(buffers[1]), data)
    elif types.is_list(kind):
        items = column.flatten()
        hashes = np.zeros(len(items), np.uint64)
        _fold(hashes, items)
        # flatten drops elements behind null lists, so lengths are counted without them
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        ends = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
        plain = column.is_valid().buffers()[1] if column.null_count else None
        fold_lists(acc, _address(plain), 0, ends.ctypes.data, hashes)
    else:
        fold_fixed(acc, valid, column.offset, data, kind.bit_width // 8)


def _address(buffer: pa.Buffer | None) -> int:
    return buffer.address if buffer is not None else 0
