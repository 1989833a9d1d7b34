"""Users' SQL functions, put in the place of their calls.

A body that computes from its arguments alone becomes an expression; any other becomes a scalar subquery
over one row of arguments, with its first row as the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from laminar.errors import INVALID_FUNCTION_DEFINITION, PgError, not_supported
from laminar.sql import ast, facts
from laminar.sql import plan as p
from laminar.sql.binder.scope import Item, Level
from laminar.sql.expressions import rewrite, volatile_call, walk
from laminar.sql.resolve import oid_name
from laminar.sql.resolve.rules import POLYMORPHIC, settle_generic
from laminar.sql.trees import has_subquery, ref, rewrite_deep
from laminar.types import INT8, PgType

if TYPE_CHECKING:
    from laminar.sql.binder.calls import CallBinder

_MAX_DEPTH = 50


def inline(
    binder: CallBinder, function: p.Function, args: Sequence[p.Expr], result: PgType, position: int
) -> p.Expr:
    """The function's value for these arguments.

    Raises:
        PgError: what its body raises, with the function's name as context; 54001 nested too deep.
    """
    plan, columns = body(binder, function, [arg.type for arg in args], result)
    plan = rewrite_deep(plan, lambda expr: _placed(expr, position))
    expr = _expression(plan, columns, args)
    if expr is None:
        expr = _subquery(plan, columns, args, position)
    return _strict(expr, args, result) if function.strict else expr


def body(
    binder: CallBinder, function: p.Function, types: Sequence[PgType], result: PgType
) -> tuple[p.Plan, list[p.Column]]:
    """The body's plan, of one column of the declared type, over columns for its arguments."""
    from laminar.sql.parse import parse_query

    routine = function.routine
    assert routine is not None
    if len(binder.inlining) >= _MAX_DEPTH or function.oid in binder.inlining:
        message = f"function {function.name}() calls itself"
        raise not_supported(message, hint="SQL functions are expanded where they are called.")
    columns = [binder.column(name, type_) for name, type_ in zip(routine.parameters, types, strict=True)]
    labels = [(name, column) for name, column in zip(routine.parameters, columns, strict=True)]
    labels += [(f"${i}", column) for i, column in enumerate(columns, 1)]
    outer = Level(items=[Item(function.name, labels)])
    binder.inlining.append(function.oid)
    try:
        query = parse_query(routine.body.strip().rstrip(";"))
        plan = binder.query(query, outer, Level())
        if routine.returns_set:
            return _rows(binder, function, plan, result), columns
        plan = _declared(binder, plan, result)
    except PgError as error:
        error.position = None
        error.fields.setdefault("W", f'SQL function "{function.name}"')
        raise
    finally:
        binder.inlining.pop()
    return (plan if _one_row(query, plan) else p.Limit(plan, _one(), None)), columns


def rows(
    binder: CallBinder, function: p.Function, args: Sequence[p.Expr], result: PgType, position: int
) -> p.Plan:
    """A set-returning function in FROM: its rows, for arguments that may refer to other items."""
    plan, columns = body(binder, function, [arg.type for arg in args], result)
    plan = rewrite_deep(plan, lambda expr: _placed(expr, position))
    if not columns:
        return plan
    if any(has_subquery(arg) for arg in args):
        message = "a subquery as an argument of this SQL function is not supported"
        raise not_supported(message, position=position)
    source: p.Plan = p.Project(p.Values(((),), ()), tuple(args), tuple(columns))
    tests = tuple(p.Test(ref(column), "null", True) for column in columns)
    if function.strict:
        source = p.Filter(source, tests[0] if len(tests) == 1 else p.BoolOp("and", tests))
    return p.Project(p.Apply("inner", source, plan), tuple(map(ref, plan.columns)), plan.columns)


def _rows(binder: CallBinder, function: p.Function, plan: p.Plan, result: PgType) -> p.Plan:
    """The body's columns as RETURNS TABLE or SETOF declares them."""
    assert function.routine is not None
    declared = function.routine.columns or ((function.name, result),)
    if len(plan.columns) != len(declared):
        few = "few" if len(plan.columns) < len(declared) else "many"
        raise PgError(
            INVALID_FUNCTION_DEFINITION,
            "return type mismatch in function declared to return record",
            detail=f"Final statement returns too {few} columns.",
        )
    exprs = [
        _assigned(binder, column, type_, place)
        for place, (column, (_, type_)) in enumerate(zip(plan.columns, declared, strict=True), 1)
    ]
    outputs = [binder.column(name, expr.type) for (name, _), expr in zip(declared, exprs, strict=True)]
    return p.Project(plan, tuple(exprs), tuple(outputs))


def _assigned(binder: CallBinder, column: p.Column, type_: PgType, place: int) -> p.Expr:
    if column.type.oid == type_.oid:
        return ref(column)
    try:
        return binder.coerce(ref(column), type_, None, "assignment")
    except PgError as error:
        if error.sqlstate != "42846":
            raise
        have, want = oid_name(column.type.oid), oid_name(type_.oid)
        raise PgError(
            INVALID_FUNCTION_DEFINITION,
            "return type mismatch in function declared to return record",
            detail=f"Final statement returns {have} instead of {want} at column {place}.",
        ) from None


