"""MERGE as a plan of source rows with the target rows that they meet, and what is done with each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from laminar.errors import SYNTAX_ERROR, PgError, not_supported
from laminar.sql import ast
from laminar.sql import plan as p
from laminar.sql import statements as s
from laminar.sql.binder.dml import DmlBinder
from laminar.sql.binder.locking import BoundLocking
from laminar.sql.binder.scope import Item, Level
from laminar.sql.binder.state import location
from laminar.sql.catalog_view import Access, CatalogView, Relation
from laminar.sql.trees import has_subquery, ref
from laminar.types import PgType


@dataclass(frozen=True, slots=True)
class BoundMergeClause:
    """``values``: the new row, all attributes in order, for update and insert."""

    matched: bool
    condition: p.Expr | None
    action: Literal["update", "delete", "insert", "nothing"]
    values: tuple[p.Expr, ...] = ()


@dataclass(frozen=True, slots=True)
class BoundMerge:
    """``plan`` gives the source's columns, ``key`` (see BoundUpdate) and the target row, nulls where there is
    none; clauses read them."""

    relation: Relation
    plan: p.Plan
    key: p.Column | None
    old: tuple[p.Column, ...]
    clauses: tuple[BoundMergeClause, ...]
    param_types: tuple[PgType, ...]
    accesses: frozenset[Access]
    locking: tuple[BoundLocking, ...] = ()
    #: PostgreSQL 15's MERGE has no RETURNING
    returning: tuple[p.Expr, ...] = ()
    returning_columns: tuple[p.Column, ...] = ()


def bind_merge(statement: s.Merge, catalog: CatalogView, param_types: Sequence[int] = ()) -> BoundMerge:
    return _MergeBinder(catalog, param_types).merge(statement)


class _MergeBinder(DmlBinder):
    def merge(self, node: s.Merge) -> BoundMerge:
        relation = self.target(node.relation, "merge into")
        if relation.append_only:
            raise PgError("42809", f'cannot merge into append-only table "{relation.name}"')
        level = self.with_level(node.with_)
        scan, key, item = self._target_scan(relation, node.alias)
        old = tuple(column for _, column in item.columns)
        other = Level(None, dict(level.ctes))
        source = self.from_clause([node.source], other)
        self._check_names([item], other.items)
        level.items = [item, *other.items]
        level.clause = "JOIN/ON"
        on = self.boolean(self.expr(node.on, level), node.on, "JOIN/ON")
        plan = p.Join("left", source, scan, on)
        clauses = tuple(self._clause(c, relation, item, other.items, old) for c in node.clauses)
        self.access(relation.oid)
        for clause in clauses:
            if clause.action != "nothing":
                self.access(relation.oid, clause.action.upper())
        params = tuple(self.parameter_types())
        if self.modifying:
            raise not_supported("data-modifying statements in WITH before MERGE are not supported")
        return BoundMerge(
            relation, plan, key, old, clauses, params, frozenset(self.accesses), tuple(self.locking)
        )

    def _clause(
        self,
        node: s.MergeClause,
        relation: Relation,
        target: Item,
        source: list[Item],
        old: tuple[p.Column, ...],
    ) -> BoundMergeClause:
        """A WHEN clause; the target is there, but not to be named, where nothing of it matches."""
        try:
            return self._bound_clause(node, relation, target, source, old)
        except PgError as error:
            if error.message == f'missing FROM-clause entry for table "{target.name}"':
                error.message = f'invalid reference to FROM-clause entry for table "{target.name}"'
                error.hint = (
                    f'There is an entry for table "{target.name}", but it cannot be referenced from this'
                    " part of the query."
                )
            raise

    def _bound_clause(
        self,
        node: s.MergeClause,
        relation: Relation,
        target: Item,
        source: list[Item],
        old: tuple[p.Column, ...],
    ) -> BoundMergeClause:
        if any(a.generated is not None for a in relation.columns):
            raise not_supported(
                f'MERGE into "{relation.name}", which has generated columns, is not supported',
                hint="Use INSERT … ON CONFLICT, UPDATE or DELETE.",
            )
        level = Level(items=[target, *source] if node.matched else list(source), clause="MERGE WHEN")
        condition = None
        if node.condition is not None:
            condition = self.boolean(self.expr(node.condition, level), node.condition, "WHEN")
            self._no_subquery(condition, node.condition)
        if node.action == "update":
            level.clause = "UPDATE"
            given = self._assignments(relation, node.assignments, level)
            values = tuple(given.get(a.attnum, ref(c)) for a, c in zip(relation.columns, old, strict=True))
        elif node.action == "insert":
            values = self._inserted(node, relation, level)
        else:
            values = ()
        for value in values:
            self._no_subquery(value, None)
        return BoundMergeClause(node.matched, condition, node.action, values)

    def _inserted(self, node: s.MergeClause, relation: Relation, level: Level) -> tuple[p.Expr, ...]:
        level.clause = "VALUES"
        self._overriding = node.overriding
        targets = self.target_columns(relation, node.columns)
        values = node.values or []
        if len(values) > len(targets):
            raise PgError(
                SYNTAX_ERROR,
                "INSERT has more expressions than target columns",
                position=location(values[len(targets)]) or None,
            )
        if node.columns is not None and len(values) < len(targets):
            raise PgError(
                SYNTAX_ERROR,
                "INSERT has more target columns than expressions",
                position=targets[len(values)][1] or None,
            )
        given: dict[int, p.Expr] = {}
        for (attribute, _), item in zip(targets, values, strict=False):
            if isinstance(item, ast.Default):
                continue
            self._refuse_generated(attribute, "insert a non-DEFAULT value into")
            given[attribute.attnum] = self.assign(self.expr(item, level), attribute, item)
        return tuple(given.get(a.attnum) or self.default(a) for a in relation.columns)

    @staticmethod
    def _no_subquery(expr: p.Expr, node: object) -> None:
        if has_subquery(expr):
            raise not_supported(
                "subqueries in the WHEN clauses of MERGE are not supported",
                hint="Compute the value in USING (SELECT …).",
                position=(location(node) if node is not None else 0) or None,
            )
