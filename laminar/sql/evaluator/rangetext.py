"""Text and binary forms of ranges (PostgreSQL's range_in, range_out and range_send)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laminar._native import textio
from laminar.errors import PgError
from laminar.sql.evaluator.fieldtext import quoted, sized, split_field
from laminar.sql.kernels import ranges
from laminar.types import TEXT, PgType

#: what a bound in quotes has: nothing at all, and characters that mean something
_QUOTED: Final = '^$|[\\\\"(),\\[\\] \\t\\n\\v\\f\\r]'
_EMPTY, _LOWER_INC, _UPPER_INC, _LOWER_INF, _UPPER_INF = 1, 2, 4, 8, 16


def format_ranges(values: pa.Array, type_: PgType, env: Any) -> pa.Array:
    """``[1,10)``, ``empty``, ``("a b",)``."""
    from laminar.sql.evaluator.conversions import through_text

    bounds = ranges.unpack(values, type_)
    convert = through_text(ranges.subtype(type_), PgType(TEXT))
    lower, upper = (quoted(convert(env, column), _QUOTED) for column in (bounds.lower, bounds.upper))
    opening = pc.if_else(pa.array(bounds.lower_inc), "[", "(")
    closing = pc.if_else(pa.array(bounds.upper_inc), "]", ")")
    inside = pc.binary_join_element_wise(lower, upper, ",")
    texts = pc.binary_join_element_wise(opening, inside, closing, "")
    texts = pc.if_else(pa.array(bounds.nonempty), texts, "empty")
    return pc.if_else(values.is_valid(), texts, None)


def parse_ranges(texts: pa.Array, type_: PgType, env: Any) -> pa.Array:
    """Raises 22P02 for what is no range, 22000 for bounds in the wrong order, what the bounds' input does."""
    from laminar.sql.evaluator.conversions import through_text

    rows = [("", None, None, "") if text is None else split_range(text) for text in texts.to_pylist()]
    convert = through_text(PgType(TEXT), ranges.subtype(type_))
    lower, upper = (convert(env, pa.array([row[i] for row in rows], pa.string())) for i in (1, 2))
    lower_inc = np.array([row[0] == "[" for row in rows], dtype=bool) & np.asarray(lower.is_valid())
    upper_inc = np.array([row[3] == "]" for row in rows], dtype=bool) & np.asarray(upper.is_valid())
    nonempty = np.array([bool(row[0]) for row in rows], dtype=bool)
    valid = np.asarray(texts.is_valid())
    return ranges.pack(ranges.Bounds(type_, valid, nonempty, lower, lower_inc, upper, upper_inc))


def split_range(text: str) -> tuple[str, str | None, str | None, str]:
    """Opening bracket, bounds' texts (None: no bound) and closing bracket; '' for the empty range."""

    def malformed(detail: str) -> PgError:
        return PgError("22P02", f'malformed range literal: "{text}"', detail=detail)

    body = text.strip(" \t\n\v\f\r")
    if body[:5].lower() == "empty":
        if body[5:].strip():
            raise malformed('Junk after "empty" key word.')
        return "", None, None, ""
    if body[:1] not in ("[", "("):
        raise malformed("Missing left parenthesis or bracket.")
    lower, at = _split_bound(body, 1, malformed)
    if body[at : at + 1] != ",":
        raise malformed("Missing comma after lower bound.")
    upper, at = _split_bound(body, at + 1, malformed)
    if body[at : at + 1] == ",":
        raise malformed("Too many commas.")
    if body[at + 1 :].strip():
        raise malformed("Junk after right parenthesis or bracket.")
    return body[0], lower, upper, body[at]


def _split_bound(text: str, at: int, malformed: Callable[[str], PgError]) -> tuple[str | None, int]:
    """A bound, None for nothing, and where it ends."""
    if text[at : at + 1] in (",", ")", "]"):
        return None, at
    return split_field(text, at, ",)]", malformed)


def send_ranges(values: pa.Array, type_: PgType) -> pa.Array:
    """Flags, then each bound with its length."""
    bounds = ranges.unpack(values, type_)
    flags = (
        ~bounds.nonempty * _EMPTY
        + bounds.lower_inc * _LOWER_INC
        + bounds.upper_inc * _UPPER_INC
        + bounds.lower_inf * _LOWER_INF
        + bounds.upper_inf * _UPPER_INF
    ).astype(np.uint8)
    head = pa.Array.from_buffers(pa.binary(1), len(values), [None, pa.py_buffer(flags.tobytes())])
    parts = []
    for column in (bounds.lower, bounds.upper):
        sent = sized(textio.encode_binary(column, ranges.subtype(type_)))
        parts.append(pc.if_else(column.is_valid(), sent, b""))
    joined = pc.binary_join_element_wise(head.cast(pa.binary()), *parts, b"")
    return pc.if_else(values.is_valid(), joined, pa.scalar(None, pa.binary()))


def receive_range(data: bytes, type_: PgType) -> pa.Array:
    """One range's binary form. Raises 22P03 for bytes that are none."""
    flags, at = data[0] if data else -1, 1
    if flags < 0 or flags > 31:
        raise PgError("22P03", "improper binary format in a range")
    found: list[pa.Array] = []
    bound = ranges.subtype(type_)
    for missing in (_LOWER_INF, _UPPER_INF):
        if flags & (missing | _EMPTY):
            found.append(pa.nulls(1, bound.storage))
            continue
        length = int.from_bytes(data[at : at + 4], "big", signed=True)
        if length < 0 or at + 4 + length > len(data):
            raise PgError("22P03", "improper binary format in a range")
        found.append(textio.decode_binary(pa.array([data[at + 4 : at + 4 + length]], pa.binary()), bound))
        at += 4 + length
    one = np.array([True])
    inc = [np.array([bool(flags & bit)]) for bit in (_LOWER_INC, _UPPER_INC)]
    full = np.array([not flags & _EMPTY])
    return ranges.pack(ranges.Bounds(type_, one, full, found[0], inc[0], found[1], inc[1]))
