"""INSERT, UPDATE, DELETE against a dict, within transactions and between them."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laminar.engine.change import Change
from laminar.engine.serving import Layout, ServingStore, Writes, overlay
from laminar.errors import PgError
from laminar.server import dml
from laminar.server.conflicts import WriteGuard
from laminar.sql.evaluator import Env
from laminar.sql.plan import BOOLEAN, Call, ColumnRef, Const, Function
from laminar.types import INT4, INT8, TEXT, PgType

OID = 16390
I4, I8, T = PgType(INT4), PgType(INT8), PgType(TEXT)


def relation(primary_key=(1,), not_null=()):
    columns = tuple(
        SimpleNamespace(name=n, type=t, attnum=i, not_null=i in not_null)
        for i, (n, t) in enumerate([("id", I4), ("name", T)], 1)
    )
    return SimpleNamespace(
        oid=OID,
        schema="public",
        name="t",
        columns=columns,
        primary_key=primary_key,
        on_conflict="error",
        uniques=(),
    )


KEYED = Layout((1, 2, -1), (I4, T, I8), (0,))
NUMBERED = Layout((1, 2, 0), (I4, T, I8), (2,))


def rows(values):
    return pa.RecordBatch.from_arrays(
        [pa.array([v[0] for v in values], pa.int32()), pa.array([v[1] for v in values], pa.string())],
        names=["1", "2"],
    )


def stored(layout, values, first=0):
    extra = pa.array(range(first, first + len(values)), pa.int64())
    return pa.RecordBatch.from_arrays([*rows(values).columns, extra], schema=layout.schema)


def store_with(layout, values):
    store = ServingStore()
    store.register(OID, layout)
    store.publish(1, {OID: [Change(stored(layout, values))]}, 0)
    return store


def visible(snapshot):
    return Counter(zip(*(c.to_pylist() for c in snapshot.table((1, 2)).columns), strict=True))


def table(store, writes=None, checks=(), **of):
    return dml.Table(relation(**of), store.read().snapshot(OID), store.relation(OID), writes, checks)


def test_duplicate_key():
    store = store_with(KEYED, [(1, "a")])
    for batch in ([(1, "b")], [(2, "a"), (3, "c"), (2, "b")]):
        with pytest.raises(PgError) as error:
            dml.insert(table(store), rows(batch), Env())
        assert error.value.sqlstate == "23505"
        assert error.value.message == 'duplicate key value violates unique constraint "t_pkey"'
        assert error.value.detail == f"Key (id)=({1 if len(batch) == 1 else 2}) already exists."
        assert error.value.fields == {"s": "public", "t": "t", "n": "t_pkey"}


def test_not_null():
    store = store_with(KEYED, [])
    with pytest.raises(PgError) as error:
        dml.insert(table(store, not_null=(2,)), rows([(1, "a"), (2, None)]), Env())
    assert (error.value.sqlstate, error.value.detail) == ("23502", "Failing row contains (2, null).")
    assert error.value.message == 'null value in column "name" of relation "t" violates not-null constraint'
    with pytest.raises(PgError) as error:
        dml.insert(table(store), rows([(None, "a")]), Env())
    assert error.value.fields["c"] == "id"


def test_check_constraint_lets_null_pass():
    positive = Call(Function(0, "int4gt", "int4gt", True, "i"), (ColumnRef(1, I4), Const(0, I4)), BOOLEAN)
    store = store_with(NUMBERED, [])
    target = table(store, None, [dml.Check("t_id_check", positive)], primary_key=())
    assert dml.insert(target, rows([(None, "a"), (1, "b")]), Env()).count == 2
    with pytest.raises(PgError) as error:
        dml.insert(target, rows([(1, "b"), (-5, "long" * 30)]), Env())
    assert error.value.message == 'new row for relation "t" violates check constraint "t_id_check"'
    assert error.value.detail == f"Failing row contains (-5, {'long' * 16}...)."


def test_on_conflict_do_nothing_and_update():
    store = store_with(KEYED, [(1, "a"), (2, "b")])
    batch = rows([(1, "x"), (3, "y"), (3, "z")])
    effect = dml.insert(table(store), batch, Env(), "nothing")
    assert (effect.count, effect.rows.to_pylist()) == (1, [{"1": 3, "2": "y"}])

    def resolve(existing, excluded):
        names = [
            f"{a}+{b}" for a, b in zip(existing["2"].to_pylist(), excluded["2"].to_pylist(), strict=True)
        ]
        return rows(list(zip(existing["1"].to_pylist(), names, strict=True))), np.array([True] * len(names))

    effect = dml.insert(table(store), rows([(2, "x"), (4, "y"), (1, "z")]), Env(), resolve)
    assert effect.count == 3
    after = overlay(store.read().snapshot(OID), [effect.change])
    assert visible(after) == Counter([(1, "a+z"), (2, "b+x"), (4, "y")])
    with pytest.raises(PgError) as error:
        dml.insert(table(store), batch, Env(), resolve)
    assert error.value.sqlstate == "21000"


values = st.lists(st.tuples(st.integers(0, 6), st.sampled_from([None, "", "a", "b"])), max_size=6)
statement = st.tuples(st.sampled_from(["insert", "update", "delete", "shift", "rollback", "publish"]), values)


@pytest.mark.parametrize("keyed", [True, False])
@given(start=values, steps=st.lists(statement, max_size=12))
def test_transaction_sees_its_own_writes(keyed, start, steps):
    """Random statements of one transaction; epochs of others go on being published meanwhile."""
    layout = KEYED if keyed else NUMBERED
    if keyed:
        start = list(dict(start).items())
    store = store_with(layout, start)
    base, writes, model, changes = store.read().snapshot(OID), Writes(layout), Counter(start), []
    target = dml.Table(relation((1,) if keyed else ()), base, store.relation(OID), writes)
    other = 1000
    for action, batch in steps:
        wanted = {v[0] for v in batch}
        now = target.snapshot().table().combine_chunks().to_batches()
        now = now[0] if now else layout.schema.empty_table().combine_chunks().to_batches()
        if action == "rollback":
            writes.__init__(layout)
            changes, model = [], Counter(start)
            continue
        if action == "publish":
            extra = stored(layout, [(other, "other")], other)
            store.publish(store.epoch + 1, {OID: [Change(extra)]}, 0)
            other += 1
            continue
        if not isinstance(now, pa.RecordBatch):
            now = pa.RecordBatch.from_pylist([], schema=layout.schema)
        now = pa.RecordBatch.from_arrays(now.columns, schema=layout.schema)
        hit = now.filter(pa.array([k in wanted for k in now["1"].to_pylist()], pa.bool_()))
        if action == "insert":
            taken = {k for k, _ in model.elements()}
            keys = [k for k, _ in batch]
            if keyed and (wanted & taken or len(wanted) < len(keys)):
                with pytest.raises(PgError) as error:
                    dml.insert(target, rows(batch), Env())
                assert error.value.sqlstate == "23505"
                continue
            effect = dml.insert(target, rows(batch), Env())
            model += Counter(batch)
        elif action == "delete":
            effect = dml.delete(target, hit)
            model = Counter([r for r in model.elements() if r[0] not in wanted])
        else:
            by = 10 if action == "shift" else 0
            old = list(zip(hit["1"].to_pylist(), hit["2"].to_pylist(), strict=True))
            new = [(k + by, f"{v}!") for k, v in old]
            stay = {k for k, _ in (model - Counter(old))}
            if keyed and stay & {k for k, _ in new}:
                with pytest.raises(PgError):
                    dml.update(target, hit, rows(new), Env())
                continue
            effect = dml.update(target, hit, rows(new), Env())
            model = model - Counter(old) + Counter(new)
        if effect.change is not None:
            changes.append(effect.change)
            writes.apply(effect.change)
        assert visible(target.snapshot()) == model
        assert visible(overlay(base, changes)) == model
    net = dml.commit_change(changes, layout)
    if net is not None:
        if not keyed:
            ids = net.batch.column(2)
            fresh = pa.array(range(10_000, 10_000 + len(net)))
            filled = pa.compute.if_else(ids.is_null(), fresh, ids)
            net = Change(net.batch.set_column(2, layout.schema.field(2), filled), net.weights)
        store.publish(store.epoch + 1, {OID: [net]}, 0)
    expected = model + Counter((i, "other") for i in range(1000, other))
    assert visible(store.read().snapshot(OID)) == expected


def accept(guard, target, changes, epoch, seen):
    net = dml.commit_change([c for c in changes if c is not None], target.layout)
    guard.check(target.relation, net, seen)
    guard.accepted(OID, net, epoch)
    return net


def test_first_committer_wins():
    store = store_with(KEYED, [(1, "a"), (2, "b")])
    guard = WriteGuard(store)
    seen = store.epoch
    first, second = table(store), table(store)
    old = first.snapshot().table().to_batches()[0].slice(0, 1)
    old = pa.RecordBatch.from_arrays(old.columns, schema=KEYED.schema)
    one = accept(guard, first, [dml.update(first, old, rows([(1, "x")]), Env()).change], 2, seen)
    with pytest.raises(PgError) as error:
        accept(guard, second, [dml.delete(second, old).change], 2, seen)
    assert error.value.sqlstate == "40001"
    store.publish(2, {OID: [one]}, 0)
    with pytest.raises(PgError):
        accept(guard, second, [dml.delete(second, old).change], 3, seen)
    guard.prune(2)
    fresh = table(store)
    old = pa.RecordBatch.from_arrays(fresh.snapshot().table().to_batches()[-1].columns, schema=KEYED.schema)
    accept(guard, fresh, [dml.delete(fresh, old).change], 3, store.epoch)


def test_key_inserted_by_an_unpublished_transaction():
    store = store_with(KEYED, [(1, "a")])
    guard = WriteGuard(store)
    target = table(store)
    accept(guard, target, [dml.insert(target, rows([(2, "x")]), Env()).change], 2, 1)
    with pytest.raises(PgError) as error:
        accept(guard, target, [dml.insert(target, rows([(2, "y")]), Env()).change], 2, 1)
    assert (error.value.sqlstate, error.value.detail) == ("23505", "Key (id)=(2) already exists.")
