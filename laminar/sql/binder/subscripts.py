"""Elements and slices of arrays, letters of names, parts of jsonb: ``value[…]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from laminar.errors import DATATYPE_MISMATCH, PgError, not_supported
from laminar.sql import ast
from laminar.sql import plan as p
from laminar.sql.binder.scope import Level
from laminar.sql.binder.state import location
from laminar.sql.resolve import oid_name
from laminar.sql.resolve.rules import element_type
from laminar.types import (
    ARRAY_OF,
    BPCHAR,
    CHAR,
    INT2,
    INT4,
    JSONB,
    NAME,
    TEXT,
    UNKNOWN,
    VARCHAR,
    VECTORS,
    PgType,
)

if TYPE_CHECKING:
    from laminar.sql.binder.exprs import ExpressionBinder

#: array element and slice: (array, index), (array, lower, upper); PostgreSQL has no pg_proc entry for them
LETTER: Final = p.Function(10032, "name_subscript", "laminar_name_letter", True, "i")
SUBSCRIPT: Final = p.Function(10030, "array_subscript", "laminar_array_element", True, "i")
SLICE: Final = p.Function(10031, "array_slice", "laminar_array_slice", True, "i")


def subscript(binder: ExpressionBinder, node: ast.Subscript, level: Level) -> p.Expr:
    arg = binder.expr(node.arg, level)
    if arg.type.oid == NAME and not node.slice and node.index is not None:
        return p.Call(LETTER, (arg, _array_index(binder, node.index, level)), PgType(CHAR), node.pos)
    if arg.type.oid == JSONB:
        return _json_part(binder, arg, node, level)
    if not element_type(arg.type.oid):
        raise PgError(
            DATATYPE_MISMATCH,
            f"cannot subscript type {oid_name(arg.type.oid)} because it does not support subscripting",
            position=location(node.arg) or None,
        )
    if not node.slice:
        assert node.index is not None
        index = _array_index(binder, node.index, level)
        if arg.type.oid in VECTORS:
            # stored as arrays are, from 1
            index = binder.operate("+", index, p.Const(1, PgType(INT4)), node.pos, node.index, None)
        element = PgType(element_type(arg.type.oid), arg.type.typmod)
        return p.Call(SUBSCRIPT, (arg, index), element, node.pos)
    if arg.type.oid in VECTORS:
        raise not_supported("slices of vectors are not supported", position=node.pos)
    # arrays begin at 1 here, so a missing bound is a constant
    bounds = [
        p.Const(ends, PgType(INT4)) if bound is None else _array_index(binder, bound, level)
        for bound, ends in ((node.index, 1), (node.upper, 0x7FFFFFFF))
    ]
    return p.Call(SLICE, (arg, *bounds), arg.type, node.pos)


def _json_part(binder: ExpressionBinder, arg: p.Expr, node: ast.Subscript, level: Level) -> p.Expr:
    """``jsonb[key]`` and ``jsonb[place]``: null where there is nothing, as with ``#>``."""
    if node.slice:
        bound = node.index if node.upper is None else node.upper
        where = None if bound is None else location(bound)
        raise PgError(DATATYPE_MISMATCH, "jsonb subscript does not support slices", position=where)
    assert node.index is not None
    index = binder.expr(node.index, level)
    if index.type.oid not in (UNKNOWN, TEXT, VARCHAR, BPCHAR, INT2, INT4):
        raise PgError(
            DATATYPE_MISMATCH,
            f"subscript type {oid_name(index.type.oid)} is not supported",
            hint="jsonb subscript must be coercible to either integer or text.",
            position=location(node.index) or None,
        )
    key = binder.coerce(index, PgType(TEXT), node.index, "explicit")
    return binder.operate("#>", arg, p.MakeArray((key,), PgType(ARRAY_OF[TEXT])), node.pos, None, None)


def _array_index(binder: ExpressionBinder, node: ast.Expr, level: Level) -> p.Expr:
    index = binder.expr(node, level)
    try:
        return binder.coerce(index, PgType(INT4), node, "assignment")
    except PgError as error:
        if error.sqlstate != "42846":
            raise
        raise PgError(
            DATATYPE_MISMATCH, "array subscript must have type integer", position=location(node)
        ) from None
