"""Keys of a fixed size around the largest that the aggregation compares as words (32 bytes)."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from laminar._native.aggregate import Groups

COUNT = SimpleNamespace(
    kind="count", result="int64", value=-1, filter=-1, max=False, retract=False, input=None, output=pa.int64()
)
LONG, INT, SHORT, BOOL = pa.int64(), pa.int32(), pa.int16(), pa.bool_()


@pytest.mark.parametrize(
    "types",
    [
        [LONG, LONG, INT, SHORT],  # 23 bytes with the null bits
        [LONG, LONG, INT, SHORT, BOOL],  # 24
        [LONG, LONG, LONG],  # 25
        [LONG, LONG, LONG, INT, SHORT, BOOL],  # 32
        [LONG, LONG, LONG, LONG],  # 33
    ],
)
def test_groups_differ_in_any_column_or_null(types: list[pa.DataType]) -> None:
    random = np.random.default_rng(7)
    schema = pa.schema([pa.field(f"k{i}", t) for i, t in enumerate(types)])
    values = [None, 0, 1, -1]
    groups, expected = Groups(schema, [COUNT], ""), Counter[tuple[object, ...]]()
    for _ in range(3):
        rows = random.integers(0, len(values), (3000, len(types)))
        columns = [
            pa.array(
                [values[v] if t != BOOL or values[v] is None else bool(values[v]) for v in rows[:, i]], t
            )
            for i, t in enumerate(types)
        ]
        batch = pa.RecordBatch.from_arrays(columns, schema=schema)
        expected.update(zip(*(c.to_pylist() for c in columns), strict=True))
        groups.process(batch, None)
    found: Counter[tuple[object, ...]] = Counter()
    for batch, weights in groups.barrier(0):
        assert weights is None
        *keys, counts = (c.to_pylist() for c in batch.columns)
        found.update(dict(zip(zip(*keys, strict=True), counts, strict=True)))
    assert found == expected
