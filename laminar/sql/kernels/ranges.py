"""Ranges: their storage, bounds, operators and constructors.

A range's storage is one binary value as a row's is (:mod:`.records`), with the fields of :func:`fields_of`:
flags and bounds in such an order that the fields' keys, one after the other, order as ranges do: the empty
range first, then by lower bound (none first, inclusive before exclusive), then by upper bound (none last).
Ranges of integers and dates are kept as ``[lower, upper)``, as PostgreSQL keeps them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from laminar.errors import PgError
from laminar.sql.kernels import records, sortkeys
from laminar.sql.kernels.comparison import ARROW, three_way
from laminar.sql.kernels.registry import Run, Signature, builder, find
from laminar.types import (
    BOOL,
    DATE,
    DATE_INFINITY,
    DATE_NEG_INFINITY,
    INT4,
    INT8,
    NUMERIC,
    RANGES,
    PgType,
)

Bools = npt.NDArray[np.bool_]

_DISCRETE: Final = frozenset({INT4, INT8, DATE})
_DATA: Final = "22000"


def subtype(type_: PgType) -> PgType:
    """What a range's bounds are."""
    return PgType(RANGES[type_.oid])


def fields_of(type_: PgType) -> records.Fields:
    """A range's storage as a row's fields."""
    bound = subtype(type_)
    flag = PgType(BOOL)
    return (
        ("nonempty", flag),
        ("bounded_below", flag),
        ("lower", bound),
        ("lower_exclusive", flag),
        ("unbounded_above", flag),
        ("upper", bound),
        ("upper_inclusive", flag),
    )


def _flags(column: pa.Array) -> Bools:
    flags: Bools = np.asarray(column.fill_null(False)).astype(bool)
    return flags


@dataclass(slots=True)
class Bounds:
    """The parts of ranges; bounds are null where there is none."""

    type: PgType
    valid: Bools
    nonempty: Bools
    lower: pa.Array
    lower_inc: Bools
    upper: pa.Array
    upper_inc: Bools

    @property
    def lower_inf(self) -> Bools:
        return self.nonempty & np.asarray(self.lower.is_null())

    @property
    def upper_inf(self) -> Bools:
        return self.nonempty & np.asarray(self.upper.is_null())

    def keys(self) -> tuple[pa.Array, pa.Array]:
        """What bounds compare by."""
        bound = subtype(self.type)
        return sortkeys.sort_key(self.lower, bound), sortkeys.sort_key(self.upper, bound)


def unpack(values: pa.Array, type_: PgType) -> Bounds:
    """The parts of stored ranges."""
    columns = records.unpack(values, fields_of(type_))
    nonempty, below, lower, lower_exc, above, upper, upper_inc = columns
    full = _flags(nonempty)
    return Bounds(
        type_,
        np.asarray(values.is_valid()),
        full,
        lower,
        full & _flags(below) & ~_flags(lower_exc),
        upper,
        full & ~_flags(above) & _flags(upper_inc),
    )


def pack(bounds: Bounds) -> pa.Array:
    """Stored ranges of their parts, made canonical. Raises 22000 for bounds in the wrong order."""
    bounds = _canonical(_without_empty(bounds, check=True))
    bounds = _without_empty(bounds, check=False)
    full = bounds.nonempty
    lower = pc.if_else(pa.array(full), bounds.lower, pa.scalar(None, bounds.lower.type))
    upper = pc.if_else(pa.array(full), bounds.upper, pa.scalar(None, bounds.upper.type))
    below, above = np.asarray(lower.is_valid()), full & np.asarray(upper.is_null())
    columns = [
        pa.array(full),
        pa.array(below),
        lower,
        pa.array(below & ~bounds.lower_inc),
        pa.array(above),
        upper,
        pa.array(full & ~above & bounds.upper_inc),
    ]
    values = records.pack(columns, fields_of(bounds.type), len(full))
    return values if bounds.valid.all() else pc.if_else(pa.array(bounds.valid), values, None)


