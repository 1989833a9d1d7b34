"""Conversions as expressions: explicit cast nodes, literals parsed, common types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Context as DecimalContext
from decimal import Decimal
from typing import Final

import pyarrow as pa

from laminar.errors import CANNOT_COERCE, DATATYPE_MISMATCH, PgError, not_supported
from laminar.sql import facts
from laminar.sql.plan import Call, Cast, ColumnRef, Const, Expr, MakeArray, Param
from laminar.sql.resolve import decimals, rules
from laminar.sql.resolve.calls import as_function
from laminar.sql.resolve.names import oid_name
from laminar.sql.resolve.rowtypes import to_composite, to_record
from laminar.sql.resolve.rules import Context
from laminar.sql.resolve.session import literal_settings
from laminar.types import (
    ARRAY_OF,
    BPCHAR,
    INTERVAL,
    JSONPATH,
    NUMERIC,
    RECORD,
    REG_TYPES,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    UNKNOWN,
    VARCHAR,
    PgType,
    supported,
)

_WIDE: Final = DecimalContext(prec=decimals.MAX_DIGITS + 2)
#: types with a length coercion function (pg_cast from the type to itself)
_SIZED: Final = frozenset({BPCHAR, VARCHAR, NUMERIC, TIME, TIMESTAMP, TIMESTAMPTZ, INTERVAL})
#: their input looks names up in the catalog, so it runs with the statement
_NAMED: Final = REG_TYPES


def can_coerce(source: PgType, target: PgType, context: Context) -> bool:
    """Whether :func:`coerce` would find a way."""
    return rules.can_coerce([source.oid], [target.oid], context)


def coerce(expr: Expr, target: PgType, context: Context, position: int | None = None) -> Expr:
    """``expr`` converted to ``target``; its storage is then exactly ``target.storage``.

    The one exception: an explicit cast to bare ``numeric`` keeps a known precision and
    scale, so look at the result's type. An unknown literal is parsed here.

    Raises:
        PgError: 42846 there is no such cast; whatever parsing a literal raises, at ``position``.
    """
    if expr.type.oid == UNKNOWN and target.oid != UNKNOWN:
        if isinstance(expr, Const):
            expr = literal(expr.value, target, position)
        elif isinstance(expr, Param):
            expr = Param(expr.index, PgType(target.oid))
        else:
            expr = _convert(replace(expr, type=PgType(TEXT)), target, "explicit", position)
    elif expr.type.oid != target.oid:
        expr = _convert(expr, target, context, position)
    return _fit(expr, target, context, position)


def literal(value: object, target: PgType, position: int | None = None) -> Expr:
    """An untyped literal's text as a constant of the type."""
    if value is None:
        return Const(None, target)
    text = str(value)
    if target.oid in _NAMED:
        return Cast(Const(text, PgType(TEXT)), PgType(target.oid), "io", position=position or 0)
    if target.oid == JSONPATH:
        from laminar.sql import jsonpath

        try:
            jsonpath.parse(text)
        except PgError as error:
            raise error.at(position) from None
        return Const(text, PgType(JSONPATH))
    if not supported(target.oid):
        raise PgError("0A000", f"type {oid_name(target.oid)} is not supported", position=position)
    if target.special:
        return _special_literal(text, target, position)
    from laminar._native import textio  # type: ignore[attr-defined,unused-ignore]

    bare = PgType(target.oid, target.typmod if target.oid == INTERVAL else -1)
    try:
        parsed = textio.parse_one(text, bare, literal_settings.get())
    except PgError as error:
        raise error.at(position) from None
    if target.oid == NUMERIC:
        return numeric_literal(text, parsed)
    # arrays as tuples: expressions are compared and hashed
    return Const(tuple(parsed) if isinstance(parsed, list) else parsed, bare)


def _special_literal(text: str, target: PgType, position: int | None) -> Const:
    """A literal of a range, a user's type, or an array of such."""
    from laminar.sql.evaluator import Env
    from laminar.sql.evaluator.conversions import through_text
    from laminar.sql.kernels.vectors import storage_value

    try:
        parsed = through_text(PgType(TEXT), target)(Env(settings=literal_settings.get()), pa.array([text]))
    except PgError as error:
        raise error.at(position) from None
    value = storage_value(parsed[0])
    return Const(tuple(value) if isinstance(value, list) else value, target)


def numeric_literal(text: str, parsed: object) -> Const:
    """A numeric constant: decimal when it has at most 38 digits, else ``parsed`` (unconstrained storage)."""
    value = Decimal(text.strip())
    if not value:
        value = value.copy_abs()  # numeric has no negative zero, which a cast to float8 would show
    known = decimals.of_value(value)
    if known is None:
        return Const(parsed, PgType(NUMERIC))
    exact = value.quantize(Decimal(1).scaleb(-known[1]), context=_WIDE)
    return Const(exact, PgType(NUMERIC, -1, known))


def _convert(expr: Expr, target: PgType, context: Context, position: int | None) -> Expr:
    """Between different type oids; the typmod comes after."""
    way = rules.pathway(expr.type.oid, target.oid, context)
    if way is None:
        names = f"{oid_name(expr.type.oid)} to {oid_name(target.oid)}"
        raise PgError(CANNOT_COERCE, f"cannot cast type {names}", position=position)
    at = position or 0
    method, function = way
    if method == "function":
        return _call(expr, function, target, at)
    if method == "array":
        return _convert_array(expr, target, context, at)
    if method == "row":
        return to_record(expr, at) if target.oid == RECORD else to_composite(expr, target, context, at)
    return Cast(expr, PgType(target.oid), method, context == "explicit", position=at)


