"""Plan nodes of ad-hoc queries against plain Python, on rows with nulls, duplicates and odd floats."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from functools import cmp_to_key
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laminar.engine.change import Change
from laminar.engine.serving import Layout, ServingStore
from laminar.errors import PgError
from laminar.sql.adhoc import Limits, run_sync, smalljoin
from laminar.sql.adhoc.pointread import narrowed
from laminar.sql.evaluator import Env
from laminar.sql.plan import (
    BOOLEAN,
    Aggregate,
    BoolOp,
    Call,
    Column,
    ColumnRef,
    Const,
    Distinct,
    Filter,
    Frame,
    Function,
    GroupBy,
    Join,
    Limit,
    Scan,
    SetOp,
    Sort,
    SortItem,
    Values,
    Window,
    WindowCall,
)
from laminar.types import FLOAT8, INT4, INT8, TEXT, PgType

I4, I8, F8, T = PgType(INT4), PgType(INT8), PgType(FLOAT8), PgType(TEXT)
TYPES = (I4, F8, T)
ids = itertools.count()

ints = st.sampled_from([None, 0, 1, 2, -(2**31), 2**31 - 1])
floats = st.sampled_from([None, 0.0, -0.0, 1.5, float("nan"), float("inf"), -float("inf")])
texts = st.sampled_from([None, "", "a", "B", "é", "aa"])
relation = st.lists(st.tuples(ints, floats, texts), max_size=8)


def function(symbol):
    return Function(0, symbol.partition("(")[0], symbol, True, "i")


def call(symbol, type_, *args):
    return Call(function(symbol), args, type_)


def values(rows, types=TYPES):
    columns = tuple(Column(next(ids), "c", t) for t in types)
    return Values(tuple(tuple(Const(v, t) for v, t in zip(row, types, strict=True)) for row in rows), columns)


def ref(plan, i):
    return ColumnRef(plan.columns[i].id, plan.columns[i].type)


def new_columns(*types):
    return tuple(Column(next(ids), "c", t) for t in types)


def run(plan, **limits):
    rows = []
    for batch in run_sync(plan, plan.columns, None, Env(), Limits(**limits)):
        rows += (
            zip(*(c.to_pylist() for c in batch.columns), strict=True)
            if batch.num_columns
            else [()] * len(batch)
        )
    return rows


def same(value):
    """Equality as PostgreSQL's: one NaN, one zero."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value + 0.0
    return value


def bag(rows):
    return Counter(tuple(same(v) for v in row) for row in rows)


def equal(a, b):
    return None if a is None or b is None else same(a) == same(b)


def less(a, b):
    if a is None or b is None:
        return None
    return not math.isnan(a) and (math.isnan(b) or a < b) if isinstance(a, float) else a < b


@pytest.mark.parametrize("kind", ["inner", "left", "right", "full", "semi", "anti"])
@pytest.mark.parametrize("null_safe", [False, True])
@settings(max_examples=25)
@given(left=relation, right=relation, on=st.integers(0, 2), residual=st.booleans(), few=st.booleans())
def test_join(kind, null_safe, left, right, on, residual, few):
    a, b = values(left), values(right)
    eq = ["int4eq", "float8eq", "texteq"][on]
    if null_safe:
        condition = Distinct(ref(a, on), ref(b, on), function(eq), negated=True)
    else:
        condition = call(eq, BOOLEAN, ref(a, on), ref(b, on))
    if residual:
        condition = BoolOp("and", (condition, call("float8lt", BOOLEAN, ref(a, 1), ref(b, 1))))

    def matches(x, y):
        keys = same(x[on]) == same(y[on]) if null_safe else equal(x[on], y[on])
        return bool(keys) and (not residual or bool(less(x[1], y[1])))

    pairs = [(x, y) for x in left for y in right if matches(x, y)]
    lonely = [x for x in left if not any(matches(x, y) for y in right)]
    widows = [y for y in right if not any(matches(x, y) for x in left)]
    none = (None,) * 3
    expected = {
        "inner": [x + y for x, y in pairs],
        "left": [x + y for x, y in pairs] + [x + none for x in lonely],
        "right": [x + y for x, y in pairs] + [none + y for y in widows],
        "full": [x + y for x, y in pairs] + [x + none for x in lonely] + [none + y for y in widows],
        "semi": [x for x in left if x not in lonely],
        "anti": lonely,
    }[kind]
    if kind == "semi":
        expected = [x for x in left if any(matches(x, y) for y in right)]
    with patch.object(smalljoin, "MOST_ROWS", smalljoin.MOST_ROWS if few else 0):
        assert bag(run(Join(kind, a, b, condition))) == bag(expected)


