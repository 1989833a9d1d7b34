"""Runs a query through parser, binder, unnesting, rewriting and ad-hoc execution over given rows."""

from __future__ import annotations

import pyarrow as pa

from laminar._native import textio
from laminar.sql.adhoc import run_sync
from laminar.sql.binder import bind_query
from laminar.sql.evaluator import Env
from laminar.sql.parse import parse_query
from laminar.sql.rewrite import rewrite
from laminar.sql.unnest import unnest
from tests.sql.catalog import TestCatalog

Row = tuple[str | None, ...]


class Snapshot:
    def __init__(self, arrays: list[pa.Array], rows: int) -> None:
        self.arrays, self.num_rows = arrays, rows

    def batches(self, attnums):
        if attnums:
            yield pa.RecordBatch.from_arrays([self.arrays[n - 1] for n in attnums], [str(n) for n in attnums])


class Engine:
    """``tables``: name -> rows of texts, for the relations of the script."""

    def __init__(self, script: str, tables: dict[str, list[Row]]) -> None:
        self.catalog = TestCatalog(script)
        self.snapshots: dict[int, Snapshot] = {}
        for name, rows in tables.items():
            relation = self.catalog.relation(None, name)
            columns = list(zip(*rows, strict=True)) if rows else [()] * len(relation.columns)
            arrays = [
                textio.parse_text(pa.array(list(texts), pa.string()), a.type)
                for texts, a in zip(columns, relation.columns, strict=True)
            ]
            self.snapshots[relation.oid] = Snapshot(arrays, len(rows))

    def plan(self, sql: str):
        bound = bind_query(parse_query(sql), self.catalog)
        return bound, rewrite(unnest(bound.plan), bound.columns)

    def run(self, sql: str) -> list[Row]:
        bound, plan = self.plan(sql)
        rows: list[Row] = []
        for batch in run_sync(plan, bound.columns, lambda oid, attnums: self.snapshots[oid], Env()):
            texts = [
                textio.format_text(column, c.type).to_pylist()
                for column, c in zip(batch.columns, bound.columns, strict=True)
            ]
            rows += list(zip(*texts, strict=True)) if texts else [()] * batch.num_rows
        return rows
