"""Array functions and operators.

Elements are never looked at one by one: a result array is made by choosing indices
into the values of the argument arrays, and elements are compared by codes that equal
elements share (see :func:`codes`). Arrays have one dimension, from 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from laminar.errors import PgError, not_supported
from laminar.sql.kernels.registry import Kernel, Run, Signature, add, builder, kernel
from laminar.sql.kernels.rowwise import apply
from laminar.sql.kernels.sortkeys import sort_key
from laminar.sql.kernels.vectors import numbers, with_nulls
from laminar.types import VECTORS, PgType

Ints = npt.NDArray[np.int64]
_INT: Final = pa.int32()


def spread(columns: Sequence[Any]) -> list[pa.Array]:
    """All columns as arrays of the same length."""
    from laminar.sql.evaluator.program import as_array

    n = next((len(c) for c in columns if not isinstance(c, pa.Scalar)), 1)
    return [as_array(c, n) for c in columns]


def lengths(lists: pa.Array) -> Ints:
    """Number of elements per row, 0 for null."""
    counts = pc.fill_null(pc.list_value_length(lists), 0)
    return np.asarray(counts.to_numpy(zero_copy_only=False), dtype=np.int64)


def starts(counts: Ints) -> Ints:
    """Where each row's elements begin in the flattened values."""
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)[:-1]]) if len(counts) else counts


def assemble(
    values: pa.Array, indices: Ints, counts: Ints, missing: pa.Array | None, type_: pa.DataType
) -> pa.Array:
    """Arrays of ``counts`` elements each, chosen from values by index; null where missing."""
    offsets = pa.array(np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)]), pa.int32())
    chosen = values.take(pa.array(indices))
    mask = missing if missing is not None and pc.any(missing).as_py() else None
    return pa.ListArray.from_arrays(offsets, chosen, type=type_, mask=mask)


def within(counts: Ints) -> Ints:
    """0, 1, 2, … for each row's elements."""
    return np.arange(counts.sum()) - np.repeat(starts(counts), counts)


def codes(parts: Sequence[pa.Array], type_: PgType) -> list[Ints]:
    """Integers that equal values share and different ones don't; -1 for null."""
    keys = pa.concat_arrays([sort_key(p, type_) for p in parts])
    coded = keys.dictionary_encode().indices
    flat = np.asarray(pc.fill_null(coded, -1).to_numpy(zero_copy_only=False), dtype=np.int64)
    if pa.types.is_floating(keys.type):
        # NaN equals NaN in PostgreSQL
        nan = np.asarray(pc.fill_null(pc.is_nan(keys), False).to_numpy(zero_copy_only=False), dtype=bool)
        flat[nan] = len(flat)
    ends = np.cumsum([len(p) for p in parts])[:-1]
    return list(np.split(flat, ends))


# --- sizes --------------------------------------------------------------------------------


@kernel("array_cardinality", total=True)
def _cardinality(_env: object, lists: Any) -> Any:
    return pc.list_value_length(lists)


def _dimension(symbol: str, value: Callable[[Ints], Ints]) -> None:
    """array_length, array_upper, array_lower: null but for dimension 1 of an array with elements."""

    def build(signature: Signature) -> Run:
        shift = int(symbol != "array_length" and signature.args[0].oid in VECTORS)

        def run(_env: object, lists: Any, dimension: Any) -> Any:
            lists, dimension = spread((lists, dimension))
            counts = lengths(lists)
            result = with_nulls((value(counts) - shift).astype(np.int32), _INT, lists, dimension)
            defined = (counts > 0) & (numbers(dimension) == 1)
            return pc.if_else(pa.array(defined), result, pa.scalar(None, _INT))

        return run

    builder(symbol, total=True)(build)


_dimension("array_length", lambda counts: counts)
_dimension("array_upper", lambda counts: counts)
_dimension("array_lower", np.ones_like)


