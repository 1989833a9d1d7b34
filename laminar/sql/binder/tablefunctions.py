"""Functions in FROM: one, or several side by side (ROWS FROM, ``unnest(a, b)``), numbered or not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from laminar.errors import not_supported
from laminar.sql import ast, facts
from laminar.sql import plan as p
from laminar.sql.binder.calls import CallBinder
from laminar.sql.binder.naming import target_name
from laminar.sql.binder.routines import output_columns
from laminar.sql.binder.scope import Item, Level
from laminar.sql.binder.state import location
from laminar.sql.resolve import make_operator
from laminar.sql.trees import refs
from laminar.types import INT8, PgType

_NUMBER = PgType(INT8)


class FunctionBinder(CallBinder):
    """func_table."""

    if TYPE_CHECKING:

        def _named(
            self, name: str, columns: list[tuple[str, p.Column]], alias: ast.Alias | None, pos: int
        ) -> Item: ...

    def from_function(self, node: ast.FunctionRef, level: Level) -> tuple[p.Plan, list[Item]]:
        """Plan and names of functions in FROM."""
        if node.alias is not None and node.alias.definitions:
            raise not_supported("column definition lists are not supported", position=node.pos)
        calls = [single for call in node.calls for single in _unnests(call)]
        alias = node.alias if node.alias is not None and node.alias.name else None
        if len(calls) == 1:
            plan = self._one(calls[0], node.ordinality, level, node.pos)
        else:
            plan = self._side_by_side(calls, node, level)
        labels = [column.name for column in plan.columns]
        if alias is not None and len(calls) == 1 and self._is_scalar(plan, node.ordinality):
            labels[0] = alias.name
        columns = list(zip(labels, plan.columns, strict=True))
        return plan, [self._named(target_name(calls[0]), columns, alias, node.pos)]

    def _is_scalar(self, plan: p.Plan, ordinality: bool) -> bool:
        """Whether the function's result is a value rather than named columns."""
        if isinstance(plan, p.TableFunction) and output_columns(plan.function):
            return len(plan.columns) == 1
        return len(plan.columns) == 1 + ordinality

    def _one(self, call: ast.Expr, ordinality: bool, level: Level, pos: int) -> p.Plan:
        inner = Level(level, dict(level.ctes), clause="FROM")
        if isinstance(call, ast.FuncCall) and (rows := self.sql_rows(call, inner)) is not None:
            if ordinality:
                raise not_supported("WITH ORDINALITY of SQL functions is not supported", position=pos)
            return rows
        bound = self.expr(call, inner)
        name = target_name(call)
        if isinstance(bound, p.Call) and isinstance(call, ast.FuncCall) and _is_set_returning(bound.function):
            columns = [
                self.column(label, PgType(oid)) for label, oid in output_columns(bound.function, bound.args)
            ]
            columns = columns or [self.column(name, bound.type)]
            if ordinality:
                columns.append(self.column("ordinality", _NUMBER))
            return p.TableFunction(bound.function, bound.args, tuple(columns), ordinality, bound.position)
        if isinstance(bound, p.Call) and inner.set_returning:
            raise not_supported(
                "set-returning functions must appear at top level of FROM", position=location(call)
            )
        values: list[tuple[p.Expr, p.Column]] = [(self.known(bound, call), self.column(name, bound.type))]
        if ordinality:
            values.append((p.Const(1, _NUMBER), self.column("ordinality", _NUMBER)))
        exprs, named = zip(*values, strict=True)
        return p.Project(p.Values(((),), ()), exprs, named)

    def _side_by_side(self, calls: list[ast.Expr], node: ast.FunctionRef, level: Level) -> p.Plan:
        """The functions' n-th rows as one row, nulls for those that have ended: full joins on the number."""
        plan = self._one(calls[0], True, level, node.pos)
        for call in calls[1:]:
            right = self._one(call, True, level, node.pos)
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


def _unnests(call: ast.Expr) -> list[ast.Expr]:
    """``unnest(a, b)`` is ROWS FROM (unnest(a), unnest(b)), in FROM only."""
    if isinstance(call, ast.FuncCall) and call.names[-1] == "unnest" and len(call.args) > 1:
        return [replace(call, args=[arg]) for arg in call.args]
    return [call]


def _is_set_returning(function: p.Function) -> bool:
    if function.routine is not None:
        return function.routine.returns_set
    return function.oid != 0 and facts.function(function.oid).retset
