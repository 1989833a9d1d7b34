"""From syntax trees to the typed logical plan.

:func:`bind_query` for queries, :func:`bind_insert`, :func:`bind_update`, :func:`bind_delete` for DML,
and the smaller parts of definitions: types, defaults, checks, watermarks, EMIT.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from laminar.errors import UNDEFINED_TABLE, PgError
from laminar.sql import ast
from laminar.sql import plan as p
from laminar.sql import statements as s
from laminar.sql.binder.dml import (
    BoundConflict,
    BoundDelete,
    BoundInsert,
    BoundModifying,
    BoundUpdate,
    DmlBinder,
)
from laminar.sql.binder.locking import BoundLocking
from laminar.sql.binder.scope import Item, Level
from laminar.sql.binder.state import bind_type, location
from laminar.sql.catalog_view import Access, Attribute, CatalogView, Relation
from laminar.sql.expressions import columns_of, substitute, walk
from laminar.sql.resolve import type_name
from laminar.sql.trees import has_subquery
from laminar.types import PgType

__all__ = [
    "BoundConflict",
    "BoundDelete",
    "BoundInsert",
    "BoundModifying",
    "BoundQuery",
    "BoundUpdate",
    "bind_argument",
    "bind_assignment",
    "bind_check",
    "bind_copy_condition",
    "bind_default",
    "bind_delete",
    "bind_emit",
    "bind_expression",
    "bind_insert",
    "bind_query",
    "bind_target_columns",
    "bind_type",
    "bind_update",
    "check_body",
]


@dataclass(frozen=True, slots=True)
class BoundQuery:
    """``columns`` are all of ``plan.columns``; ``accesses`` what it reads, views' definitions included."""

    plan: p.Plan
    columns: tuple[p.Column, ...]
    param_types: tuple[PgType, ...]
    accesses: frozenset[Access]
    locking: tuple[BoundLocking, ...] = ()
    modifying: tuple[BoundModifying, ...] = ()

    @property
    def dependencies(self) -> frozenset[int]:
        """The oids of the relations named."""
        return frozenset(access.relation for access in self.accesses)


def bind_query(query: ast.Query, catalog: CatalogView, param_types: Sequence[int] | None = ()) -> BoundQuery:
    """Bind a query.

    Args:
        param_types: oids of $1, $2, … as the client gave them, 0 to infer; None when it cannot have any.

    Raises:
        PgError: as PostgreSQL's analysis would, with position.
    """
    binder = DmlBinder(catalog, param_types)
    plan = binder.query(query, None, Level())
    params, accesses = tuple(binder.parameter_types()), frozenset(binder.accesses)
    before = tuple(binder.locking), tuple(binder.modifying)
    return BoundQuery(plan, plan.columns, params, accesses, *before)


def bind_insert(statement: s.Insert, catalog: CatalogView, param_types: Sequence[int] = ()) -> BoundInsert:
    return DmlBinder(catalog, param_types).insert(statement)


def bind_update(statement: s.Update, catalog: CatalogView, param_types: Sequence[int] = ()) -> BoundUpdate:
    return DmlBinder(catalog, param_types).update(statement)


def bind_delete(statement: s.Delete, catalog: CatalogView, param_types: Sequence[int] = ()) -> BoundDelete:
    return DmlBinder(catalog, param_types).delete(statement)


def bind_target_columns(
    relation: Relation, names: list[tuple[str, int]] | None, catalog: CatalogView
) -> list[Attribute]:
    """The attributes that COPY t (a, b) names. Raises 42703, 42701."""
    return [attribute for attribute, _ in DmlBinder(catalog).target_columns(relation, names or None)]


def bind_default(
    node: ast.Expr, type_: PgType, column: str, catalog: CatalogView, uses: set[int] | None = None
) -> p.Expr:
    """A column's DEFAULT: no columns, no subqueries, assignable to the column.

    Args:
        uses: gets the oids of the users' functions in it.
    """
    binder = DmlBinder(catalog)
    level = Level(clause="DEFAULT")
    if any(isinstance(part, ast.Name) for part in _walk(node)):
        raise PgError(
            "0A000", "cannot use column reference in DEFAULT expression", position=_first_name(node)
        )
    expr = binder.expr(node, level)
    if has_subquery(expr):
        raise PgError("0A000", "cannot use subquery in DEFAULT expression", position=location(node) or None)
    _note_uses(binder, uses)
    try:
        return binder.assign(expr, Attribute(column, type_, 0), node)
    except PgError as error:
        if error.sqlstate == "42804":
            error.message = error.message.replace("but expression is", "but default expression is")
        raise


