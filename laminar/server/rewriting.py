"""Tables with their first rows: CREATE TABLE AS, and ALTER TABLE where stored rows change their form.

Rows are written to a relation of a new number that nobody knows of; one write to the catalog puts it in its
place. A crash before that leaves rows that belong to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from laminar._native.rowindex import group_rows
from laminar.catalog.catalog import index_attnums
from laminar.catalog.objects import StoredRelation
from laminar.engine.change import Change
from laminar.errors import CHECK_VIOLATION, NOT_NULL_VIOLATION, UNIQUE_VIOLATION, PgError
from laminar.server import sources
from laminar.server.catalog_view import StoredCatalog
from laminar.sql.adhoc import batches
from laminar.sql.binder import bind_expression
from laminar.sql.evaluator import Env
from laminar.sql.evaluator import compile as compile_exprs
from laminar.sql.expressions import substitute
from laminar.sql.parse import parse_expression
from laminar.sql.plan import ColumnRef, Expr

if TYPE_CHECKING:
    from laminar.server.database import Database


async def store_rows(
    database: Database, relation: StoredRelation, rows: Sequence[pa.RecordBatch]
) -> StoredRelation:
    """Make a relation's rows durable under a number of its own; it is in no catalog yet."""
    catalog, coordinator = database.catalog, database.coordinator
    relation = replace(relation, oid=catalog.new_oid())
    catalog.reserve_oids()
    spec = sources.relation_spec(relation)
    coordinator.register_relation(spec)
    try:
        named = [batch for batch in rows if batch.num_rows]
        if named:
            names = [str(a) for a in spec.attnums]
            changes = [
                (relation.oid, Change(pa.RecordBatch.from_arrays(batch.columns, names))) for batch in named
            ]
            await coordinator.wait_published(await coordinator.commit(changes))
    except BaseException:
        coordinator.drop_relation(relation.oid)
        raise
    database.made(relation)
    return relation


async def replace_table(
    database: Database,
    old: StoredRelation,
    new: StoredRelation,
    exprs: Sequence[Expr],
    places: dict[int, int],
    env: Env,
) -> StoredRelation:
    """Give a table another form.

    Args:
        exprs: make its columns out of the old ones (ids are attribute numbers).
        places: new attribute numbers by old ones, of the columns that stay; 0 is the table itself.

    The caller has frozen the table (``Database.frozen``): its writers meet 40001.

    Raises:
        PgError: of a failing expression or a constraint that some row violates; then nothing has changed.
    """
    catalog = database.catalog
    rows = _converted(database, old, exprs, env)
    check_rows(database, new, rows, env)
    stored = await store_rows(database, new, rows)
    kept, gone = [], []
    for owned in catalog.owned(old.oid):
        part = owned
        attnum = places.get(part.owned_by[1]) if part.owned_by is not None else None
        if attnum is not None and part.kind == "index":
            moved = [places.get(a) for a in index_attnums(part)]
            if None in moved:
                attnum = None
            part = replace(part, options={**part.options, "columns": ",".join(map(str, moved))})
            database.forget(part)
        if attnum is None:
            gone.append(part.oid)
        else:
            kept.append(replace(part, owned_by=(stored.oid, attnum)))
    catalog.exchange((old.oid, *gone), (stored, *kept))
    catalog.move_comments(old.oid, stored.oid, places)
    await database.retire((old,))
    return stored


def _converted(
    database: Database, old: StoredRelation, exprs: Sequence[Expr], env: Env
) -> list[pa.RecordBatch]:
    attnums = tuple(range(1, len(old.columns) + 1))
    program = compile_exprs(list(exprs), list(attnums))
    snapshot = database.coordinator.read().snapshot(old.oid)
    made = (program(batch, env) for batch in snapshot.batches(attnums))
    return [batches.make(columns, len(columns[0])) for columns in made]


def check_rows(
    database: Database, relation: StoredRelation, rows: Sequence[pa.RecordBatch], env: Env
) -> None:
    """NOT NULL, CHECK and the primary key over rows that are there; 23502, 23514, 23505."""
    for i, column in enumerate(relation.columns):
        if (column.not_null or i + 1 in relation.primary_key) and any(b.column(i).null_count for b in rows):
            raise PgError(
                NOT_NULL_VIOLATION,
                f'column "{column.name}" of relation "{relation.name}" contains null values',
                fields={"s": relation.schema, "t": relation.name, "c": column.name},
            )
    if not any(batch.num_rows for batch in rows):
        return
    for name, expr in check_exprs(database, relation):
        program = compile_exprs([expr], list(range(1, len(relation.columns) + 1)))
        for batch in rows:
            if not np.asarray(program(batch, env)[0].fill_null(True)).all():
                raise PgError(
                    CHECK_VIOLATION,
                    f'check constraint "{name}" of relation "{relation.name}" is violated by some row',
                    fields={"s": relation.schema, "t": relation.name, "n": name},
                )
    if relation.primary_key:
        layout = sources.relation_spec(relation).layout
        columns = [pa.concat_arrays([b.column(a - 1) for b in rows]) for a in relation.primary_key]
        if len(group_rows(layout.comparable(columns))[1]) < len(columns[0]):
            raise PgError(
                UNIQUE_VIOLATION,
                f'could not create unique index "{relation.name}_pkey"',
                fields={"s": relation.schema, "t": relation.name, "n": f"{relation.name}_pkey"},
            )


def check_exprs(database: Database, stored: StoredRelation) -> list[tuple[str, Expr]]:
    """A relation's CHECK constraints over columns whose ids are attribute numbers."""
    catalog = StoredCatalog(database, stored.search_path, stored.owner)
    found = []
    for name, text in stored.checks:
        expr, numbers = bind_expression(parse_expression(text), catalog.describe(stored), catalog)
        types = {attnum: stored.columns[attnum - 1].type for attnum in numbers.values()}
        columns: dict[int, Expr] = {i: ColumnRef(a, types[a]) for i, a in numbers.items()}
        found.append((name, substitute(expr, columns)))
    return found
