"""System relations by name and oid, and their rows as snapshots."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from laminar.engine.serving import Layout, Snapshot
from laminar.engine.serving.chunk import Chunk
from laminar.types import BOOL, FLOAT8, INT2, INT4, INT8, NAME, OID, TEXT, TIMESTAMPTZ, PgType

if TYPE_CHECKING:
    from laminar.server.database import Database

Row = Sequence[Any]
Rows = Callable[["Database"], Iterable[Row]]

_TYPES = {
    "bool": BOOL,
    "char": 18,
    "float8": FLOAT8,
    "int2": INT2,
    "int4": INT4,
    "int8": INT8,
    "name": NAME,
    "oid": OID,
    "text": TEXT,
    "text[]": 1009,
    "timestamptz": TIMESTAMPTZ,
}


@dataclass(frozen=True, slots=True)
class SystemRelation:
    """A relation whose rows a function makes."""

    oid: int
    schema: str
    name: str
    columns: tuple[tuple[str, PgType], ...]
    rows: Rows

    def snapshot(self, database: Database) -> Snapshot:
        """Its rows as they are now."""
        layout = Layout(tuple(range(1, len(self.columns) + 1)), tuple(type_ for _, type_ in self.columns), ())
        rows = list(self.rows(database))
        arrays = [
            pa.array([row[i] for row in rows], type_.storage) for i, (_, type_) in enumerate(self.columns)
        ]
        batch = pa.RecordBatch.from_arrays(arrays, schema=layout.schema)
        return Snapshot(layout, (Chunk(batch, None, len(rows), (0, 0)),) if rows else ())


def columns(text: str) -> tuple[tuple[str, PgType], ...]:
    """Columns from ``"name type, name type"``."""
    pairs = (part.split() for part in text.split(","))
    return tuple((name, PgType(_TYPES[type_])) for name, type_ in pairs)


class SystemRelations:
    """All of them; oids below those of user objects, in the order of registration."""

    def __init__(self, database: Database) -> None:
        from laminar.catalog.system import information_schema, laminar_catalog, pg_catalog

        self._database = database
        self.by_oid: dict[int, SystemRelation] = {}
        self.by_name: dict[tuple[str, str], SystemRelation] = {}
        for module in (pg_catalog, information_schema, laminar_catalog):
            for oid, name, shape, rows in module.RELATIONS:
                relation = SystemRelation(oid, module.SCHEMA, name, columns(shape), rows)
                self.by_oid[oid] = relation
                self.by_name[module.SCHEMA, name] = relation

    def snapshot(self, oid: int) -> Snapshot | None:
        """Rows of a system relation; None when the oid is not one."""
        relation = self.by_oid.get(oid)
        return None if relation is None else relation.snapshot(self._database)
