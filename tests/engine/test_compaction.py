"""Merged state files say what the files before said."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pytest

from laminar.engine.compaction import compact
from laminar.engine.statefile import read_states, write_states


@pytest.mark.parametrize("part_bytes", [1 << 30, 2000, 300])
def test_the_newest_entry_stays(tmp_path: Path, part_bytes: int) -> None:
    chance = random.Random(part_bytes)
    wanted: dict[tuple[int, int, bytes], bytes] = {}
    files = []
    for i in range(6):
        entries = []
        for dataflow, node in ((1, 1), (1, 2), (7, 1)):
            keys = [b"%d" % chance.randrange(200) for _ in range(60)]
            values = [chance.choice([None, b"%d.%d" % (i, n)]) for n in range(60)]
            batch = pa.RecordBatch.from_arrays(
                [pa.array(keys, pa.binary()), pa.array(values, pa.binary())], ["key", "value"]
            )
            entries.append((dataflow, node, [batch]))
            for key, value in zip(keys, values, strict=True):
                wanted.pop((dataflow, node, key), None)
                if value is not None and dataflow == 1:
                    wanted[dataflow, node, key] = value
        files.append(tmp_path / f"{i}.state")
        write_states(files[-1], entries)
    compact(files, tmp_path / "merged", {1}, part_bytes)
    found = {}
    for dataflow, node, batch in read_states(tmp_path / "merged"):
        for key, value in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            assert (dataflow, node, key) not in found
            found[dataflow, node, key] = value
    assert found == wanted