@settings(max_examples=25)
@given(left=relation, right=relation)
def test_cross_join_and_join_of_joins(left, right):
    a, b, c = values(left), values(right), values(right)
    cross = Join("cross", a, b, None)
    assert bag(run(cross)) == bag(x + y for x in left for y in right)
    both = Join("inner", cross, c, call("int4eq", BOOLEAN, ref(b, 0), ref(c, 0)))
    assert bag(run(both)) == bag(x + y + z for x in left for y in right for z in right if equal(y[0], z[0]))


@pytest.mark.parametrize("op", ["union", "intersect", "except"])
@pytest.mark.parametrize("all_", [False, True])
@given(left=relation, right=relation)
def test_set_operations(op, all_, left, right):
    a, b = values(left), values(right)
    found = bag(run(SetOp(op, all_, a, b, new_columns(*TYPES))))
    x, y = bag(left), bag(right)
    if op == "union":
        expected = x + y if all_ else Counter(set(x) | set(y))
    elif op == "intersect":
        expected = x & y if all_ else Counter(set(x) & set(y))
    else:
        expected = x - y if all_ else Counter(set(x) - set(y))
    assert found == expected


def compare(item, x, y):
    if x is None or y is None:
        if x is y:
            return 0
        return (-1 if x is None else 1) * (1 if item.nulls_first else -1)
    if same(x) == same(y):
        return 0
    before = (
        less(x, y) if isinstance(x, float) else (x.encode() < y.encode() if isinstance(x, str) else x < y)
    )
    return -1 if before != item.descending else 1


orders = st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.booleans()), min_size=1, max_size=3)


@settings(max_examples=50)
@given(rows=relation, order=orders, here=st.booleans())
def test_sort_and_limit(rows, order, here):
    from laminar.sql.adhoc import execute

    a = values(rows)
    items = tuple(SortItem(ref(a, i), d, n) for i, d, n in order)

    def by(x, y):
        for item, (i, _, _) in zip(items, order, strict=True):
            if c := compare(item, x[i], y[i]):
                return c
        return 0

    expected = sorted(rows, key=cmp_to_key(by))
    threshold, execute.SORT_HERE = execute.SORT_HERE, 100_000 if here else -1
    try:
        found = run(Sort(a, items))
        first = run(Limit(Sort(a, items), Const(3, I8), Const(1, I8)))
    finally:
        execute.SORT_HERE = threshold
    keys = [[same(row[i]) for i, _, _ in order] for row in expected]
    assert [[same(row[i]) for i, _, _ in order] for row in found] == keys
    assert [[same(row[i]) for i, _, _ in order] for row in first] == keys[1:4]
    assert bag(found) == bag(rows)


@given(rows=relation)
def test_grouping(rows):
    a = values(rows)
    key = ref(a, 1)
    calls = [("count()", I8, ()), ("sum(int4)", I8, (0,)), ("min(text)", T, (2,)), ("max(float8)", F8, (1,))]
    aggregates = tuple(Aggregate(function(s), tuple(ref(a, i) for i in args), t) for s, t, args in calls)
    found = run(GroupBy(a, (key,), aggregates, new_columns(F8, I8, I8, T, F8)))
    expected = []
    for value in {same(r[1]) for r in rows}:
        group = [r for r in rows if same(r[1]) == value]
        numbers = [r[0] for r in group if r[0] is not None]
        strings = [r[2] for r in group if r[2] is not None]
        expected.append(
            (
                value,
                len(group),
                sum(numbers) if numbers else None,
                min(strings, key=str.encode, default=None),
                value,
            )
        )
    assert bag(found) == Counter(expected)


@given(
    rows=relation,
    mode=st.sampled_from(["rows", "range", "groups"]),
    start=st.sampled_from(["unbounded_preceding", "preceding", "current", "following"]),
    end=st.sampled_from(["preceding", "current", "following", "unbounded_following"]),
    size=st.integers(0, 3),
    exclude=st.sampled_from(["no_others", "current", "group", "ties"]),
    descending=st.booleans(),
)
def test_window_frames(rows, mode, start, end, size, exclude, descending):
    """count, sum and max over every kind of frame, against frames written out row by row."""
    kinds = ["unbounded_preceding", "preceding", "current", "following", "unbounded_following"]
    if kinds.index(start) > kinds.index(end):
        start, end = end, start
    rows = [(*row, i) for i, row in enumerate(rows)]
    a = values(rows, (*TYPES, I4))
    offset = Const(size, I4)
    frame = Frame(mode, (start, offset if "ing" in start[-3:] else None), (end, offset), exclude)
    order = SortItem(ref(a, 0), descending, descending)
    calls = [("count()", I8, ()), ("sum(int4)", I8, (3,)), ("max(text)", T, (2,)), ("sum(float8)", F8, (1,))]
    node = Window(
        a,
        tuple(
            WindowCall(function(s), tuple(ref(a, i) for i in args), t, (ref(a, 2),), (order,), frame)
            for s, t, args in calls
        ),
        new_columns(I8, I8, T, F8),
    )
    found = {row[3]: row[4:7] for row in run(node)}
    for row in rows:
        part = [r for r in rows if r[2] == row[2]]
        part.sort(key=cmp_to_key(lambda x, y: compare(order, x[0], y[0])))
        members = frame_of(part, part.index(row), mode, start, end, size, exclude, descending)
        strings = [m[2] for m in members if m[2] is not None]
        total = sum(m[3] for m in members) if members else None
        assert found[row[3]] == (len(members), total, max(strings, key=str.encode, default=None))


