"""Enums: values are stored as sort key and label, so they compare as their storage does."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from laminar.errors import PgError
from laminar.sql.kernels.registry import Run, Signature, builder
from laminar.types import PgType


def _values(type_: PgType) -> list[str]:
    """All values of an enum as they are stored, in order."""
    return [key + label for key, label in type_.labels or ()]


def _end(symbol: str, place: int) -> None:
    """enum_first and enum_last: the argument only tells the type."""

    def build(signature: Signature) -> Run:
        type_ = signature.args[0]

        def run(_env: Any, _n: int, _value: Any) -> Any:
            values = _values(type_)
            if not values:
                raise PgError("55000", "enum contains no values")
            return pa.scalar(values[place], pa.string())

        return run

    builder(symbol, rows=True)(build)


_end("enum_first", 0)
_end("enum_last", -1)


@builder("enum_range_all", rows=True, total=True)
def _range(signature: Signature) -> Run:
    type_ = signature.args[0]
    return lambda _env, _n, _value: pa.scalar(_values(type_), pa.list_(pa.string()))


@builder("enum_range_bounds", rows=True, total=True)
def _bounds(signature: Signature) -> Run:
    """From the first bound to the second; a null one is no bound."""
    type_ = signature.args[0]

    def run(_env: Any, n: int, low: Any, high: Any) -> Any:
        values = _values(type_)
        ends = [_list(bound, n) for bound in (low, high)]
        rows = [
            [v for v in values if (a is None or v >= a) and (b is None or v <= b)]
            for a, b in zip(*ends, strict=True)
        ]
        return pa.array(rows, pa.list_(pa.string()))

    return run


def _list(column: Any, n: int) -> list[Any]:
    return [column.as_py()] * n if isinstance(column, pa.Scalar) else column.to_pylist()
