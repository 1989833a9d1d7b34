"""Comparisons of all types whose storage orders as the type does, and of floats and padded text.

numeric, interval, jsonb and arrays compare on their sort keys (see :mod:`.sortkeys`).
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from laminar._native.scalars import Binary
from laminar.sql.kernels.arithmetic import binary
from laminar.sql.kernels.registry import kernel

_OPS: Final = {"eq": "=", "ne": "!", "lt": "<", "gt": ">", "le": "l", "ge": "g"}
#: operators' words -> Arrow's functions
ARROW: Final = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "gt": "greater",
    "le": "less_equal",
    "ge": "greater_equal",
}
_INTS: Final = {"2": pa.int16(), "4": pa.int32(), "8": pa.int64()}

for _word, _op in _OPS.items():
    for _a, _left in _INTS.items():
        for _b, _right in _INTS.items():
            binary(f"int{_a if _a == _b else _a + _b}{_word}", _op, _left, _right, total=True)
    binary(f"float4{_word}", _op, pa.float32(), pa.float32(), total=True)
    binary(f"float8{_word}", _op, pa.float64(), pa.float64(), total=True)
    binary(f"float48{_word}", _op, pa.float32(), pa.float64(), total=True)
    binary(f"float84{_word}", _op, pa.float64(), pa.float32(), total=True)


def _arrow(symbol: str, name: str) -> None:
    function = pc.get_function(name)

    def run(_env: object, a: Any, b: Any) -> Any:
        return function.call([a, b])

    kernel(symbol, total=True)(run)


def _plain(family: str, words: dict[str, str]) -> None:
    for word, name in words.items():
        _arrow(f"{family}{word}", name)


for _family in ("bool", "oid", "date_", "timestamp_", "time_", "uuid_", "bytea", "char", "name", "enum_"):
    _plain(_family, ARROW)
for _symbol in ("xideq", "cideq", "tideq"):
    _arrow(_symbol, "equal")
for _symbol in ("xidneq", "tidne"):
    _arrow(_symbol, "not_equal")
# timestamptz shares timestamp's functions; text's are named irregularly
for _symbol, _name in {
    "texteq": "equal",
    "textne": "not_equal",
    "text_lt": "less",
    "text_le": "less_equal",
    "text_gt": "greater",
    "text_ge": "greater_equal",
    "text_pattern_lt": "less",
    "text_pattern_le": "less_equal",
    "text_pattern_gt": "greater",
    "text_pattern_ge": "greater_equal",
}.items():
    _plain(_symbol, {"": _name})
for _word, _name in ARROW.items():
    _arrow(f"name{_word}text", _name)
    _arrow(f"text{_word}name", _name)


def trimmed(x: Any) -> Any:
    """character(n) as it compares: without its padding."""
    return pc.ascii_rtrim(x, characters=" ")


def _padded(symbol: str, name: str) -> None:
    function = pc.get_function(name)

    def run(_env: object, a: Any, b: Any) -> Any:
        return function.call([trimmed(a), trimmed(b)])

    kernel(symbol, total=True)(run)


for _word, _name in ARROW.items():
    _padded(f"bpchar{_word}", _name)


def _picks(symbol: str, name: str) -> None:
    """The larger or smaller of two: greatest's and max's helpers."""
    function = pc.get_function(name)

    def run(_env: object, a: Any, b: Any) -> Any:
        return pc.if_else(function.call([a, b]), a, b)

    kernel(symbol, total=True)(run)


for _t in ("int2", "int4", "int8", "date_", "timestamp_", "time_", "text_", "oid", "enum_"):
    _picks(f"{_t}larger", "greater_equal")
    _picks(f"{_t}smaller", "less_equal")


def _picks_padded(symbol: str, name: str) -> None:
    function = pc.get_function(name)

    def run(_env: object, a: Any, b: Any) -> Any:
        return pc.if_else(function.call([trimmed(a), trimmed(b)]), a, b)

    kernel(symbol, total=True)(run)


_picks_padded("bpchar_larger", "greater_equal")
_picks_padded("bpchar_smaller", "less_equal")
for _word in ("lt", "le", "gt", "ge"):
    _padded(f"bpchar_pattern_{_word}", ARROW[_word])


def _picks_float(symbol: str, op: str, type_: pa.DataType) -> None:
    """NaN is the greatest."""
    compare = Binary(op, type_, type_)

    def run(env: object, a: Any, b: Any) -> Any:
        return pc.if_else(compare(env, a, b), a, b)

    kernel(symbol, total=True)(run)


for _t, _storage in (("float4", pa.float32()), ("float8", pa.float64())):
    _picks_float(f"{_t}larger", ">", _storage)
    _picks_float(f"{_t}smaller", "<", _storage)


def three_way(a: Any, b: Any) -> Any:
    """-1, 0 or 1: btree support functions, which users may call too."""
    return pc.subtract(pc.cast(pc.greater(a, b), pa.int32()), pc.cast(pc.less(a, b), pa.int32()))


def _order(symbol: str) -> None:
    kernel(symbol, total=True)(lambda _env, a, b: three_way(a, b))


for _symbol in ("date_cmp", "timestamp_cmp", "time_cmp", "enum_cmp"):
    _order(_symbol)
