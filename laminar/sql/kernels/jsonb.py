"""Functions and operators on json and jsonb."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from laminar.errors import PgError
from laminar.sql.kernels import jsontext
from laminar.sql.kernels.arrays import spread
from laminar.sql.kernels.jsontext import Number, as_text, dump, elements, kind, load, members, quote
from laminar.sql.kernels.records import fields_of, unpack
from laminar.sql.kernels.registry import Kernel, Run, Signature, add, builder
from laminar.sql.kernels.rowwise import apply, python
from laminar.sql.kernels.sortkeys import sort_key
from laminar.types import (
    BOOL,
    BPCHAR,
    DATE,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    JSON,
    JSONB,
    NUMERIC,
    TIMESTAMP,
    TIMESTAMPTZ,
    PgType,
)

_INVALID: Final = "22023"


# --- parts --------------------------------------------------------------------------------


def field(value: str, key: str) -> str | None:
    found = None
    for name, text in members(value):
        if name == key:
            found = text
    return found


def element(value: str, index: int) -> str | None:
    parts = list(elements(value))
    return parts[index] if -len(parts) <= index < len(parts) else None


def root_element(value: str, index: int) -> str | None:
    """A jsonb scalar is an array of itself to ``->``."""
    if kind(value) in ("object", "array"):
        return element(value, index)
    return value if index in (0, -1) else None


def path(value: str, keys: list[str | None]) -> str | None:
    """The part a path leads to; null for one with a null step."""
    current: str | None = value.strip(" \t\n\r")
    for key in keys:
        if current is None or key is None:
            return None
        if kind(current) == "array":
            try:
                current = element(current, int(key))
            except ValueError:
                return None
        else:
            current = field(current, key)
    return current


def _path_of(value: str, keys: list[str | None]) -> str | None:
    return path(value, keys)


for _type in ("json", "jsonb"):
    python(f"{_type}_object_field", total=True)(field)
    python(f"{_type}_object_field_text", total=True)(lambda v, k: as_text(field(v, k)))
    python(f"{_type}_extract_path", total=True)(_path_of)
    python(f"{_type}_extract_path_text", total=True)(lambda v, p: as_text(path(v, p)))
    python(f"{_type}_typeof", total=True)(kind)


python("json_array_element", total=True)(element)
python("json_array_element_text", total=True)(lambda v, i: as_text(element(v, i)))
python("jsonb_array_element", total=True)(root_element)
python("jsonb_array_element_text", total=True)(lambda v, i: as_text(root_element(v, i)))


def _array_length(value: str) -> int:
    found = kind(value)
    if found != "array":
        what = "non-array" if found == "object" else "scalar"
        raise PgError(_INVALID, f"cannot get array length of a {what}")
    return sum(1 for _ in elements(value))


python("json_array_length")(_array_length)
python("jsonb_array_length")(_array_length)

# --- sets ---------------------------------------------------------------------------------


def _set(symbol: str, function: Callable[[str], Any], type_: pa.DataType) -> None:
    def build(_: Signature) -> Run:
        return lambda _env, x: apply(function, (x,), pa.list_(type_))

    add(symbol, Kernel(build, sets=True))


def _elements_of(function: str, binary: bool) -> Callable[[str], list[str]]:
    def run(value: str) -> list[str]:
        found = kind(value)
        if found != "array":
            if binary:
                what = "an object" if found == "object" else "a scalar"
                raise PgError(_INVALID, f"cannot extract elements from {what}")
            what = "a non-array" if found == "object" else "a scalar"
            raise PgError(_INVALID, f"cannot call {function} on {what}")
        return list(elements(value))

    return run


def _pairs_of(function: str, binary: bool) -> Callable[[str], list[tuple[str, str]]]:
    def run(value: str) -> list[tuple[str, str]]:
        found = kind(value)
        if found != "object":
            if binary:
                raise PgError(_INVALID, f"cannot call {function} on a non-object")
            what = "an array" if found == "array" else "a scalar"
            raise PgError(
                _INVALID,
                f"cannot deconstruct {what}"
                if found != "array"
                else "cannot deconstruct an array as an object",
            )
        return list(members(value))

    return run


def _keys_of(function: str) -> Callable[[str], list[str]]:
    def run(value: str) -> list[str]:
        found = kind(value)
        if found != "object":
            what = "an array" if found == "array" else "a scalar"
            raise PgError(_INVALID, f"cannot call {function} on {what}")
        return [key for key, _ in members(value)]

    return run


def _texts(function: Callable[[str], list[str]]) -> Callable[[str], list[str | None]]:
    return lambda value: [as_text(part) for part in function(value)]


def _text_pairs(
    function: Callable[[str], list[tuple[str, str]]],
) -> Callable[[str], list[tuple[str, str | None]]]:
    return lambda value: [(key, as_text(part)) for key, part in function(value)]


_PAIR: Final = pa.struct([("key", pa.string()), ("value", pa.string())])
for _type, _binary in (("json", False), ("jsonb", True)):
    _items = _elements_of(f"{_type}_array_elements", _binary)
    _item_texts = _elements_of(f"{_type}_array_elements_text", _binary)
    _set(f"{_type}_array_elements", _items, pa.string())
    _set(f"{_type}_array_elements_text", _texts(_item_texts), pa.string())
    _set(f"{_type}_object_keys", _keys_of(f"{_type}_object_keys"), pa.string())
    _set(f"{_type}_each", _pairs_of(f"{_type}_each", _binary), _PAIR)
    _set(f"{_type}_each_text", _text_pairs(_pairs_of(f"{_type}_each_text", _binary)), _PAIR)

# --- membership and comparison --------------------------------------------------------------


@python("jsonb_exists", total=True)
def _exists(value: str, key: str) -> bool:
    return key in _keys(value)


def _keys(value: str) -> set[str]:
    found = kind(value)
    if found == "object":
        return {key for key, _ in members(value)}
    parts = elements(value) if found == "array" else [value]
    return {json.loads(part) for part in parts if part.startswith('"')}


@python("jsonb_exists_any", total=True)
def _exists_any(value: str, keys: list[str | None]) -> bool:
    return any(key in _keys(value) for key in keys if key is not None)


@python("jsonb_exists_all", total=True)
def _exists_all(value: str, keys: list[str | None]) -> bool:
    return all(key in _keys(value) for key in keys if key is not None)


def contains(a: Any, b: Any, top: bool = True) -> bool:
    """``a @> b``: every member or element of b is in a; an array contains a bare scalar, at the top only."""
    if isinstance(a, dict) and isinstance(b, dict):
        return all(key in a and contains(a[key], value, False) for key, value in b.items())
    if isinstance(a, list) and isinstance(b, list):
        return all(any(contains(x, y, False) for x in a) for y in b)
    if isinstance(a, list) and top and not isinstance(b, dict):
        return any(_equal(x, b) for x in a)
    return _equal(a, b)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, (list, dict)) or isinstance(b, (list, dict)):
        return False
    if isinstance(a, Number) and isinstance(b, Number):
        from decimal import Decimal

        return Decimal(a) == Decimal(b)
    return type(a) is type(b) and bool(a == b)


@python("jsonb_contains", total=True)
def _contains(a: str, b: str) -> bool:
    return contains(load(a), load(b))


@python("jsonb_contained", total=True)
def _contained(a: str, b: str) -> bool:
    return contains(load(b), load(a))


def _compare(word: str, name: str) -> None:
    function = pc.get_function(name)
    type_ = PgType(JSONB)

    def build(_: Signature) -> Run:
        def run(_env: object, a: Any, b: Any) -> Any:
            a, b = spread((a, b))
            return function.call([sort_key(a, type_), sort_key(b, type_)])

        return run

    add(f"jsonb_{word}", Kernel(build, total=True))


_WORDS: Final = {"eq": "equal", "ne": "not_equal", "lt": "less", "gt": "greater"}
for _word, _name in (_WORDS | {"le": "less_equal", "ge": "greater_equal"}).items():
    _compare(_word, _name)

# --- changing -----------------------------------------------------------------------------


@python("jsonb_concat", total=True)
def _concat(a: str, b: str) -> str:
    left, right = load(a), load(b)
    if isinstance(left, dict) and isinstance(right, dict):
        return dump(left | right)
    return dump(
        (left if isinstance(left, list) else [left]) + (right if isinstance(right, list) else [right])
    )


@python("jsonb_delete")
def _delete(value: str, key: str) -> str:
    return _without(value, {key})


@python("jsonb_delete_array")
def _delete_keys(value: str, keys: list[str | None]) -> str:
    return _without(value, {key for key in keys if key is not None})


def _without(value: str, keys: set[str]) -> str:
    loaded = load(value)
    if isinstance(loaded, dict):
        return dump({k: v for k, v in loaded.items() if k not in keys})
    if isinstance(loaded, list):
        return dump([v for v in loaded if isinstance(v, Number) or not isinstance(v, str) or v not in keys])
    raise PgError(_INVALID, "cannot delete from scalar")


@python("jsonb_delete_idx")
def _delete_index(value: str, index: int) -> str:
    loaded = load(value)
    if isinstance(loaded, dict):
        raise PgError(_INVALID, "cannot delete from object using integer index")
    if not isinstance(loaded, list):
        raise PgError(_INVALID, "cannot delete from scalar")
    if -len(loaded) <= index < len(loaded):
        del loaded[index]
    return dump(loaded)


def _position(step: str, number: int) -> int:
    try:
        return int(step)
    except ValueError:
        message = f'path element at position {number} is not an integer: "{step}"'
        raise PgError("22P02", message) from None


def change(
    value: Any,
    steps: list[str | None],
    new: Any,
    *,
    create: bool,
    insert: bool,
    after: bool = False,
    number: int = 1,
) -> Any:
    """jsonb_set, jsonb_insert (``insert``) and ``#-`` (``new`` is _DELETE) along a path."""
    if not steps or not isinstance(value, (dict, list)):
        return value
    step, rest = steps[0], steps[1:]
    if step is None:
        raise PgError("22004", f"path element at position {number} is null")
    if isinstance(value, dict):
        return _change_member(value, step, rest, new, create, insert, after, number)
    return _change_element(value, step, rest, new, create, insert, after, number)


