"""The state store against dictionaries and sorted lists."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laminar._native.statetable import FixedStateTable, OrderedTable, StateTable, memory_budget
from laminar.errors import PgError

keys = st.binary(max_size=3) | st.binary(min_size=15, max_size=18) | st.binary(min_size=30, max_size=40)
values = st.binary(max_size=20) | st.integers(0, 70_000).map(lambda n: b"v" * n)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("put"), keys, values),
        st.tuples(st.just("delete"), keys, st.just(b"")),
        st.tuples(st.just("checkpoint"), st.booleans(), st.just(b"")),
    ),
    max_size=40,
)


def entries(table: StateTable | FixedStateTable) -> dict[bytes, bytes]:
    found = [
        (k, v)
        for batch in table.snapshot()
        for k, v in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True)
    ]
    assert len(found) == len(dict(found)) == len(table)
    return dict(found)


@settings(max_examples=200, deadline=None)
@given(operations)
def test_behaves_like_a_dictionary(steps: list[tuple[str, bytes, bytes]]) -> None:
    table, model, segments = StateTable(), dict[bytes, bytes](), list[pa.RecordBatch]()
    for what, key, value in steps:
        if what == "put":
            table.put(key, value)
            model[key] = value
        elif what == "delete":
            assert table.delete(key) == (model.pop(key, None) is not None)
        else:
            segments += table.checkpoint()
            assert list(table.checkpoint()) == []
            if key:
                table = StateTable()
                for segment in segments:
                    table.restore(segment)
                assert list(table.checkpoint()) == []
        assert table.get(key) == model.get(key) if what != "checkpoint" else True
    assert entries(table) == model


def many(n: int, salt: int = 0) -> list[bytes]:
    return [(i * 0x9E3779B97F4A7C15 + salt).to_bytes(16, "little") for i in range(n)]


def test_many_entries_grow_shrink_and_reuse_space(tmp_path: Path) -> None:
    table = StateTable(tmp_path)
    first = many(50_000)
    table.put_batch(pa.array(first, pa.binary()), pa.array([k[::-1] * 4 for k in first], pa.binary()))
    assert table.get_batch(pa.array([first[7], b"absent", first[-1]], pa.binary())).to_pylist() == [
        first[7][::-1] * 4,
        None,
        first[-1][::-1] * 4,
    ]
    table.delete_batch(pa.array(first[::2], pa.binary()))
    assert len(table) == 25_000
    assert all(table.get(k) is None for k in first[:100:2])
    before = table.allocated_bytes
    other = [k[:15] + b"x" for k in first[::2]]
    table.put_batch(pa.array(other, pa.binary()), pa.array([b"y" * 64] * len(other), pa.binary()))
    assert table.allocated_bytes == before
    assert entries(table) == {k: k[::-1] * 4 for k in first[1::2]} | dict.fromkeys(other, b"y" * 64)
    assert not list(tmp_path.iterdir()), "scratch files have no name"


def test_checkpoint_holds_only_what_changed() -> None:
    table = StateTable()
    names = many(1000)
    table.put_batch(pa.array(names, pa.binary()), pa.array(names, pa.binary()))
    assert sum(b.num_rows for b in table.checkpoint()) == 1000
    table.put(names[3], b"new")
    table.delete(names[4])
    table.put(b"short-lived", b"")
    table.delete(b"short-lived")
    (delta,) = table.checkpoint()
    assert delta.to_pydict() == {"key": [names[4], names[3]], "value": [None, b"new"]}


def test_deleted_and_put_again_between_checkpoints() -> None:
    table = StateTable()
    table.put(b"k", b"1")
    segments = list(table.checkpoint())
    table.delete(b"k")
    table.put(b"k", b"2")
    segments += table.checkpoint()
    again = StateTable()
    for segment in segments:
        again.restore(segment)
    assert again.get(b"k") == b"2"


def test_scan_by_prefix() -> None:
    table = StateTable()
    for key in (b"a", b"ab", b"abc", b"b", b""):
        table.put(key, key)
    found = {k for batch in table.scan(b"ab") for k in batch.column(0).to_pylist()}
    assert found == {b"ab", b"abc"}


def test_snapshot_does_not_change() -> None:
    table = StateTable()
    table.put(b"k", b"old")
    (before,) = table.snapshot()
    table.put(b"k", b"new")
    assert before.column(1).to_pylist() == [b"old"]


def test_full_disk_is_an_error_and_not_a_signal(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes the extension of the file fail as a full disk does (EFBIG)."""
    script = f"""
import resource, signal
from laminar._native.statetable import StateTable, memory_budget
from laminar.errors import PgError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))
memory_budget(0)
table = StateTable({str(tmp_path)!r})
try:
    for i in range(1 << 20):
        table.put(i.to_bytes(8, "little"), bytes(200))
except PgError as error:
    assert error.sqlstate == "53100", error
    assert table.get((5).to_bytes(8, "little")) == bytes(200)
    print("refused after", i)
"""
    run = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert run.returncode == 0, run.stderr
    assert "refused after" in run.stdout


