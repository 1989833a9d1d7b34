"""CREATE INDEX, and the indexes of UNIQUE constraints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa

from laminar.catalog.objects import KIND_NAMES, StoredRelation
from laminar.errors import (
    DUPLICATE_COLUMN,
    DUPLICATE_TABLE,
    UNDEFINED_COLUMN,
    UNDEFINED_OBJECT,
    UNIQUE_VIOLATION,
    WRONG_OBJECT_TYPE,
    PgError,
    not_supported,
)
from laminar.pgwire.backend import Notice, Result
from laminar.server.definitions import defining, refuse_changed
from laminar.server.sequences import qualified, quoted
from laminar.server.statements.base import Action
from laminar.server.uniques import key_layout, key_rows, repeated
from laminar.sql import ast
from laminar.sql import statements as s

if TYPE_CHECKING:
    from laminar.server.database import Database
    from laminar.server.session import Session

_METHODS = ("btree", "hash")


class CreateIndexAction(Action):
    """CREATE [UNIQUE] INDEX name ON relation (columns)."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.CreateIndex) -> None:
        super().__init__(session)
        self.statement = statement
        if statement.where is not None:
            raise not_supported("partial indexes are not supported yet")
        method = statement.method or "btree"
        if method not in _METHODS:
            known = method in ("gist", "gin", "brin", "spgist")
            if known:
                raise not_supported(f'access method "{method}" is not supported', hint="btree and hash are.")
            raise PgError(UNDEFINED_OBJECT, f'access method "{method}" does not exist')
        self.names = [_column(item) for item in statement.columns]
        session.catalog.stored(statement.relation)

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        result = Result("CREATE INDEX")
        database, statement = self.database, self.statement
        async with defining(self.session, "CREATE INDEX"):
            relation = self.session.catalog.stored(statement.relation)
            if relation.kind not in ("table", "mview", "source") or relation.connector is not None:
                raise PgError(
                    WRONG_OBJECT_TYPE,
                    f'cannot create index on relation "{relation.name}"',
                    detail=f"This operation is not supported for {KIND_NAMES[relation.kind]}s.",
                )
            if statement.unique and relation.kind != "table":
                raise not_supported("UNIQUE indexes are for tables", hint="Leave UNIQUE out.")
            self.session.check_owner(relation)
            refuse_changed(self.session, relation, "CREATE INDEX on")
            attnums = attnums_of(relation, self.names)
            columns = [relation.columns[a - 1].name for a in attnums]
            name = statement.name or database.catalog.free_name(
                relation.schema, relation.name, *columns, "idx"
            )
            if database.catalog.find(relation.schema, name) is not None:
                text = f'relation "{name}" already exists'
                if not statement.if_not_exists:
                    raise PgError(DUPLICATE_TABLE, text)
                result.notices.append(Notice("NOTICE", DUPLICATE_TABLE, f"{text}, skipping"))
                return result
            index = new_index(relation, name, attnums, unique=statement.unique, constraint=False)
            database.frozen.add(relation.oid)
            try:
                coordinator = database.coordinator
                await coordinator.wait_published(coordinator.accepted_epoch(relation.oid))
                if statement.unique:
                    check_unique(database, relation, index, attnums)
                database.catalog.create(replace(index, oid=database.catalog.new_oid()))
            finally:
                database.frozen.discard(relation.oid)
        return result


def _column(item: ast.SortBy) -> str:
    if not isinstance(item.expr, ast.Name) or len(item.expr.parts) != 1:
        raise not_supported("indexes on expressions are not supported yet")
    return item.expr.parts[0]


def attnums_of(relation: StoredRelation, names: Sequence[str]) -> tuple[int, ...]:
    """The columns that an index names; 42703, 42701."""
    numbers = {column.name: attnum for attnum, column in enumerate(relation.columns, 1)}
    for name in names:
        if name not in numbers:
            raise PgError(UNDEFINED_COLUMN, f'column "{name}" does not exist')
    if len(set(names)) != len(names):
        raise PgError(DUPLICATE_COLUMN, "a column appears twice in an index")
    return tuple(numbers[name] for name in names)


def new_index(
    relation: StoredRelation, name: str, attnums: tuple[int, ...], *, unique: bool, constraint: bool
) -> StoredRelation:
    """An index's catalog entry; ``constraint``: it is that of a UNIQUE constraint of the same name."""
    columns = tuple(replace(relation.columns[a - 1], default=None, identity="") for a in attnums)
    what = "UNIQUE INDEX" if unique else "INDEX"
    on = qualified(relation.schema, relation.name)
    listed = ", ".join(quoted(column.name) for column in columns)
    return StoredRelation(
        oid=0,
        schema=relation.schema,
        name=name,
        kind="index",
        owner=relation.owner,
        columns=columns,
        sql=f"CREATE {what} {quoted(name)} ON {on} USING btree ({listed})",
        options={
            "columns": ",".join(map(str, attnums)),
            "unique": "true" if unique else "false",
            "constraint": "true" if constraint else "false",
        },
        owned_by=(relation.oid, 0),
    )


def check_unique(
    database: Database, relation: StoredRelation, index: StoredRelation, attnums: tuple[int, ...]
) -> None:
    """Raise 23505 when rows that are there have the same values."""
    snapshot = database.coordinator.read().snapshot(relation.oid)
    layout = key_layout(snapshot.layout, attnums)
    parts = [key_rows(chunk.rows(), snapshot.layout, layout) for chunk in snapshot.chunks if chunk.count]
    if not parts:
        return
    keys = layout.key_arrays(pa.concat_batches(parts))
    if len(keys[0]) and np.asarray(repeated(keys)).any():
        raise PgError(
            UNIQUE_VIOLATION,
            f'could not create unique index "{index.name}"',
            fields={"s": relation.schema, "t": relation.name, "n": index.name},
        )