_DELETE: Final = object()


def _change_member(
    value: dict[str, Any],
    step: str,
    rest: list[str | None],
    new: Any,
    create: bool,
    insert: bool,
    after: bool,
    number: int,
) -> Any:
    if rest:
        if step not in value:
            return value
        inner = change(value[step], rest, new, create=create, insert=insert, after=after, number=number + 1)
        return value | {step: inner}
    if new is _DELETE:
        return {k: v for k, v in value.items() if k != step}
    if insert and step in value:
        hint = "Try using the function jsonb_set to replace key value."
        raise PgError(_INVALID, "cannot replace existing key", hint=hint)
    return value | {step: new} if step in value or create else value


def _change_element(
    value: list[Any],
    step: str,
    rest: list[str | None],
    new: Any,
    create: bool,
    insert: bool,
    after: bool,
    number: int,
) -> Any:
    index = _position(step, number)
    if index < 0:
        index = index + len(value) if -index <= len(value) else -(1 << 31)
    inside = 0 <= index < len(value)
    if rest:
        if not inside:
            return value
        inner = change(value[index], rest, new, create=create, insert=insert, after=after, number=number + 1)
        return [*value[:index], inner, *value[index + 1 :]]
    if new is _DELETE:
        return value[:index] + value[index + 1 :] if inside else value
    if insert and inside:
        return [*value[: index + after], new, *value[index + after :]]
    if inside:
        return [*value[:index], new, *value[index + 1 :]]
    if not create:
        return value
    return [new, *value] if index < 0 else [*value, new]


