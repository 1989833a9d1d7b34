"""Arithmetic of paths: numeric's, with its scales."""

from __future__ import annotations

from decimal import Decimal
from functools import cache

import pyarrow as pa

from laminar._native import kernels, textio
from laminar.sql.kernels.jsontext import Number
from laminar.types import NUMERIC, PgType

_TYPE = PgType(NUMERIC)
_SYMBOLS = {
    "+": "numeric_add",
    "-": "numeric_sub",
    "*": "numeric_mul",
    "/": "numeric_div",
    "%": "numeric_mod",
}


@cache
def _kernel(operator: str) -> kernels.Kernel:
    return kernels.Kernel(_SYMBOLS[operator], (_TYPE, _TYPE), _TYPE)


def arithmetic(operator: str, a: Number, b: Number) -> Number:
    """``a operator b``. Raises 22012, 22003."""
    columns = [textio.parse_text(pa.array([str(x)], pa.string()), _TYPE) for x in (a, b)]
    result = _kernel(operator)(columns)
    return Number(textio.format_text(result, _TYPE)[0].as_py())


def plain(value: Decimal) -> Number:
    """A number without an exponent; zero has no sign."""
    return Number(f"{value if value else abs(value):f}")
