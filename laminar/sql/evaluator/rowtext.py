"""Text and binary forms of rows, enums and composite types, and of arrays of them.

PostgreSQL's record_out, record_send, record_in, enum_out and enum_in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laminar._native import textio
from laminar.errors import PgError
from laminar.sql.evaluator import rangetext
from laminar.sql.evaluator.environment import Env
from laminar.sql.evaluator.fieldtext import quoted, sized, split_field
from laminar.sql.kernels.records import fields_of, pack, unpack
from laminar.types import ARRAY_OF, ENUM_KEY, RANGES, RECORD, TEXT, USER_TYPES, PgType

Format = Callable[[Any, Any], Any]

#: what has to stand in quotes: nothing at all, and white space as C's isspace() has it
_QUOTED: Final = '^$|[\\\\"(), \\t\\n\\v\\f\\r]'


def formatter(type_: PgType) -> Format | None:
    """``run(env, column)``: text of rows, users' types or arrays of them; None for other types."""
    if type_.is_row:
        return _row_formatter(type_)
    if type_.labels is not None:
        return lambda _env, values: labels_of(values)
    if type_.oid in RANGES:
        return lambda env, values: _each(values, lambda column: rangetext.format_ranges(column, type_, env))
    if type_.is_array and type_.element.special:
        return _array_formatter(type_)
    return None


def labels_of(values: Any) -> Any:
    """The labels of enum values."""
    return pc.utf8_slice_codeunits(values, ENUM_KEY)


def _row_formatter(type_: PgType) -> Format:
    from laminar.sql.evaluator.conversions import through_text

    fields = fields_of(type_)
    convert = [through_text(t, PgType(TEXT)) for _, t in fields]

    def write(env: Any, values: pa.Array) -> pa.Array:
        if not fields:
            return pc.if_else(values.is_valid(), "()", None)
        columns = zip(convert, unpack(values, fields), strict=True)
        parts = [quoted(to_text(env, column), _QUOTED) for to_text, column in columns]
        joined = pc.binary_join_element_wise(*parts, ",")
        joined = pc.binary_join_element_wise("(", joined, ")", "")
        return pc.if_else(values.is_valid(), joined, None) if values.null_count else joined

    return lambda env, values: _each(values, lambda column: write(env, column))


def _array_formatter(type_: PgType) -> Format:
    inner = formatter(type_.element)
    assert inner is not None

    def write(env: Any, lists: pa.Array) -> pa.Array:
        return textio.format_text(_with_elements(lists, inner(env, lists.flatten())), PgType(ARRAY_OF[TEXT]))

    return lambda env, lists: _each(lists, lambda column: write(env, column))


def _with_elements(lists: pa.Array, elements: pa.Array) -> pa.Array:
    """The same lists of other elements."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, elements, mask=lists.is_null() if lists.null_count else None)


def send(values: pa.Array, type_: PgType) -> pa.Array:
    """The binary form of any value, rows and arrays of rows included."""
    if type_.is_row:
        return _send_row(values, type_)
    if type_.labels is not None:
        return labels_of(values).cast(pa.binary())
    if type_.oid in RANGES:
        return rangetext.send_ranges(values, type_)
    if type_.is_array and type_.element.special:
        return _send_array(values, type_)
    return textio.encode_binary(values, type_)


def _send_row(values: pa.Array, type_: PgType) -> pa.Array:
    fields = fields_of(type_)
    parts: list[Any] = [pa.scalar(len(fields).to_bytes(4, "big"))]
    for column, (_, field) in zip(unpack(values, fields), fields, strict=True):
        parts += [pa.scalar(field.oid.to_bytes(4, "big")), sized(send(column, field))]
    joined = pc.binary_join_element_wise(*parts, b"") if fields else pa.repeat(parts[0], len(values))
    return pc.if_else(values.is_valid(), joined, pa.scalar(None, pa.binary()))


def _send_array(lists: pa.Array, type_: PgType) -> pa.Array:
    """One dimension from 1: array_send's head, then the elements."""
    sent = sized(send(lists.flatten(), type_.element)).to_pylist()
    missing = lists.flatten().is_null().to_pylist()
    oid = type_.element.oid.to_bytes(4, "big")
    out: list[bytes | None] = []
    at = 0
    for length in pc.list_value_length(lists).to_pylist():
        if length is None:
            out.append(None)
            continue
        mine, nulls = sent[at : at + length], missing[at : at + length]
        at += length
        head = (1 if length else 0).to_bytes(4, "big") + any(nulls).to_bytes(4, "big") + oid
        shape = length.to_bytes(4, "big") + (1).to_bytes(4, "big") if length else b""
        out.append(head + shape + b"".join(mine))
    return pa.array(out, pa.binary())


# --- text to values -------------------------------------------------------------------


