"""Integer and float arithmetic: + - * / %, unary minus, abs, bit operations.

Integers never wrap (22003), floats never overflow to infinity in silence.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laminar._native.scalars import Binary
from laminar.errors import NUMERIC_VALUE_OUT_OF_RANGE, PgError
from laminar.sql.kernels.registry import Kernel, Run, Signature, add, kernel
from laminar.sql.kernels.vectors import numbers, with_nulls

_WIDTHS: Final = {"2": pa.int16(), "4": pa.int32(), "8": pa.int64()}
_NAMES: Final = {pa.int16(): "smallint", pa.int32(): "integer", pa.int64(): "bigint"}
_OPERATORS: Final = {"pl": "+", "mi": "-", "mul": "*", "div": "/"}


def binary(symbol: str, op: str, left: pa.DataType, right: pa.DataType, *, total: bool = False) -> None:
    """Registers a native operator on two fixed-width columns."""

    def build(_: Signature) -> Run:
        return Binary(op, left, right)

    add(symbol, Kernel(build, total, native=True))


for _word, _op in _OPERATORS.items():
    for _a, _left in _WIDTHS.items():
        for _b, _right in _WIDTHS.items():
            binary(f"int{_a if _a == _b else _a + _b}{_word}", _op, _left, _right)
    binary(f"float4{_word}", _op, pa.float32(), pa.float32())
    binary(f"float8{_word}", _op, pa.float64(), pa.float64())
    binary(f"float48{_word}", _op, pa.float32(), pa.float64())
    binary(f"float84{_word}", _op, pa.float64(), pa.float32())
for _a, _left in _WIDTHS.items():
    binary(f"int{_a}mod", "%", _left, _left)


def out_of_range(type_: pa.DataType) -> PgError:
    return PgError(NUMERIC_VALUE_OUT_OF_RANGE, f"{_NAMES[type_]} out of range")


@kernel("int2um", "int4um", "int8um")
def _negate(_env: object, x: Any) -> Any:
    try:
        return pc.negate_checked(x)
    except pa.ArrowInvalid:
        raise out_of_range(x.type) from None


@kernel("int2abs", "int4abs", "int8abs")
def _abs(_env: object, x: Any) -> Any:
    try:
        return pc.abs_checked(x)
    except pa.ArrowInvalid:
        raise out_of_range(x.type) from None


@kernel("int2up", "int4up", "int8up", "float4up", "float8up", total=True)
def _plus(_env: object, x: Any) -> Any:
    return x


@kernel("float4um", "float8um", total=True)
def _float_negate(_env: object, x: Any) -> Any:
    return pc.negate(x)


@kernel("float4abs", "float8abs", total=True)
def _float_abs(_env: object, x: Any) -> Any:
    return pc.abs(x)


def _bitwise(word: str, name: str) -> None:
    function = pc.get_function(name)

    def run(_env: object, a: Any, b: Any) -> Any:
        return function.call([a, b])

    for width in _WIDTHS:
        kernel(f"int{width}{word}", total=True)(run)


_bitwise("and", "bit_wise_and")
_bitwise("or", "bit_wise_or")
_bitwise("xor", "bit_wise_xor")


@kernel("int2not", "int4not", "int8not", total=True)
def _not(_env: object, x: Any) -> Any:
    return pc.bit_wise_not(x)


def _shift(symbol: str, shift: Any, type_: pa.DataType) -> None:
    """Shifts as C does on this platform: the distance modulo 32, or 64 for bigint; smallint as int."""
    wide, mask = (np.int64, 63) if type_ == pa.int64() else (np.int32, 31)

    def run(_env: object, x: Any, by: Any) -> Any:
        shifted = shift(numbers(x).astype(wide), np.bitwise_and(numbers(by).astype(wide), mask))
        return with_nulls(shifted, type_, x, by)

    kernel(symbol, total=True)(run)


for _a, _left in _WIDTHS.items():
    _shift(f"int{_a}shl", np.left_shift, _left)
    _shift(f"int{_a}shr", np.right_shift, _left)
