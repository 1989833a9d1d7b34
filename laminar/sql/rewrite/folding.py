"""Constant folding: what can be computed once, before rows are there.

Only immutable expressions without columns and parameters; never now() or random(), and never what
would raise an error (which belongs to the row that reaches it).
"""

from __future__ import annotations

from laminar.errors import PgError
from laminar.sql import plan as p
from laminar.sql.expressions import conjunction, conjuncts, volatile_call
from laminar.sql.kernels.registry import returns_set
from laminar.sql.trees import canonical, map_children


def fold(expr: p.Expr) -> p.Expr:
    """The expression with its constant parts computed."""
    if isinstance(expr, p.Const | p.ColumnRef | p.Param | p.Outer):
        return expr
    expr = map_children(expr, fold)
    if isinstance(expr, p.BoolOp):
        return _logic(expr)
    if isinstance(expr, p.Call) and expr.function.strict and any(map(_null, expr.args)):
        return expr if returns_set(expr.function) else p.Const(None, expr.type)
    if isinstance(expr, p.Subquery | p.SortKey) or not _constant(expr):
        return expr
    if isinstance(expr, p.Call) and (expr.function.volatility != "i" or returns_set(expr.function)):
        return expr
    if isinstance(expr, p.Cast) and expr.method == "io" and not _timeless(expr):
        return expr
    return _evaluate(expr)


def _null(expr: p.Expr) -> bool:
    return isinstance(expr, p.Const) and expr.value is None


def _constant(expr: p.Expr) -> bool:
    found = True

    def look(child: p.Expr) -> p.Expr:
        nonlocal found
        found = found and isinstance(child, p.Const)
        return child

    map_children(expr, look)
    return found


def _timeless(expr: p.Cast) -> bool:
    """Whether a conversion through text does not depend on session settings."""
    settings = {1082, 1083, 1114, 1184, 1186, 700, 701, 17, 2205, 2206, 24}
    return expr.arg.type.oid not in settings and expr.type.oid not in settings


def _evaluate(expr: p.Expr) -> p.Expr:
    from laminar.sql import evaluator

    try:
        result: p.Expr = evaluator.fold(expr)
    except (PgError, ArithmeticError, ValueError, TypeError):
        return expr
    if isinstance(result, p.Const) and isinstance(result.value, list):
        return p.Const(_hashable(result.value), result.type)
    return result


def _hashable(value: object) -> object:
    """Array values as tuples: plans are compared and hashed."""
    return tuple(_hashable(item) for item in value) if isinstance(value, list) else value


def _logic(expr: p.BoolOp) -> p.Expr:
    """AND and OR with constant operands; NOT of a constant."""
    if expr.op == "not":
        arg = expr.args[0]
        if isinstance(arg, p.Const):
            return p.Const(None if arg.value is None else not arg.value, expr.type)
        return expr
    absorbing, neutral = (False, True) if expr.op == "and" else (True, False)
    args: list[p.Expr] = []
    for arg in expr.args:
        if isinstance(arg, p.Const) and arg.value is not None:
            if arg.value == absorbing:
                # operands to its left may still raise errors; PostgreSQL drops them as well
                return p.Const(absorbing, expr.type)
            continue
        args.append(arg)
    if not args:
        return p.Const(neutral, expr.type)
    if len(args) == 1:
        return args[0]
    if expr.op == "or":
        return factored(tuple(args))
    return expr if len(args) == len(expr.args) else p.BoolOp(expr.op, tuple(args))


def factored(args: tuple[p.Expr, ...]) -> p.Expr:
    """``(a AND b) OR (a AND c)`` as ``a AND (b OR c)``: then ``a`` may move down."""
    branches = [{canonical(part): part for part in conjuncts(arg)} for arg in args]
    common = [key for key in branches[0] if all(key in other for other in branches[1:])]
    common = [key for key in common if volatile_call(key) is None]
    if not common:
        return p.BoolOp("or", args)
    shared = [branches[0][key] for key in common]
    rest = [conjunction([part for key, part in branch.items() if key not in common]) for branch in branches]
    if any(part is None for part in rest):
        both = conjunction(shared)
    else:
        both = conjunction([*shared, p.BoolOp("or", tuple(part for part in rest if part is not None))])
    assert both is not None
    return both
