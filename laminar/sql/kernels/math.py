"""Mathematical functions of floats and integers, and random numbers."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import pyarrow as pa

from laminar._native.scalars import Math
from laminar.errors import PgError
from laminar.sql.kernels.arithmetic import out_of_range
from laminar.sql.kernels.registry import Kernel, add, kernel
from laminar.sql.kernels.rowwise import python

#: prosrc -> (function in maths.hpp, cannot fail)
_NATIVE: Final = {
    "dsqrt": ("sqrt", False),
    "dcbrt": ("cbrt", True),
    "dexp": ("exp", False),
    "dlog1": ("ln", False),
    "dlog10": ("log10", False),
    "dround": ("round", True),
    "dtrunc": ("trunc", True),
    "dceil": ("ceil", True),
    "dfloor": ("floor", True),
    "dsign": ("sign", True),
    "dpow": ("pow", False),
    "dacos": ("acos", False),
    "dasin": ("asin", False),
    "datan": ("atan", True),
    "datan2": ("atan2", True),
    "dcos": ("cos", False),
    "dsin": ("sin", False),
    "dtan": ("tan", False),
    "dcot": ("cot", False),
    "dsinh": ("sinh", True),
    "dcosh": ("cosh", False),
    "dtanh": ("tanh", True),
    "dasinh": ("asinh", True),
    "dacosh": ("acosh", False),
    "datanh": ("atanh", False),
    "degrees": ("degrees", False),
    "radians": ("radians", False),
    "dsind": ("sind", False),
    "dcosd": ("cosd", False),
    "dtand": ("tand", False),
    "dcotd": ("cotd", False),
    "dasind": ("asind", False),
    "dacosd": ("acosd", False),
    "datand": ("atand", True),
    "datan2d": ("atan2d", True),
}
for _symbol, (_name, _total) in _NATIVE.items():
    _run = Math(_name)
    add(_symbol, Kernel(lambda _signature, run=_run: run, _total, native=True))  # type: ignore[misc]


@kernel("dpi", rows=True, total=True)
def _pi(_env: object, _n: int) -> Any:
    return pa.scalar(math.pi)


def _gcd(width: int, type_: pa.DataType) -> None:
    limit = 1 << (8 * width - 1)

    def gcd(a: int, b: int) -> int:
        result = math.gcd(a, b)
        if result >= limit:
            raise out_of_range(type_)
        return result

    def lcm(a: int, b: int) -> int:
        result = math.lcm(a, b)
        if result >= limit:
            raise out_of_range(type_)
        return result

    python(f"int{width}gcd")(gcd)
    python(f"int{width}lcm")(lcm)


_gcd(4, pa.int32())
_gcd(8, pa.int64())


@python("width_bucket_float8")
def _width_bucket(x: float, low: float, high: float, count: int) -> int:
    if count <= 0:
        raise PgError("2201G", "count must be greater than zero")
    if math.isnan(x) or math.isnan(low) or math.isnan(high):
        raise PgError("2201G", "operand, lower bound, and upper bound cannot be NaN")
    if math.isinf(low) or math.isinf(high):
        raise PgError("2201G", "lower and upper bounds must be finite")
    if low == high:
        raise PgError("2201G", "lower bound cannot equal upper bound")
    if low < high:
        bucket = 0.0 if x < low else count + 1.0 if x >= high else count * (x - low) / (high - low) + 1
    else:
        bucket = 0.0 if x > low else count + 1.0 if x <= high else count * (low - x) / (low - high) + 1
    if not bucket < 2**31:
        raise out_of_range(pa.int32())
    return int(bucket)


@kernel("drandom", rows=True, total=True)
def _random(env: Any, n: int) -> Any:
    return pa.array(np.random.random(n) if env.catalog is None else env.catalog.random(n))


@kernel("setseed", rows=True)
def _setseed(env: Any, n: int, seeds: Any) -> Any:
    if env.catalog is None:
        raise PgError("0A000", "setseed() cannot be used in this expression")
    given = [seeds.as_py()] * n if isinstance(seeds, pa.Scalar) else seeds.to_pylist()
    for seed in given:
        if seed is not None:
            env.catalog.seed_random(seed)
    return pa.array([None if seed is None else "" for seed in given], pa.string())