def _changeable(value: str, what: str, allow_scalar: bool = False) -> Any:
    loaded = load(value)
    if not allow_scalar and not isinstance(loaded, (dict, list)):
        raise PgError(_INVALID, f"cannot {what} scalar")
    return loaded


@python("jsonb_set")
def set_path(value: str, steps: list[str | None], new: str, create: bool) -> str:
    loaded = _changeable(value, "set path in")
    if not loaded and not create:
        return value
    return dump(change(loaded, steps, load(new), create=create, insert=False))


@python("jsonb_insert")
def _insert(value: str, steps: list[str | None], new: str, after: bool) -> str:
    loaded = _changeable(value, "set path in")
    return dump(change(loaded, steps, load(new), create=True, insert=True, after=after))


@python("jsonb_delete_path")
def delete_path(value: str, steps: list[str | None]) -> str:
    loaded = _changeable(value, "delete path in")
    if not loaded:
        return value
    return dump(change(loaded, steps, _DELETE, create=False, insert=False))


def strip_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: strip_nulls(v) for k, v in value.items() if v is not None}
    return [strip_nulls(v) for v in value] if isinstance(value, list) else value


@python("jsonb_strip_nulls", total=True)
def _strip(value: str) -> str:
    return dump(strip_nulls(load(value)))


