"""parse_ident(): a qualified name taken apart as the lexer would."""

from __future__ import annotations

from laminar.errors import PgError
from laminar.sql.kernels.rowwise import python

_SPACE = " \t\n\r\f\v"


def _start(char: str) -> bool:
    return char == "_" or (char.isascii() and char.isalpha()) or ord(char) >= 128


def _goes_on(char: str) -> bool:
    return _start(char) or char == "$" or (char.isascii() and char.isdigit())


def _wrong(whole: str, detail: str | None = None) -> PgError:
    return PgError("22023", f'string is not a valid identifier: "{whole}"', detail=detail)


def _part(text: str, at: int, whole: str, after_dot: bool) -> tuple[str, int]:
    """One name and where it ends."""
    if at < len(text) and text[at] == '"':
        end = at + 1
        while True:
            end = text.find('"', end)
            if end < 0:
                raise _wrong(whole, "String has unclosed double quotes.")
            if text[end + 1 : end + 2] != '"':
                break
            end += 2
        name = text[at + 1 : end].replace('""', '"')
        if not name:
            raise _wrong(whole, "Quoted identifier must not be empty.")
        return name, end + 1
    end = at
    if at < len(text) and _start(text[at]):
        while end < len(text) and _goes_on(text[end]):
            end += 1
        return "".join(c.lower() if c.isascii() else c for c in text[at:end]), end
    if at < len(text) and text[at] == ".":
        raise _wrong(whole, 'No valid identifier before ".".')
    raise _wrong(whole, 'No valid identifier after ".".' if after_dot else None)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


@python("parse_ident")
def parse_ident(text: str, strict: bool) -> list[str]:
    """Names between dots, folded to lower case unless quoted; what follows is refused when strict."""
    names: list[str] = []
    at = _skip(text, 0)
    while True:
        name, at = _part(text, at, text, bool(names))
        names.append(name)
        at = _skip(text, at)
        if text[at : at + 1] == ".":
            at = _skip(text, at + 1)
        elif at == len(text) or not strict:
            return names
        else:
            raise _wrong(text)