def bind_argument(node: ast.Expr, type_: PgType, index: int, catalog: CatalogView) -> p.Expr:
    """An argument of EXECUTE as the statement's parameter takes it."""
    binder = DmlBinder(catalog)
    expr = binder.expr(node, Level(clause="EXECUTE"))
    if has_subquery(expr):
        raise PgError("0A000", "cannot use subquery in EXECUTE parameter", position=location(node) or None)
    try:
        return binder.coerce(expr, type_, node, "assignment")
    except PgError as error:
        if error.sqlstate != "42846":
            raise
        have, want = type_name(PgType(expr.type.oid)), type_name(PgType(type_.oid))
        raise PgError(
            "42804",
            f"parameter ${index} of type {have} cannot be coerced to the expected type {want}",
            hint="You will need to rewrite or cast the expression.",
            position=location(node) or None,
        ) from None


def check_body(function: p.Function, result: PgType, catalog: CatalogView) -> None:
    """Bind an SQL function's body on its own. Raises what a call would."""
    from laminar.sql.binder.routines import body

    assert function.routine is not None
    body(DmlBinder(catalog), function, function.routine.types, result)


def _note_uses(binder: DmlBinder, uses: set[int] | None) -> None:
    if uses is not None:
        uses.update(access.relation for access in binder.accesses)


def bind_assignment(
    node: ast.Expr | None,
    column: str,
    type_: PgType,
    relation: Relation,
    catalog: CatalogView,
    *,
    using: bool,
) -> p.Expr:
    """ALTER COLUMN … TYPE: the new value out of the old row (column ids are attribute numbers)."""
    binder = DmlBinder(catalog)
    level, numbers = _relation_level(binder, relation, "TRANSFORM")
    source = node if node is not None else ast.Name((column,), 0)
    expr = binder.expr(source, level)
    if has_subquery(expr):
        raise PgError("0A000", "cannot use subquery in transform expression")
    try:
        expr = binder.coerce(expr, type_, source, "assignment")
    except PgError as error:
        if error.sqlstate != "42846":
            raise
        want = type_name(PgType(type_.oid))
        if using:
            raise PgError(
                "42804",
                f'result of USING clause for column "{column}" cannot be cast automatically to type {want}',
                hint="You might need to add an explicit cast.",
            ) from None
        raise PgError(
            "42804",
            f'column "{column}" cannot be cast automatically to type {want}',
            hint=f'You might need to specify "USING {column}::{want}".',
        ) from None
    types = {a.attnum: a.type for a in relation.columns}
    places: dict[int, p.Expr] = {i: p.ColumnRef(a, types[a]) for i, a in numbers.items()}
    return substitute(expr, places)


def bind_copy_condition(node: ast.Expr, relation: Relation, catalog: CatalogView) -> p.Expr:
    """WHERE of COPY FROM, over the row that is to come (column ids are attribute numbers)."""
    binder = DmlBinder(catalog)
    level, numbers = _relation_level(binder, relation, "COPY FROM WHERE")
    expr = binder.boolean(binder.expr(node, level), node, "WHERE")
    if has_subquery(expr):
        message = "cannot use subquery in COPY FROM WHERE condition"
        raise PgError("0A000", message, position=location(node) or None)
    columns = {a.attnum: a for a in relation.columns}
    for used in (columns[numbers[i]] for i in columns_of(expr)):
        if used.generated is not None:
            raise PgError(
                "42P10",
                "generated columns are not supported in COPY FROM WHERE conditions",
                detail=f'Column "{used.name}" is a generated column.',
            )
    places: dict[int, p.Expr] = {i: p.ColumnRef(a, columns[a].type) for i, a in numbers.items()}
    return substitute(expr, places)


def bind_check(
    node: ast.Expr, relation: Relation, catalog: CatalogView, uses: set[int] | None = None
) -> p.Expr:
    """A CHECK constraint over the relation's columns (ids as in :func:`bind_expression`).

    Args:
        uses: gets the oids of the users' functions in it.
    """
    binder = DmlBinder(catalog)
    level, _ = _relation_level(binder, relation, "check")
    expr = binder.boolean(binder.expr(node, level), node, "CHECK")
    if has_subquery(expr):
        raise PgError("0A000", "cannot use subquery in check constraint", position=location(node) or None)
    _note_uses(binder, uses)
    return expr


