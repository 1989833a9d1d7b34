"""The serving store and ad-hoc reads: rows per second of epochs, microseconds of lookups."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from laminar.engine.change import Change
from laminar.engine.serving import Layout, RelationStore, ServingStore
from laminar.sql.adhoc import run_sync
from laminar.sql.adhoc.pointread import narrowed
from laminar.sql.evaluator import Env
from laminar.sql.plan import (
    BOOLEAN,
    Aggregate,
    Call,
    Column,
    ColumnRef,
    Const,
    Filter,
    Function,
    GroupBy,
    Join,
    Project,
    Scan,
    Values,
)
from laminar.types import FLOAT8, INT4, INT8, TEXT, PgType

ROWS = 1_000_000
LAYOUT = Layout((1, 2, 3), (PgType(INT8), PgType(FLOAT8), PgType(TEXT)), (0,))


def rows(keys, value):
    return pa.RecordBatch.from_arrays(
        [pa.array(keys), pa.array(np.full(len(keys), value)), pa.array(["text"] * len(keys))],
        schema=LAYOUT.schema,
    )


@pytest.fixture
def store():
    made = RelationStore(1, LAYOUT)
    for start in range(0, ROWS, 65536):
        made.apply([Change(rows(np.arange(start, min(start + 65536, ROWS)), 0.0))])
    return made


def test_append_64k_rows(benchmark):
    batch = rows(np.arange(65536), 0.0)
    benchmark(lambda: RelationStore(1, LAYOUT).apply([Change(batch)]))


def test_build_index_of_a_million_rows(benchmark, store):
    def build():
        store._index = None
        return store.find([pa.array([5])])

    benchmark.pedantic(build, rounds=3)


@pytest.mark.parametrize("count", [1, 100, 10_000])
def test_epoch_of_random_updates(benchmark, store, count):
    """An epoch's updates by key, and the snapshot that readers then take."""
    random = np.random.default_rng(1)
    store.find([pa.array([5])])
    value = np.zeros(ROWS)

    def epoch():
        keys = random.choice(ROWS, count, replace=False)
        old, new = rows(keys, 0.0), rows(keys, 0.0)
        value[keys] += 1
        weights = np.repeat([-1, 1], count)
        store.apply([Change(pa.concat_batches([old, new]), weights)])
        return store.snapshot()

    benchmark.pedantic(epoch, rounds=20)


def test_one_lookup(benchmark, store):
    store.find([pa.array([5])])
    benchmark(lambda: store.lookup([pa.array([123_456])]))


def test_10_000_lookups(benchmark, store):
    keys = pa.array(np.random.default_rng(1).integers(0, ROWS, 10_000))
    store.find([keys])
    benchmark(lambda: store.find([keys]))


def test_checkpoint_of_a_million_rows(benchmark, store, tmp_path):
    from laminar.engine.serving import Checkpointer

    benchmark.pedantic(
        lambda checkpointer: checkpointer.checkpoint(tmp_path),
        setup=lambda: ((Checkpointer(store),), {}),
        rounds=1,
    )


def query(plan, snapshot):
    return lambda: list(run_sync(plan, plan.columns, lambda _oid, _attnums: snapshot, Env()))


def scan(first_id):
    columns = tuple(Column(first_id + i, "c", t) for i, t in enumerate(LAYOUT.types))
    return Scan(1, columns, LAYOUT.attnums)


def ref(plan, i):
    return ColumnRef(plan.columns[i].id, plan.columns[i].type)


def test_select_1(benchmark):
    plan = Project(Values(((),), ()), (Const(1, PgType(INT4)),), (Column(1, "c", PgType(INT4)),))
    benchmark(query(plan, None))


def test_small_join(benchmark):
    """The fixed cost of a plan that goes through DataFusion."""
    few = ServingStore()
    few.register(1, LAYOUT)
    few.publish(1, {1: [Change(rows(np.arange(100), 0.0))]}, 0)
    a, b = scan(0), scan(10)
    condition = Call(Function(0, "int8eq", "int8eq", True, "i"), (ref(a, 0), ref(b, 0)), BOOLEAN)
    benchmark(query(Join("inner", a, b, condition), few.read().snapshot(1)))


def test_group_by_over_a_million_rows(benchmark, store):
    table = scan(0)
    total = Aggregate(Function(0, "sum", "sum(float8)", True, "i"), (ref(table, 1),), PgType(FLOAT8))
    columns = tuple(Column(20 + i, "c", t) for i, t in enumerate((PgType(TEXT), PgType(FLOAT8))))
    plan = GroupBy(table, (ref(table, 2),), (total,), columns)
    benchmark.pedantic(query(plan, store.snapshot()), rounds=3)


def test_point_read(benchmark, store):
    """SELECT * FROM t WHERE id = 123456 without its parsing and planning."""
    table = scan(0)
    key = Call(
        Function(0, "int8eq", "int8eq", True, "i"), (ref(table, 0), Const(123_456, PgType(INT8))), BOOLEAN
    )
    plan = Filter(table, key)

    def read():
        point = narrowed(plan, lambda _oid: store, Env())
        return query(plan, point[1])()

    read()
    benchmark(read)