@kernel("array_ndims", total=True)
def _ndims(_env: object, lists: Any) -> Any:
    one = pa.scalar(1, _INT)
    return pc.if_else(pc.greater(pc.list_value_length(lists), 0), one, pa.scalar(None, _INT))


@kernel("array_dims", total=True)
def _dims(_env: object, lists: Any) -> Any:
    counts = [f"[1:{n}]" if n else None for n in lengths(lists).tolist()]
    return pa.array(counts, pa.string())


# --- elements and slices ------------------------------------------------------------------


@kernel("laminar_array_element", total=True)
def _element(_env: object, lists: Any, index: Any) -> Any:
    """a[i]: null outside."""
    lists, index = spread((lists, index))
    counts = lengths(lists)
    at = numbers(index).astype(np.int64) - 1
    inside = (at >= 0) & (at < counts)
    if index.null_count:
        inside &= index.is_valid().to_numpy(zero_copy_only=False)
    where = pa.array(starts(counts) + at, mask=~inside)
    return lists.flatten().take(where)


@kernel("laminar_expandarray", total=True, sets=True)
def _expanded(_env: object, lists: Any) -> Any:
    """(element, its place from 1) of every element: information_schema._pg_expandarray()."""
    counts = lengths(lists)
    values = lists.flatten()
    places = pa.array((within(counts) + 1).astype(np.int32))
    offsets = pa.array(np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays([values, places], ["x", "n"]))


@kernel("pg_options_to_table", sets=True)
def _options(_env: object, lists: Any) -> Any:
    """(name, value or null) of every ``name=value``."""
    rows = [
        None if options is None else [(name, value if mark else None) for name, mark, value in options]
        for options in (
            None if v is None else [o.partition("=") for o in v if o is not None] for v in lists.to_pylist()
        )
    ]
    return pa.array(rows, pa.list_(pa.struct([("name", pa.string()), ("value", pa.string())])))


@kernel("laminar_name_letter", total=True)
def _letter(_env: object, names: Any, index: Any) -> Any:
    """name[i], from 0: a byte of its 64, null outside."""

    def letter(name: str, at: int) -> str | None:
        raw = name.encode()[:63].ljust(64, b"\0")
        return None if not 0 <= at < 64 else raw[at : at + 1].decode("latin-1").rstrip("\0")

    return apply(letter, (names, index), pa.string())


@builder("laminar_array_slice", "trim_array")
def _slice(signature: Signature) -> Run:
    storage = signature.result.storage
    trim = signature.symbol == "trim_array"

    def run(_env: object, lists: Any, first: Any, last: Any = None) -> Any:
        lists, first, last = spread((lists, first, first if last is None else last))
        counts = lengths(lists)
        low = numbers(first).astype(np.int64)
        high = numbers(last).astype(np.int64)
        missing = pc.or_(lists.is_null(), pc.or_(first.is_null(), last.is_null()))
        if trim:
            wrong = ((low < 0) | (low > counts)) & ~missing.to_numpy(zero_copy_only=False)
            if wrong.any():
                limit = int(counts[np.flatnonzero(wrong)[0]])
                raise PgError("2202E", f"number of elements to trim must be between 0 and {limit}")
            low, high = np.ones_like(low), counts - low
        low = np.clip(low, 1, counts + 1)
        taken = np.clip(np.minimum(high, counts) - low + 1, 0, None)
        taken[missing.to_numpy(zero_copy_only=False)] = 0
        indices = np.repeat(starts(counts) + low - 1, taken) + within(taken)
        return assemble(lists.flatten(), indices, taken, missing, storage)

    return run


# --- building -----------------------------------------------------------------------------


