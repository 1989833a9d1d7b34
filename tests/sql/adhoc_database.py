"""The same tables in PostgreSQL and in a serving store, and the same query on both."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pyarrow as pa

from laminar._native.textio import format_text, parse_text
from laminar.engine.change import Change
from laminar.engine.serving import Layout, ServingStore
from laminar.errors import PgError
from laminar.sql.adhoc import run_sync
from laminar.sql.binder import bind_query
from laminar.sql.catalog_view import Attribute, CatalogView, Relation
from laminar.sql.evaluator import Env
from laminar.sql.parse import parse_query
from laminar.sql.rewrite import rewrite
from laminar.sql.unnest import unnest
from laminar.types import INT8, NUMERIC, PgType, numeric

Row = tuple[str | None, ...]


@dataclass
class Database:
    """Tables that PostgreSQL made, copied value by value through their text form."""

    connection: psycopg.Connection[Any]
    store: ServingStore = field(default_factory=ServingStore)
    relations: dict[str, Relation] = field(default_factory=dict)

    database_name = "laminar"

    @property
    def search_path(self) -> tuple[str, ...]:
        return ("pg_catalog", "public")

    def with_search_path(self, schemas: Any) -> CatalogView:
        return self

    def relation(self, schema: str | None, name: str) -> Relation | None:
        return self.relations.get(name)

    def functions(self, schema: str | None, name: str) -> tuple[()]:
        return ()

    def type_named(self, schema: str | None, name: str) -> None:
        return None

    def mirror(self, name: str) -> None:
        """Take a table over from PostgreSQL."""
        columns = self.connection.execute(
            "SELECT attname, atttypid, atttypmod FROM pg_attribute "
            f"WHERE attrelid = '{name}'::regclass AND attnum > 0 ORDER BY attnum"
        ).fetchall()
        types = [_type(oid, typmod) for _, oid, typmod in columns]
        oid = 20000 + len(self.relations)
        attributes = tuple(
            Attribute(c[0], t, i) for i, (c, t) in enumerate(zip(columns, types, strict=True), 1)
        )
        self.relations[name] = Relation(oid, "public", name, "table", attributes)
        layout = Layout((*range(1, len(types) + 1), 0), (*types, PgType(INT8)), (len(types),))
        self.store.register(oid, layout)
        rows = self.rows(f"SELECT * FROM {name}")
        arrays = [parse_text(pa.array([r[i] for r in rows], pa.string()), t) for i, t in enumerate(types)]
        arrays.append(pa.array(range(len(rows)), pa.int64()))
        batch = pa.RecordBatch.from_arrays(arrays, schema=layout.schema)
        # several chunks, so that nothing depends on there being one
        for start in range(0, len(rows), max(1, len(rows) // 3)):
            part = batch.slice(start, max(1, len(rows) // 3))
            self.store.publish(self.store.epoch + 1, {oid: [Change(part)]}, 0)

    def rows(self, sql: str) -> list[Row]:
        """PostgreSQL's answer, as text."""
        cursor = self.connection.execute(sql)
        result = cursor.pgresult
        assert result is not None
        return [
            tuple(_decoded(result.get_value(i, j)) for j in range(result.nfields))
            for i in range(result.ntuples)
        ]

    def ours(self, sql: str) -> list[Row]:
        """Laminar's answer, as text."""
        bound = bind_query(parse_query(sql), self)
        plan = rewrite(unnest(bound.plan), bound.columns)
        view = self.store.read()
        rows: list[Row] = []
        for batch in run_sync(plan, bound.columns, lambda oid, _: view.snapshot(oid), Env()):
            texts = [
                format_text(a, c.type).to_pylist() for a, c in zip(batch.columns, bound.columns, strict=True)
            ]
            rows += zip(*texts, strict=True) if texts else [()] * batch.num_rows
        return rows

    def check(self, sql: str) -> None:
        """Both must answer the same: in the same order if the query has an outer ORDER BY."""
        try:
            expected: list[Row] | str = self.rows(sql)
        except psycopg.Error as error:
            expected = error.sqlstate or ""
        try:
            found: list[Row] | str = self.ours(sql)
        except PgError as error:
            if not isinstance(expected, str):
                raise
            found = error.sqlstate
        same = found == expected
        if not same and not isinstance(found, str) and not isinstance(expected, str):
            same = _alike(found, expected, ordered="-- ordered" in sql)
        assert same or found == expected, sql


def _decoded(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _type(oid: int, typmod: int) -> PgType:
    if oid == NUMERIC and typmod >= 0:
        return numeric((typmod - 4) >> 16, (typmod - 4) & 0x7FF)
    return PgType(oid, typmod)


def _alike(found: list[Row], expected: list[Row], ordered: bool) -> bool:
    """Equal texts; floats may differ in the last digits."""
    if found == expected or (not ordered and Counter(found) == Counter(expected)):
        return True
    if len(found) != len(expected):
        return False
    if not ordered:
        found, expected = sorted(found, key=_rough), sorted(expected, key=_rough)
    return all(all(map(_close, a, b)) for a, b in zip(found, expected, strict=True))


def _rough(row: Row) -> tuple[str, ...]:
    return tuple(_rounded(v) for v in row)


def _rounded(value: str | None) -> str:
    try:
        return f"{float(value or 'x'):.9g}"
    except ValueError:
        return str(value)


def _close(a: str | None, b: str | None) -> bool:
    if a == b:
        return True
    if {a, b} == {"0", "-0"}:  # equal, so that either may come first
        return True
    if a is None or b is None or not ({".", "e"} & set(a + b)):
        return False
    try:
        return math.isclose(float(a), float(b), rel_tol=1e-10, abs_tol=1e-9)
    except ValueError:
        return False
