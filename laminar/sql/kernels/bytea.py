"""Functions of bytea: encode and decode, parts, single bytes."""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache

from laminar.errors import PgError
from laminar.sql.kernels.rowwise import python

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


@python("binary_encode")
def _encode(value: bytes, form: str) -> str:
    lowered = form.lower()
    if lowered == "hex":
        return value.hex()
    if lowered == "base64":
        text = base64.b64encode(value).decode()
        # lines of 76 characters, as MIME has them
        return "\n".join(text[i : i + 76] for i in range(0, len(text), 76))
    if lowered == "escape":
        return "".join(_escaped(byte) for byte in value)
    raise _unknown(form)


def _escaped(byte: int) -> str:
    if byte == 0 or byte >= 128:
        return f"\\{byte:03o}"
    return "\\\\" if byte == 92 else chr(byte)


def _unknown(form: str) -> PgError:
    return PgError("22023", f'unrecognized encoding: "{form}"')


@python("binary_decode")
def _decode(text: str, form: str) -> bytes:
    lowered = form.lower()
    if lowered == "hex":
        return _from_hex(text)
    if lowered == "base64":
        return _from_base64(text)
    if lowered == "escape":
        return _from_escape(text)
    raise _unknown(form)


def _from_hex(text: str) -> bytes:
    digits = [c for c in text if c not in " \n\t\r"]
    for i, digit in enumerate(digits):
        if digit not in "0123456789abcdefABCDEF":
            raise PgError("22023", f'invalid hexadecimal digit: "{digit}"')
        if i % 2 == 0 and i + 1 == len(digits):
            raise PgError("22023", "invalid hexadecimal data: odd number of digits")
    return binascii.unhexlify("".join(digits))


def _from_base64(text: str) -> bytes:
    raw = bytes(b for b in text.encode() if b not in b" \t\n\r")
    hint = "Input data is missing padding, is truncated, or is otherwise corrupted."
    for at, byte in enumerate(raw):
        if byte == ord("="):
            if at % 4 < 2 or raw[at:].strip(b"="):
                raise PgError("22023", 'unexpected "=" while decoding base64 sequence')
        elif byte not in _BASE64:
            shown = raw[at:].decode(errors="ignore")[:1]
            raise PgError("22023", f'invalid symbol "{shown}" found while decoding base64 sequence')
    if len(raw) % 4:
        raise PgError("22023", "invalid base64 end sequence", hint=hint)
    return base64.b64decode(raw)


def _from_escape(text: str) -> bytes:
    raw, out, at = text.encode(), bytearray(), 0
    while at < len(raw):
        octal = raw[at + 1 : at + 4]
        if raw[at] != 92:
            out.append(raw[at])
            at += 1
        elif len(octal) == 3 and octal[0] in b"0123" and all(b in b"01234567" for b in octal):
            out.append(int(octal, 8))
            at += 4
        elif raw[at + 1 : at + 2] == b"\\":
            out.append(92)
            at += 2
        else:
            raise PgError("22P02", "invalid input syntax for type bytea")
    return bytes(out)


@python("bytea_substr")
def _substr(value: bytes, start: int, length: int) -> bytes:
    end = start + length
    if end <= 2**31 - 1 and end < start:
        raise PgError("22011", "negative substring length not allowed")
    return value[max(start, 1) - 1 : max(end, 1) - 1]


@python("bytea_substr_no_len", total=True)
def _substr_rest(value: bytes, start: int) -> bytes:
    return value[max(start, 1) - 1 :]


@python("byteapos", total=True)
def _position(value: bytes, part: bytes) -> int:
    return value.find(part) + 1


@python("byteaGetByte")
def _get_byte(value: bytes, index: int) -> int:
    return value[_valid(index, len(value))]


def _valid(index: int, length: int) -> int:
    if not 0 <= index < length:
        raise PgError("2202E", f"index {index} out of valid range, 0..{length - 1}")
    return index


@python("byteaSetByte")
def _set_byte(value: bytes, index: int, byte: int) -> bytes:
    _valid(index, len(value))
    return value[:index] + bytes([byte & 255]) + value[index + 1 :]


@python("byteatrim", total=True)
def _trim(value: bytes, what: bytes) -> bytes:
    return value.strip(what) if what else value


@python("bytealtrim", total=True)
def _ltrim(value: bytes, what: bytes) -> bytes:
    return value.lstrip(what) if what else value


@python("byteartrim", total=True)
def _rtrim(value: bytes, what: bytes) -> bytes:
    return value.rstrip(what) if what else value


def _valid_bit(index: int, length: int) -> int:
    if not 0 <= index < length * 8:
        raise PgError("2202E", f"index {index} out of valid range, 0..{length * 8 - 1}")
    return index


@python("byteaGetBit")
def _get_bit(value: bytes, index: int) -> int:
    """Bits count from the lowest of the first byte."""
    _valid_bit(index, len(value))
    return value[index // 8] >> index % 8 & 1


@python("byteaSetBit")
def _set_bit(value: bytes, index: int, bit: int) -> bytes:
    _valid_bit(index, len(value))
    if bit not in (0, 1):
        raise PgError("22023", "new bit must be 0 or 1")
    changed = bytearray(value)
    changed[index // 8] = changed[index // 8] & ~(1 << index % 8) | bit << index % 8
    return bytes(changed)


@python("bytea_bit_count", total=True)
def _bit_count(value: bytes) -> int:
    return int.from_bytes(value, "big").bit_count()


@python("byteaoverlay")
def _overlay(value: bytes, new: bytes, start: int, length: int) -> bytes:
    if start <= 0:
        raise PgError("22011", "negative substring length not allowed")
    after = start + length
    if after > 2**31 - 1:
        raise PgError("22003", "integer out of range")
    return value[: start - 1] + new + value[max(after, 1) - 1 :]


@python("byteaoverlay_no_len")
def _overlay_all(value: bytes, new: bytes, start: int) -> bytes:
    return _overlay(value, new, start, len(new))


@lru_cache(maxsize=256)
def _like_pattern(pattern: bytes) -> re.Pattern[bytes]:
    out, at = bytearray(), 0
    while at < len(pattern):
        byte = pattern[at : at + 1]
        if byte == b"\\":
            at += 1
            if at == len(pattern):
                raise PgError("22025", "LIKE pattern must not end with escape character")
            out += re.escape(pattern[at : at + 1])
        else:
            out += {b"%": b".*", b"_": b"."}.get(byte) or re.escape(byte)
        at += 1
    return re.compile(bytes(out), re.DOTALL)


@python("bytealike")
def _like(value: bytes, pattern: bytes) -> bool:
    return _like_pattern(pattern).fullmatch(value) is not None


@python("byteanlike")
def _not_like(value: bytes, pattern: bytes) -> bool:
    return not _like(value, pattern)
