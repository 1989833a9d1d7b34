"""Messages as bytes: building the server's, taking the client's apart.

Nothing here knows what comes before or after a message.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final

from laminar import errors
from laminar import types as t
from laminar.errors import PgError
from laminar.pgwire.backend import Field, Notice

_INT16: Final = struct.Struct("!h")
_INT32: Final = struct.Struct("!i")
_COLUMN: Final = struct.Struct("!ihihih")

PARSE_COMPLETE: Final = b"1\0\0\0\4"
BIND_COMPLETE: Final = b"2\0\0\0\4"
CLOSE_COMPLETE: Final = b"3\0\0\0\4"
NO_DATA: Final = b"n\0\0\0\4"
EMPTY_QUERY_RESPONSE: Final = b"I\0\0\0\4"
PORTAL_SUSPENDED: Final = b"s\0\0\0\4"
COPY_DONE: Final = b"c\0\0\0\4"
AUTHENTICATION_OK: Final = b"R\0\0\0\x08\0\0\0\0"

_READY: Final = {status: b"Z\0\0\0\5" + status.encode() for status in "ITE"}

#: pg_type.typlen of types with a fixed length; others are -1
_TYPE_LENGTH: Final[dict[int, int]] = {
    t.BOOL: 1,
    t.CHAR: 1,
    t.NAME: 64,
    t.INT8: 8,
    t.INT2: 2,
    t.INT4: 4,
    t.OID: 4,
    t.FLOAT4: 4,
    t.FLOAT8: 8,
    t.UNKNOWN: -2,
    t.DATE: 4,
    t.TIME: 8,
    t.TIMESTAMP: 8,
    t.TIMESTAMPTZ: 8,
    t.INTERVAL: 16,
    **dict.fromkeys((*t.REG_TYPES, t.XID, t.CID), 4),
    t.UUID: 16,
    t.VOID: 4,
    t.CSTRING: -2,
    t.PG_LSN: 8,
    t.TID: 6,
    t.ACLITEM: 12,
}


def message(code: bytes, body: bytes) -> bytes:
    """A message: one byte of type, the length (itself included), the body."""
    return code + (len(body) + 4).to_bytes(4, "big") + body


def cstring(text: str) -> bytes:
    """Text as the protocol has it; a NUL inside would end it early, so it ends there openly."""
    return text.encode("utf-8", "replace").split(b"\0", 1)[0] + b"\0"


def ready_for_query(status: str) -> bytes:
    """Idle ``I``, in a transaction ``T``, in a failed one ``E``."""
    return _READY[status]


def parameter_status(name: str, value: str) -> bytes:
    return message(b"S", cstring(name) + cstring(value))


def backend_key_data(process_id: int, key: bytes) -> bytes:
    """What the client presents in a CancelRequest: 4 bytes of key in 3.0, more from 3.2 on."""
    return message(b"K", process_id.to_bytes(4, "big") + key)


def negotiate_protocol_version(version: int, unknown_options: Sequence[str]) -> bytes:
    body = version.to_bytes(4, "big") + len(unknown_options).to_bytes(4, "big")
    return message(b"v", body + b"".join(map(cstring, unknown_options)))


def command_complete(tag: str) -> bytes:
    return message(b"C", cstring(tag))


def notification(process_id: int, channel: str, payload: str) -> bytes:
    """NotificationResponse: what LISTEN hears."""
    return message(b"A", process_id.to_bytes(4, "big") + cstring(channel) + cstring(payload))


def row_description(fields: Sequence[Field], formats: Sequence[int]) -> bytes:
    """RowDescription; ``formats`` has one code per field, or is empty for all text."""
    parts = [_INT16.pack(len(fields))]
    for i, field in enumerate(fields):
        oid = field.type.oid
        parts.append(cstring(field.name))
        parts.append(
            _COLUMN.pack(
                _signed32(field.table_oid),
                field.attnum,
                _signed32(oid),
                _TYPE_LENGTH.get(oid, -1),
                field.type.typmod,
                formats[i] if formats else 0,
            )
        )
    return message(b"T", b"".join(parts))


def parameter_description(oids: Sequence[int]) -> bytes:
    return message(
        b"t", _INT16.pack(_unsigned_count(len(oids))) + b"".join(o.to_bytes(4, "big") for o in oids)
    )


def copy_response(code: bytes, binary: bool, columns: int) -> bytes:
    """CopyInResponse (``G``) or CopyOutResponse (``H``)."""
    flag = int(binary)
    return message(code, bytes((flag,)) + _INT16.pack(columns) + _INT16.pack(flag) * columns)


def error_response(error: PgError) -> bytes:
    """ErrorResponse with all the fields the error has."""
    pairs = [("S", error.severity), ("V", error.severity), ("C", error.sqlstate), ("M", error.message)]
    if error.detail:
        pairs.append(("D", error.detail))
    if error.hint:
        pairs.append(("H", error.hint))
    if error.position is not None:
        pairs.append(("P", str(error.position)))
    pairs.extend(error.fields.items())
    return message(b"E", _fields(pairs))


def notice_response(notice: Notice) -> bytes:
    pairs = [("S", notice.severity), ("V", notice.severity), ("C", notice.sqlstate), ("M", notice.message)]
    if notice.detail:
        pairs.append(("D", notice.detail))
    if notice.hint:
        pairs.append(("H", notice.hint))
    return message(b"N", _fields(pairs))


def authentication(code: int, body: bytes = b"") -> bytes:
    """AuthenticationXXX: 10 SASL mechanisms, 11 SASL continue, 12 SASL final."""
    return message(b"R", _INT32.pack(code) + body)


def _fields(pairs: Iterable[tuple[str, str]]) -> bytes:
    return b"".join(code.encode() + cstring(text) for code, text in pairs) + b"\0"


def _signed32(value: int) -> int:
    return value - (1 << 32) if value >= 1 << 31 else value


def _unsigned_count(count: int) -> int:
    """A count up to 65535 in the bits of an int16."""
    return count - (1 << 16) if count >= 1 << 15 else count


def violation(text: str, *, fatal: bool = False) -> PgError:
    """08P01: the client does not speak the protocol."""
    return PgError(errors.PROTOCOL_VIOLATION, text, severity="FATAL" if fatal else "ERROR")


class Body:
    """Takes a message's body apart; everything read is checked against what is there."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def byte(self) -> int:
        return self.take(1)[0]

    def int16(self) -> int:
        return int.from_bytes(self.take(2), "big", signed=True)

    def count(self) -> int:
        """The number of items that follow, 0 to 65535."""
        return int.from_bytes(self.take(2), "big")

    def int32(self) -> int:
        return int.from_bytes(self.take(4), "big", signed=True)

    def uint32(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def take(self, length: int) -> bytes:
        end = self.position + length
        if length < 0 or end > len(self.data):
            raise violation("insufficient data left in message")
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def value(self) -> bytes | None:
        """A length and that many bytes; -1 is null."""
        length = self.int32()
        if length == -1:
            return None
        return self.take(length)

    def string(self) -> str:
        """Text up to a NUL, in UTF-8."""
        end = self.data.find(b"\0", self.position)
        if end < 0:
            raise violation("invalid string in message")
        raw = self.data[self.position : end]
        self.position = end + 1
        return utf8(raw)

    def end(self) -> None:
        """Nothing may follow."""
        if self.position != len(self.data):
            raise violation("invalid message format")


def utf8(raw: bytes) -> str:
    """Decode; 22021 in PostgreSQL's words when it isn't UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as bad:
        # PostgreSQL shows as many bytes as the lead byte promises
        lead = raw[bad.start]
        length = 1 if lead < 0xC0 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4 if lead < 0xF8 else 1
        shown = " ".join(f"0x{b:02x}" for b in raw[bad.start : bad.start + length])
        raise PgError("22021", f'invalid byte sequence for encoding "UTF8": {shown}') from None
