"""Unicode: normalize(), IS NORMALIZED, unistr()."""

from __future__ import annotations

import re
import unicodedata
from typing import Final, Literal

from laminar.errors import PgError
from laminar.sql.kernels.rowwise import python

_Form = Literal["NFC", "NFD", "NFKC", "NFKD"]
_FORMS: Final[tuple[_Form, ...]] = ("NFC", "NFD", "NFKC", "NFKD")


def _form(name: str) -> _Form:
    for form in _FORMS:
        if form == name.upper():
            return form
    raise PgError("22023", f"invalid normalization form: {name}")


@python("unicode_normalize_func")
def _normalize(text: str, form: str) -> str:
    return unicodedata.normalize(_form(form), text)


@python("unicode_is_normalized")
def _is_normalized(text: str, form: str) -> bool:
    return unicodedata.is_normalized(_form(form), text)


_ESCAPE: Final = re.compile(
    r"\\(?:(\\)|([0-9a-fA-F]{4})|\+([0-9a-fA-F]{6})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))"
)


@python("unistr")
def _unistr(text: str) -> str:
    """Escapes are \\\\, \\XXXX, \\+XXXXXX, \\uXXXX and \\UXXXXXXXX, surrogates in pairs."""
    out: list[str] = []
    at, high = 0, 0
    while at < len(text):
        found = _ESCAPE.match(text, at) if text[at] == "\\" else None
        if text[at] == "\\" and found is None:
            hint = r"Unicode escapes must be \XXXX, \+XXXXXX, \uXXXX, or \UXXXXXXXX."
            raise PgError("42601", "invalid Unicode escape", hint=hint)
        digits = next((g for g in found.groups()[1:] if g), None) if found else None
        if digits is None:
            if high:
                raise _bad_pair()
            out.append("\\" if found else text[at])
        else:
            high = _code_point(int(digits, 16), high, out)
        at = found.end() if found else at + 1
    if high:
        raise _bad_pair()
    return "".join(out)


def _code_point(code: int, high: int, out: list[str]) -> int:
    """Appends the character, or returns the first half of a surrogate pair."""
    if not 0 < code <= 0x10FFFF:
        raise PgError("22023", f"invalid Unicode code point: {code:04X}")
    low = 0xDC00 <= code <= 0xDFFF
    if bool(high) != low:
        raise _bad_pair()
    if 0xD800 <= code <= 0xDBFF:
        return code
    out.append(chr(0x10000 + ((high & 0x3FF) << 10) + (code & 0x3FF)) if low else chr(code))
    return 0


def _bad_pair() -> PgError:
    return PgError("42601", "invalid Unicode surrogate pair")
