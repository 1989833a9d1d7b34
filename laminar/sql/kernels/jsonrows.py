"""Rows out of JSON objects, field by field (PostgreSQL's populate_record)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from laminar.errors import INVALID_PARAMETER_VALUE, INVALID_TEXT_REPRESENTATION, PgError, not_supported
from laminar.sql.kernels.jsontext import as_text, elements, kind, members
from laminar.sql.kernels.records import fields_of, pack, unpack
from laminar.sql.kernels.registry import Kernel, Run, Signature, add, builder
from laminar.sql.kernels.rowwise import apply
from laminar.types import JSON, JSONB, VECTORS, PgType

#: ``make(env, values, place)``: values of a type from the texts of JSON values; ``place``: what a hint names
Make = Callable[[Any, Sequence[str | None], str], pa.Array]
_JSON: Final = frozenset({JSON, JSONB})


def maker(type_: PgType) -> Make:
    """How JSON values become values of a type; null and JSON's null are null."""
    if type_.is_row:
        row = _row_maker(type_)
        return lambda env, values, place: row(env, values, place, None)
    if type_.is_array and type_.oid not in VECTORS:
        return _array_maker(type_)
    return _scalar_maker(type_)


def _parsed(type_: PgType) -> Callable[[Any, Sequence[str | None]], pa.Array]:
    from laminar.sql.evaluator.conversions import typed_input

    convert = typed_input(type_)
    return lambda env, texts: convert(env, pa.array(texts, pa.string()))


def _scalar_maker(type_: PgType) -> Make:
    read = _parsed(type_)
    if type_.oid in _JSON:
        return lambda env, values, _place: read(env, [None if _missing(v) else v for v in values])
    return lambda env, values, _place: read(env, [as_text(v) for v in values])


def _missing(value: str | None) -> bool:
    return value is None or kind(value) == "null"


def _array_maker(type_: PgType) -> Make:
    inner, read = maker(type_.element), _parsed(type_)
    nested = type_.element.oid not in _JSON and not type_.element.is_row

    def make(env: Any, values: Sequence[str | None], place: str) -> pa.Array:
        texts: list[str | None] = []
        items: list[str] = []
        lengths: list[int] = []
        for value in values:
            found = None if value is None else kind(value)
            mine = list(elements(value)) if value is not None and found == "array" else []
            if found not in (None, "null", "array", "string"):
                hint = f'See the value of key "{place}".'
                raise PgError(INVALID_TEXT_REPRESENTATION, "expected JSON array", hint=hint)
            if nested and any(kind(item) == "array" for item in mine):
                raise not_supported("multidimensional arrays are not supported")
            texts.append(as_text(value) if found == "string" else None)
            items += mine
            lengths.append(len(mine) if found == "array" else -1)
        counts = np.array(lengths, np.int64)
        offsets = pa.array(np.append(0, np.cumsum(np.maximum(counts, 0))), pa.int32())
        flat = inner(env, items, place)
        lists = pa.ListArray.from_arrays(offsets, flat, type=type_.storage, mask=pa.array(counts < 0))
        return _merged(lists, read(env, texts)) if any(t is not None for t in texts) else lists

    return make


def _merged(first: pa.Array, second: pa.Array, take_second: Any = None) -> pa.Array:
    """``first``, but ``second`` where that is taken (by default: where it is not null)."""
    chosen = np.asarray(second.is_valid() if take_second is None else take_second)
    n = len(first)
    return pa.concat_arrays([first, second]).take(pa.array(np.where(chosen, n, 0) + np.arange(n)))


def _row_maker(type_: PgType) -> Callable[[Any, Sequence[str | None], str, pa.Array | None], pa.Array]:
    """Rows of objects, or of a row's text; what an object lacks is as in ``base``."""
    fields = fields_of(type_)
    makers = [maker(t) for _, t in fields]
    read = _parsed(type_) if type_.user_made else None

    def make(env: Any, values: Sequence[str | None], place: str, base: pa.Array | None) -> pa.Array:
        objects = [None if _missing(v) else _object(v, place and read) for v in values]
        columns: list[pa.Array] = []
        defaults = None if base is None else unpack(base, fields)
        for i, ((name, _), one) in enumerate(zip(fields, makers, strict=True)):
            column = one(env, [None if o is None else o.get(name) for o in objects], name)
            if defaults is not None:
                column = _merged(column, defaults[i], [o is None or name not in o for o in objects])
            columns.append(column)
        rows = pack(columns, fields, len(values))
        if place and read is not None:
            texts = [as_text(v) if v is not None and kind(v) == "string" else None for v in values]
            rows = _merged(rows, read(env, texts)) if any(t is not None for t in texts) else rows
        missing = pa.array([o is None for o in objects])
        without = pa.nulls(len(values), rows.type) if base is None else base
        return _merged(rows, without, missing)

    return make


def _object(value: str | None, may_be_text: Any) -> dict[str, str]:
    """The members; none for a string, where that may be a row's text."""
    assert value is not None
    found = kind(value)
    if found == "object":
        return dict(members(value))
    if found == "string" and may_be_text:
        return {}
    what = "an array" if found == "array" else "a scalar"
    raise PgError(INVALID_PARAMETER_VALUE, f"cannot call populate_composite on {what}")


@builder("laminar_json_populate", rows=True)
def _populate(signature: Signature) -> Run:
    make = _row_maker(signature.result)

    def run(env: Any, n: int, base: Any, values: Any) -> pa.Array:
        bases, objects = (pa.repeat(c, n) if isinstance(c, pa.Scalar) else c for c in (base, values))
        texts = objects.to_pylist()
        if any(t is not None and kind(t) == "null" for t in texts):
            raise PgError(INVALID_PARAMETER_VALUE, "cannot call populate_composite on a scalar")
        return make(env, texts, "", bases)

    return run


def _elements_of(name: str) -> Callable[[str], list[str]]:
    def run(value: str) -> list[str]:
        found = kind(value)
        if found != "array":
            what = "an object" if found == "object" else "a scalar"
            what = "a non-array" if name.startswith("jsonb") else what
            raise PgError(INVALID_PARAMETER_VALUE, f"cannot call {name} on {what}")
        items = list(elements(value))
        if any(kind(item) != "object" for item in items):
            message = f"argument of {name} must be an array of objects"
            raise PgError(INVALID_PARAMETER_VALUE, message)
        return items

    return run


def _set(name: str) -> None:
    objects = _elements_of(name)

    def build(_: Signature) -> Run:
        return lambda _env, x: apply(objects, (x,), pa.list_(pa.string()))

    add(name, Kernel(build, sets=True))


for _type in ("json", "jsonb"):
    for _what in ("to", "populate"):
        _set(f"{_type}_{_what}_recordset")
