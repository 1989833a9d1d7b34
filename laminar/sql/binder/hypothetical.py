"""Hypothetical-set aggregates as plain ones: where would this row stand? (PostgreSQL, chapter 9.21)

``rank(h) WITHIN GROUP (ORDER BY x)`` is one more than the number of rows before ``h``: a count with a
FILTER, which views keep up to date row by row.
"""

from __future__ import annotations

from typing import Final

from laminar.errors import UNDEFINED_FUNCTION, PgError
from laminar.sql import ast

HYPOTHETICAL: Final = frozenset(("rank", "dense_rank", "percent_rank", "cume_dist"))


def rewritten(node: ast.FuncCall) -> ast.Expr:
    """The same with count() alone; 42883 when the row has not as many columns as the order."""
    name, pos, rows = node.names[-1], node.pos, len(node.args)
    if rows != len(node.within_group):
        raise PgError(
            UNDEFINED_FUNCTION,
            f"function {name} with these arguments does not exist",
            hint=f"To use the hypothetical-set aggregate {name}, the number of hypothetical direct arguments"
            f" (here {rows}) must match the number of ordering columns (here {len(node.within_group)}).",
            position=pos,
        )
    before, equal = _compared(node)
    match name:
        case "rank":
            return _plus_one(_count(node, before))
        case "dense_rank":
            values = ast.Row([item.expr for item in node.within_group], pos, explicit=True)
            return _plus_one(_count(node, before, values))
        case "percent_rank":
            share = _ratio(_count(node, before), _count(node))
            empty = ast.Operator("=", _count(node), _int("0"), pos)
            return ast.Case(None, [(empty, _double(_int("0")))], share, pos)
    upto = ast.Bool("or", [before, equal], pos)
    return _ratio(_plus_one(_count(node, upto)), _plus_one(_count(node)))


def _compared(node: ast.FuncCall) -> tuple[ast.Expr, ast.Expr]:
    """Whether a row comes before the hypothetical one, and whether it is equal to it in the order."""
    pos = node.pos
    before: list[ast.Expr] = []
    equal: list[ast.Expr] = []
    for item, other in zip(node.within_group, node.args, strict=True):
        first = item.descending if item.nulls_first is None else item.nulls_first
        null, value = (item.expr, other) if first else (other, item.expr)
        less = ast.Operator(">" if item.descending else "<", item.expr, other, pos)
        beside_null = _all([ast.Test(null, "null", False, pos), ast.Test(value, "null", True, pos)])
        before.append(_all([*equal, ast.Bool("or", [less, beside_null], pos)]))
        equal.append(ast.IsDistinct(item.expr, other, True, pos))
    return (ast.Bool("or", before, pos) if len(before) > 1 else before[0]), _all(equal)


def _count(
    node: ast.FuncCall, condition: ast.Expr | None = None, distinct: ast.Expr | None = None
) -> ast.Expr:
    """count() of the rows, or of distinct values, that the FILTER and a condition leave."""
    filters = [c for c in (node.filter, condition) if c is not None]
    args = [] if distinct is None else [distinct]
    return ast.FuncCall(
        ("pg_catalog", "count"),
        args,
        node.pos,
        star=not args,
        distinct=bool(args),
        filter=_all(filters) if filters else None,
    )


def _all(conditions: list[ast.Expr]) -> ast.Expr:
    return ast.Bool("and", conditions, 0) if len(conditions) > 1 else conditions[0]


def _int(value: str) -> ast.Expr:
    return ast.Literal("int", value, 0)


def _plus_one(expr: ast.Expr) -> ast.Expr:
    return ast.Operator("+", expr, _int("1"), 0)


def _double(expr: ast.Expr) -> ast.Expr:
    return ast.Cast(expr, ast.TypeName(("pg_catalog", "float8"), (), 0, 0), 0)


def _ratio(part: ast.Expr, whole: ast.Expr) -> ast.Expr:
    return ast.Operator("/", _double(part), whole, 0)
