"""INSERT … VALUES of nothing but literals, without a token per value.

One regular expression matches a whole row; ``findall`` over the text cuts all rows in native
code. Whatever does not fit takes the ordinary parser.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from laminar.sql import statements as s
from laminar.sql.keywords import COL_NAME, RESERVED, TYPE_FUNC_NAME
from laminar.sql.lexer import fold, truncate

_NAME: Final = r'(?:[A-Za-z_][A-Za-z0-9_$]*|"(?:[^"]|"")+")'
_SP: Final = r"[ \t\r\n]*"
_HEAD: Final = re.compile(
    rf"{_SP}insert\s+into\s+({_NAME}(?:\.{_NAME})?){_SP}(?:\(({_SP}{_NAME}{_SP}(?:,{_SP}{_NAME}{_SP})*)\){_SP})?values{_SP}(?=\()",
    re.IGNORECASE,
)
_NAMES: Final = re.compile(_NAME)
_LITERAL: Final = r"(?:'(?:[^']|'')*'(?!')|[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|(?i:null|true|false))"
_FIRST: Final = re.compile(rf"\({_SP}{_LITERAL}{_SP}(?:,{_SP}{_LITERAL}{_SP})*\)")
_CELL: Final = re.compile(_LITERAL)
_END: Final = re.compile(rf"{_SP};?{_SP}$")
_NOT_NAMES: Final = RESERVED | TYPE_FUNC_NAME
_MAX_COLUMNS: Final = 90


@lru_cache(maxsize=64)
def _row(width: int) -> re.Pattern[str]:
    """A row of ``width`` literals with the comma behind it: group 1 the whole, then the cells."""
    cells = rf"{_SP},{_SP}".join([f"({_LITERAL})"] * width)
    return re.compile(rf"(\({_SP}{cells}{_SP}\){_SP},?{_SP})")


def _name(text: str) -> str | None:
    if text[0] == '"':
        return truncate(text[1:-1].replace('""', '"'))
    name = fold(text)
    return None if name in _NOT_NAMES else name


def literal_insert(sql: str) -> tuple[s.Insert, int] | None:
    """The INSERT at the start of ``sql`` and the offset behind its rows; None if it is not of this kind.

    ``sql[offset:]`` may hold ON CONFLICT and RETURNING.
    """
    head = _HEAD.match(sql)
    if head is None:
        return None
    first = _FIRST.match(sql, head.end())
    if first is None:
        return None
    width = len(_CELL.findall(first.group()))
    if width > _MAX_COLUMNS:
        return None
    rows = _row(width).findall(sql, head.end())
    end = head.end()
    for count, row in enumerate(rows):
        text = row[0]
        if not sql.startswith(text, end):
            return None  # a row in between is of another kind
        end += len(text)
        if text[-1] == ")" or text.rstrip()[-1] == ")":
            rows = rows[: count + 1]
            break
    else:
        return None
    columns = [tuple(c) for c in zip(*rows, strict=True)][1:]
    parts = tuple(_name(part.group()) for part in _NAMES.finditer(head.group(1)))
    names = _columns(head)
    if None in parts or (names is not None and any(name is None for name, _ in names)):
        return None
    if names is not None and len(names) != width:
        return None
    relation = s.QName(parts, head.start(1) + 1)  # type: ignore[arg-type]
    source = s.LiteralRows(columns, len(rows), head.end() + 1, sql)
    return s.Insert(relation, None, names, source), end  # type: ignore[arg-type]


def _columns(head: re.Match[str]) -> list[tuple[str | None, int]] | None:
    if head.group(2) is None:
        return None
    at = head.start(2)
    return [(_name(part.group()), at + part.start() + 1) for part in _NAMES.finditer(head.group(2))]


def at_end(sql: str, offset: int) -> bool:
    """Whether nothing but a semicolon follows."""
    return _END.match(sql, offset) is not None


#: column names that need no quotes in INSERT's list may be any but reserved words
assert not COL_NAME & _NOT_NAMES
