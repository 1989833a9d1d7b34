"""Functions in FROM: one, or several side by side (ROWS FROM, ``unnest(a, b)``), numbered or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from laminar.errors import SYNTAX_ERROR, PgError, not_supported
from laminar.sql import ast, facts
from laminar.sql import plan as p
from laminar.sql.binder import jsonrows
from laminar.sql.binder.calls import CallBinder
from laminar.sql.binder.domains import checked
from laminar.sql.binder.naming import target_name
from laminar.sql.binder.routines import output_columns, value_name
from laminar.sql.binder.scope import Item, Level
from laminar.sql.binder.state import location, user_type
from laminar.sql.catalog_view import Domain, Relation
from laminar.sql.kernels.registry import returns_set
from laminar.sql.resolve import bind_args, make_operator
from laminar.sql.resolve.rowtypes import field
from laminar.sql.trees import refs
from laminar.types import INT8, RECORD, PgType

_NUMBER = PgType(INT8)
#: functions whose rows are those of a view of pg_catalog, which is defined by them in PostgreSQL
_VIEWS: Final = {
    "pg_available_extension_versions": "pg_available_extension_versions",
    "pg_available_extensions": "pg_available_extensions",
    "pg_config": "pg_config",
    "pg_cursor": "pg_cursors",
    "pg_get_backend_memory_contexts": "pg_backend_memory_contexts",
    "pg_get_shmem_allocations": "pg_shmem_allocations",
    "pg_hba_file_rules": "pg_hba_file_rules",
    "pg_ident_file_mappings": "pg_ident_file_mappings",
    "pg_lock_status": "pg_locks",
    "pg_prepared_statement": "pg_prepared_statements",
    "pg_show_all_file_settings": "pg_file_settings",
    "pg_show_all_settings": "pg_settings",
    "pg_show_replication_origin_status": "pg_replication_origin_status",
    "pg_stat_get_recovery_prefetch": "pg_stat_recovery_prefetch",
    "pg_stat_get_slru": "pg_stat_slru",
    "pg_timezone_abbrevs": "pg_timezone_abbrevs",
    "pg_timezone_names": "pg_timezone_names",
}


class FunctionBinder(CallBinder):
    """func_table."""

    if TYPE_CHECKING:

        def _named(
            self, name: str, columns: list[tuple[str, p.Column]], alias: ast.Alias | None, pos: int
        ) -> Item: ...
        def scan(self, relation: Relation) -> tuple[p.Scan, dict[int, int]]: ...

    def from_function(self, node: ast.FunctionRef, level: Level) -> tuple[p.Plan, list[Item]]:
        """Plan and names of functions in FROM."""
        given = node.definitions or [None] * len(node.calls)
        calls = [
            (single, own) for call, own in zip(node.calls, given, strict=True) for single in _unnests(call)
        ]
        alias = node.alias if node.alias is not None and node.alias.name else None
        scalar = False
        if len(calls) == 1:
            plan, scalar = self._one(*calls[0], node.ordinality, level, node.pos)
        elif node.alias is not None and node.alias.definitions is not None:
            message = "ROWS FROM() with multiple functions cannot have a column definition list"
            hint = "Put a separate column definition list for each function inside ROWS FROM()."
            raise PgError(SYNTAX_ERROR, message, hint=hint, position=node.alias.definitions.pos)
        else:
            plan = self._side_by_side(calls, node, level)
        labels = [column.name for column in plan.columns]
        if alias is not None and scalar:
            labels[0] = alias.name
        columns = list(zip(labels, plan.columns, strict=True))
        item = self._named(target_name(calls[0][0]), columns, alias, node.pos)
        item.value = isinstance(plan, p.TableFunction) and len(columns) == 1
        return plan, [item]

    def _one(
        self, call: ast.Expr, definitions: ast.Definitions | None, ordinality: bool, level: Level, pos: int
    ) -> tuple[p.Plan, bool]:
        """One function's rows, and whether its result is a value rather than named columns."""
        inner = Level(level, dict(level.ctes), clause="FROM")
        if definitions is not None:
            domains = [self._domain_of(type_) for _, type_ in definitions.columns]
            return self._expanded(self._record_of(call, definitions, inner), ordinality, domains), False
        if isinstance(call, ast.FuncCall) and (rows := self.sql_rows(call, inner)) is not None:
            if ordinality:
                raise not_supported("WITH ORDINALITY of SQL functions is not supported", position=pos)
            return rows, len(rows.columns) == 1
        if not ordinality and (view := _view_of(call)) is not None:
            relation = self.catalog.relation("pg_catalog", view)
            assert relation is not None
            below, _ = self.scan(relation)
            wanted = _view_columns(target_name(call))
            kept = tuple(column for column in below.columns if column.name in wanted)
            return p.Project(below, refs(kept), kept), False
        bound = self.expr(call, inner)
        name = target_name(call)
        if isinstance(bound, p.Call) and bound.type.row is not None and not returns_set(bound.function):
            return self._expanded(bound, ordinality), False
        if isinstance(bound, p.Call) and isinstance(call, ast.FuncCall) and _is_set_returning(bound.function):
            outputs = output_columns(bound.function, bound.args)
            columns = [self.column(label, PgType(oid)) for label, oid in outputs]
            own = None if outputs else value_name(bound.function)
            columns = columns or [self.column(own or name, bound.type)]
            if ordinality:
                columns.append(self.column("ordinality", _NUMBER))
            rows = p.TableFunction(bound.function, bound.args, tuple(columns), ordinality, bound.position)
            return rows, not outputs and own is None
        if isinstance(bound, p.Call) and inner.set_returning:
            raise not_supported(
                "set-returning functions must appear at top level of FROM", position=location(call)
            )
        values: list[tuple[p.Expr, p.Column]] = [(self.known(bound, call), self.column(name, bound.type))]
        if ordinality:
            values.append((p.Const(1, _NUMBER), self.column("ordinality", _NUMBER)))
        exprs, named = zip(*values, strict=True)
        return p.Project(p.Values(((),), ()), exprs, named), True

    def _record_of(self, call: ast.Expr, definitions: ast.Definitions, level: Level) -> p.Call:
        """A call of a function that returns ``record``, as a row of the columns that are asked for."""
        if not isinstance(call, ast.FuncCall):
            raise _only_for_records(definitions)
        args = self.exprs(call.args, level)
        resolved = self._resolve(call, args, [])
        if resolved.kind != "f" or resolved.result_type.oid != RECORD:
            raise _only_for_records(definitions)
        bound = bind_args(resolved, args, call.pos, [location(arg) or None for arg in call.args])
        self.settle(args, bound)
        if output_columns(resolved.function, bound):
            message = "a column definition list is redundant for a function with OUT parameters"
            raise PgError(SYNTAX_ERROR, message, position=definitions.pos)
        if not jsonrows.populates(resolved.function):
            raise not_supported(
                f"function {call.names[-1]}() with a column definition list is not supported",
                position=call.pos,
            )
        shape = tuple((name, self.type(type_)) for name, type_ in definitions.columns)
        return jsonrows.populated(resolved.function, bound, call.pos, shape)

    def _domain_of(self, node: ast.TypeName) -> Domain | None:
        named = user_type(node, self.catalog)
        return None if named is None else named.domain

    def _expanded(
        self, row: p.Call, ordinality: bool, domains: Sequence[Domain | None] | None = None
    ) -> p.Plan:
        """A row, or each of a set of rows, as columns; those of a domain are held against it."""
        below: p.Plan = p.Values(((),), ())
        number: p.Expr = p.Const(1, _NUMBER)
        elements = row.args[-1] if jsonrows.is_populated(row) else None
        if isinstance(elements, p.Call) and returns_set(elements.function):
            element, count = self.column("value", elements.type), self.column("ordinality", _NUMBER)
            function, args = elements.function, elements.args
            below = p.TableFunction(function, args, (element, count), True, elements.position)
            row = replace(row, args=(*row.args[:-1], *refs((element,))))
            (number,) = refs((count,))
        shape = row.type.row
        assert shape is not None
        whole = self.column("row", row.type)
        below = p.Project(below, (row, number), (whole, self.column("ordinality", _NUMBER)))
        value, number = refs(below.columns)
        fields = [field(value, place, row.position) for place in range(len(shape))]
        for place, domain in enumerate(domains or ()):
            if domain is not None:
                fields[place] = checked(fields[place], domain, self.catalog, row.position)
        columns = [self.column(name, expr.type) for (name, _), expr in zip(shape, fields, strict=True)]
        if ordinality:
            fields.append(number)
            columns.append(self.column("ordinality", _NUMBER))
        return p.Project(below, tuple(fields), tuple(columns))

    def _side_by_side(
        self,
        calls: list[tuple[ast.Expr, ast.Definitions | None]],
        node: ast.FunctionRef,
        level: Level,
    ) -> p.Plan:
        """The functions' n-th rows as one row, nulls for those that have ended: full joins on the number."""
        plan, _ = self._one(*calls[0], True, level, node.pos)
        for call, definitions in calls[1:]:
            right, _ = self._one(call, definitions, True, level, node.pos)
            *values, left_number = plan.columns
            *more, right_number = right.columns
            numbers = refs((left_number, right_number))
            plan = p.Join("full", plan, right, make_operator("=", numbers[0], numbers[1]))
            number = self.column("ordinality", _NUMBER)
            shown = (*values, *more)
            plan = p.Project(plan, (*refs(shown), p.Coalesce(numbers, _NUMBER)), (*shown, number))
        *values, number = plan.columns
        plan = p.Sort(plan, (p.SortItem(p.ColumnRef(number.id, number.type)),))
        if node.ordinality:
            return plan
        return p.Project(plan, refs(tuple(values)), tuple(values))


def _view_of(call: ast.Expr) -> str | None:
    """The view that has a function's rows."""
    if not isinstance(call, ast.FuncCall) or call.args or call.names[:-1] not in ((), ("pg_catalog",)):
        return None
    return _VIEWS.get(call.names[-1])


def _view_columns(function: str) -> frozenset[str]:
    """The columns that the function has of its view."""
    (fact,) = facts.functions_named(function)
    return frozenset(fact.all_names)


def _unnests(call: ast.Expr) -> list[ast.Expr]:
    """``unnest(a, b)`` is ROWS FROM (unnest(a), unnest(b)), in FROM only."""
    if isinstance(call, ast.FuncCall) and call.names[-1] == "unnest" and len(call.args) > 1:
        return [replace(call, args=[arg]) for arg in call.args]
    return [call]


def _only_for_records(definitions: ast.Definitions) -> PgError:
    message = 'a column definition list is only allowed for functions returning "record"'
    return PgError(SYNTAX_ERROR, message, position=definitions.pos)


def _is_set_returning(function: p.Function) -> bool:
    if function.routine is not None:
        return function.routine.returns_set
    return function.oid != 0 and facts.function(function.oid).retset
