"""What texts and bytes of rows and ranges have in common: fields between commas, quoted where needed."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from laminar.errors import PgError


def quoted(texts: pa.Array, needed: str) -> pa.Array:
    """Field texts as they stand between commas, in quotes where they match ``needed``; nothing for null."""
    escaped = pc.replace_substring(pc.replace_substring(texts, "\\", "\\\\"), '"', '""')
    escaped = pc.binary_join_element_wise('"', escaped, '"', "")
    return pc.fill_null(pc.if_else(pc.match_substring_regex(texts, needed), escaped, texts), "")


def split_field(text: str, at: int, ends: str, malformed: Callable[[str], PgError]) -> tuple[str, int]:
    """A field that is not null, and where it ends: at one of the characters ``ends`` outside quotes."""
    out: list[str] = []
    quoting = False
    while True:
        if at >= len(text):
            raise malformed("Unexpected end of input.")
        c = text[at]
        at += 1
        if c == "\\":
            if at >= len(text):
                raise malformed("Unexpected end of input.")
            out.append(text[at])
            at += 1
        elif c == '"':
            if quoting and text[at : at + 1] == '"':
                out.append('"')
                at += 1
            else:
                quoting = not quoting
        elif c in ends and not quoting:
            return "".join(out), at - 1
        else:
            out.append(c)


def sized(values: pa.Array) -> pa.Array:
    """Each value's length and bytes; length -1 alone for null."""
    lengths = pc.fill_null(pc.binary_length(values), -1).to_numpy(zero_copy_only=False).astype(">i4")
    heads = pa.Array.from_buffers(pa.binary(4), len(values), [None, pa.py_buffer(lengths.tobytes())])
    return pc.binary_join_element_wise(heads.cast(pa.binary()), pc.fill_null(values, b""), b"")
