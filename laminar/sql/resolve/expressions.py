"""Typed expressions from names and untyped arguments: calls, operators, arrays, IN lists."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from laminar.errors import DATATYPE_MISMATCH, UNDEFINED_OBJECT, WRONG_OBJECT_TYPE, PgError
from laminar.sql.plan import (
    ArrayCompare,
    BoolOp,
    Call,
    ColumnRef,
    Const,
    Distinct,
    Expr,
    MakeArray,
    Outer,
    Subquery,
)
from laminar.sql.resolve import decimals, rules
from laminar.sql.resolve.calls import ResolvedCall, resolve_function, resolve_operator
from laminar.sql.resolve.coercion import coerce, common_type, literal
from laminar.sql.resolve.names import oid_name
from laminar.types import BOOL, FLOAT8, INT4, INT8, NUMERIC, RECORD, TEXT, UNKNOWN, PgType


def make_call(
    name: str,
    schema: str | None,
    args: Sequence[Expr],
    position: int | None = None,
    *,
    arg_names: Sequence[str | None] = (),
    variadic: bool = False,
    arg_positions: Sequence[int | None] = (),
) -> Expr:
    """A plain function call; for aggregates and window functions see :func:`bind_args`.

    Raises:
        PgError: what :func:`resolve_function` raises; 42809 for an aggregate or window function.
    """
    types = [a.type for a in args]
    resolved = resolve_function(name, schema, types, position, arg_names=arg_names, variadic=variadic)
    if resolved.kind == "c":
        return coerce(args[0], resolved.result_type, "explicit", position)
    if resolved.kind != "f":
        what = "aggregate" if resolved.kind == "a" else "window"
        raise PgError(WRONG_OBJECT_TYPE, f"{name} is a {what} function", position=position)
    bound = bind_args(resolved, args, position, arg_positions)
    return Call(resolved.function, bound, result_type(resolved, bound), position or 0)


def bind_args(
    resolved: ResolvedCall,
    args: Sequence[Expr],
    position: int | None = None,
    arg_positions: Sequence[int | None] = (),
) -> tuple[Expr, ...]:
    """The arguments in the order of the parameters, coerced, defaults filled in, VARIADIC packed."""
    defaults = iter(resolved.defaults)
    bound: list[Expr] = []
    for target, argument in zip(resolved.arg_types, resolved.order, strict=True):
        if argument < 0:
            text = next(defaults)
            if text is None or resolved.function.routine is not None:
                bound.append(literal(text, target))
            else:
                bound.append(_default(text, target))
        else:
            at = arg_positions[argument] if arg_positions else position
            bound.append(coerce_argument(args[argument], target, at))
    if resolved.pack_from is None:
        return tuple(bound)
    rest = tuple(bound[resolved.pack_from :])
    array = PgType(rules.array_type(rest[0].type.oid))
    items = tuple(coerce(item, array.element, "implicit", position) for item in rest)
    return (*bound[: resolved.pack_from], MakeArray(items, array))


def coerce_argument(arg: Expr, target: PgType, position: int | None) -> Expr:
    """A function's argument: numeric keeps the storage it has, kernels take both."""
    if target.oid != NUMERIC:
        return arg if arg.type == target else coerce(arg, PgType(target.oid), "implicit", position)
    if arg.type.oid == NUMERIC:
        return arg
    return coerce(arg, PgType(NUMERIC), "explicit", position)


def result_type(resolved: ResolvedCall, bound: Sequence[Expr]) -> PgType:
    """The call's type, with precision and scale now that the arguments are known."""
    if resolved.result_type.oid != NUMERIC:
        return resolved.result_type
    return PgType(NUMERIC, -1, decimals.result(resolved.function.symbol, bound))


def _default(text: str, target: PgType) -> Expr:
    """A default from pg_proc: a number, a boolean or a quoted literal."""
    value = text.split("::", maxsplit=1)[0].strip("'")
    if target.oid == BOOL:
        return Const(value == "true", target)
    if target.oid in (INT4, INT8):
        return Const(int(value), target)
    if target.oid == FLOAT8:
        return Const(float(value), target)
    return literal(value, target)


def make_operator(
    symbol: str,
    left: Expr | None,
    right: Expr,
    position: int | None = None,
    arg_positions: Sequence[int | None] = (),
) -> Call:
    """``left symbol right``, or ``symbol right`` when left is None."""
    resolved = resolve_operator(symbol, None if left is None else left.type, right.type, position)
    at = arg_positions or (position, position)
    args: tuple[Expr, ...] = (coerce_argument(right, resolved.right, at[-1]),)
    if left is not None:
        assert resolved.left is not None
        args = (coerce_argument(left, resolved.left, at[0]), *args)
    type_ = resolved.result_type
    if type_.oid == NUMERIC:
        type_ = PgType(NUMERIC, -1, decimals.result(resolved.function.symbol, args))
    return Call(resolved.function, args, type_, position or 0)


def make_distinct(left: Expr, right: Expr, negated: bool, position: int | None = None) -> Distinct:
    """``left IS [NOT] DISTINCT FROM right``."""
    equal = make_operator("=", left, right, position)
    return Distinct(equal.args[0], equal.args[1], equal.function, negated)


