"""Nexmark's events as files, made once per number of events and kept in the benchmarks' cache folder."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.data import CHUNK, Dataset, cache_folder
from benchmarks.nexmark.queries import TABLES
from laminar.connectors.base import SourceSpec
from laminar.connectors.nexmark import Config, table_columns


def tables(events: int) -> dict[str, Dataset]:
    """The three tables of the first ``events`` events, one file each and format."""
    folder = cache_folder() / f"nexmark-{events}"
    done = folder / "done"
    made = {}
    for table in TABLES:
        options = (("connector", "nexmark"), ("table", table), ("events", str(events)))
        config = Config(SourceSpec(connector="nexmark", options=options, columns=table_columns(table)))
        assert config.rows is not None
        made[table] = Dataset(folder, table, config.rows)
        if not done.exists():
            _write(made[table], config)
    done.touch()
    return made


def _write(data: Dataset, config: Config) -> None:
    data.folder.mkdir(parents=True, exist_ok=True)
    columns = table_columns(data.name)
    schema = pa.schema([(c.name, c.type.storage) for c in columns])
    path = data.folder / f"{data.name}-0"
    with (
        pa.ipc.new_file(f"{path}.arrow", schema) as arrow,
        pq.ParquetWriter(f"{path}.parquet", schema) as parquet,
    ):
        for first in range(0, data.rows, CHUNK):
            numbers = np.arange(first, min(first + CHUNK, data.rows))
            arrays = config.arrays(numbers, range(len(columns)))
            batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
            arrow.write_batch(batch)
            parquet.write_batch(batch, row_group_size=1_000_000)
