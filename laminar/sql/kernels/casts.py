"""Cast functions among numbers, booleans and the text types."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from laminar.errors import NUMERIC_VALUE_OUT_OF_RANGE, PgError
from laminar.sql.kernels.arithmetic import out_of_range
from laminar.sql.kernels.comparison import trimmed
from laminar.sql.kernels.registry import Run, Signature, builder, kernel


def _widen(symbol: str, type_: pa.DataType) -> None:
    def run(_env: object, x: Any) -> Any:
        return x.cast(type_, safe=False)

    kernel(symbol, total=True)(run)


for _symbol, _type in {
    "int48": pa.int64(),
    "int28": pa.int64(),
    "i2tof": pa.float32(),
    "i4tof": pa.float32(),
    "i8tof": pa.float32(),
    "i2tod": pa.float64(),
    "i4tod": pa.float64(),
    "i8tod": pa.float64(),
    "ftod": pa.float64(),
    "oidtoi8": pa.int64(),
}.items():
    _widen(_symbol, _type)


@builder("i2toi4", total=True)
def _int2_wider(signature: Signature) -> Run:
    """int4, and what has its 32 bits: oid and its kin."""
    storage = signature.result.storage
    return lambda _env, x: x.cast(storage, safe=False)


def _narrow(symbol: str, type_: pa.DataType) -> None:
    """To a smaller integer type, or from float rounding half to even."""

    def run(_env: object, x: Any) -> Any:
        if pa.types.is_floating(x.type):
            x = pc.round(x, ndigits=0, round_mode="half_to_even")
        try:
            return x.cast(type_)
        except pa.ArrowInvalid:
            raise out_of_range(type_) from None

    kernel(symbol)(run)


for _symbol, _type in {
    "int82": pa.int16(),
    "int84": pa.int32(),
    "i4toi2": pa.int16(),
    "ftoi2": pa.int16(),
    "ftoi4": pa.int32(),
    "ftoi8": pa.int64(),
    "dtoi2": pa.int16(),
    "dtoi4": pa.int32(),
    "dtoi8": pa.int64(),
}.items():
    _narrow(_symbol, _type)

_FLOAT4_MAX: Final = pa.scalar(3.4028235677973366e38)


@kernel("dtof")
def _float8_float4(_env: object, x: Any) -> Any:
    """Rounds to float4; a finite value must stay finite, a non-zero one non-zero."""
    result = x.cast(pa.float32(), safe=False)
    if pc.any(pc.and_(pc.is_inf(result), pc.is_finite(x))).as_py():
        raise PgError(NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow")
    zero = pa.scalar(0.0)
    if pc.any(pc.and_(pc.equal(result, zero), pc.not_equal(x, zero))).as_py():
        raise PgError(NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: underflow")
    return result


@kernel("i8tooid")
def _int8_oid(_env: object, x: Any) -> Any:
    try:
        return x.cast(pa.uint32())
    except pa.ArrowInvalid:
        raise PgError(NUMERIC_VALUE_OUT_OF_RANGE, "OID out of range") from None


@kernel("int4_bool", total=True)
def _int4_bool(_env: object, x: Any) -> Any:
    return pc.not_equal(x, pa.scalar(0, pa.int32()))


@kernel("bool_int4", total=True)
def _bool_int4(_env: object, x: Any) -> Any:
    return x.cast(pa.int32())


@kernel("rtrim1", total=True)
def _bpchar_text(_env: object, x: Any) -> Any:
    """bpchar to text, and rtrim(text): trailing blanks go."""
    return trimmed(x)


@kernel("name_text", "char_text", "name_bpchar", "char_bpchar", total=True)
def _same(_env: object, x: Any) -> Any:
    return x


_NAME_BYTES: Final = 63


@kernel("bpchar_name", total=True)
def _bpchar_name(env: object, x: Any) -> Any:
    return _text_name(env, trimmed(x))


@kernel("text_name", total=True)
def _text_name(_env: object, x: Any) -> Any:
    """Identifiers hold 63 bytes; a character is not cut in two."""
    if pc.max(pc.binary_length(x)).as_py() in (None, *range(_NAME_BYTES + 1)):
        return x
    cut = [v if v is None else v.encode()[:_NAME_BYTES].decode(errors="ignore") for v in x.to_pylist()]
    return pa.array(cut, pa.string())


@kernel("text_char", total=True)
def _text_char(_env: object, x: Any) -> Any:
    """text to "char": the first byte, which above 127 is shown, and kept here, as an octal escape."""
    if pc.all(pc.string_is_ascii(x)).as_py() is not False:
        return pc.utf8_slice_codeunits(x, 0, 1)
    return pa.array([v if v is None else _first_byte(v) for v in x.to_pylist()], pa.string())


def _first_byte(text: str) -> str:
    return text[:1] if text[:1].isascii() else f"\\{text.encode()[0]:o}"


@kernel("chartoi4", total=True)
def _char_int4(_env: object, x: Any) -> Any:
    """The byte's number, signed."""
    codes = [None if v is None else _byte(v) for v in x.to_pylist()]
    return pa.array([c if c is None or c < 128 else c - 256 for c in codes], pa.int32())


def _byte(char: str) -> int:
    return int(char[1:], 8) if len(char) == 4 else ord(char) if char else 0


@kernel("i4tochar")
def _int4_char(_env: object, x: Any) -> Any:
    if pc.any(pc.or_(pc.less(x, -128), pc.greater(x, 127))).as_py():
        raise PgError(NUMERIC_VALUE_OUT_OF_RANGE, '"char" out of range')
    return pa.array([None if v is None else _char(v) for v in x.to_pylist()], pa.string())


def _char(value: int) -> str:
    return f"\\{value + 256:o}" if value < 0 else chr(value) if value else ""
