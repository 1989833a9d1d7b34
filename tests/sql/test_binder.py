"""Binding: types and errors as PostgreSQL has them (data/bind.json, recorded by data/record_bind.py)."""

from laminar.sql.binder import bind_query
from laminar.sql.parse import parse
from tests.sql.catalog import TestCatalog

CATALOG = TestCatalog("CREATE TABLE t (a int PRIMARY KEY, b text)")


def test_columns_and_parameters():
    bound = bind_query(parse("SELECT a, b || $1 AS x FROM t WHERE a = $2").query, CATALOG)
    assert [(c.name, c.type.oid) for c in bound.columns] == [("a", 23), ("x", 25)]
    assert [t.oid for t in bound.param_types] == [25, 23]
    assert bound.columns[0].origin == (16384, 1)