def _declared(binder: CallBinder, plan: p.Plan, result: PgType) -> p.Plan:
    """The body's column as the declared type."""
    declared = oid_name(result.oid)
    if len(plan.columns) != 1:
        raise PgError(
            INVALID_FUNCTION_DEFINITION,
            f"return type mismatch in function declared to return {declared}",
            detail="Final statement must return exactly one column.",
        )
    column = plan.columns[0]
    if column.type.oid == result.oid:
        return plan
    try:
        expr = binder.coerce(ref(column), result, None, "assignment")
    except PgError as error:
        if error.sqlstate != "42846":
            raise
        raise PgError(
            INVALID_FUNCTION_DEFINITION,
            f"return type mismatch in function declared to return {declared}",
            detail=f"Actual return type is {oid_name(column.type.oid)}.",
        ) from None
    if isinstance(plan, p.Project) and len(plan.exprs) == 1:
        expr = rewrite(expr, lambda e: plan.exprs[0] if e == ref(column) else e)
        return p.Project(plan.input, (expr,), (binder.column(column.name, expr.type),))
    return p.Project(plan, (expr,), (binder.column(column.name, expr.type),))


def _one() -> p.Const:
    return p.Const(1, PgType(INT8))


def _one_row(query: ast.Query, plan: p.Plan) -> bool:
    """Whether the body yields one row whatever the data: no FROM, or an aggregate without groups."""
    if _plain(plan) is not None:
        return True
    at = plan
    while isinstance(at, p.Project):
        at = at.input
    return isinstance(at, p.GroupBy) and not at.keys and isinstance(query, ast.Select)


def _plain(plan: p.Plan) -> p.Expr | None:
    """The one expression of a body without FROM."""
    if not isinstance(plan, p.Project) or not isinstance(plan.input, p.Values):
        return None
    single = len(plan.input.rows) == 1 and not plan.input.columns
    return plan.exprs[0] if single and not has_subquery(plan.exprs[0]) else None


def _expression(plan: p.Plan, columns: Sequence[p.Column], args: Sequence[p.Expr]) -> p.Expr | None:
    """The body with arguments in place, if that computes nothing volatile more or less often."""
    expr = _plain(plan)
    if expr is None:
        return None
    by_id = {column.id: arg for column, arg in zip(columns, args, strict=True)}
    used = [part.id for part in walk(expr) if isinstance(part, p.Outer)]
    if any(volatile_call(arg) is not None and used.count(id_) != 1 for id_, arg in by_id.items()):
        return None
    return rewrite(expr, lambda e: by_id.get(e.id, e) if isinstance(e, p.Outer) else e)


def _subquery(plan: p.Plan, columns: Sequence[p.Column], args: Sequence[p.Expr], position: int) -> p.Expr:
    """The body over one row of arguments, as a scalar subquery of the caller."""
    if any(has_subquery(arg) for arg in args):
        raise not_supported(
            "a subquery as an argument of this SQL function is not supported", position=position
        )
    result = plan.columns[0].type
    if columns:
        row = p.Project(p.Values(((),), ()), tuple(map(_outward, args)), tuple(columns))
        kept = plan.columns[0]
        plan = p.Project(p.Apply("inner", row, plan), (ref(kept),), (kept,))
    return p.Subquery(plan, "scalar", result, position=position)


def _outward(arg: p.Expr) -> p.Expr:
    """The argument as seen from one query level further in."""

    def change(expr: p.Expr) -> p.Expr:
        if isinstance(expr, p.ColumnRef):
            return p.Outer(expr.id, expr.type, 1)
        if isinstance(expr, p.Outer):
            return p.Outer(expr.id, expr.type, expr.depth + 1)
        return expr

    return rewrite(arg, change)


def _strict(expr: p.Expr, args: Sequence[p.Expr], result: PgType) -> p.Expr:
    """Null when an argument is null."""
    tests = tuple(p.Test(arg, "null", False) for arg in args if not _never_null(arg))
    if not tests:
        return expr
    condition = tests[0] if len(tests) == 1 else p.BoolOp("or", tests)
    return p.Case(((condition, p.Const(None, expr.type)),), expr, expr.type)


def _never_null(arg: p.Expr) -> bool:
    return isinstance(arg, p.Const) and arg.value is not None


def _placed(expr: p.Expr, position: int) -> p.Expr:
    """Errors point at the call, not into the body."""
    if isinstance(expr, p.Call | p.Cast | p.ArrayCompare | p.Subquery) and expr.position:
        return replace(expr, position=position)
    return expr


def value_name(function: p.Function) -> str | None:
    """What the only OUT column of a function is called, as in FROM; None where its result has no name."""
    if function.routine is not None:
        return None
    fact = facts.function(function.oid)
    named = [name for name, mode in zip(fact.all_names, fact.all_modes, strict=False) if mode in "obt"]
    return named[0] if len(named) == 1 else None


def output_columns(function: p.Function, args: Sequence[p.Expr] = ()) -> list[tuple[str, int]]:
    """OUT and TABLE columns of a function that has several; ``args`` settle polymorphic ones."""
    if function.routine is not None:
        return [(name, type_.oid) for name, type_ in function.routine.columns]
    fact = facts.function(function.oid)
    outputs = [
        (name, oid)
        for name, mode, oid in zip(fact.all_names, fact.all_modes, fact.all_types, strict=False)
        if mode in "obt"
    ]
    if len(outputs) < 2:
        return []
    actual, declared = [a.type.oid for a in args], list(fact.args)
    return [
        (name, settle_generic(actual, declared, oid, None)[1] if oid in POLYMORPHIC and args else oid)
        for name, oid in outputs
    ]