def bind_generated(
    node: ast.Expr,
    column: Attribute,
    relation: Relation,
    catalog: CatalogView,
    uses: set[int] | None = None,
) -> tuple[p.Expr, dict[int, int]]:
    """A computed column's value over the relation's other columns, and column id -> attribute number.

    Args:
        uses: as for :func:`bind_check`.

    Raises:
        PgError: 42P17 when it reads a computed column, or does not give the same for ever.
    """
    binder = DmlBinder(catalog)
    level, numbers = _relation_level(binder, relation, "column generation")
    expr = binder.coerce(binder.expr(node, level), column.type, None, "assignment")
    where = location(node) or None
    if has_subquery(expr):
        raise PgError("0A000", "cannot use subquery in column generation expression", position=where)
    computed = {a.attnum: a.name for a in relation.columns if a.generated is not None}
    for part in walk(expr):
        if isinstance(part, p.ColumnRef) and numbers.get(part.id) in computed:
            raise PgError(
                "42P17",
                f'cannot use generated column "{computed[numbers[part.id]]}" in column generation expression',
                detail="A generated column cannot reference another generated column.",
                position=where,
            )
        if isinstance(part, p.Call) and part.function.volatility != "i":
            raise PgError("42P17", "generation expression is not immutable", position=where)
    _note_uses(binder, uses)
    return expr, numbers


def bind_expression(
    node: ast.Expr, relation: Relation, catalog: CatalogView
) -> tuple[p.Expr, dict[int, int]]:
    """An expression over one relation's columns, and column id -> attribute number."""
    binder = DmlBinder(catalog)
    level, numbers = _relation_level(binder, relation, "WHERE")
    expr = binder.known(binder.expr(node, level), node)
    if has_subquery(expr):
        raise PgError("0A000", "cannot use subquery here", position=location(node) or None)
    return expr, numbers


def _relation_level(binder: DmlBinder, relation: Relation, clause: str) -> tuple[Level, dict[int, int]]:
    columns = [(a.name, binder.column(a.name, a.type, (relation.oid, a.attnum))) for a in relation.columns]
    numbers = {column.id: a.attnum for a, (_, column) in zip(relation.columns, columns, strict=True)}
    return Level(items=[Item(relation.name, columns, schema=relation.schema)], clause=clause), numbers


def bind_emit(clause: s.EmitClause, catalog: CatalogView) -> p.Emit:
    """EMIT, ALLOW LATENESS and LATE DATA TO. Raises 42P01 for an unknown table, 22023 for bad spans."""
    binder = DmlBinder(catalog)
    every = 0
    if clause.every is not None:
        every = _microseconds(binder, clause.every, "EMIT EVERY")
        if every <= 0:
            raise PgError(
                "22023", "EMIT EVERY needs a positive interval", position=location(clause.every) or None
            )
    lateness = None
    if clause.lateness is not None:
        lateness = _microseconds(binder, clause.lateness, "ALLOW LATENESS")
        if lateness < 0:
            raise PgError(
                "22023", "ALLOW LATENESS cannot be negative", position=location(clause.lateness) or None
            )
        if clause.mode == "final":
            raise PgError(
                "42601",
                "EMIT FINAL excludes ALLOW LATENESS",
                hint="EMIT ON WINDOW CLOSE waits for late rows.",
                position=clause.lateness_pos or None,
            )
    late_table = None
    if clause.late_table is not None:
        name = clause.late_table
        relation = catalog.relation(name.schema, name.name)
        if relation is None:
            raise PgError(UNDEFINED_TABLE, f'relation "{name}" does not exist', position=name.pos or None)
        if relation.kind != "table":
            raise PgError("42809", f'"{relation.name}" is not a table', position=name.pos or None)
        late_table = relation.oid
    return p.Emit(clause.mode or "update", every, lateness, late_table, clause.pos or clause.lateness_pos)


def _microseconds(binder: DmlBinder, node: ast.Expr, what: str) -> int:
    months, days, micros = binder.constant_span(node, Level(clause=what), what)
    if months:
        raise PgError("22023", f"{what} cannot be in months", position=location(node) or None)
    return days * 86_400_000_000 + micros


def _walk(node: object) -> list[object]:
    """All syntax nodes of an expression, subqueries left out."""
    found = [node]
    for name in getattr(node, "__slots__", ()):
        value = getattr(node, name)
        for item in value if isinstance(value, list | tuple) else [value]:
            if hasattr(item, "pos") and not isinstance(item, ast.Select | ast.ValuesQuery | ast.SetOperation):
                found.extend(_walk(item))
    return found


def _first_name(node: ast.Expr) -> int | None:
    return next((part.pos for part in _walk(node) if isinstance(part, ast.Name)), None)
