"""Subqueries leave plain joins behind: shapes of plans (rows are compared in test_queries and test_tpch)."""

from __future__ import annotations

import pytest

from laminar.errors import PgError
from laminar.sql import plan as p
from laminar.sql.explain import explain
from laminar.sql.trees import walk_expressions, walk_plan
from tests.sql.engine import Engine
from tests.sql.test_queries import QUERIES, SCHEMA
from tests.sql.test_queries import tables as rows
from tests.sql.tpch import QUERIES as TPCH
from tests.sql.tpch import SCHEMA as TPCH_SCHEMA


@pytest.fixture(scope="module")
def engine():
    return Engine(SCHEMA, rows())


@pytest.fixture(scope="module")
def tpch():
    return Engine(TPCH_SCHEMA, {})


def flat(plan):
    """Whether nothing of a subquery is left."""
    if any(isinstance(part, p.Outer | p.Subquery) for part in walk_expressions(plan)):
        return False
    return not any(isinstance(node, p.Apply) for node in walk_plan(plan))


@pytest.mark.parametrize("sql", QUERIES)
def test_nothing_is_left(sql, engine):
    bound, plan = engine.plan(sql)
    assert flat(plan)
    assert plan.columns == bound.columns


@pytest.mark.parametrize("number", TPCH)
def test_tpch_joins_by_equalities(number, tpch):
    _, plan = tpch.plan(TPCH[number])
    assert flat(plan)
    for node in walk_plan(plan):
        if isinstance(node, p.Join) and node.kind == "cross":
            # the value of an uncorrelated subquery
            assert any(isinstance(below, p.GroupBy) and not below.keys for below in walk_plan(node.right))


def shape(engine, sql):
    """The plan without its expressions."""
    return [
        line.strip().removeprefix("-> ").split(" ")[0:2] for line in explain(engine.plan(sql)[1]).splitlines()
    ]


def kinds(engine, sql):
    return [node.kind for node in walk_plan(engine.plan(sql)[1]) if isinstance(node, p.Join)]


@pytest.mark.parametrize(
    ("sql", "joins"),
    [
        ("select id from t where exists (select 1 from u where u.t_id = t.id)", ["semi"]),
        ("select id from t where not exists (select 1 from u where u.t_id > t.id)", ["anti"]),
        ("select id from t where a in (select a from u)", ["semi"]),
        ("select id from t where a > all (select a from u)", ["anti"]),
        ("select id, (select max(x) from u where u.t_id = t.id) from t", ["left"]),
        ("select id, (select max(x) from u) from t", ["cross"]),
        ("select t.id, q.x from t, lateral (select u.x from u where u.a = t.a) q", ["inner"]),
        ("select t.id, q.x from t left join lateral (select u.x from u where u.a = t.a) q on true", ["left"]),
    ],
)
def test_simple_cases_take_simple_joins(sql, joins, engine):
    assert kinds(engine, sql) == joins


def test_equality_stands_for_the_domain(engine):
    """A correlated aggregate groups by the column that is compared; the outer rows are read once."""
    _, plan = engine.plan("select id, (select count(*) from u where u.a = t.a) from t")
    assert sum(isinstance(node, p.Scan) for node in walk_plan(plan)) == 2


def test_several_rows_are_an_error(engine):
    with pytest.raises(PgError) as caught:
        engine.run("select (select id from u)")
    assert caught.value.sqlstate == "21000"
    with pytest.raises(PgError) as caught:
        engine.run("select id, (select u.id from u where u.a = t.a) from t")
    assert caught.value.sqlstate == "21000"


def test_shape_helper_sees_the_tree(engine):
    assert shape(engine, "select id from t where a = 1") == [
        ["Project", "[#1"],
        ["Filter", "#2"],
        ["Scan", "16384"],
    ]