def _without_empty(bounds: Bounds, check: bool) -> Bounds:
    """Ranges that hold nothing are the empty range."""
    low, high = bounds.keys()
    present = bounds.nonempty & bounds.valid
    if check and (_is(pc.greater(low, high)) & present).any():
        message = "range lower bound must be less than or equal to range upper bound"
        raise PgError(_DATA, message)
    wrong = _is(pc.greater(low, high))
    empty = wrong | (_is(pc.equal(low, high)) & ~(bounds.lower_inc & bounds.upper_inc))
    bounds.nonempty = bounds.nonempty & ~empty
    return bounds


def _is(flags: pa.Array) -> Bools:
    return _flags(flags)


def _canonical(bounds: Bounds) -> Bounds:
    if subtype(bounds.type).oid not in _DISCRETE:
        return bounds
    use = bounds.nonempty & bounds.valid
    up = use & ~bounds.lower_inc & _finite(bounds.lower)
    bounds.lower = _next(bounds.lower, up)
    bounds.lower_inc = bounds.lower_inc | up
    down = use & bounds.upper_inc & _finite(bounds.upper)
    bounds.upper = _next(bounds.upper, down)
    bounds.upper_inc = bounds.upper_inc & ~down
    return bounds


def _finite(column: pa.Array) -> Bools:
    """Values that have a next one: not infinite dates."""
    valid: Bools = np.asarray(column.is_valid())
    if not pa.types.is_date(column.type):
        return valid
    days = column.view(pa.int32()).fill_null(0).to_numpy(zero_copy_only=False)
    return valid & (days != DATE_INFINITY) & (days != DATE_NEG_INFINITY)


def _next(column: pa.Array, which: Bools) -> pa.Array:
    """The next value of some rows. Raises 22003, 22008 when there is none."""
    if not which.any():
        return column
    storage = pa.int32() if column.type.bit_width == 32 else pa.int64()
    numbers = column.view(storage).fill_null(0).to_numpy(zero_copy_only=False)
    if (numbers[which] == np.iinfo(numbers.dtype).max).any():
        raise PgError("22003", f"{'integer' if storage == pa.int32() else 'bigint'} out of range")
    moved = pa.array(numbers + which.astype(numbers.dtype), storage).view(column.type)
    return pc.if_else(column.is_valid(), moved, pa.scalar(None, column.type))


# --- kernels --------------------------------------------------------------------------


def _columns(values: tuple[Any, ...], rows: int | None = None) -> list[pa.Array]:
    """Values as columns; ``rows`` where all may be constants."""
    n = next((len(v) for v in values if not isinstance(v, pa.Scalar)), 1) if rows is None else rows
    return [pa.repeat(v, n) if isinstance(v, pa.Scalar) else v for v in values]


def _as(type_: PgType, target: PgType) -> Run:
    """Bounds in a range's storage: decimals as numerics without fixed precision."""
    if type_.oid != NUMERIC or type_.decimal is None:
        return lambda _env, x: x
    kernel = find("numeric_rescale")
    assert kernel is not None
    return kernel.build(Signature("numeric_rescale", (type_,), target))


def _constructor(symbol: str) -> None:
    def build(signature: Signature) -> Run:
        type_ = signature.result
        bound = subtype(type_)
        convert = [_as(t, bound) for t in signature.args[:2]]

        def run(env: Any, n: int, *values: Any) -> Any:
            columns = _columns(values, n)
            lower, upper = (c(env, x) for c, x in zip(convert, columns[:2], strict=True))
            kinds = columns[2].to_pylist() if len(columns) > 2 else ["[)"] * n
            for kind in set(kinds):
                _check_kind(kind)
            lower_inc = np.array([k[0] == "[" for k in kinds], dtype=bool) & np.asarray(lower.is_valid())
            upper_inc = np.array([k[1] == "]" for k in kinds], dtype=bool) & np.asarray(upper.is_valid())
            every = np.ones(n, dtype=bool)
            return pack(Bounds(type_, every, every.copy(), lower, lower_inc, upper, upper_inc))

        return run

    builder(symbol, rows=True)(build)


def _check_kind(kind: str | None) -> None:
    if kind is None:
        raise PgError("22000", "range constructor flags argument must not be null")
    if kind not in ("[]", "[)", "(]", "()"):
        raise PgError(
            "42601", "invalid range bound flags", hint='Valid values are "[]", "[)", "(]", and "()".'
        )


_constructor("range_constructor2")
_constructor("range_constructor3")