@python("jsonb_pretty", total=True)
def _pretty(value: str) -> str:
    return pretty(load(value), "")


def pretty(value: Any, indent: str) -> str:
    """Four blanks a level."""
    deeper = indent + "    "
    if isinstance(value, dict):
        pairs = sorted(value.items(), key=lambda pair: jsontext.key_order(pair[0]))
        inner = ",\n".join(f"{deeper}{quote(k)}: {pretty(v, deeper)}" for k, v in pairs)
        return "{\n" + (inner + "\n" if inner else "") + indent + "}"
    if isinstance(value, list):
        inner = ",\n".join(deeper + pretty(v, deeper) for v in value)
        return "[\n" + (inner + "\n" if inner else "") + indent + "]"
    return dump(value)


# --- from SQL values ------------------------------------------------------------------------

_NUMBERS: Final = frozenset({INT2, INT4, INT8, FLOAT4, FLOAT8, NUMERIC})


def to_json(type_: PgType) -> Callable[[Any, pa.Array], list[str]]:
    """``run(env, column)``: each value as JSON text, null as ``null``."""
    from laminar.sql.kernels.text import to_text

    if type_.is_array:
        return _array_to_json(type_)
    if type_.row is not None:
        return _row_to_json(type_)
    convert = to_text(type_)

    def run(env: Any, column: pa.Array) -> list[str]:
        return ["null" if v is None else scalar_json(v, type_.oid) for v in convert(env, column).to_pylist()]

    return run


def scalar_json(text: str, oid: int) -> str:
    """One value's output text as JSON."""
    if oid in (JSON, JSONB):
        return text
    if oid == BOOL:
        return "true" if text in ("t", "true") else "false"
    if oid in _NUMBERS and text not in ("NaN", "Infinity", "-Infinity"):
        return text
    if oid in (TIMESTAMP, TIMESTAMPTZ):
        text = text.replace(" ", "T", 1)
        if oid == TIMESTAMPTZ and text[-3:-2] in ("+", "-"):
            text += ":00"
    return quote(text)


def _array_to_json(type_: PgType) -> Callable[[Any, pa.Array], list[str]]:
    inner = to_json(type_.element)

    def run(env: Any, column: pa.Array) -> list[str]:
        items = iter(inner(env, column.flatten()))
        counts = pc.list_value_length(column).to_pylist()
        return ["null" if n is None else "[" + ",".join(next(items) for _ in range(n)) + "]" for n in counts]

    return run


def _row_to_json(type_: PgType) -> Callable[[Any, pa.Array], list[str]]:
    fields = fields_of(type_)
    convert = [to_json(t) for _, t in fields]
    names = [quote(name) for name, _ in fields]

    def run(env: Any, column: pa.Array) -> list[str]:
        parts = [c(env, x) for c, x in zip(convert, unpack(column, fields), strict=True)]
        rows = zip(*parts, strict=True) if parts else [()] * len(column)
        texts = ("{" + ",".join(map(":".join, zip(names, row, strict=True))) + "}" for row in rows)
        return [t if v else "null" for t, v in zip(texts, column.is_valid().to_pylist(), strict=True)]

    return run


def finish(texts: Sequence[str | None], type_: PgType) -> pa.Array:
    """JSON text as json, or made canonical as jsonb."""
    column = pa.array(texts, pa.string())
    if type_.oid == JSON:
        return column
    from laminar._native import textio

    return textio.parse_text(column, type_)


@builder("to_json", "to_jsonb", "array_to_json")
def _to_json(signature: Signature) -> Run:
    convert = to_json(signature.args[0])

    def run(env: Any, column: Any) -> Any:
        texts = convert(env, column)
        present = column.is_valid().to_pylist()
        return finish([t if v else None for t, v in zip(texts, present, strict=True)], signature.result)

    return run


@builder(
    "json_build_array", "jsonb_build_array", "json_build_array_noargs", "jsonb_build_array_noargs", rows=True
)
def _build_array(signature: Signature) -> Run:
    convert = [to_json(t) for t in signature.args]

    def run(env: Any, n: int, *columns: Any) -> Any:
        parts = [c(env, x) for c, x in zip(convert, _columns(columns, n), strict=True)]
        rows = zip(*parts, strict=True) if parts else [()] * n
        return finish(["[" + ", ".join(row) + "]" for row in rows], signature.result)

    return run


