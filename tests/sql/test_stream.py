"""Stream plans as golden text: SQL in, nodes with their properties out.

``LAMINAR_WRITE_GOLDEN=1`` writes the file anew; read the difference before committing it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from laminar.engine.nodes import GroupAggregate, Materialize
from laminar.engine.relations import topological
from laminar.errors import PgError
from laminar.sql.binder import bind_emit, bind_query
from laminar.sql.parse import parse, split
from laminar.sql.rewrite import rewrite
from laminar.sql.stream import plan_view
from laminar.sql.stream.explain import explain_stream
from laminar.sql.stream.shape import LookupShape, Shape
from laminar.sql.unnest import unnest
from tests.sql.catalog import TestCatalog

SCHEMA = """
CREATE TABLE t (id int PRIMARY KEY, k text, v int, f float8);
CREATE TABLE u (k text PRIMARY KEY, name text, w bigint);
CREATE SOURCE s (k text, v int, at timestamp, WATERMARK FOR at);
CREATE TABLE d (k text PRIMARY KEY, name text, w bigint);
"""
DATA = Path(__file__).parent / "data"
GOLDEN = DATA / "stream_plans.txt"


class Shapes:
    """What the catalog would say of the schema's relations."""

    def __init__(self, reactors: int) -> None:
        self.reactors = reactors
        self.catalog = TestCatalog(SCHEMA)

    def is_lookup(self, relation: int) -> bool:
        return any(r.name == "d" for r in self.catalog.relations.values() if r.oid == relation)

    def shape(self, relation: int) -> Shape:
        found = next(r for r in self.catalog.relations.values() if r.oid == relation)
        if self.is_lookup(relation):
            return Shape(found.primary_key, lookup=LookupShape(found.name, 60_000_000, 1000))
        watermark = frozenset((found.watermark.attnum,)) if found.watermark else frozenset()
        return Shape(found.primary_key, found.kind == "source", watermark, {}, bool(watermark))


def plan(query: str, reactors: int = 1) -> tuple[Materialize, Shapes]:
    shapes = Shapes(reactors)
    statement = parse(f"CREATE MATERIALIZED VIEW v AS {query}")
    bound = bind_query(statement.query, shapes.catalog)
    emit = bind_emit(statement.emit, shapes.catalog)
    return plan_view(1, rewrite(unnest(bound.plan), bound.columns), bound.columns, emit, shapes), shapes


def described(query: str, reactors: int) -> str:
    root, shapes = plan(query, reactors)
    names = {r.oid: r.name for r in shapes.catalog.relations.values()} | {1: "v"}
    return "\n".join(explain_stream(root, names))


def queries() -> list[str]:
    texts = split((DATA / "stream_plans.sql").read_text())
    return [re.sub(r"--.*", "", text).strip() for text in texts]


def golden() -> dict[str, str]:
    parts = re.split(r"^=== (.*)$", GOLDEN.read_text(), flags=re.M)[1:]
    return {name: text.strip("\n") for name, text in zip(parts[::2], parts[1::2], strict=True)}


def test_golden_plans() -> None:
    cases = {f"{n} reactor{'s' if n > 1 else ''}: {q}": (q, n) for q in queries() for n in (1, 2)}
    found = {name: described(query, n) for name, (query, n) in cases.items()}
    if os.environ.get("LAMINAR_WRITE_GOLDEN"):
        GOLDEN.write_text("\n".join(f"=== {name}\n{text}\n" for name, text in found.items()))
    assert found == golden()


def test_node_numbers_are_the_same_every_time() -> None:
    for query in queries():
        assert plan(query)[0] == plan(query)[0]


@pytest.mark.parametrize(
    ("query", "message", "hint"),
    [
        ("SELECT k, count(*) FROM t GROUP BY k EMIT ON WINDOW CLOSE", "needs a window", "TUMBLE"),
        ("SELECT k FROM s EMIT ON WINDOW CLOSE", "needs a window", "WATERMARK"),
        (
            "SELECT k, count(*) FROM s GROUP BY k ALLOW LATENESS INTERVAL '1 second'",
            "ALLOW LATENESS needs",
            "TUMBLE",
        ),
        ("SELECT id FROM t EMIT FINAL", "EMIT FINAL needs a window", "WATERMARK"),
        ("SELECT id FROM t EMIT AFTER WATERMARK", "EMIT AFTER WATERMARK needs a window", "WATERMARK"),
        ("SELECT now() FROM t", r"now\(\) cannot be used this way", "Compare a time"),
        ("SELECT k, name FROM d", "can only be joined by its whole primary key", "for every key column"),
        ("SELECT t.id FROM t JOIN d ON t.k = d.name", "can only be joined", "for every key column"),
        ("SELECT t.id FROM t FULL JOIN d ON t.k = d.k", "can only be joined", "for every key column"),
        ("SELECT t.id FROM d LEFT JOIN t ON t.k = d.k", "can only be joined", "for every key column"),
        ("SELECT random() FROM t", "volatile function random", "before the row is inserted"),
    ],
)
def test_what_is_refused_says_why_and_what_helps(query: str, message: str, hint: str) -> None:
    with pytest.raises(PgError, match=message) as caught:
        plan(query)
    assert caught.value.sqlstate == "0A000"
    assert hint in (caught.value.hint or "")


def test_an_aggregation_that_is_there_twice_is_kept_once() -> None:
    """Also where the two differ in names; not where a value is written otherwise."""
    counts = "SELECT k AS key, count(*) AS {} FROM t GROUP BY k HAVING count(*) > {}"
    query = "SELECT a.key, x, y FROM ({}) a JOIN ({}) b ON a.key = b.key"

    def aggregations(query: str) -> int:
        root, _ = plan(query)
        return sum(isinstance(node, GroupAggregate) for node in topological(root))

    assert aggregations(query.format(counts.format("x", 1), counts.format("y", 1))) == 1
    assert aggregations(query.format(counts.format("x", 1), counts.format("y", 2))) == 1
    sums = "SELECT k AS key, sum(v + {}) AS {} FROM t GROUP BY k"
    assert aggregations(query.format(sums.format(1, "x"), sums.format(1, "y"))) == 1
    assert aggregations(query.format(sums.format("1.0", "x"), sums.format("1.00", "y"))) == 2
