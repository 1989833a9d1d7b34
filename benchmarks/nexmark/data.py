"""Nexmark's events as files, made once per number of events and kept in the benchmarks' cache folder."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.data import CHUNK, Dataset, cache_folder
from benchmarks.nexmark.queries import TABLES
from laminar.connectors.base import SourceSpec
from laminar.connectors.nexmark import Config, table_columns

FORMATS = ("arrow", "parquet")


def tables(events: int, parts: int = 1, formats: Sequence[str] = FORMATS) -> dict[str, Dataset]:
    """The three tables of the first ``events`` events, each in ``parts`` files that take turns."""
    folder = cache_folder() / (f"nexmark-{events}" if parts == 1 else f"nexmark-{events}-in-{parts}")
    missing = [f for f in formats if not (folder / f"done-{f}").exists()]
    made = {}
    for table in TABLES:
        options = (("connector", "nexmark"), ("table", table), ("events", str(events)))
        config = Config(SourceSpec(connector="nexmark", options=options, columns=table_columns(table)))
        assert config.rows is not None
        made[table] = Dataset(folder, table, config.rows)
        if missing:
            _write(made[table], config, parts, missing)
    for format_ in missing:
        (folder / f"done-{format_}").touch()
    return made


def _write(data: Dataset, config: Config, parts: int, formats: Sequence[str]) -> None:
    data.folder.mkdir(parents=True, exist_ok=True)
    columns = table_columns(data.name)
    schema = pa.schema([(c.name, c.type.storage) for c in columns])
    paths = [data.folder / f"{data.name}-{part}" for part in range(parts)]
    with ExitStack() as files:
        arrow, parquet = [], []
        if "arrow" in formats:
            arrow = [files.enter_context(pa.ipc.new_file(f"{path}.arrow", schema)) for path in paths]
        if "parquet" in formats:
            parquet = [files.enter_context(pq.ParquetWriter(f"{path}.parquet", schema)) for path in paths]
        for turn, first in enumerate(range(0, data.rows, CHUNK)):
            numbers = np.arange(first, min(first + CHUNK, data.rows))
            arrays = config.arrays(numbers, range(len(columns)))
            batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
            if arrow:
                arrow[turn % parts].write_batch(batch)
            if parquet:
                parquet[turn % parts].write_batch(batch, row_group_size=1_000_000)