def _join(parts: Sequence[tuple[pa.Array, Ints]], storage: pa.DataType, missing: pa.Array | None) -> pa.Array:
    """Each row's elements of all parts one after the other; a part is (flattened values, count per row)."""
    total = sum((counts for _, counts in parts), np.zeros(len(parts[0][1]), dtype=np.int64))
    indices = np.empty(total.sum(), dtype=np.int64)
    begin, base = starts(total), 0
    filled = np.zeros_like(total)
    for values, counts in parts:
        indices[np.repeat(begin + filled, counts) + within(counts)] = base + np.arange(counts.sum())
        filled = filled + counts
        base += len(values)
    return assemble(pa.concat_arrays([values for values, _ in parts]), indices, total, missing, storage)


@builder("array_append", "array_prepend", total=True)
def _append(signature: Signature) -> Run:
    """The element joins even when null, and even to a null array."""
    storage = signature.result.storage
    prepend = signature.symbol == "array_prepend"

    def run(_env: object, a: Any, b: Any) -> Any:
        a, b = spread((a, b))
        lists, items = (b, a) if prepend else (a, b)
        parts = [(lists.flatten(), lengths(lists)), (items, np.ones(len(items), dtype=np.int64))]
        return _join(parts[::-1] if prepend else parts, storage, None)

    return run


@builder("array_cat", total=True)
def _cat(signature: Signature) -> Run:
    storage = signature.result.storage

    def run(_env: object, a: Any, b: Any) -> Any:
        a, b = spread((a, b))
        missing = pc.and_(a.is_null(), b.is_null())
        return _join([(a.flatten(), lengths(a)), (b.flatten(), lengths(b))], storage, missing)

    return run


# --- searching ----------------------------------------------------------------------------


def _matches(lists: pa.Array, items: pa.Array, element: PgType) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Counts per row, and for each element whether it is NOT DISTINCT from its row's item."""
    counts = lengths(lists)
    inner, wanted = codes([lists.flatten(), items], element)
    return counts, inner == np.repeat(wanted, counts)


@builder("array_position", "array_position_start", "array_positions")
def _position(signature: Signature) -> Run:
    element = signature.args[0].element
    every = signature.symbol == "array_positions"

    def run(_env: object, lists: Any, item: Any, start: Any = None) -> Any:
        lists, item, *rest = spread((lists, item) if start is None else (lists, item, start))
        counts, hit = _matches(lists, item, element)
        place = within(counts) + 1
        if rest:
            nulls = np.bincount(
                np.repeat(np.arange(len(lists)), counts), lists.flatten().is_null(), len(lists)
            )
            wanted = item.is_valid().to_numpy(zero_copy_only=False) | (nulls > 0)
            if (rest[0].is_null().to_numpy(zero_copy_only=False) & (counts > 0) & wanted).any():
                raise PgError("22004", "initial position must not be null")
            hit &= place >= np.repeat(numbers(rest[0]).astype(np.int64), counts)
        rows = np.repeat(np.arange(len(lists)), counts)
        if every:
            found = np.bincount(rows[hit], minlength=len(lists))
            values = pa.array(place[hit].astype(np.int32))
            return assemble(values, np.arange(len(values)), found, lists.is_null(), pa.list_(_INT))
        first = np.full(len(lists), np.iinfo(np.int64).max)
        np.minimum.at(first, rows[hit], place[hit])
        none = first == np.iinfo(np.int64).max
        return pa.array(np.where(none, 0, first).astype(np.int32), mask=none)

    return run


@builder("array_remove", "array_replace", total=True)
def _change(signature: Signature) -> Run:
    element, storage = signature.args[0].element, signature.result.storage

    def run(_env: object, lists: Any, item: Any, substitute: Any = None) -> Any:
        lists, item, *rest = spread((lists, item) if substitute is None else (lists, item, substitute))
        counts, hit = _matches(lists, item, element)
        values, rows = lists.flatten(), np.repeat(np.arange(len(lists)), counts)
        if rest:
            indices = np.where(hit, len(values) + rows, np.arange(len(values)))
            return assemble(pa.concat_arrays([values, rest[0]]), indices, counts, lists.is_null(), storage)
        kept = np.bincount(rows[~hit], minlength=len(lists))
        return assemble(values, np.flatnonzero(~hit), kept, lists.is_null(), storage)

    return run


