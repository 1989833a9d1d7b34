"""Literals lifted out of a statement's text, so that statements that differ in nothing else have one plan."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

#: words, which stay; integers; plain strings; and what makes a text too difficult: quoted names, comments,
#: parameters, dollar quotes, backslashes, other kinds of numbers and strings
_TOKEN: Final = re.compile(
    rb"""(?P<prefixed>[A-Za-z_\x80-\xff][\w$\x80-\xff]*&?')
      | (?P<word>[A-Za-z_\x80-\xff][\w$\x80-\xff]*)
      | (?P<number>(?<!\.)\d+(?![\w.$\x80-\xff]))
      | (?P<text>'(?:[^'\\]|'')*'(?!\s*'))
      | (?P<difficult>["$\\'0-9]|--|/\*)""",
    re.VERBOSE,
)
_MAX_TEXT: Final = 2048
_MAX_LITERALS: Final = 16
_INT4: Final = 1 << 31
_INT8: Final = 1 << 63


class Lifted(NamedTuple):
    """A statement with parameters for its literals, and their values in text form."""

    sql: str
    values: list[bytes | None]


def lift(sql: bytes) -> Lifted | None:
    """The statement without its integers and plain strings; None when that is not simple.

    An integer becomes a parameter of the type that it has as a literal, a string one whose type its
    context decides, as it does for literals. Only for plans whose meaning does not depend on where their
    constants came from: column names, ORDER BY 1 and positions in errors do.
    """
    if len(sql) > _MAX_TEXT:
        return None
    parts: list[bytes] = []
    values: list[bytes | None] = []
    at = 0
    for found in _TOKEN.finditer(sql):
        kind = found.lastgroup
        if kind == "word":
            continue
        start, end = found.span()
        parameter = b"$%d" % (len(values) + 1)
        if kind == "number":
            number = int(sql[start:end]) if end - start <= 19 else _INT8
            if number >= _INT8:
                return None
            parameter += b"::pg_catalog.int4" if number < _INT4 else b"::pg_catalog.int8"
            values.append(sql[start:end])
        elif kind == "text":
            values.append(sql[start + 1 : end - 1].replace(b"''", b"'"))
        else:
            return None
        parts += (sql[at:start], parameter)
        at = end
    if not 0 < len(values) <= _MAX_LITERALS:
        return None
    parts.append(sql[at:])
    try:
        return Lifted(b"".join(parts).decode(), values)
    except UnicodeDecodeError:
        return None
