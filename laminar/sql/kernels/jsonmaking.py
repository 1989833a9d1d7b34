"""json_object, json_strip_nulls, jsonb_set_lax and pretty-printed arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from laminar.errors import PgError
from laminar.sql.kernels import jsonb
from laminar.sql.kernels.arrays import spread
from laminar.sql.kernels.jsontext import elements, kind, members, quote
from laminar.sql.kernels.registry import Run, Signature, builder
from laminar.sql.kernels.rowwise import apply, python

_SUBSCRIPT: Final = "2202E"


def _pairs(items: list[str | None]) -> list[tuple[str | None, str | None]]:
    if len(items) % 2:
        raise PgError(_SUBSCRIPT, "array must have even number of elements")
    return list(zip(items[::2], items[1::2], strict=True))


def _zipped(keys: list[str | None], values: list[str | None]) -> list[tuple[str | None, str | None]]:
    if len(keys) != len(values):
        empty = not keys or not values
        raise PgError(
            _SUBSCRIPT, "wrong number of array subscripts" if empty else "mismatched array dimensions"
        )
    return list(zip(keys, values, strict=True))


def _object(symbol: str, pairs: Callable[..., list[tuple[str | None, str | None]]]) -> None:
    """Keys and values from text arrays."""

    def build(signature: Signature) -> Run:
        def make(*arrays: list[str | None]) -> str:
            parts = []
            for key, value in pairs(*arrays):
                if key is None:
                    raise PgError("22004", "null value not allowed for object key")
                parts.append(f"{quote(key)} : {'null' if value is None else quote(value)}")
            return "{" + ", ".join(parts) + "}"

        return lambda _env, *columns: jsonb.finish(
            apply(make, columns, pa.string()).to_pylist(), signature.result
        )

    builder(symbol)(build)


for _type in ("json", "jsonb"):
    _object(f"{_type}_object", _pairs)
    _object(f"{_type}_object_two_arg", _zipped)


@python("json_strip_nulls", total=True)
def strip_nulls(value: str) -> str:
    """json's text without members that are null; everything else as it was written, less white space."""
    found = kind(value)
    if found == "object":
        kept = (f"{quote(k)}:{strip_nulls(v)}" for k, v in members(value) if kind(v) != "null")
        return "{" + ",".join(kept) + "}"
    if found == "array":
        return "[" + ",".join(map(strip_nulls, elements(value))) + "]"
    return value.strip(" \t\n\r")


@python("jsonb_set_lax", strict=False)
def _set_lax(
    value: str | None,
    path: list[str | None] | None,
    new: str | None,
    create: bool | None,
    treatment: str | None,
) -> str | None:
    """jsonb_set with a choice of what a null new value does."""
    if value is None or path is None or create is None:
        return None
    if new is not None and treatment is not None:
        return jsonb.set_path(value, path, new, create)
    if treatment not in _TREATMENTS:
        known = '"delete_key", "return_target", "use_json_null", or "raise_exception"'
        raise PgError("22023", f"null_value_treatment must be {known}")
    if treatment == "raise_exception":
        hint = "To avoid, either change the null_value_treatment argument "
        hint += "or ensure that an SQL NULL is not passed."
        detail = 'Exception was raised because null_value_treatment is "raise_exception".'
        raise PgError("22004", "JSON value must not be null", detail=detail, hint=hint)
    if treatment == "use_json_null":
        return jsonb.set_path(value, path, "null", create)
    return jsonb.delete_path(value, path) if treatment == "delete_key" else value


_TREATMENTS: Final = frozenset({"raise_exception", "use_json_null", "delete_key", "return_target"})


@builder("array_to_json_pretty")
def _array_pretty(signature: Signature) -> Run:
    """A line feed between elements when asked for."""
    plain = jsonb.to_json(signature.args[0])
    inner = jsonb.to_json(signature.args[0].element)

    def run(env: Any, lists: Any, wanted: Any) -> Any:
        lists, wanted = spread((lists, wanted))
        texts = plain(env, lists)
        items = iter(inner(env, lists.flatten()))
        out: list[str | None] = []
        for text, values, pretty in zip(texts, lists, wanted.to_pylist(), strict=True):
            mine = [next(items) for _ in range(len(values) if values.is_valid else 0)]
            present = values.is_valid and pretty is not None
            out.append((f"[{_BREAK.join(mine)}]" if pretty else text) if present else None)
        return pa.array(out, pa.string())

    return run


_BREAK: Final = ",\n "


@builder("laminar_row_to_json", rows=True)
def _row(signature: Signature) -> Run:
    """``{"name":value,…}`` of each row: whether in lines, the names, then the values."""
    convert = [jsonb.to_json(type_) for type_ in signature.args[2:]]

    def run(env: Any, n: int, pretty: Any, names: Any, *columns: Any) -> Any:
        from laminar.sql.evaluator.program import as_array

        if not columns:
            return pa.repeat(pa.scalar("{}"), n)
        labels = names.as_py() if isinstance(names, pa.Scalar) else names[0].as_py() if n else []
        parts: list[Any] = []
        between = pc.if_else(pretty, ",\n ", ",")
        opening: list[Any] = ["{"]
        for label, to_json, column in zip(labels, convert, columns, strict=False):
            parts += [*opening, f"{quote(label)}:", pa.array(to_json(env, as_array(column, n)), pa.string())]
            opening = [between]
        return pc.binary_join_element_wise(*parts, "}", "")

    return run