def make_array(items: Sequence[Expr], position: int | None = None) -> MakeArray:
    """``ARRAY[items]`` with their common type; multidimensional arrays are refused.

    Raises:
        PgError: 42804 no common type, 42704 the type has no array type, 0A000 nested arrays.
    """
    element = common_type(items, position, "ARRAY")
    if rules.element_type(element.oid):
        raise PgError("0A000", "multidimensional arrays are not supported", position=position)
    oid = rules.array_type(element.oid)
    if not oid:
        message = f"could not find array type for data type {oid_name(element.oid)}"
        raise PgError(UNDEFINED_OBJECT, message, position=position)
    array = PgType(oid, element.typmod, fields=element.fields)
    return MakeArray(tuple(coerce(item, array.element, "implicit", position) for item in items), array)


def make_array_compare(
    symbol: str, left: Expr, array: Expr, any_: bool, position: int | None = None
) -> ArrayCompare:
    """``left symbol ANY|ALL (array)``."""
    word = "ANY/ALL (array)"
    if array.type.oid == UNKNOWN:
        element = PgType(UNKNOWN)
    elif rules.element_type(array.type.oid):
        element = array.type.element
    else:
        raise PgError(WRONG_OBJECT_TYPE, f"op {word} requires array on right side", position=position)
    resolved = resolve_operator(symbol, left.type, element, position)
    if resolved.result_type.oid != BOOL:
        message = f"op {word} requires operator to yield boolean"
        raise PgError(WRONG_OBJECT_TYPE, message, position=position)
    assert resolved.left is not None
    target = rules.array_type(resolved.right.oid)
    if not target:
        message = f"could not find array type for data type {oid_name(resolved.right.oid)}"
        raise PgError(UNDEFINED_OBJECT, message, position=position)
    right = array if array.type.oid == target else coerce(array, PgType(target), "implicit", position)
    left = coerce_argument(left, resolved.left, position)
    return ArrayCompare(left, right, resolved.function, any_, position=position or 0)


def make_in(left: Expr, items: Sequence[Expr], negated: bool, position: int | None = None) -> Expr:
    """``left [NOT] IN (items)``: one array comparison for the constants, an operator for each of the rest."""
    symbol = "<>" if negated else "="
    constant = [item for item in items if not _has_columns(item)]
    rest = [item for item in items if _has_columns(item)]
    parts: list[Expr] = []
    if len(constant) > 1:
        element = _in_type([left, *constant])
        if element is not None:
            array_items = tuple(coerce(item, element, "implicit", position) for item in constant)
            array = MakeArray(array_items, PgType(rules.array_type(element.oid), fields=element.fields))
            parts.append(make_array_compare(symbol, left, array, not negated, position))
            constant = []
    for item in [*constant, *rest]:
        call = make_operator(symbol, left, item, position)
        if call.type.oid != BOOL:
            message = f"argument of IN must be type boolean, not type {oid_name(call.type.oid)}"
            raise PgError(DATATYPE_MISMATCH, message, position=position)
        parts.append(call)
    if len(parts) == 1:
        return parts[0]
    return BoolOp("and" if negated else "or", tuple(parts))


def _in_type(exprs: Sequence[Expr]) -> PgType | None:
    """The element type of an IN list, None when its items have to be compared one by one."""
    chosen = rules.common_oid([e.type.oid for e in exprs])
    if chosen is None or not rules.array_type(chosen):
        return None
    fits = all(e.type.oid == UNKNOWN or rules.can_coerce([e.type.oid], [chosen], "implicit") for e in exprs)
    if chosen == RECORD:
        return next(e.type for e in exprs if e.type.oid == RECORD)
    return PgType(chosen) if fits else None


def _has_columns(expr: Expr) -> bool:
    if isinstance(expr, (ColumnRef, Outer, Subquery)):
        return True
    children = [getattr(expr, name, None) for name in ("arg", "left", "right", "array", "default")]
    parts = [c for c in children if c is not None]
    for name in ("args", "items"):
        parts.extend(getattr(expr, name, ()))
    for when in getattr(expr, "whens", ()):
        parts.extend(when)
    return any(_has_columns(part) for part in parts)


def text_of(expr: Expr, position: int | None = None) -> Expr:
    """An expression that is still an unknown literal becomes text (select lists, CREATE VIEW)."""
    return coerce(expr, PgType(TEXT), "implicit", position) if expr.type.oid == UNKNOWN else expr


def integer_literal(value: int) -> Const:
    """int4, int8 or numeric, whichever the lexer would choose."""
    if -(1 << 31) <= value < 1 << 31:
        return Const(value, PgType(INT4))
    if -(1 << 63) <= value < 1 << 63:
        return Const(value, PgType(INT8))
    number = Decimal(value)
    known = decimals.of_value(number)
    if known is not None:
        return Const(number, PgType(NUMERIC, -1, known))
    constant = literal(str(value), PgType(NUMERIC))
    assert isinstance(constant, Const)
    return constant
