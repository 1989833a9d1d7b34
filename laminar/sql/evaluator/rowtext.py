"""Text and binary forms of rows (PostgreSQL's record_out and record_send)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laminar._native import textio
from laminar.sql.kernels.records import fields_of, unpack
from laminar.types import ARRAY_OF, RECORD, TEXT, PgType

Format = Callable[[Any, Any], Any]

#: what has to stand in quotes: nothing at all, and white space as C's isspace() has it
_QUOTED: Final = '^$|[\\\\"(), \\t\\n\\v\\f\\r]'


def formatter(type_: PgType) -> Format | None:
    """``run(env, column)``: text of rows or of arrays of rows; None for other types."""
    if type_.oid == RECORD:
        return _row_formatter(type_)
    if type_.oid == ARRAY_OF[RECORD]:
        return _array_formatter(type_)
    return None


def _row_formatter(type_: PgType) -> Format:
    from laminar.sql.evaluator.conversions import through_text

    fields = fields_of(type_)
    convert = [through_text(t, PgType(TEXT)) for _, t in fields]

    def run(env: Any, values: Any) -> Any:
        if isinstance(values, pa.Scalar):
            return run(env, pa.repeat(values, 1))[0]
        if not fields:
            return pc.if_else(values.is_valid(), "()", None)
        columns = zip(convert, unpack(values, fields), strict=True)
        parts = [quoted(to_text(env, column)) for to_text, column in columns]
        joined = pc.binary_join_element_wise(*parts, ",")
        joined = pc.binary_join_element_wise("(", joined, ")", "")
        return pc.if_else(values.is_valid(), joined, None) if values.null_count else joined

    return run


def quoted(texts: pa.Array) -> pa.Array:
    """Field texts as they stand between commas; nothing for null."""
    escaped = pc.replace_substring(pc.replace_substring(texts, "\\", "\\\\"), '"', '""')
    escaped = pc.binary_join_element_wise('"', escaped, '"', "")
    return pc.fill_null(pc.if_else(pc.match_substring_regex(texts, _QUOTED), escaped, texts), "")


def _array_formatter(type_: PgType) -> Format:
    inner = _row_formatter(type_.element)

    def run(env: Any, lists: Any) -> Any:
        if isinstance(lists, pa.Scalar):
            return run(env, pa.repeat(lists, 1))[0]
        return textio.format_text(_with_elements(lists, inner(env, lists.flatten())), PgType(ARRAY_OF[TEXT]))

    return run


def _with_elements(lists: pa.Array, elements: pa.Array) -> pa.Array:
    """The same lists of other elements."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, elements, mask=lists.is_null() if lists.null_count else None)


def send(values: pa.Array, type_: PgType) -> pa.Array:
    """The binary form of any value, rows and arrays of rows included."""
    if type_.oid == RECORD:
        return _send_row(values, type_)
    if type_.oid == ARRAY_OF[RECORD]:
        return _send_array(values, type_)
    return textio.encode_binary(values, type_)


def _send_row(values: pa.Array, type_: PgType) -> pa.Array:
    fields = fields_of(type_)
    parts: list[Any] = [pa.scalar(len(fields).to_bytes(4, "big"))]
    for column, (_, field) in zip(unpack(values, fields), fields, strict=True):
        parts += [pa.scalar(field.oid.to_bytes(4, "big")), _sized(send(column, field))]
    joined = pc.binary_join_element_wise(*parts, b"") if fields else pa.repeat(parts[0], len(values))
    return pc.if_else(values.is_valid(), joined, pa.scalar(None, pa.binary()))


def _sized(values: pa.Array) -> pa.Array:
    """Length and bytes; length -1 alone for null."""
    lengths = pc.fill_null(pc.binary_length(values), -1).to_numpy(zero_copy_only=False).astype(">i4")
    heads = pa.Array.from_buffers(pa.binary(4), len(values), [None, pa.py_buffer(lengths.tobytes())])
    return pc.binary_join_element_wise(heads.cast(pa.binary()), pc.fill_null(values, b""), b"")


def _send_array(lists: pa.Array, type_: PgType) -> pa.Array:
    """One dimension from 1: array_send's head, then the elements."""
    sent = _sized(send(lists.flatten(), type_.element)).to_pylist()
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
