"""SHOW of objects, SHOW CREATE, DESCRIBE."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from laminar.catalog.objects import KIND_NAMES, StoredRelation
from laminar.engine import statistics
from laminar.errors import UNDEFINED_TABLE, PgError, not_supported
from laminar.pgwire.backend import Result
from laminar.server import privileges
from laminar.server.session import Session
from laminar.server.sinks import without_secrets
from laminar.server.statements.base import Action, batches, text_batch, text_fields
from laminar.sql import statements as s
from laminar.sql.resolve import oid_name, type_name

_LISTS = {
    "sources": "source",
    "tables": "table",
    "materialized views": "mview",
    "views": "view",
    "streams": "stream",
    "sinks": "sink",
    "lookup tables": "lookup",
}
#: lists of things that are known words but not there yet
_EMPTY = ("indexes", "secrets", "jobs")


def is_object_list(name: str) -> bool:
    """Whether SHOW name lists objects rather than a setting."""
    return name.lower() in _LISTS or name.lower() in (*_EMPTY, "cluster", "schemas", "functions")


class ShowObjectsAction(Action):
    """SHOW SOURCES and the like."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.Show) -> None:
        super().__init__(session)
        self.what = statement.name.lower()
        self.schema = statement.schema
        if self.what in _EMPTY:
            raise not_supported(
                f"SHOW {self.what.upper()} is not supported yet", position=statement.pos or None
            )
        if self.what == "cluster":
            self.fields = text_fields("process", "process_id", "memory_bytes")
        elif self.what == "schemas":
            self.fields = text_fields("schema")
        elif self.what == "functions":
            self.fields = text_fields("schema", "name", "arguments", "result", "language", "owner")
        else:
            self.fields = text_fields("schema", "name", "owner")

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        return Result("SHOW", self.fields, batches(self._rows()), counts_rows=False)

    def _rows(self) -> pa.RecordBatch:
        if self.what == "schemas":
            return text_batch(sorted(self.database.catalog.schemas))
        if self.what == "cluster":
            found = statistics.reactors(self.database.coordinator)
            names = ["server", *(f"reactor {r.reactor}" for r in found)]
            pids = [os.getpid(), *(r.pid for r in found)]
            sizes = [memory_bytes(pid) for pid in pids]
            return text_batch(
                [*names, "all"], [*map(str, pids), None], [str(size) for size in (*sizes, sum(sizes))]
            )
        if self.what == "functions":
            return self._functions()
        kind = _LISTS[self.what]
        relations = sorted(
            (r for r in self.database.catalog.relations.values() if r.kind == kind),
            key=lambda r: (r.schema, r.name),
        )
        shown = [r for r in relations if self.schema in (None, r.schema)]
        return text_batch([r.schema for r in shown], [r.name for r in shown], [r.owner for r in shown])

    def _functions(self) -> pa.RecordBatch:
        functions = [f for f in self.database.catalog.functions.values() if self.schema in (None, f.schema)]
        functions.sort(key=lambda f: (f.schema, f.name, f.types))
        return text_batch(
            [f.schema for f in functions],
            [f.name for f in functions],
            [", ".join(oid_name(oid) for oid in f.types) for f in functions],
            [("SETOF " if f.returns_set else "") + oid_name(f.result) for f in functions],
            [f.language for f in functions],
            [f.owner for f in functions],
        )


def memory_bytes(pid: int) -> int:
    """A process's memory; what several share is divided among them (proc(5), smaps_rollup: Pss)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


class ShowCreateAction(Action):
    """SHOW CREATE kind name: the statement that made it."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.ShowCreate) -> None:
        super().__init__(session)
        found = session.catalog.find(statement.name)
        if found is None or KIND_NAMES[found.kind] != statement.kind:
            raise PgError(
                UNDEFINED_TABLE,
                f'{statement.kind} "{statement.name.name}" does not exist',
                position=statement.name.pos or None,
            )
        session.check_access(found)
        self.relation: StoredRelation = found
        self.fields = text_fields("name", "create_statement")

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        return Result("SHOW", self.fields, batches(text_batch([self.relation.name], [self._text()])))

    def _text(self) -> str:
        relation, session = self.relation, self.session
        if privileges.owns(session.database.catalog, session.role.name, relation.owner):
            return relation.sql
        return without_secrets(relation)


class DescribeAction(Action):
    """DESCRIBE name: its columns."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.Describe) -> None:
        super().__init__(session)
        self.relation = session.catalog.stored(statement.name)
        session.check_access(self.relation)
        self.fields = text_fields("column", "type", "nullable", "default")

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        columns = self.relation.columns
        batch = text_batch(
            [c.name for c in columns],
            [type_name(c.type) for c in columns],
            ["no" if c.not_null else "yes" for c in columns],
            [c.default for c in columns],
        )
        return Result("DESCRIBE", self.fields, batches(batch))
