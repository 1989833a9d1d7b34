"""convert_from, convert_to, convert: text in other encodings than the database's UTF8."""

from __future__ import annotations

import codecs
from typing import Final

from laminar.errors import PgError, not_supported
from laminar.sql.kernels.rowwise import python

#: PostgreSQL's name and spellings without punctuation -> Python's codec
_CODECS: Final = {
    "UTF8": ("utf-8", ("utf8", "unicode")),
    "LATIN1": ("latin-1", ("latin1", "iso88591")),
    "LATIN2": ("iso8859-2", ("latin2", "iso88592")),
    "LATIN5": ("iso8859-9", ("latin5", "iso88599")),
    "LATIN9": ("iso8859-15", ("latin9", "iso885915")),
    "ISO_8859_5": ("iso8859-5", ("iso88595",)),
    "KOI8R": ("koi8-r", ("koi8r", "koi8")),
    "WIN1250": ("cp1250", ("win1250", "windows1250")),
    "WIN1251": ("cp1251", ("win1251", "windows1251", "win")),
    "WIN1252": ("cp1252", ("win1252", "windows1252")),
    "WIN1253": ("cp1253", ("win1253", "windows1253")),
    "WIN1254": ("cp1254", ("win1254", "windows1254")),
    "WIN1255": ("cp1255", ("win1255", "windows1255")),
    "WIN1256": ("cp1256", ("win1256", "windows1256")),
    "WIN1257": ("cp1257", ("win1257", "windows1257")),
    "WIN1258": ("cp1258", ("win1258", "windows1258", "tcvn", "tcvn5712", "vscii", "abc")),
}
_BY_SPELLING: Final = {s: (name, codec) for name, (codec, all_) in _CODECS.items() for s in all_}
#: encodings that PostgreSQL converts and this does not
_OTHERS: Final = frozenset(
    """sqlascii big5 eucjp eucjis2004 euccn euckr euctw gb18030 gbk iso88593 iso88594 iso88596 iso88597
    iso88598 iso885910 iso885913 iso885914 iso885916 johab uhc koi8u latin3 latin4 latin6 latin7 latin8
    latin10 muleinternal shiftjis sjis mskanji windows949 windows950 windows936 windows932 shiftjis2004 win874
    win866 alt windows866 windows874""".split()  # noqa: SIM905
)


def _codec(name: str, which: str) -> tuple[str, str]:
    spelling = "".join(c for c in name.lower() if c.isalnum())
    found = _BY_SPELLING.get(spelling)
    if found is not None:
        return found
    if spelling in _OTHERS:
        raise not_supported(f'encoding "{name}" is not supported')
    raise PgError("22023", f'invalid {which} encoding name "{name}"')


def _hex(raw: bytes) -> str:
    return " ".join(f"0x{byte:02x}" for byte in raw)


def _invalid(raw: bytes, at: int) -> PgError:
    """The character that begins with a wrong byte, as long as its first byte says."""
    first = raw[at]
    size = 2 if first >> 5 == 6 else 3 if first >> 4 == 14 else 4 if first >> 3 == 30 else 1
    return PgError("22021", f'invalid byte sequence for encoding "UTF8": {_hex(raw[at : at + size])}')


def _no_equivalent(raw: bytes, of: str, target: str) -> PgError:
    message = f'character with byte sequence {_hex(raw)} in encoding "{of}"'
    return PgError("22P05", f'{message} has no equivalent in encoding "{target}"')


def _decoded(raw: bytes, name: str, codec: str) -> str:
    zero = raw.find(0)
    if codec == "utf-8":
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            raise _invalid(raw, error.start if zero < 0 else min(error.start, zero)) from None
        if zero >= 0:
            raise _invalid(raw, zero)
        return text
    if zero >= 0:
        raise PgError("22021", f'invalid byte sequence for encoding "{name}": 0x00')
    try:
        return codecs.decode(raw, codec)
    except UnicodeDecodeError as error:
        raise _no_equivalent(raw[error.start : error.end], name, "UTF8") from None


def _encoded(text: str, name: str, codec: str) -> bytes:
    try:
        return text.encode(codec)
    except UnicodeEncodeError as error:
        raise _no_equivalent(text[error.start].encode(), "UTF8", name) from None


@python("pg_convert_from")
def _convert_from(raw: bytes, source: str) -> str:
    return _decoded(raw, *_codec(source, "source"))


@python("pg_convert_to")
def _convert_to(text: str, target: str) -> bytes:
    return _encoded(text, *_codec(target, "destination"))


@python("pg_convert")
def _convert(raw: bytes, source: str, target: str) -> bytes:
    have, want = _codec(source, "source"), _codec(target, "destination")
    return _encoded(_decoded(raw, *have), *want)


@python("length_in_encoding")
def _length(raw: bytes, encoding: str) -> int:
    """The number of characters."""
    spelling = "".join(c for c in encoding.lower() if c.isalnum())
    if spelling not in _BY_SPELLING and spelling not in _OTHERS:
        raise PgError("22023", f'invalid encoding name "{encoding}"')
    return len(_decoded(raw, *_codec(encoding, "source")))
