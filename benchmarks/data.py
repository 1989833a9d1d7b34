"""Input files of the benchmarks, made once per scale and kept in a cache folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

#: rows at scale 1
EVENTS = 20_000_000
JOIN_ROWS = 4_000_000
#: event time advances by this much per row: 200 seconds, 20 windows, at scale 1
MICROSECONDS_PER_EVENT = 10
CHUNK = 65_536
PARTS = 2


@dataclass(frozen=True)
class Dataset:
    """Files of one table, split in two for two reactors, and what is in them."""

    folder: Path
    name: str
    rows: int

    def glob(self, format_: str, part: int | None = None) -> str:
        return str(self.folder / f"{self.name}-{'*' if part is None else part}.{format_}")

    def size(self, format_: str) -> int:
        return sum(p.stat().st_size for p in self.folder.glob(f"{self.name}-*.{format_}"))

    def table(self) -> pa.Table:
        """Everything, for computing what the answer should be."""
        parts = [self.folder / f"{self.name}-{i}.arrow" for i in range(PARTS)]
        return pa.concat_tables(pa.ipc.open_file(pa.memory_map(str(p))).read_all() for p in parts)


def cache_folder() -> Path:
    base = os.environ.get("LAMINAR_BENCH_DATA") or Path.home() / ".cache" / "laminar-bench"
    return Path(base)


def events(scale: float, keys: int = 1000) -> Dataset:
    """(k bigint of ``keys`` values, v bigint 0..999999, x double, ts timestamp), ordered by ts."""
    rows = max(CHUNK, int(EVENTS * scale))
    return _dataset(f"events{keys}", rows, lambda first, n: _events(first, n, keys))


def _events(first: int, n: int, keys: int) -> pa.RecordBatch:
    r = np.random.default_rng(first)
    ts = 1_767_225_600_000_000 + (first + np.arange(n)) * MICROSECONDS_PER_EVENT
    columns = [
        pa.array(r.integers(0, keys, n)),
        pa.array(r.integers(0, 1_000_000, n)),
        pa.array(r.random(n)),
        pa.array(ts).cast(pa.timestamp("us")),
    ]
    return pa.record_batch(columns, names=["k", "v", "x", "ts"])


def join_side(scale: float, name: str) -> Dataset:
    """(k bigint, each value once and in random order, w bigint)."""
    rows = max(CHUNK, int(JOIN_ROWS * scale))
    order = np.random.default_rng(len(name)).permutation(rows)

    def make(first: int, n: int) -> pa.RecordBatch:
        keys = order[first : first + n]
        return pa.record_batch([pa.array(keys), pa.array(keys * 3)], names=["k", "w"])

    return _dataset(name, rows, make)


def _dataset(name: str, rows: int, make: Callable[[int, int], pa.RecordBatch]) -> Dataset:
    """Write both formats unless they are there; chunks alternate between the parts, so that both
    parts go through event time at the same pace."""
    folder = cache_folder() / str(rows)
    done = folder / f"{name}.done"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        schema = make(0, 1).schema
        arrow = [pa.ipc.new_file(str(folder / f"{name}-{i}.arrow"), schema) for i in range(PARTS)]
        parquet = [pq.ParquetWriter(folder / f"{name}-{i}.parquet", schema) for i in range(PARTS)]
        for chunk, first in enumerate(range(0, rows, CHUNK)):
            batch = make(first, min(CHUNK, rows - first))
            arrow[chunk % PARTS].write_batch(batch)
            parquet[chunk % PARTS].write_batch(batch, row_group_size=1_000_000)
        for writer in (*arrow, *parquet):
            writer.close()
        done.touch()
    return Dataset(folder, name, rows)
