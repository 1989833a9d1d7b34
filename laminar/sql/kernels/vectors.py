"""Fixed-width columns as numpy vectors and back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from laminar.types import DECIMAL_NAN, PgType

Vector = npt.NDArray[Any]


def numbers(column: Any) -> Vector:
    """The values of a number, date or time column (of a scalar: one); undefined where it is null.

    Dates, times and timestamps come as their integers.
    """
    if isinstance(column, pa.Scalar):
        return np.array([storage_value(column) or 0], dtype=_dtype(column.type))
    if not len(column):
        return np.empty(0, dtype=_dtype(column.type))
    data = column.buffers()[1]
    dtype = _dtype(column.type)
    return np.frombuffer(data, dtype=dtype, count=len(column) + column.offset)[column.offset :]


def _dtype(type_: pa.DataType) -> Any:
    if pa.types.is_floating(type_):
        return np.dtype(f"f{type_.bit_width // 8}")
    return np.dtype(f"{'u' if pa.types.is_unsigned_integer(type_) else 'i'}{type_.bit_width // 8}")


def storage_value(scalar: pa.Scalar[Any]) -> Any:
    """What ``pa.scalar(value, type)`` makes the scalar from again; infinities and years BC included."""
    if not scalar.is_valid:
        return None
    if pa.types.is_temporal(scalar.type):
        return scalar.value
    if pa.types.is_decimal(scalar.type):
        value = scalar.as_py()
        return Decimal("NaN") if len(value.as_tuple().digits) > scalar.type.precision else value
    if pa.types.is_list(scalar.type):
        return [storage_value(item) for item in scalar.values]
    return scalar.as_py()


def make_scalar(value: Any, type_: PgType) -> pa.Scalar[Any]:
    """A plan constant's value as a scalar of the type's storage; NaN in decimal storage too."""
    storage = type_.storage
    if isinstance(value, Decimal) and value.is_nan() and pa.types.is_decimal(storage):
        raw = pa.py_buffer(DECIMAL_NAN.to_bytes(16, "little"))
        return pa.Array.from_buffers(storage, 1, [None, raw])[0]
    return pa.scalar(value, storage)


def with_nulls(values: Vector, type_: pa.DataType, *columns: Any) -> pa.Array:
    """The vector as a column that is null where one of the columns is."""
    storage = values if values.dtype == _dtype(type_) else values.astype(_dtype(type_))
    result = pa.Array.from_buffers(type_, len(values), [None, pa.py_buffer(np.ascontiguousarray(storage))])
    present = None
    for column in columns:
        if isinstance(column, pa.Scalar):
            if not column.is_valid:
                return pa.nulls(len(values), type_)
        elif column.null_count:
            valid = pc.is_valid(column)
            present = valid if present is None else pc.and_(present, valid)
    return result if present is None else pc.if_else(present, result, pa.scalar(None, type_))