def _call(expr: Expr, oid: int, target: PgType, position: int) -> Expr:
    function = as_function(facts.function(oid))
    if target.oid != NUMERIC:
        return Call(function, (expr,), PgType(target.oid), position)
    known = decimals.result(function.symbol, [expr])
    if isinstance(expr, Const) and isinstance(expr.value, int) and known is not None:
        value = Decimal(expr.value)
        return Const(value, PgType(NUMERIC, -1, decimals.of_value(value)))
    return Call(function, (expr,), PgType(NUMERIC, -1, known), position)


def _convert_array(expr: Expr, target: PgType, context: Context, position: int) -> Expr:
    """Element by element; ``inner`` converts column 0, the element."""
    element = target.element
    if isinstance(expr, MakeArray):
        items = tuple(coerce(item, element, context, position) for item in expr.items)
        return MakeArray(items, target)
    inner = coerce(ColumnRef(0, expr.type.element), element, context, position)
    return Cast(expr, PgType(target.oid), "array", context == "explicit", inner, position)


def _fit(expr: Expr, target: PgType, context: Context, position: int | None) -> Expr:
    """Length coercion, and numeric storage as the target has it."""
    have, at = expr.type, position or 0
    if target.typmod >= 0 and have.typmod != target.typmod:
        if target.oid in _SIZED:
            if isinstance(expr, Const) and expr.value is None:
                return Const(None, target)
            return Cast(expr, target, "typmod", context == "explicit", position=at)
        if target.is_array and target.element.oid in _SIZED:
            inner = coerce(ColumnRef(0, have.element), target.element, context, position)
            return Cast(expr, target, "array", context == "explicit", inner, at)
    if target.oid == NUMERIC and have.decimal != target.decimal:
        if context == "explicit" and target == PgType(NUMERIC):
            return expr if have.typmod < 0 else Cast(expr, replace(have, typmod=-1), "relabel", position=at)
        return _rescale(expr, target, at)
    if target.typmod < 0 <= have.typmod:
        return Cast(expr, target, "relabel", position=at)
    return expr


def _rescale(expr: Expr, target: PgType, position: int) -> Expr:
    if isinstance(expr, Const) and expr.value is None:
        return Const(None, target)
    if isinstance(expr, Param):
        return Param(expr.index, target)
    return Cast(expr, target, "rescale", position=position)


def common_type(exprs: Sequence[Expr], position: int | None, what: str) -> PgType:
    """The type all of these are coerced to in UNION, CASE, VALUES, ARRAY, COALESCE, GREATEST.

    Args:
        what: the construct's name as the message has it, e.g. ``"UNION"``, ``"CASE"``.

    Raises:
        PgError: 42804 their categories differ, 42846 one of them has no implicit cast to the chosen type.
    """
    chosen = exprs[0].type.oid
    for expr in exprs[1:]:
        both = rules.common_oid([chosen, expr.type.oid])
        if both is None:
            names = f"{oid_name(chosen)} and {oid_name(expr.type.oid)}"
            raise PgError(DATATYPE_MISMATCH, f"{what} types {names} cannot be matched", position=position)
        chosen = UNKNOWN if chosen == expr.type.oid == UNKNOWN else both
    if chosen == UNKNOWN:
        return PgType(TEXT)
    for expr in exprs:
        if expr.type.oid != UNKNOWN and not rules.can_coerce([expr.type.oid], [chosen], "implicit"):
            label = "CASE/WHEN" if what == "CASE" else what
            names = f"{oid_name(expr.type.oid)} to {oid_name(chosen)}"
            raise PgError(CANNOT_COERCE, f"{label} could not convert type {names}", position=position)
    typmods = {e.type.typmod if e.type.oid == chosen else -1 for e in exprs}
    typmod = typmods.pop() if len(typmods) == 1 else -1
    if chosen in (RECORD, ARRAY_OF[RECORD]):
        return PgType(chosen, fields=_common_shape(exprs, position, what))
    if chosen != NUMERIC:
        return PgType(chosen, typmod)
    known = decimals.common([_as_numeric(e) for e in exprs if not _is_null(e)])
    return PgType(NUMERIC, typmod, known)


def _common_shape(
    exprs: Sequence[Expr], position: int | None, what: str
) -> tuple[tuple[str, PgType], ...] | None:
    """The fields that all the rows have; rows of several shapes are no one type here."""
    shapes = [e.type.fields for e in exprs if e.type.fields is not None]
    kinds = {tuple(type_ for _, type_ in shape) for shape in shapes}
    if len(kinds) > 1:
        raise not_supported(f"{what} of rows whose fields have different types", position=position)
    return shapes[0] if shapes else None


def _is_null(expr: Expr) -> bool:
    return isinstance(expr, Const) and expr.value is None


def _as_numeric(expr: Expr) -> decimals.Decimals | None:
    """Precision and scale this expression will have as numeric."""
    if isinstance(expr, Const) and expr.type.oid != NUMERIC:
        try:
            return decimals.of_value(Decimal(str(expr.value).strip()))
        except ArithmeticError:
            return None
    return decimals.of_type(expr.type)
