"""The checksum tells different results apart and nothing else."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laminar.connectors.base import SinkSpec, sink_connector
from laminar.connectors.blackhole import BlackholeWriter
from laminar.connectors.rowhash import row_hashes
from laminar.errors import PgError

SCHEMA = pa.schema(
    [
        ("b", pa.bool_()),
        ("i", pa.int16()),
        ("t", pa.timestamp("us")),
        ("d", pa.decimal128(38, 2)),
        ("s", pa.string()),
        ("f", pa.binary(3)),
        ("l", pa.list_(pa.string())),
    ]
)
VALUES = st.tuples(
    st.booleans(),
    st.integers(-3, 3),
    st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2000, 1, 2)),
    st.decimals(-10, 10, places=2),
    st.text(max_size=12),
    st.binary(min_size=3, max_size=3),
    st.lists(st.none() | st.text(max_size=3), max_size=3),
)
ROWS = st.lists(VALUES.flatmap(lambda row: st.tuples(*(st.just(v) | st.none() for v in row))), max_size=20)


def batch(rows: list[tuple[object, ...]]) -> pa.RecordBatch:
    columns = [pa.array([row[i] for row in rows], field.type) for i, field in enumerate(SCHEMA)]
    return pa.record_batch(columns, schema=SCHEMA)


def run(*batches: tuple[pa.RecordBatch, np.ndarray | None]) -> dict[str, int]:
    writer = BlackholeWriter()
    for part, weights in batches:
        writer.write(part, weights)
    return writer.stats()


@given(ROWS, st.integers(0, 20), st.randoms())
def test_order_and_cuts_do_not_matter(rows: list[tuple[object, ...]], cut: int, random: object) -> None:
    whole = batch(rows)
    expected = run((whole, None))
    assert run((whole.slice(0, cut), None), (whole.slice(cut), None)) == expected
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert run((batch(shuffled), None)) == expected


@given(ROWS)
def test_deletions_cancel(rows: list[tuple[object, ...]]) -> None:
    whole = batch(rows)
    minus = np.full(len(rows), -1, np.int64)
    assert run((whole, minus), (whole, None)) == {"rows": 2 * len(rows), "weight": 0, "checksum": 0}


@given(VALUES, VALUES)
def test_rows_are_told_apart(a: tuple[object, ...], b: tuple[object, ...]) -> None:
    hashes = row_hashes(batch([a, b, a]))
    assert hashes[0] == hashes[2]
    assert (hashes[0] == hashes[1]) == (a == b)


@pytest.mark.parametrize("column", range(len(SCHEMA)))
def test_null_differs_from_zero(column: int) -> None:
    zero = (False, 0, dt.datetime(1970, 1, 1), Decimal(0), "", b"\0\0\0", [])
    null = tuple(None if i == column else v for i, v in enumerate(zero))
    hashes = row_hashes(batch([zero, null]))
    assert hashes[0] != hashes[1]


def test_swapped_columns_differ() -> None:
    one, two = pa.array([1]), pa.array([2])
    ab, ba = pa.record_batch([one, two], ["a", "b"]), pa.record_batch([two, one], ["a", "b"])
    assert row_hashes(ab) != row_hashes(ba)


def test_state_survives() -> None:
    writer = BlackholeWriter()
    writer.write(pa.record_batch([pa.array([1, 2, 3])], ["a"]), None)
    other = BlackholeWriter()
    other.restore(writer.state())
    assert other.stats() == writer.stats() != BlackholeWriter().stats()


def test_unknown_option() -> None:
    with pytest.raises(PgError, match='has no option "speed"') as error:
        options = (("connector", "blackhole"), ("speed", "9"))
        sink_connector("blackhole").check(SinkSpec("s", "blackhole", options, ()))
    assert error.value.sqlstate == "22023" and error.value.hint == "Options: connector."
