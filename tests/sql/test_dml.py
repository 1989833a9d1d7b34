# ruff: noqa: E501
"""INSERT, UPDATE and DELETE bound: their rows, and PostgreSQL's errors."""

from __future__ import annotations

import pytest

from laminar.errors import PgError
from laminar.sql import statements as s
from laminar.sql.adhoc import run_sync
from laminar.sql.binder import bind_delete, bind_insert, bind_update
from laminar.sql.evaluator import Env
from laminar.sql.parse import parse
from laminar.sql.rewrite import rewrite
from laminar.sql.unnest import unnest
from tests.sql.catalog import TestCatalog

CATALOG = TestCatalog(
    """
    CREATE TABLE t (id int PRIMARY KEY, a int DEFAULT 5, b varchar(3), c numeric(8,2));
    CREATE TABLE n (a int, b text);
    CREATE TABLE g (a int, b int AS (a * 2));
    CREATE TABLE log (a int);
    CREATE VIEW v AS SELECT * FROM t;
    CREATE SOURCE ev (a int, ts timestamp);
    """
)
BIND = {s.Insert: bind_insert, s.Update: bind_update, s.Delete: bind_delete}


def bind(sql):
    statement = parse(sql)
    return BIND[type(statement)](statement, CATALOG)


def inserted(sql):
    bound = bind(sql)
    if bound.batch is not None:
        batches = [bound.batch]
    else:
        plan = rewrite(unnest(bound.plan), bound.plan.columns)
        batches = list(run_sync(plan, bound.plan.columns, lambda oid, attnums: None, Env()))
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        (
            "INSERT INTO n VALUES (1, 'x'), (NULL, 'it''s'), ('3', NULL)",
            [(1, "x"), (None, "it's"), (3, None)],
        ),
        ("INSERT INTO n (b, a) VALUES ('x', 1)", [(1, "x")]),
        ("INSERT INTO n VALUES (7)", [(7, None)]),
        ("INSERT INTO n VALUES (1 + 1, DEFAULT), (3, 'y' || 'z')", [(2, None), (3, "yz")]),
        ("INSERT INTO n VALUES (1, 2)", [(1, "2")]),
        ("INSERT INTO n DEFAULT VALUES", [(None, None)]),
        ("INSERT INTO n SELECT g, 'x' FROM generate_series(1, 2) g", [(1, "x"), (2, "x")]),
        ("INSERT INTO g VALUES (4)", [(4, 8)]),
        ("INSERT INTO g (b, a) VALUES (DEFAULT, 5)", [(5, 10)]),
    ],
)
def test_rows(sql, rows):
    assert inserted(sql) == rows


def test_defaults_fill_what_is_not_given():
    assert [row[:3] for row in inserted("INSERT INTO t (id) VALUES (1), (2)")] == [(1, 5, None), (2, 5, None)]


def test_many_literals_make_no_plan():
    bound = bind("INSERT INTO n VALUES " + ", ".join(f"({i}, 'n{i}')" for i in range(1000)))
    assert bound.plan is None
    assert bound.batch.num_rows == 1000


def test_update_gives_old_and_new_rows():
    bound = bind("UPDATE n SET a = a + 1 WHERE b = 'x' RETURNING a, b AS z")
    assert bound.key is not None
    assert {bound.key, *bound.old, *bound.new} <= set(bound.plan.columns)
    assert bound.returning[0].id == bound.new[0].id
    assert [c.name for c in bound.returning_columns] == ["a", "z"]


def test_tables_with_a_key_have_no_hidden_one():
    assert bind("DELETE FROM t").key is None
    assert bind("DELETE FROM n USING t WHERE n.a = t.id").key is not None


def test_on_conflict():
    conflict = bind(
        "INSERT INTO t AS x (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET a = excluded.a + x.a WHERE x.a > 1"
    ).on_conflict
    assert (conflict.action, conflict.arbiter) == ("update", (1,))
    assert [attnum for attnum, _ in conflict.assignments] == [2]


def test_parameters():
    assert [t.oid for t in bind("INSERT INTO t (id, b) VALUES ($1, $2)").param_types] == [23, 1043]
    assert [t.oid for t in bind("UPDATE t SET c = $1 WHERE id = $2").param_types] == [1700, 23]


@pytest.mark.parametrize(
    ("sql", "sqlstate", "position", "message"),
    [
        ("INSERT INTO n VALUES ('x', 'y')", "22P02", 23, 'invalid input syntax for type integer: "x"'),
        ("INSERT INTO n VALUES (1, 'y'), (true, 'y')", "42804", 33,
         'column "a" is of type integer but expression is of type boolean'),
        ("INSERT INTO n VALUES (1, 2, 3)", "42601", 29, "INSERT has more expressions than target columns"),
        ("INSERT INTO n (a, b) VALUES (1)", "42601", 19, "INSERT has more target columns than expressions"),
        ("INSERT INTO n (a, a) VALUES (1, 2)", "42701", 19, 'column "a" specified more than once'),
        ("INSERT INTO n (z) VALUES (1)", "42703", 16, 'column "z" of relation "n" does not exist'),
        ("INSERT INTO nosuch VALUES (1)", "42P01", 13, 'relation "nosuch" does not exist'),
        ("INSERT INTO n SELECT b, 'x' FROM t", "42804", 22,
         'column "a" is of type integer but expression is of type character varying'),
        ("INSERT INTO n VALUES (1), (1, 2)", "42601", 28, "VALUES lists must all be the same length"),
        ("INSERT INTO g VALUES (1, 2)", "428C9", None, 'cannot insert a non-DEFAULT value into column "b"'),
        ("INSERT INTO v VALUES (1)", "42809", 13, 'cannot insert into view "v"'),
        ("INSERT INTO t (id) VALUES (1) ON CONFLICT (a) DO NOTHING", "42P10", 31,
         "there is no unique or exclusion constraint matching the ON CONFLICT specification"),
        ("INSERT INTO t (id) VALUES (1) ON CONFLICT DO UPDATE SET a = 1", "42601", 31,
         "ON CONFLICT DO UPDATE requires inference specification or constraint name"),
        ("UPDATE t SET z = 1", "42703", 14, 'column "z" of relation "t" does not exist'),
        ("UPDATE t SET a = 1, a = 2", "42601", None, 'multiple assignments to same column "a"'),
        ("UPDATE t SET a = true", "42804", 18,
        'column "a" is of type integer but expression is of type boolean'),
        ("UPDATE t SET a = 1 WHERE id", "42804", 26, "argument of WHERE must be type boolean, not type integer"),
        ("UPDATE t SET a = sum(id)", "42803", 18, "aggregate functions are not allowed in UPDATE"),
        ("UPDATE ev SET a = 1", "42809", 8, 'cannot update source "ev"'),
        ("DELETE FROM t WHERE nosuch = 1", "42703", 21, 'column "nosuch" does not exist'),
        ("DELETE FROM n RETURNING sum(a)", "42803", 25, "aggregate functions are not allowed in RETURNING"),
    ],
)  # fmt: skip
def test_errors(sql, sqlstate, position, message):
    with pytest.raises(PgError) as caught:
        bind(sql)
    error = caught.value
    assert (error.sqlstate, error.position, error.message) == (sqlstate, position, message)
