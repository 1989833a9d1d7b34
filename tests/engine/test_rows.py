"""Row formats and hashes: round trips, canonical bytes, order."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laminar._native.hashing import hash_columns, partition, shards
from laminar._native.rows import RowFormat, comparable, from_comparable, pack, unpack
from laminar.engine.change import Change
from laminar.engine.operators import partition as partition_change
from laminar.errors import PgError

int64s = st.integers(-(2**63), 2**63 - 1)
TYPES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.bool_(), st.booleans()),
    (pa.int16(), st.integers(-(2**15), 2**15 - 1)),
    (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    (pa.int64(), int64s),
    (pa.uint32(), st.integers(0, 2**32 - 1)),
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), st.floats()),
    (pa.string(), st.text(max_size=12)),
    (pa.binary(), st.binary(max_size=200)),
    (pa.binary(16), st.binary(min_size=16, max_size=16)),
    (pa.decimal128(38, 5), st.decimals(-(10**32), 10**32, places=5)),
    (pa.date32(), st.dates()),
    (pa.timestamp("us"), int64s),
    (pa.list_(pa.int32()), st.lists(st.none() | st.integers(-5, 5), max_size=4)),
    (pa.list_(pa.string()), st.lists(st.none() | st.text(max_size=3), max_size=4)),
    (pa.list_(pa.bool_()), st.lists(st.none() | st.booleans(), max_size=4)),
    (pa.null(), st.none()),
]


@st.composite
def batches(draw: st.DrawFn, orderable: bool = False) -> pa.RecordBatch:
    chosen = draw(st.lists(st.sampled_from(TYPES[:-1] if orderable else TYPES), min_size=1, max_size=5))
    rows = draw(st.integers(0, 12))
    arrays = []
    for type_, values in chosen:
        data = draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
        if pa.types.is_timestamp(type_):
            arrays.append(pa.array(data, pa.int64()).view(type_))
        elif pa.types.is_decimal(type_):
            arrays.append(pa.array([None if d is None else Decimal(str(d)) for d in data], type_))
        else:
            arrays.append(pa.array(data, type_))
    batch = pa.RecordBatch.from_arrays(arrays, names=[str(i) for i in range(len(arrays))])
    start = draw(st.integers(0, rows))
    return batch.slice(start) if draw(st.booleans()) else batch


def same(a: pa.RecordBatch, b: pa.RecordBatch) -> bool:
    return [repr(raw(c)) for c in a.columns] == [repr(raw(c)) for c in b.columns] and a.schema == b.schema


def raw(column: pa.Array) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        column = column.view(pa.int64())
    return column.to_pylist()


@settings(max_examples=200, deadline=None)
@given(batches())
def test_compact_rows_round_trip_and_are_canonical(batch: pa.RecordBatch) -> None:
    format_ = RowFormat(batch.schema)
    rows = format_.encode(batch)
    assert same(format_.decode(rows), batch)
    values = [repr([raw(c)[i] for c in batch.columns]) for i in range(batch.num_rows)]
    for i, row in enumerate(rows.to_pylist()):
        for j, other in enumerate(rows.to_pylist()):
            # NaNs with equal text may have different bits
            assert (row == other) == (values[i] == values[j]) or "nan" in values[i]


@settings(max_examples=100, deadline=None)
@given(batches(), st.binary(max_size=30))
def test_damaged_rows_are_refused(batch: pa.RecordBatch, garbage: bytes) -> None:
    """Never a crash: an error, or some rows of the schema."""
    format_ = RowFormat(batch.schema)
    for row in [garbage, *(r[:-1] for r in format_.encode(batch).to_pylist() if r)]:
        try:
            format_.decode(pa.array([row], pa.binary())).validate()
        except PgError as error:
            assert error.sqlstate == "XX001"


def order_key(value: Any) -> Any:
    """PostgreSQL's order, nulls last."""
    if value is None:
        return (1,)
    if isinstance(value, float):
        return (0, math.isnan(value), 0.0 if math.isnan(value) else value + 0.0)
    if isinstance(value, str):
        return (0, value.encode())
    if isinstance(value, list):
        return (0, [order_key(v) for v in value])
    return (0, value)


@settings(max_examples=200, deadline=None)
@given(batches(orderable=True), st.sets(st.integers(0, 4)))
def test_comparable_keys_order_as_postgresql(batch: pa.RecordBatch, descending: set[int]) -> None:
    keys = comparable(batch, descending).to_pylist()
    rows = [[order_key(raw(c)[i]) for c in batch.columns] for i in range(batch.num_rows)]
    for i, a in enumerate(rows):
        for j, b in enumerate(rows):
            expected = 0
            for c, (x, y) in enumerate(zip(a, b, strict=True)):
                if x != y:
                    expected = (-1 if x < y else 1) * (-1 if c in descending else 1)
                    break
            assert (keys[i] > keys[j]) - (keys[i] < keys[j]) == expected
    back = from_comparable(pa.array(keys, pa.binary()), batch.schema, descending)
    assert comparable(back, descending).to_pylist() == keys


def test_packed_values_compare_by_order_and_carry_the_payload() -> None:
    order = pa.array([2, 1, None, 1], pa.int64())
    payload = pa.array(["two", "b", None, "a"])
    packed = pack(order, payload)
    assert unpack(packed, pa.string()).to_pylist() == ["two", "b", None, "a"]
    assert unpack(pa.array([min(packed.drop_null().to_pylist())], pa.binary()), pa.string()).to_pylist() == [
        "a"
    ]
    assert unpack(pack(None, payload), pa.string()).to_pylist() == payload.to_pylist()


def test_hashes_are_stable() -> None:
    """These values are on disk in effect: they decide which reactor restores a key."""
    batch = pa.record_batch({"a": pa.array([1, None], pa.int64()), "b": ["x", None]})
    assert hash_columns(batch, [0, 1]).tolist() == [241317278450249491, 16118095395250412565]
    assert shards(batch, [0], 7).tolist() == [4, 3]


@settings(max_examples=60, deadline=None)
@given(batches(), st.integers(1, 5))
def test_partition_keeps_every_row_and_brings_equal_keys_together(batch: pa.RecordBatch, n: int) -> None:
    keys = list(range(batch.num_columns))
    parts = partition(batch, None, keys, n)
    assert sum(len(p[0]) for p in parts if p) == batch.num_rows
    where: dict[str, int] = {}
    for shard, part in enumerate(parts):
        if part is None:
            continue
        rows = part[0]
        for i in range(rows.num_rows):
            assert where.setdefault(repr([raw(c)[i] for c in rows.columns]), shard) == shard
    slices = pa.Table.from_batches(
        [batch.slice(i, 1) for i in range(batch.num_rows)], batch.schema
    ).combine_chunks()
    if batch.num_rows:
        assert shards(slices.to_batches()[0], keys, n).tolist() == shards(batch, keys, n).tolist()


def test_partition_without_keys_is_reactor_0s() -> None:
    change = Change(pa.record_batch({"a": [1, 2]}))
    assert partition_change(change, [], 3) == [change, None, None]


def test_shards_are_even() -> None:
    batch = pa.record_batch({"a": pa.array(range(100_000), pa.int64())})
    counts = [0] * 3
    for s in shards(batch, [0], 3).tolist():
        counts[s] += 1
    assert max(counts) < 34_000


def test_damaged_packed_value() -> None:
    with pytest.raises(ValueError, match="cut short"):
        unpack(pa.array([b"abc"], pa.binary()), pa.string())
