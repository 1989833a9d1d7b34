"""Reading and writing JSON text without losing what it says: numbers keep their digits, values their text.

jsonb is stored as its canonical text, so a part of a jsonb value is a part of its text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from json.encoder import encode_basestring
from typing import Any, Final


def quote(text: str) -> str:
    """A JSON string."""
    return encode_basestring(text)


class Number(str):
    """A JSON number as written."""

    __slots__ = ()


_DECODER: Final = json.JSONDecoder(parse_float=Number, parse_int=Number)
_SPACE: Final = re.compile(r"[ \t\n\r]*")


def load(text: str) -> Any:
    """Python's value; numbers as :class:`Number`."""
    return _DECODER.decode(text)


def dump(value: Any) -> str:
    """Canonical text as jsonb has it: keys by length then bytes, ``", "`` and ``": "``."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, str):
        return quote(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(map(dump, value)) + "]"
    pairs = sorted(value.items(), key=lambda pair: key_order(pair[0]))
    return "{" + ", ".join(f"{quote(k)}: {dump(v)}" for k, v in pairs) + "}"


def key_order(key: str) -> tuple[int, bytes]:
    raw = key.encode()
    return len(raw), raw


def kind(text: str) -> str:
    """object, array, string, number, boolean or null."""
    first = text.lstrip(" \t\n\r")[0]
    named = {"{": "object", "[": "array", '"': "string", "t": "boolean", "f": "boolean", "n": "null"}
    return named.get(first, "number")


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def members(text: str) -> Iterator[tuple[str, str]]:
    """Keys with the text of their values; nothing if it is no object."""
    at = _skip(text, 0)
    if text[at] != "{":
        return
    at = _skip(text, at + 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)
        _, end = _DECODER.raw_decode(text, at)
        yield key, text[at:end]
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)


def elements(text: str) -> Iterator[str]:
    """The text of each element; nothing if it is no array."""
    at = _skip(text, 0)
    if text[at] != "[":
        return
    at = _skip(text, at + 1)
    while text[at] != "]":
        _, end = _DECODER.raw_decode(text, at)
        yield text[at:end]
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)


def as_text(value: str | None) -> str | None:
    """What ``->>`` yields: a string's content, null for JSON's null, else the text."""
    if value is None:
        return None
    if value.startswith('"'):
        content: str = json.loads(value)
        return content
    return None if value == "null" else value