def frame_of(part, at, mode, start, end, size, exclude, descending):
    here = part[at][0]
    groups = [list(g) for _, g in itertools.groupby(range(len(part)), key=lambda i: part[i][0])]
    group = next(g for g, members in enumerate(groups) if at in members)

    def inside(i):
        """Whether position i lies within both bounds."""
        if mode == "rows":
            distance = i - at
        elif mode == "groups":
            distance = next(g for g, members in enumerate(groups) if i in members) - group
        else:
            other = part[i][0]
            if here is None and other is None:
                return True
            if here is None or other is None:
                return end == "unbounded_following" if i > at else start == "unbounded_preceding"
            distance = (here - other) if descending else (other - here)
        low = {"unbounded_preceding": -math.inf, "preceding": -size, "current": 0, "following": size}[start]
        high = {"unbounded_following": math.inf, "preceding": -size, "current": 0, "following": size}[end]
        return low <= distance <= high

    members = [i for i in range(len(part)) if inside(i)]
    if exclude == "current":
        members = [i for i in members if i != at]
    elif exclude == "group":
        members = [i for i in members if i not in groups[group]]
    elif exclude == "ties":
        members = [i for i in members if i == at or i not in groups[group]]
    return [part[i] for i in members]


def test_division_by_zero_inside_a_join_is_the_error_reported():
    a, b = values([(1, 1.0, "a")]), values([(0, 1.0, "a")])
    condition = call("int4eq", BOOLEAN, call("int4div", I4, ref(a, 0), ref(b, 0)), Const(1, I4))
    with pytest.raises(PgError) as error:
        run(Join("left", a, b, condition))
    assert error.value.sqlstate == "22012"


def test_memory_limit():
    a = values([(1, 1.0, "a" * 1000)] * 50)
    with pytest.raises(PgError) as error:
        run(GroupBy(a, (), (), ()), memory=1000)
    assert error.value.sqlstate == "53200"


def keyed_store(rows):
    layout = Layout((1, 2, 3), TYPES, (1, 0))
    store = ServingStore()
    store.register(1, layout)
    columns = [pa.array([r[i] for r in rows], t.storage) for i, t in enumerate(TYPES)]
    store.publish(1, {1: [Change(pa.RecordBatch.from_arrays(columns, schema=layout.schema))]}, 0)
    return store


@given(rows=relation, i=ints, f=floats)
def test_point_read(rows, i, f):
    """A row by its key: through the index if and only if all of the key is given."""
    rows = list({(same(f_), i_): (i_, f_, t) for i_, f_, t in rows}.values())
    store = keyed_store(rows)
    scan = Scan(1, new_columns(*TYPES), (1, 2, 3))
    by_i = call("int4eq", BOOLEAN, Const(i, I4), ref(scan, 0))
    by_f = call("float8eq", BOOLEAN, ref(scan, 1), Const(f, F8))
    snapshot = store.read().snapshot(1)
    for condition, whole in ((BoolOp("and", (by_i, by_f)), True), (by_i, False), (by_f, False)):
        plan = Filter(scan, condition)
        point = narrowed(plan, store.relation, Env())
        assert (point is not None) == whole
        used = point[1] if point is not None else snapshot
        found = [
            row
            for batch in run_sync(plan, plan.columns, lambda _oid, _attnums, used=used: used, Env())
            for row in zip(*(c.to_pylist() for c in batch.columns), strict=True)
        ]
        conditions = [equal(i, r[0]) for r in rows], [equal(f, r[1]) for r in rows]
        wanted = zip(*conditions, strict=True)
        if not whole:
            wanted = ((x,) for x in conditions[condition is by_f])
        assert bag(found) == bag(r for r, w in zip(rows, wanted, strict=True) if all(w))
