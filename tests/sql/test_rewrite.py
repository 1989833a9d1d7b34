# ruff: noqa: E501
"""Rewrites: where predicates and columns end up (rows are compared in test_queries and test_tpch)."""

from __future__ import annotations

import pytest

from laminar.sql import plan as p
from laminar.sql.explain import explain
from laminar.sql.parse import parse_expression
from laminar.sql.rewrite.folding import fold
from laminar.sql.trees import walk_plan
from tests.sql.engine import Engine
from tests.sql.test_queries import SCHEMA


@pytest.fixture(scope="module")
def engine():
    return Engine(SCHEMA, {})


def text(engine, sql):
    return explain(engine.plan(sql)[1]).splitlines()


def nodes(engine, sql, kind):
    return [node for node in walk_plan(engine.plan(sql)[1]) if isinstance(node, kind)]


def joins(engine, sql):
    return [node.kind for node in nodes(engine, sql, p.Join)]


def test_golden(engine):
    sql = "select t.b, count(*) from t, u, w where w.v = 3 and t.a = u.a and u.id = w.k and t.id < 5 group by t.b"
    assert text(engine, sql) == [
        "Project [#3 as b#18, #16 as count#19]",
        "  -> GroupBy (#3) [count(*) as count#16]",
        "    -> Join inner on #7 = #13",
        "      -> Join inner on #2 = #9",
        "        -> Filter #1 < 5",
        "          -> Scan 16384 [id#1, a#2, b#3]",
        "        -> Scan 16385 [id#7, a#9]",
        "      -> Filter #15 = 3",
        "        -> Scan 16386 [k#13, v#15]",
    ]


@pytest.mark.parametrize(
    ("sql", "kinds"),
    [
        ("select 1 from t, w, u where t.a = u.a and u.id = w.k", ["inner", "inner"]),
        ("select 1 from t left join u on t.id = u.t_id where u.a = 1", ["inner"]),
        ("select 1 from t left join u on t.id = u.t_id where u.a is null", ["left"]),
        ("select 1 from t left join u on t.id = u.t_id where coalesce(u.a, 1) = 1", ["left"]),
        ("select 1 from t full join u on t.id = u.t_id where t.a = 1", ["left"]),
        ("select 1 from t full join u on t.id = u.t_id where t.a = u.a", ["inner"]),
        ("select 1 from t right join u on t.id = u.t_id where t.a > 1 or t.b = 'x'", ["inner"]),
    ],
)
def test_join_kinds(sql, kinds, engine):
    assert joins(engine, sql) == kinds


@pytest.mark.parametrize(
    "sql",
    [
        "select * from (select a, count(*) from t group by a) q where a = 1",
        "select * from (select distinct a, b from t) q where a = 1",
        "select * from (select a, rank() over (partition by a order by id) from t) q where a = 1",
        "select * from (select a from t union select a from u) q where a = 1",
        "select * from (select a + 1 as z from t order by z) q where z = 1",
        "select * from t left join u on t.id = u.t_id where t.a = 1",
        "select * from t left join u on t.id = u.t_id and u.a = 1",
    ],
)
def test_predicates_reach_the_scan(sql, engine):
    filters = nodes(engine, sql, p.Filter)
    assert filters
    assert all(isinstance(node.input, p.Scan) for node in filters)


@pytest.mark.parametrize(
    "sql",
    [
        "select * from (select a, id from t order by id limit 3) q where a = 1",
        "select * from (select a, rank() over (order by id) r from t) q where a = 1",
        "select * from (select a, count(*) n from t group by a) q where n = 1",
        "select * from (select a, random() r from t) q where r < 0.5",
        "select * from (select a, count(*) from t group by rollup (a)) q where a = 1",
    ],
)
def test_predicates_that_must_stay(sql, engine):
    (found,) = nodes(engine, sql, p.Filter)
    assert not isinstance(found.input, p.Scan)


def test_common_parts_of_or_become_join_conditions(engine):
    sql = "select 1 from t, u where (t.a = u.a and t.id = 1) or (t.a = u.a and u.id = 2)"
    assert joins(engine, sql) == ["inner"]


def test_only_what_is_read_is_scanned(engine):
    (scan,) = nodes(engine, "select b from t where a = 1", p.Scan)
    assert [column.name for column in scan.columns] == ["a", "b"]
    (scan,) = nodes(engine, "select count(*) from t", p.Scan)
    assert len(scan.columns) == 1


def test_projections_merge(engine):
    assert text(engine, "select z + 1 as y from (select a * 2 as z from (select a from t) p) q") == [
        "Project [(#2 * 2) + 1 as y#9]",
        "  -> Scan 16384 [a#2]",
    ]


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("1 + 2", 3),
        ("true and null", None),
        ("false and null", False),
        ("not true", False),
        ("upper('x')", "X"),
    ],
)
def test_folding(sql, value, engine):
    from laminar.sql.binder import bind_default
    from laminar.types import BOOL, INT4, TEXT, PgType

    oid = {int: INT4, str: TEXT}.get(type(value), BOOL)
    folded = fold(
        bind_default(
            parse_expression(sql), PgType(BOOL if isinstance(value, bool) else oid), "x", engine.catalog
        )
    )
    assert folded == p.Const(value, folded.type)


@pytest.mark.parametrize("sql", ["random()", "1 / 0", "now()", "generate_series(1, 2)"])
def test_what_is_not_folded(sql, engine):
    bound, _ = engine.plan(f"select {sql}")
    assert not isinstance(fold(bound.plan.exprs[0]), p.Const)
