"""The serving store against a dict, through random epochs, checkpoints and restarts."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laminar._native.statetable import memory_budget
from laminar.engine.change import Change
from laminar.engine.serving import Layout, Retention, ServingStore
from laminar.errors import PgError
from laminar.types import BOOL, INT4, INT8, TEXT, PgType

OID = 16384
LAYOUT = Layout((1, 2, 3), (PgType(TEXT), PgType(INT8), PgType(BOOL)), (1, 0))


def change(rows, weights=None, layout=LAYOUT):
    columns = [pa.array([r[i] for r in rows], t.storage) for i, t in enumerate(layout.types)]
    return Change(
        pa.RecordBatch.from_arrays(columns, names=[str(i) for i in range(len(columns))]),
        None if weights is None else np.array(weights, dtype=np.int64),
    )


def contents(store, layout=LAYOUT):
    table = store.read().snapshot(OID).table()
    return Counter(zip(*(c.to_pylist() for c in table.columns), strict=True)) if table.num_rows else Counter()


def fresh(layout=LAYOUT):
    store = ServingStore()
    store.register(OID, layout)
    return store


texts = st.sampled_from([None, "", "a", "b", "\x00", "ab", "ünïcode" * 3])
numbers = st.sampled_from([None, 0, 1, -1, 2**63 - 1, -(2**63)])
step = st.one_of(
    st.lists(st.tuples(texts, numbers, st.booleans() | st.none(), st.booleans()), max_size=12),
    st.sampled_from(["checkpoint", "restore", "interleaved"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(step, max_size=25), st.randoms(use_true_random=False))
def test_keyed_relation_against_dict(steps, random):
    """Each element of a list step upserts or deletes a key; order within the epoch is shuffled."""
    directory = Path(tempfile.mkdtemp())
    try:
        store, model, saved = fresh(), {}, (None, {})
        pending, pending_model = None, {}
        for number, action in enumerate(steps, 1):
            if isinstance(action, str):
                if pending is not None:
                    store.write_checkpoint(pending, directory)
                    saved = (store.finish_checkpoint(pending), pending_model)
                    pending = None
                if action == "checkpoint":
                    saved = (store.checkpoint(directory), dict(model))
                elif action == "interleaved":
                    pending, pending_model = store.begin_checkpoint(), dict(model)
                elif saved[0] is not None:
                    store, model = fresh(), dict(saved[1])
                    store.restore(directory, saved[0], number, 0)
            else:
                rows = []
                for text, n, flag, delete in action:
                    if (text, n) in model:
                        rows.append(((text, n, model.pop((text, n))), -1))
                    if not delete:
                        model[text, n] = flag
                        rows.append(((text, n, flag), 1))
                random.shuffle(rows)
                cut = random.randint(0, len(rows))
                parts = [p for p in (rows[:cut], rows[cut:]) if p]
                before, seen = store.read(), contents(store)
                store.publish(number, {OID: [change(*zip(*p, strict=True)) for p in parts]}, number)
                after = before.snapshot(OID).table()
                assert Counter(zip(*(c.to_pylist() for c in after.columns), strict=True)) == seen
            assert contents(store) == Counter((t, n, f) for (t, n), f in model.items())
        for (text, n), flag in model.items():
            found = store.relation(OID).lookup([pa.array([n], pa.int64()), pa.array([text], pa.string())])
            assert [tuple(r.values()) for r in found.to_pylist()] == [(text, n, flag)]
        assert store.relation(OID).lookup([pa.array([7], pa.int64()), pa.array(["nope"])]).num_rows == 0
    finally:
        shutil.rmtree(directory)


ALIKE = Layout((1, 2), (PgType(TEXT), PgType(1007)), ())
alike = st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from([None, [], [1], [1, None]]))
alike_step = st.one_of(
    st.lists(st.tuples(alike, st.integers(-3, 3)), max_size=8), st.sampled_from(["checkpoint", "restore"])
)


@given(st.lists(alike_step, max_size=25))
def test_relation_without_key_against_counter(steps):
    """Rows are counted; a deletion takes any one of the equal rows."""
    directory = Path(tempfile.mkdtemp())
    try:
        store, model, saved = fresh(ALIKE), Counter(), (None, Counter())
        for number, action in enumerate(steps, 1):
            if action == "checkpoint":
                saved = (store.checkpoint(directory), Counter(model))
            elif action == "restore":
                if saved[0] is not None:
                    store, model = fresh(ALIKE), Counter(saved[1])
                    store.restore(directory, saved[0], number, 0)
            else:
                rows = []
                for (text, numbers), wanted in action:
                    key = (text, repr(numbers))
                    weight = max(wanted, -model[key])
                    if weight:
                        rows.append(((text, numbers), weight))
                        model[key] += weight
                rows.reverse()
                if rows:
                    changes = [change(*zip(*rows, strict=True), layout=ALIKE)]
                    store.publish(number, {OID: changes}, 0)
            columns = [c.to_pylist() for c in store.read().snapshot(OID).table().columns]
            assert Counter((t, repr(n)) for t, n in zip(*columns, strict=True)) == +model
    finally:
        shutil.rmtree(directory)


def test_many_equal_rows_are_deleted_quickly():
    store = fresh(ALIKE)
    store.publish(1, {OID: [change([("a", [1])] * 100_000, layout=ALIKE)]}, 0)
    store.publish(2, {OID: [change([("a", [1])], [-99_999], layout=ALIKE)]}, 0)
    assert store.read().snapshot(OID).num_rows == 1


def test_weights_above_one_and_cancelling():
    store = fresh()
    store.publish(1, {OID: [change([("a", 1, True)] * 2, [3, -2])]}, 0)
    assert contents(store) == Counter([("a", 1, True)])


def test_deleting_what_is_not_there_is_an_error():
    store = fresh()
    store.publish(1, {OID: [change([("a", 1, True)])]}, 0)
    with pytest.raises(PgError) as error:
        store.publish(2, {OID: [change([("b", 1, True)], [-1])]}, 0)
    assert error.value.sqlstate == "XX000"


def test_a_key_twice_is_an_error():
    store = fresh()
    store.publish(1, {OID: [change([("a", 1, True)])]}, 0)
    store.relation(OID).lookup([pa.array([1]), pa.array(["a"])])
    with pytest.raises(PgError) as error:
        store.publish(2, {OID: [change([("a", 1, False)])]}, 0)
    assert error.value.sqlstate == "XX000"


def test_epochs_already_applied_are_ignored():
    store = fresh()
    store.publish(3, {OID: [change([("a", 1, True)])]}, 0)
    store.publish(3, {OID: [change([("b", 1, True)])]}, 0)
    assert contents(store) == Counter([("a", 1, True)])


def test_small_chunks_are_merged():
    store = fresh()
    for i in range(1000):
        store.publish(i + 1, {OID: [change([("a", i, True)])]}, 0)
    assert len(store.read().snapshot(OID).chunks) <= 11
    assert len(contents(store)) == 1000


def test_updates_leave_no_dead_rows_behind(tmp_path):
    layout = Layout((1, 2), (PgType(INT4), PgType(INT4)), (0,))
    store = fresh(layout)
    store.publish(1, {OID: [change([(i, 0) for i in range(1000)], layout=layout)]}, 0)
    for value in range(1, 30):
        rows = [(i, value - 1) for i in range(1000)] + [(i, value) for i in range(1000)]
        store.publish(value + 1, {OID: [change(rows, [-1] * 1000 + [1] * 1000, layout=layout)]}, 0)
        files = store.checkpoint(tmp_path)[OID]
    chunks = store.read().snapshot(OID).chunks
    assert sum(c.batch.num_rows for c in chunks) <= 2000
    assert len(files) <= 12
    again = fresh(layout)
    again.restore(tmp_path, {OID: files}, 31, 0)
    assert contents(again, layout) == Counter((i, 29) for i in range(1000))


def test_served_from_the_mapped_file_after_a_checkpoint(tmp_path):
    layout = Layout((0, 1), (PgType(INT8), PgType(INT8)), (0,))
    store = fresh(layout)
    rows = pa.compute.add(pa.array(np.arange(1_000_000)), 0)  # in Arrow's memory, not numpy's
    store.publish(1, {OID: [Change(pa.RecordBatch.from_arrays([rows, rows], names=["0", "1"]))]}, 0)
    del rows
    before = pa.total_allocated_bytes()
    store.checkpoint(tmp_path)
    assert pa.total_allocated_bytes() < before - 7_000_000
    assert store.read().snapshot(OID).num_rows == 1_000_000


def test_damaged_file_is_noticed(tmp_path):
    store = fresh()
    store.publish(1, {OID: [change([("a", 1, True)])]}, 0)
    files = store.checkpoint(tmp_path)
    path = tmp_path / files[OID][0].file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(PgError) as error:
        fresh().restore(tmp_path, files, 1, 0)
    assert error.value.sqlstate == "XX001"


def test_retention_by_age_rows_and_bytes():
    store = ServingStore()
    layout = Layout((0,), (PgType(INT8),), (0,))
    store.register(OID, layout, Retention(age=10))
    for i in range(30):
        rows = [(100 * i + j,) for j in range(100)]
        store.publish(i + 1, {OID: [change(rows, layout=layout)]}, i)
        store.relation(OID).lookup([pa.array([100 * i])])
    kept = sorted(contents(store, layout))
    assert kept[-1] == (2999,)
    assert len(kept) < 3000
    assert store.relation(OID).lookup([pa.array([0])]).num_rows == 0
    relation = store.relation(OID)
    assert relation.retained_since >= 29 - 10


@pytest.mark.parametrize("key", [(1, 0), ()])
def test_an_index_beyond_the_budget_lies_in_a_file(tmp_path, key):
    """And finds what it found before; a row whose key is the whole row may be there often."""
    layout = Layout(LAYOUT.attnums, LAYOUT.types, key)
    before = memory_budget(0)
    try:
        store = ServingStore(tmp_path)
        store.register(OID, layout)
        rows = [(str(i % 7), i // (1 if key else 3), True) for i in range(60_000)]
        for number, first in enumerate(range(0, len(rows), 5000), 1):
            store.publish(number, {OID: [change(rows[first : first + 5000], layout=layout)]}, 0)
        store.make_indexes([OID])
        mapped = [line for line in Path("/proc/self/maps").read_text().splitlines() if str(tmp_path) in line]
        assert mapped
        assert not list(tmp_path.iterdir())  # it has no name
        gone = rows[::3]
        store.publish(100, {OID: [change(gone, [-1] * len(gone), layout)]}, 0)
        again = gone[::2]
        store.publish(101, {OID: [change(again, layout=layout)]}, 0)
        assert contents(store, layout) == Counter(rows) - Counter(gone) + Counter(again)
    finally:
        memory_budget(before)