def _columns(columns: tuple[Any, ...], n: int) -> list[pa.Array]:
    from laminar.sql.evaluator.program import as_array

    return [as_array(c, n) for c in columns]


@builder(
    "json_build_object",
    "jsonb_build_object",
    "json_build_object_noargs",
    "jsonb_build_object_noargs",
    rows=True,
)
def _build_object(signature: Signature) -> Run:
    from laminar.sql.kernels.text import to_text

    if len(signature.args) % 2:
        name = signature.symbol
        hint = f"The arguments of {name}() must consist of alternating keys and values."
        raise PgError(_INVALID, "argument list must have even number of elements", hint=hint)
    keys = [to_text(t) for t in signature.args[::2]]
    values = [to_json(t) for t in signature.args[1::2]]
    for type_ in signature.args[::2]:
        if type_.is_array or type_.oid in (JSON, JSONB):
            raise PgError(_INVALID, "key value must be scalar, not array, composite, or json")

    def run(env: Any, n: int, *columns: Any) -> Any:
        arrays = _columns(columns, n)
        names = [k(env, x).to_pylist() for k, x in zip(keys, arrays[::2], strict=True)]
        parts = [v(env, x) for v, x in zip(values, arrays[1::2], strict=True)]
        texts = []
        for row in range(n):
            pairs = []
            for number, (name, part) in enumerate(zip(names, parts, strict=True)):
                if name[row] is None:
                    raise _null_key(2 * number + 1, signature.result.oid)
                pairs.append(f"{key(name[row], signature.args[2 * number])} : {part[row]}")
            texts.append("{" + ", ".join(pairs) + "}")
        return finish(texts, signature.result)

    return run


def key(name: str, type_: PgType) -> str:
    if type_.oid == BOOL:
        name = "true" if name == "t" else "false"
    if type_.oid in (TIMESTAMP, TIMESTAMPTZ, DATE, BPCHAR):
        return scalar_json(name, type_.oid)
    return quote(name)


def _null_key(number: int, oid: int) -> PgError:
    if oid == JSONB:
        return PgError(_INVALID, f"argument {number}: key must not be null")
    hint = "Object keys should be text."
    return PgError(_INVALID, f"argument {number} cannot be null", hint=hint)


# --- casts from jsonb -----------------------------------------------------------------------


def _cast(symbol: str, wanted: str, target: PgType, name: str) -> None:
    """jsonb to a number or boolean: by way of numeric, JSON's null being no value of either."""

    def build(signature: Signature) -> Run:
        from laminar.sql.kernels.registry import bind
        from laminar.sql.plan import Function

        numeric = PgType(NUMERIC)
        narrow = None
        if wanted == "number" and target.oid != NUMERIC:
            step = {
                INT2: "numeric_int2",
                INT4: "numeric_int4",
                INT8: "numeric_int8",
                FLOAT4: "numeric_float4",
                FLOAT8: "numeric_float8",
            }[target.oid]
            narrow = bind(Function(0, step, step, True, "i"), (numeric,), signature.result)[1]

        def run(env: Any, column: Any) -> Any:
            from laminar._native import textio

            texts = [None if v is None else _scalar(v, wanted, name) for v in column.to_pylist()]
            if wanted == "boolean":
                return pa.array([None if t is None else t == "true" for t in texts], pa.bool_())
            numbers = textio.parse_text(pa.array(texts, pa.string()), numeric)
            return numbers if narrow is None else narrow(env, numbers)

        return run

    add(symbol, Kernel(build))


def _scalar(value: str, wanted: str, name: str) -> str:
    found = kind(value)
    if found != wanted:
        shown = {"string": "string", "number": "numeric"}.get(found, found)
        raise PgError(_INVALID, f"cannot cast jsonb {shown} to type {name}")
    return value


for _symbol, _target, _name in (
    ("jsonb_numeric", NUMERIC, "numeric"),
    ("jsonb_int2", INT2, "smallint"),
    ("jsonb_int4", INT4, "integer"),
    ("jsonb_int8", INT8, "bigint"),
    ("jsonb_float4", FLOAT4, "real"),
    ("jsonb_float8", FLOAT8, "double precision"),
):
    _cast(_symbol, "number", PgType(_target), _name)
_cast("jsonb_bool", "boolean", PgType(BOOL), "boolean")
