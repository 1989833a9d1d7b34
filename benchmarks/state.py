"""Single look-ups in a large state table, timed one by one."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from laminar._native.statetable import FixedStateTable, time_lookups

ENTRIES = 10_000_000
LOOKUPS = 1_000_000
_BATCH = 65_536


def lookup_percentiles(scale: float, *shares: float) -> list[float]:
    """Nanoseconds per look-up of a random present 16-byte key with a 64-byte value.

    Timed with the time stamp counter through the native interface, the counter's own cost taken off.
    """
    entries = int(ENTRIES * min(scale, 1))
    keys = np.random.default_rng(3).integers(0, 256, (entries, 16), dtype=np.uint8)
    values = _binary(np.zeros((_BATCH, 64), np.uint8))
    with tempfile.TemporaryDirectory(prefix="laminar-bench-") as folder:
        table = FixedStateTable(16, 64, Path(folder))
        for first in range(0, entries, _BATCH):
            part = _binary(keys[first : first + _BATCH])
            table.put_batch(part, values[: len(part)])
        chosen = np.random.default_rng(4).integers(0, entries, LOOKUPS)
        probe = np.ascontiguousarray(keys[chosen])
        clock = float(np.median(time_lookups(None, probe)[0]))
        time_lookups(table, probe)
        taken = time_lookups(table, probe)[0]
    return [float(np.percentile(taken, share * 100)) - clock for share in shares]


def _binary(rows: np.ndarray) -> pa.BinaryArray:
    width = rows.shape[1]
    fixed = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(width), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows))]
    )
    return fixed.cast(pa.binary())