def _compared(symbol: str, name: str) -> None:
    function = pc.get_function(name)

    def build(signature: Signature) -> Run:
        type_ = signature.args[0]

        def run(_env: Any, *values: Any) -> Any:
            return function.call([sortkeys.sort_key(v, type_) for v in _columns(values)])

        return run

    builder(symbol, total=True)(build)


for _word, _name in ARROW.items():
    _compared(f"range_{_word}", _name)


@builder("range_cmp", total=True)
def _order(signature: Signature) -> Run:
    type_ = signature.args[0]

    def run(_env: Any, *values: Any) -> Any:
        return three_way(*(sortkeys.sort_key(v, type_) for v in _columns(values)))

    return run


def _lower_le(a: Bounds, b: Bounds) -> Bools:
    """Whether a's lower bound is not after b's."""
    x, y = a.keys()[0], b.keys()[0]
    same = _is(pc.equal(x, y)) & (a.lower_inc | ~b.lower_inc)
    none: Bools = np.asarray(x.is_null())
    result: Bools = none | _is(pc.less(x, y)) | same
    return result


def _upper_le(a: Bounds, b: Bounds) -> Bools:
    """Whether a's upper bound is not after b's."""
    x, y = a.keys()[1], b.keys()[1]
    same = _is(pc.equal(x, y)) & (~a.upper_inc | b.upper_inc)
    none: Bools = np.asarray(y.is_null())
    result: Bools = none | _is(pc.less(x, y)) | same
    return result


def _meets(a: Bounds, b: Bounds) -> Bools:
    """Whether a's lower bound is not after b's upper bound, so that a value may be in both."""
    x, y = a.keys()[0], b.keys()[1]
    same = _is(pc.equal(x, y)) & a.lower_inc & b.upper_inc
    result: Bools = np.asarray(x.is_null()) | np.asarray(y.is_null()) | _is(pc.less(x, y)) | same
    return result


def _full(a: Bounds, b: Bounds) -> Bools:
    return a.nonempty & b.nonempty


def _overlaps(a: Bounds, b: Bounds) -> Bools:
    return _full(a, b) & _meets(a, b) & _meets(b, a)


def _contains(a: Bounds, b: Bounds) -> Bools:
    return ~b.nonempty | (_full(a, b) & _lower_le(a, b) & _upper_le(b, a))


def _before(a: Bounds, b: Bounds) -> Bools:
    return _full(a, b) & ~_meets(b, a)


def _touches(a: Bounds, b: Bounds) -> Bools:
    """Whether b begins where a ends, with nothing between or in both."""
    return _full(a, b) & _is(pc.equal(a.keys()[1], b.keys()[0])) & (a.upper_inc != b.lower_inc)


def _adjacent(a: Bounds, b: Bounds) -> Bools:
    return _touches(a, b) | _touches(b, a)


_TESTS: Final[dict[str, Callable[[Bounds, Bounds], Bools]]] = {
    "range_overlaps": _overlaps,
    "range_contains": _contains,
    "range_contained_by": lambda a, b: _contains(b, a),
    "range_before": _before,
    "range_after": lambda a, b: _before(b, a),
    "range_overleft": lambda a, b: _full(a, b) & _upper_le(a, b),
    "range_overright": lambda a, b: _full(a, b) & _lower_le(b, a),
    "range_adjacent": _adjacent,
}


def _test(symbol: str, test: Callable[[Bounds, Bounds], Bools]) -> None:
    def build(signature: Signature) -> Run:
        type_ = signature.args[0]

        def run(_env: Any, *values: Any) -> Any:
            a, b = (unpack(v, type_) for v in _columns(values))
            return pa.array(test(a, b), mask=~(a.valid & b.valid))

        return run

    builder(symbol, total=True)(build)


for _symbol, _function in _TESTS.items():
    _test(_symbol, _function)


def _element(symbol: str, place: int) -> None:
    """Whether a range holds a value; ``place``: of the range among the arguments."""

    def build(signature: Signature) -> Run:
        type_ = signature.args[place]
        bound = subtype(type_)
        convert = _as(signature.args[1 - place], bound)

        def run(env: Any, *values: Any) -> Any:
            columns = _columns(values)
            ranges = unpack(columns[place], type_)
            x = sortkeys.sort_key(convert(env, columns[1 - place]), bound)
            low, high = ranges.keys()
            above = _is(pc.less(low, x)) | (_is(pc.equal(low, x)) & ranges.lower_inc)
            below = _is(pc.less(x, high)) | (_is(pc.equal(x, high)) & ranges.upper_inc)
            inside = ranges.nonempty & (ranges.lower_inf | above) & (ranges.upper_inf | below)
            return pa.array(inside, mask=~(ranges.valid & np.asarray(x.is_valid())))

        return run

    builder(symbol, total=True)(build)


