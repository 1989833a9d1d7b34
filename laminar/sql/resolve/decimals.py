"""Precision and scale of numeric results, where they are known before a row is seen.

A numeric expression with known (precision, scale) is stored as decimal128, which
is exact and fast as long as every value has precisely that display scale in
PostgreSQL too and at most 38 digits. Whatever breaks either rule is None:
unconstrained storage. The rules follow PostgreSQL's choice of result scale
(``rscale`` in utils/adt/numeric.c) with the digits that can arise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

from laminar.sql.plan import Const, Expr
from laminar.types import INT2, INT4, INT8, NUMERIC, PgType

MAX_DIGITS: Final = 38
#: digits of the integer types as numeric
INTEGER_DIGITS: Final = {INT2: 5, INT4: 10, INT8: 19}
Decimals = tuple[int, int]


def of_type(type_: PgType) -> Decimals | None:
    """(precision, scale) of a value of this type converted to numeric, None when unknown."""
    if type_.oid == NUMERIC:
        return type_.decimal
    digits = INTEGER_DIGITS.get(type_.oid)
    return (digits, 0) if digits else None


def of_value(value: Decimal) -> Decimals | None:
    """The exact (precision, scale) of a literal."""
    if not value.is_finite():
        return None
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    scale = max(0, -exponent)
    precision = max(len(digits) + max(exponent, 0), scale, 1)
    return (precision, scale) if precision <= MAX_DIGITS else None


def common(types: Sequence[Decimals | None]) -> Decimals | None:
    """The storage that holds all of these without changing a display scale."""
    if not types or any(t is None for t in types):
        return None
    known = [t for t in types if t is not None]
    if len({scale for _, scale in known}) > 1:
        return None
    return max(precision for precision, _ in known), known[0][1]


def _checked(precision: int, scale: int) -> Decimals | None:
    precision = max(precision, scale, 1)
    return (precision, scale) if precision <= MAX_DIGITS else None


def _add(a: Decimals, b: Decimals) -> Decimals | None:
    scale = max(a[1], b[1])
    return _checked(max(a[0] - a[1], b[0] - b[1]) + 1 + scale, scale)


def _multiply(a: Decimals, b: Decimals) -> Decimals | None:
    return _checked(a[0] + b[0], a[1] + b[1])


def _modulo(a: Decimals, b: Decimals) -> Decimals | None:
    scale = max(a[1], b[1])
    return _checked(b[0] - b[1] + scale, scale)


def _same(a: Decimals) -> Decimals | None:
    return a


def _whole(a: Decimals) -> Decimals | None:
    return _checked(a[0] - a[1] + 1, 0)


_RULES: Final[dict[str, Callable[..., Decimals | None]]] = {
    "numeric_add": _add,
    "numeric_sub": _add,
    "numeric_mul": _multiply,
    "numeric_mod": _modulo,
    "numeric_uminus": _same,
    "numeric_uplus": _same,
    "numeric_abs": _same,
    "numeric_ceil": _whole,
    "numeric_floor": _whole,
    "round(numeric)": _whole,
    "trunc(numeric)": _whole,
    "min(numeric)": _same,
    "max(numeric)": _same,
}


def result(symbol: str, args: Sequence[Expr | PgType]) -> Decimals | None:
    """(precision, scale) of what a function with a numeric result yields for these arguments."""
    types = [of_type(a if isinstance(a, PgType) else a.type) for a in args]
    if symbol == "sum(numeric)":
        known = types[0] if types else None
        return (MAX_DIGITS, known[1]) if known is not None and known[0] <= 28 else None
    if symbol == "sum(int8)":
        return MAX_DIGITS, 0
    if symbol in ("int2_numeric", "int4_numeric", "int8_numeric"):
        return types[0]
    if symbol in ("numeric_round", "numeric_trunc"):
        return _to_places(types[0], args[1])
    rule = _RULES.get(symbol)
    if rule is None or any(t is None for t in types):
        return None
    return rule(*types)


def _to_places(known: Decimals | None, places: Expr | PgType) -> Decimals | None:
    """round(x, n) and trunc(x, n) have display scale max(n, 0), so n must be a constant."""
    if known is None or not isinstance(places, Const) or not isinstance(places.value, int):
        return None
    scale = max(0, places.value)
    return _checked(known[0] - known[1] + 1 + scale, scale)