def _containment(symbol: str, swap: bool, overlap: bool) -> None:
    """@>, <@, &&: by elements; a null element is in no array."""

    def build(signature: Signature) -> Run:
        element = signature.args[0].element

        def run(_env: object, a: Any, b: Any) -> Any:
            a, b = spread((a, b))
            outer, inner = (b, a) if swap else (a, b)
            have, want = codes([outer.flatten(), inner.flatten()], element)
            counts = lengths(inner)
            size = max(int(have.max(initial=0)), int(want.max(initial=0))) + 1
            rows = np.repeat(np.arange(len(a)), counts)
            present = np.repeat(np.arange(len(a)), lengths(outer)) * size + have
            found = np.isin(rows * size + want, present[have >= 0]) & (want >= 0)
            hits = np.bincount(rows[found], minlength=len(a))
            result = hits > 0 if overlap else hits == counts
            missing = pc.or_(a.is_null(), b.is_null()).to_numpy(zero_copy_only=False)
            return pa.array(result, mask=missing)

        return run

    add(symbol, Kernel(build, total=True))


_containment("arraycontains", swap=False, overlap=False)
_containment("arraycontained", swap=True, overlap=False)
_containment("arrayoverlap", swap=False, overlap=True)

# --- comparison ---------------------------------------------------------------------------


def _compare(word: str, name: str) -> None:
    function = pc.get_function(name)

    def build(signature: Signature) -> Run:
        left, right = signature.args

        def run(_env: object, a: Any, b: Any) -> Any:
            a, b = spread((a, b))
            return function.call([sort_key(a, left), sort_key(b, right)])

        return run

    add(f"array_{word}", Kernel(build, total=True))
    if word in ("eq", "ne"):
        # the order of oidvectors is another: shorter ones first
        add(f"oidvector{word}", Kernel(build, total=True))


for _word, _name in {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}.items():
    _compare(_word, _name)

# --- text ---------------------------------------------------------------------------------


@builder("array_to_text", "array_to_text_null")
def _to_string(signature: Signature) -> Run:
    from laminar.sql.kernels.text import to_text

    convert = to_text(signature.args[0].element)

    def run(env: Any, lists: Any, separator: Any, null: Any = None) -> Any:
        lists, separator, *rest = spread((lists, separator) if null is None else (lists, separator, null))
        values = convert(env, lists.flatten())
        if rest:
            counts = lengths(lists)
            rows = pa.array(np.repeat(np.arange(len(lists)), counts))
            values = pc.coalesce(values, rest[0].take(rows))
        counts = lengths(lists)
        present = values.is_valid().to_numpy(zero_copy_only=False)
        rows = np.repeat(np.arange(len(lists)), counts)
        kept = np.bincount(rows[present], minlength=len(lists))
        texts = assemble(values, np.flatnonzero(present), kept, lists.is_null(), pa.list_(pa.string()))
        return pc.binary_join(texts, separator)

    return run


@kernel("text_to_array", "text_to_array_null", total=True)
def _from_string(_env: object, texts: Any, separator: Any, null: Any = None) -> Any:
    columns = (texts, separator) if null is None else (texts, separator, null)
    rows = zip(*(c.to_pylist() for c in spread(columns)), strict=True)
    return pa.array([split(*row) for row in rows], pa.list_(pa.string()))


def split(text: str | None, separator: str | None, null: str | None = None) -> list[str | None] | None:
    """string_to_array: by characters when the separator is null, whole when it is empty."""
    if text is None:
        return None
    if text == "":
        return []
    if separator is None:
        parts = list(text)
    else:
        parts = text.split(separator) if separator else [text]
    return [None if null is not None and part == null else part for part in parts]


@builder("text_to_table", "text_to_table_null", total=True, sets=True)
def _to_table(_signature: Signature) -> Run:
    return _from_string


# --- filling ------------------------------------------------------------------------------


