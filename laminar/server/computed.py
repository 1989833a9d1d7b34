"""Computed columns of connector sources, as the reactors compute them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from laminar.catalog.objects import StoredRelation
from laminar.engine.relations import ComputedColumn, RelationSpec
from laminar.server import sources
from laminar.server.catalog_view import StoredCatalog
from laminar.sql.binder import bind_generated
from laminar.sql.expressions import columns_of, substitute
from laminar.sql.parse import parse_expression
from laminar.sql.plan import ColumnRef

if TYPE_CHECKING:
    from laminar.server.database import Database


def computed_spec(database: Database, relation: StoredRelation) -> RelationSpec:
    """A table or source as the engine stores or reads it, with what is computed in reading."""
    return sources.relation_spec(relation, computed_columns(database, relation))


def computed_columns(database: Database, relation: StoredRelation) -> tuple[ComputedColumn, ...]:
    """Those of a connector source; other relations' are computed when their rows are written."""
    if relation.connector is None:
        return ()
    catalog = StoredCatalog(database, relation.search_path, relation.owner)
    described = StoredCatalog.describe(relation)
    found = []
    for attribute in described.columns:
        if attribute.generated is not None:
            node = parse_expression(attribute.generated)
            expr, numbers = bind_generated(node, attribute, described, catalog)
            types = {column.attnum: column.type for column in described.columns}
            read = {i: numbers[i] for i in columns_of(expr)}
            expr = substitute(expr, {i: ColumnRef(attnum, types[attnum]) for i, attnum in read.items()})
            inputs = tuple(sorted(set(read.values())))
            found.append(ComputedColumn(attribute.attnum, attribute.name, expr, inputs, attribute.not_null))
    return tuple(found)