def test_memory_budget_decides_where_state_goes(tmp_path: Path) -> None:
    before = memory_budget(0)
    try:
        table = StateTable(tmp_path)
        table.put(b"k", b"v")
        assert memory_budget() == 0
        memory_budget(64 << 20)
        other = StateTable(tmp_path)
        other.put(b"k", b"v")
        assert memory_budget() < 64 << 20
        del other
        assert memory_budget() == 64 << 20
    finally:
        memory_budget(before)


def test_missing_directory_is_an_error() -> None:
    with pytest.raises(PgError) as caught:
        StateTable(Path("/nonexistent/dir"))
    assert caught.value.sqlstate == "58030"


fixed_operations = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 400)),
        st.tuples(st.just("delete"), st.integers(0, 400)),
        st.tuples(st.just("many"), st.integers(0, 400)),
        st.tuples(st.just("checkpoint"), st.booleans()),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(fixed_operations, st.sampled_from([(16, 64), (5, 0), (12, 3)]))
def test_fixed_table_behaves_like_a_dictionary(steps: list[tuple[str, int]], sizes: tuple[int, int]) -> None:
    key_size, value_size = sizes
    table, model, segments = FixedStateTable(*sizes), dict[bytes, bytes](), list[pa.RecordBatch]()
    for n, (what, number) in enumerate(steps):
        key, value = number.to_bytes(key_size, "little"), bytes([n]) * value_size
        if what == "put":
            table.put(key, value)
            model[key] = value
        elif what == "delete":
            assert table.delete(key) == (model.pop(key, None) is not None)
        elif what == "many":
            more = [(number + i).to_bytes(key_size, "little") for i in range(300)]
            table.put_batch(pa.array(more, pa.binary()), pa.array([value] * 300, pa.binary()))
            model.update(dict.fromkeys(more, value))
        else:
            segments += table.checkpoint()
            assert list(table.checkpoint()) == []
            if number:
                table = FixedStateTable(*sizes)
                for segment in segments:
                    table.restore(segment)
                assert list(table.checkpoint()) == []
        assert table.get(key) == model.get(key) if what != "checkpoint" else True
    assert entries(table) == model
    names = [*model, bytes(key_size)]
    assert table.get_batch(pa.array(names, pa.binary())).to_pylist() == [model.get(k) for k in names]


def test_fixed_table_checks_sizes() -> None:
    table = FixedStateTable(8, 8)
    with pytest.raises(ValueError, match="8 bytes"):
        table.get(b"short")
    with pytest.raises(PgError):
        table.put_batch(pa.array([b"12345678"], pa.binary()), pa.array([b"1"], pa.binary()))


text = st.binary(max_size=4) | st.sampled_from(
    [b"prefix--", b"prefix--shared--", b"prefix--shared--\0"]
).flatmap(lambda p: st.binary(max_size=4).map(lambda s: p + s))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(text, st.integers(-2, 3)), max_size=60),
    text,
    st.none() | text,
    st.booleans(),
    st.integers(0, 9),
)
def test_ordered_table_behaves_like_a_sorted_multiset(
    steps: list[tuple[bytes, int]], low: bytes, high: bytes | None, descending: bool, limit: int
) -> None:
    table, model = OrderedTable(), dict[bytes, int]()
    segments = []
    for n, (key, weight) in enumerate(steps):
        model[key] = model.get(key, 0) + weight
        assert table.add(key, weight) == model[key]
        if n == len(steps) // 2:
            segments += table.checkpoint()
    model = {k: w for k, w in model.items() if w}
    expected = sorted((k for k in model if k >= low and (high is None or k < high)), reverse=descending)[
        :limit
    ]
    found = table.range(low, high, descending, limit)
    assert found.to_pydict() == {"key": expected, "weight": [model[k] for k in expected]}
    assert len(table) == len(model)
    segments += table.checkpoint()
    again = OrderedTable()
    for segment in segments:
        again.restore(segment)
    assert again.range().to_pydict() == table.range().to_pydict()


def test_ordered_table_with_many_keys() -> None:
    import random

    chance = random.Random(5)
    table, model = OrderedTable(), dict[bytes, int]()
    for _ in range(60_000):
        key = chance.randrange(4000).to_bytes(2, "big") + b"x" * chance.randrange(20)
        weight = -model[key] if key in model and chance.random() < 0.7 else 1
        model[key] = model.get(key, 0) + weight
        table.add(key, weight)
        if not model[key]:
            del model[key]
    assert table.range().column(0).to_pylist() == sorted(model)
    for key in list(model):
        table.add(key, -model[key])
    assert len(table) == 0
    assert table.range().num_rows == 0
    table.add(b"again")
    assert table.range().column(0).to_pylist() == [b"again"]