@builder("array_fill", "array_fill_with_lower_bounds")
def _fill(signature: Signature) -> Run:
    """Arrays of one dimension from 1; others are refused."""
    storage = signature.result.storage

    def run(_env: object, item: Any, sizes: Any, bounds: Any = None) -> Any:
        item, sizes, *rest = spread((item, sizes) if bounds is None else (item, sizes, bounds))
        wanted = [_fill_size(*row) for row in zip(*(c.to_pylist() for c in (sizes, *rest)), strict=True)]
        counts = np.array(wanted, dtype=np.int64)
        return assemble(item, np.repeat(np.arange(len(item)), counts), counts, None, storage)

    return run


def _fill_size(sizes: list[int | None] | None, bounds: Sequence[int | None] | None = (1,)) -> int:
    if sizes is None or bounds is None:
        raise PgError("22004", "dimension array or low bound array cannot be null")
    if None in sizes or None in bounds:
        raise PgError("22004", "dimension values cannot be null")
    if bounds != (1,) and len(bounds) != len(sizes):
        detail = "Low bound array has different size than dimensions array."
        raise PgError("2202E", "wrong number of array subscripts", detail=detail)
    if len(sizes) > 1:
        raise not_supported("multidimensional arrays are not supported")
    size = (sizes[0] if sizes else 0) or 0
    if not 0 <= size <= 134217727:
        raise PgError("54000", "array size exceeds the maximum allowed (134217727)")
    if size and bounds[0] != 1:
        raise not_supported("arrays that do not start at 1 are not supported")
    return size


# --- buckets ------------------------------------------------------------------------------


@builder("width_bucket_array")
def _bucket(signature: Signature) -> Run:
    """How many of the ascending thresholds are not above the operand, by bisection."""
    type_ = signature.args[0]

    def run(_env: object, operand: Any, thresholds: Any) -> Any:
        operand, thresholds = spread((operand, thresholds))
        flat, counts = thresholds.flatten(), lengths(thresholds)
        rows = np.repeat(np.arange(len(operand)), counts)
        asked = operand.is_valid().to_numpy(zero_copy_only=False)[rows]
        if (flat.is_null().to_numpy(zero_copy_only=False) & asked).any():
            raise PgError("22004", "thresholds array must not contain NULLs")
        wanted, ranks = _ranks([operand, flat], type_)
        begin, low, high = starts(counts), np.zeros_like(counts), counts.copy()
        while (open_ := low < high).any():
            middle = (low + high) // 2
            above = np.zeros(len(low), dtype=bool)
            above[open_] = wanted[open_] < ranks[(begin + middle)[open_]]
            high = np.where(open_ & above, middle, high)
            low = np.where(open_ & ~above, middle + 1, low)
        return with_nulls(low.astype(np.int32), _INT, operand, thresholds)

    return run


def _ranks(parts: Sequence[pa.Array], type_: PgType) -> list[Ints]:
    """Integers ordered as the values are (nulls anywhere)."""
    keys = pa.concat_arrays([sort_key(p, type_) for p in parts])
    order = np.asarray(pc.rank(keys, "ascending", tiebreaker="min").to_numpy(), dtype=np.int64)
    return list(np.split(order, np.cumsum([len(p) for p in parts])[:-1]))


def _picks(symbol: str, name: str) -> None:
    """The larger or smaller of two arrays."""
    function = pc.get_function(name)

    def build(signature: Signature) -> Run:
        type_ = signature.args[0]

        def run(_env: object, a: Any, b: Any) -> Any:
            a, b = spread((a, b))
            first = function.call([sort_key(a, type_), sort_key(b, type_)])
            chosen = pc.if_else(first, pa.array(np.arange(len(a))), pa.array(np.arange(len(a)) + len(a)))
            return pa.concat_arrays([a, b]).take(chosen)

        return run

    add(symbol, Kernel(build, total=True))


_picks("array_larger", "greater_equal")
_picks("array_smaller", "less_equal")
