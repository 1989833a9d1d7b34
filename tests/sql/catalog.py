"""A catalog for the binder's tests, made from CREATE statements."""

from __future__ import annotations

from dataclasses import replace

from laminar.sql import statements as s
from laminar.sql.binder import bind_query, bind_type
from laminar.sql.catalog_view import Attribute, Relation, Watermark
from laminar.sql.facts import ProcFact
from laminar.sql.parse import parse, split


class TestCatalog:
    __test__ = False
    database_name = "laminar"

    def __init__(self, script: str = "") -> None:
        self.relations: dict[tuple[str, str], Relation] = {}
        self.search_path = ("pg_catalog", "public")
        for text in split(script):
            if text.lstrip().upper().startswith("CREATE"):
                self.add(text)

    def add(self, text: str) -> Relation:
        statement = parse(text)
        oid = 16384 + len(self.relations)
        name = statement.name
        schema = name.schema or "public"
        if isinstance(statement, s.CreateView):
            bound = bind_query(statement.query, self)
            labels = statement.columns or [c.name for c in bound.columns]
            columns = tuple(
                Attribute(n, c.type, i) for i, (n, c) in enumerate(zip(labels, bound.columns, strict=True), 1)
            )
            relation = Relation(oid, schema, name.name, "view", columns, definition=statement.query_text)
        else:
            relation = self.stored(statement, oid, schema)
        self.relations[schema, relation.name] = relation
        return relation

    def stored(self, statement: s.CreateTable | s.CreateSource, oid: int, schema: str) -> Relation:
        elements = statement.elements
        columns = tuple(
            Attribute(c.name, bind_type(c.type), i, c.not_null, c.default_text, c.generated_text)
            for i, c in enumerate(elements.columns, 1)
        )
        numbers = {c.name: c.attnum for c in columns}
        key = [c.name for c in elements.columns if c.primary_key]
        for constraint in elements.constraints:
            if constraint.kind == "primary":
                key = [n for n, _ in constraint.columns]
        kind = "table" if isinstance(statement, s.CreateTable) else "source"
        relation = Relation(oid, schema, statement.name.name, kind, columns, tuple(numbers[n] for n in key))
        if elements.watermark is not None:
            relation = replace(relation, watermark=Watermark(numbers[elements.watermark.column], 0))
        return relation

    def relation(self, schema: str | None, name: str) -> Relation | None:
        schemas = [schema] if schema else self.search_path
        return next((r for x in schemas if (r := self.relations.get((x, name)))), None)

    def functions(self, schema: str | None, name: str) -> tuple[ProcFact, ...]:
        return ()

    def type_named(self, schema: str | None, name: str) -> None:
        return None

    def with_search_path(self, schemas):
        other = TestCatalog()
        other.relations, other.search_path = self.relations, tuple(schemas)
        return other
