"""System relations by name and oid, and their rows as snapshots."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from laminar.engine.serving import Layout, Snapshot
from laminar.engine.serving.chunk import Chunk
from laminar.sql import facts
from laminar.types import ARRAY_OF, TEXT, PgType, supported

if TYPE_CHECKING:
    from laminar.server.session import Session

Row = Sequence[Any]
#: rows as mappings from column to value; what is left out is null
Rows = Callable[["Session"], Iterable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class SystemColumn:
    """``declared`` is the type's oid as pg_attribute has it: information_schema's are domains."""

    name: str
    type: PgType
    declared: int
    not_null: bool = False


@dataclass(frozen=True, slots=True)
class SystemRelation:
    """A relation whose rows a function makes; without one it is empty.

    Args:
        kind: r or v, as in PostgreSQL's pg_class.
        fixed: rows that are the same in every database, values in the columns' order.
        row_type: pg_class.reltype.
    """

    oid: int
    schema: str
    name: str
    kind: str
    columns: tuple[SystemColumn, ...]
    rows: Rows | None = None
    fixed: Callable[[], Iterable[Row]] | None = None
    row_type: int = 0
    shared: bool = False

    def snapshot(self, session: Session) -> Snapshot:
        """Its rows as they are now, as this session sees them."""
        types = tuple(column.type for column in self.columns)
        layout = Layout(tuple(range(1, len(types) + 1)), types, ())
        made = [] if self.rows is None else list(self.rows(session))
        columns = [[row.get(column.name) for row in made] for column in self.columns]
        batches = [self._batch(columns, layout.schema)] if made else []
        if self.fixed is not None:
            batches.append(_fixed(self))
        return Snapshot(layout, tuple(Chunk(b, None, b.num_rows, (0, 0)) for b in batches if b.num_rows))

    def _batch(self, columns: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.RecordBatch:
        arrays = [
            pa.array(values, column.type.storage)
            for values, column in zip(columns, self.columns, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def fixed_batch(self) -> pa.RecordBatch:
        """The rows that every database has."""
        types = tuple(column.type for column in self.columns)
        layout = Layout(tuple(range(1, len(types) + 1)), types, ())
        rows = list(self.fixed()) if self.fixed is not None else []
        columns = list(zip(*rows, strict=True)) if rows else [() for _ in types]
        return self._batch(columns, layout.schema)


@cache
def _fixed(relation: SystemRelation) -> pa.RecordBatch:
    return relation.fixed_batch()


def columns(text: str) -> tuple[SystemColumn, ...]:
    """Columns from ``"name type, name type"``."""
    pairs = (part.split() for part in text.split(","))
    oids = {name: fact.oid for name, fact in facts.types_by_name().items()}
    return tuple(SystemColumn(name, PgType(oids[type_]), oids[type_]) for name, type_ in pairs)


@cache
def domains() -> dict[int, tuple[str, int, int, int]]:
    """information_schema's domains by oid: name, base type, typmod, array type."""
    return {row[0]: tuple(row[1:]) for row in facts.raw("domains")[1]}


def _type(oid: int) -> PgType:
    """How a column declared with this type is stored: a domain as its base type."""
    if oid in domains():
        _, base, typmod, _ = domains()[oid]
        return PgType(base, typmod)
    # pg_stats' arrays of statistics' row types are never filled
    return PgType(oid) if supported(oid) else PgType(ARRAY_OF[TEXT] if oid == 10028 else TEXT)


@cache
def postgres_relations() -> tuple[SystemRelation, ...]:
    """pg_catalog and information_schema as PostgreSQL 15 has them, all empty."""
    return tuple(
        SystemRelation(
            oid, schema, name, kind,
            tuple(SystemColumn(n, _type(t), t, not_null) for n, t, not_null in shape),
            row_type=row_type, shared=shared,
        )
        for oid, schema, name, kind, row_type, shared, shape in facts.raw("relations")[1]
    )  # fmt: skip


class SystemRelations:
    """All of them; oids below those of user objects."""

    def __init__(self) -> None:
        from laminar.catalog.system import builtin, information_schema, laminar_catalog, pg_catalog, views

        filled = pg_catalog.ROWS | views.ROWS | information_schema.ROWS
        self.by_oid: dict[int, SystemRelation] = {}
        self.by_name: dict[tuple[str, str], SystemRelation] = {}
        #: snapshots of relations that tell of the catalog only, and what they were made of
        self._kept: dict[int, tuple[tuple[int, ...], Snapshot]] = {}
        self._of_catalog = {("pg_catalog", name) for name in pg_catalog.OF_CATALOG}
        for empty in postgres_relations():
            key = (empty.schema, empty.name)
            fixed = builtin.FIXED.get(empty.name) if empty.schema == "pg_catalog" else None
            self._add(
                SystemRelation(
                    empty.oid, *key, empty.kind, empty.columns, filled.get(key), fixed,
                    empty.row_type, empty.shared,
                )
            )  # fmt: skip
        for oid, name, shape, rows in laminar_catalog.RELATIONS:
            shaped = columns(shape)
            self._add(SystemRelation(oid, laminar_catalog.SCHEMA, name, "v", shaped, _named(shaped, rows)))

    def _add(self, relation: SystemRelation) -> None:
        self.by_oid[relation.oid] = relation
        self.by_name[relation.schema, relation.name] = relation

    def snapshot(self, oid: int, session: Session) -> Snapshot | None:
        """Rows of a system relation; None when the oid is not one."""
        relation = self.by_oid.get(oid)
        if relation is None:
            return None
        if (relation.schema, relation.name) not in self._of_catalog:
            return relation.snapshot(session)
        database = session.database
        state: tuple[int, ...] = (database.catalog.version,)
        if relation.name == "pg_class":  # has numbers of rows
            view = database.coordinator.read()
            state += (view.epoch, len(view.snapshots))
        kept = self._kept.get(oid)
        if kept is None or kept[0] != state:
            kept = self._kept[oid] = state, relation.snapshot(session)
        return kept[1]


def _named(shape: Sequence[SystemColumn], rows: Callable[..., Iterable[Row]]) -> Rows:
    """Rows of values in the columns' order, as mappings."""
    names = [column.name for column in shape]
    return lambda session: (dict(zip(names, row, strict=True)) for row in rows(session.database))