_element("range_contains_elem", 0)
_element("elem_contained_by_range", 1)


def _part(symbol: str, part: Callable[[Bounds], Any]) -> None:
    def build(signature: Signature) -> Run:
        type_ = signature.args[0]

        def run(_env: Any, values: Any) -> Any:
            bounds = unpack(_columns((values,))[0], type_)
            found = part(bounds)
            return found if isinstance(found, pa.Array) else pa.array(found, mask=~bounds.valid)

        return run

    builder(symbol, total=True)(build)


_part("range_lower", lambda b: b.lower)
_part("range_upper", lambda b: b.upper)
_part("range_empty", lambda b: ~b.nonempty)
_part("range_lower_inc", lambda b: b.lower_inc)
_part("range_upper_inc", lambda b: b.upper_inc)
_part("range_lower_inf", lambda b: b.lower_inf)
_part("range_upper_inf", lambda b: b.upper_inf)

# --- ranges of ranges -----------------------------------------------------------------


def _pick(which: Bools, a: pa.Array, b: pa.Array) -> pa.Array:
    return pc.if_else(pa.array(which), a, b)


def _hull(a: Bounds, b: Bounds) -> Bounds:
    """The least range with both; an empty one adds nothing."""
    low = (_lower_le(a, b) & a.nonempty) | ~b.nonempty
    high = (_upper_le(b, a) & a.nonempty) | ~b.nonempty
    return Bounds(
        a.type,
        a.valid & b.valid,
        a.nonempty | b.nonempty,
        _pick(low, a.lower, b.lower),
        np.where(low, a.lower_inc, b.lower_inc),
        _pick(high, a.upper, b.upper),
        np.where(high, a.upper_inc, b.upper_inc),
    )


def _union(a: Bounds, b: Bounds) -> Bounds:
    apart = _full(a, b) & a.valid & b.valid & ~(_overlaps(a, b) | _adjacent(a, b))
    if apart.any():
        raise PgError(_DATA, "result of range union would not be contiguous")
    return _hull(a, b)


def _intersection(a: Bounds, b: Bounds) -> Bounds:
    low, high = _lower_le(b, a), _upper_le(a, b)
    return Bounds(
        a.type,
        a.valid & b.valid,
        _overlaps(a, b),
        _pick(low, a.lower, b.lower),
        np.where(low, a.lower_inc, b.lower_inc),
        _pick(high, a.upper, b.upper),
        np.where(high, a.upper_inc, b.upper_inc),
    )


def _difference(a: Bounds, b: Bounds) -> Bounds:
    overlaps = _overlaps(a, b) & a.valid & b.valid
    before, after = ~_lower_le(b, a), ~_upper_le(a, b)
    if (overlaps & before & after).any():
        raise PgError(_DATA, "result of range difference would not be contiguous")
    keep = ~overlaps
    # what is left of a ends where b begins, or begins where b ends
    return Bounds(
        a.type,
        a.valid & b.valid,
        a.nonempty & (keep | before | after),
        _pick(keep | before, a.lower, b.upper),
        np.where(keep | before, a.lower_inc, ~b.upper_inc),
        _pick(keep | ~before, a.upper, b.lower),
        np.where(keep | ~before, a.upper_inc, ~b.lower_inc),
    )


def _combined(symbol: str, combine: Callable[[Bounds, Bounds], Bounds], total: bool) -> None:
    def build(signature: Signature) -> Run:
        type_ = signature.args[0]

        def run(_env: Any, *values: Any) -> Any:
            a, b = (unpack(v, type_) for v in _columns(values))
            return pack(combine(a, b))

        return run

    builder(symbol, total=total)(build)


_combined("range_union", _union, False)
_combined("range_intersect", _intersection, True)
_combined("range_minus", _difference, False)
_combined("range_merge", _hull, True)