def parser(type_: PgType) -> Format | None:
    """``run(env, texts)``: input of users' types and of arrays of them; None for other types."""
    if type_.labels is not None:
        return lambda _env, texts: _each(texts, lambda column: _parse_labels(column, type_))
    if type_.user_made:
        return _row_parser(type_)
    if type_.oid in RANGES:
        return lambda env, texts: _each(texts, lambda column: rangetext.parse_ranges(column, type_, env))
    if type_.oid == RECORD:
        raise PgError("0A000", "input of anonymous composite types is not implemented")
    if type_.is_array and type_.element.special:
        inner = parser(type_.element)
        assert inner is not None
        return _array_parser(inner)
    return None


def _each(values: Any, run: Callable[[pa.Array], pa.Array]) -> Any:
    """A scalar as a column of one row."""
    return run(pa.repeat(values, 1))[0] if isinstance(values, pa.Scalar) else run(values)


def _parse_labels(texts: pa.Array, type_: PgType) -> pa.Array:
    # looked up now and not when the expression was compiled: values may have been added since
    known = {label: key + label for key, label in type_.labels or ()}
    coded = texts.dictionary_encode()
    values = []
    for text in coded.dictionary.to_pylist():
        if text not in known:
            name = USER_TYPES[type_.oid].name
            raise PgError("22P02", f'invalid input value for enum {name}: "{text}"')
        values.append(known[text])
    return pa.array(values, pa.string()).take(coded.indices)


def _row_parser(type_: PgType) -> Format:
    from laminar.sql.evaluator.conversions import typed_input

    fields = fields_of(type_)
    convert = [typed_input(t) for _, t in fields]

    def parse(env: Any, texts: pa.Array) -> pa.Array:
        missing: list[str | None] = [None] * len(fields)
        rows = [missing if text is None else split_row(text, len(fields)) for text in texts.to_pylist()]
        columns = [
            to_value(env, pa.array([row[i] for row in rows], pa.string()))
            for i, to_value in enumerate(convert)
        ]
        values = pack(columns, fields, len(rows))
        return pc.if_else(texts.is_valid(), values, None) if texts.null_count else values

    return lambda env, texts: _each(texts, lambda column: parse(env, column))


def split_row(text: str, count: int) -> list[str | None]:
    """The fields' texts in a row's text, null for nothing (record_in).

    Raises:
        PgError: 22P02 for what is no such text.
    """

    def malformed(detail: str) -> PgError:
        return PgError("22P02", f'malformed record literal: "{text}"', detail=detail)

    at, end = len(text) - len(text.lstrip()), len(text)
    if text[at : at + 1] != "(":
        raise malformed("Missing left parenthesis.")
    at += 1
    fields: list[str | None] = []
    closed = count == 0 and text[at : at + 1] == ")"
    while not closed:
        if at >= end:
            raise malformed("Unexpected end of input.")
        if text[at] in ",)":
            fields.append(None)
        else:
            value, at = split_field(text, at, ",)", malformed)
            fields.append(value)
        closed = text[at] == ")"
        at += 1
        if not closed and len(fields) == count:
            raise malformed("Too many columns.")
    if len(fields) < count:
        raise malformed("Too few columns.")
    if closed and count == 0:
        at += 1
    if text[at:].strip():
        raise malformed("Junk after right parenthesis.")
    return fields


def _array_parser(inner: Format) -> Format:
    def parse(env: Any, texts: pa.Array) -> pa.Array:
        lists = textio.parse_text(texts, PgType(ARRAY_OF[TEXT]))
        return _with_elements(lists, inner(env, lists.flatten()))

    return lambda env, texts: _each(texts, lambda column: parse(env, column))


def receive(value: bytes, type_: PgType) -> pa.Scalar[Any]:
    """A parameter's binary form: an enum's is its label.

    Raises:
        PgError: 0A000 for rows and arrays of users' types.
    """
    if type_.oid in RANGES:
        return rangetext.receive_range(value, type_)[0]
    if type_.labels is None:
        raise PgError("0A000", "binary parameters of this type are not supported", hint="Send them as text.")
    text = textio.decode_binary(pa.array([value], pa.binary()), PgType(TEXT))
    return _parse_labels(text, type_)[0]


# --- any type, outside of expressions -------------------------------------------------


def format_values(column: pa.Array, type_: PgType, settings: Any = None) -> pa.Array:
    """:func:`laminar._native.textio.format_text` of any type, rows and users' types included."""
    if not type_.special:
        return textio.format_text(column, type_, settings)
    write = formatter(type_)
    assert write is not None
    return write(Env(settings=settings), column)


def parse_values(texts: pa.Array, type_: PgType, settings: Any = None) -> pa.Array:
    """:func:`laminar._native.textio.parse_text` of any type."""
    if not type_.special:
        return textio.parse_text(texts, type_, settings)
    read = parser(type_)
    assert read is not None
    return read(Env(settings=settings), texts)
