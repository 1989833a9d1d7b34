"""A client that sends what it is told and shows every byte that comes back."""

from __future__ import annotations

import socket
import struct
from types import TracebackType

PROTOCOL_3_0 = 3 << 16


def message(code: bytes, body: bytes = b"") -> bytes:
    return code + struct.pack("!i", len(body) + 4) + body


def parse(sql: str, name: str = "", oids: tuple[int, ...] = ()) -> bytes:
    body = name.encode() + b"\0" + sql.encode() + b"\0" + struct.pack("!h", len(oids))
    return message(b"P", body + b"".join(struct.pack("!I", oid) for oid in oids))


def bind(
    values: tuple[bytes | None, ...] = (),
    *,
    portal: str = "",
    statement: str = "",
    formats: tuple[int, ...] = (),
    result_formats: tuple[int, ...] = (),
) -> bytes:
    body = portal.encode() + b"\0" + statement.encode() + b"\0"
    body += struct.pack("!h", len(formats)) + b"".join(struct.pack("!h", f) for f in formats)
    body += struct.pack("!h", len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    body += struct.pack("!h", len(result_formats)) + b"".join(struct.pack("!h", f) for f in result_formats)
    return message(b"B", body)


def execute(portal: str = "", limit: int = 0) -> bytes:
    return message(b"E", portal.encode() + b"\0" + struct.pack("!i", limit))


def describe(kind: bytes, name: str = "") -> bytes:
    return message(b"D", kind + name.encode() + b"\0")


def close(kind: bytes, name: str = "") -> bytes:
    return message(b"C", kind + name.encode() + b"\0")


def query(sql: str) -> bytes:
    return message(b"Q", sql.encode() + b"\0")


SYNC = message(b"S")
FLUSH = message(b"H")
TERMINATE = message(b"X")


def startup(version: int = PROTOCOL_3_0, **parameters: str) -> bytes:
    pairs = {"user": "test", "database": "test"} | parameters
    body = b"".join(f"{k}\0{v}\0".encode() for k, v in pairs.items()) + b"\0"
    return struct.pack("!ii", len(body) + 8, version) + body


def error_fields(body: bytes) -> dict[str, str]:
    return {part[:1].decode(): part[1:].decode() for part in body.split(b"\0") if part}


def row_values(body: bytes) -> list[bytes | None]:
    (count,) = struct.unpack_from("!h", body)
    values: list[bytes | None] = []
    at = 2
    for _ in range(count):
        (length,) = struct.unpack_from("!i", body, at)
        at += 4
        values.append(None if length < 0 else body[at : at + length])
        at += max(length, 0)
    assert at == len(body)
    return values


class RawClient:
    """A socket and the messages on it."""

    def __init__(self, port: int, *, log_in: bool = True, **parameters: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._file = self.socket.makefile("rb")
        self.greeting: list[tuple[str, bytes]] = []
        if log_in:
            self.send(startup(**parameters))
            self.greeting = self.until_ready()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def send(self, *data: bytes) -> None:
        self.socket.sendall(b"".join(data))

    def receive(self) -> tuple[str, bytes] | None:
        """The next message; None at the end of the stream."""
        head = self._file.read(5)
        if len(head) < 5:
            return None
        code, length = struct.unpack("!ci", head)
        return code.decode(), self._file.read(length - 4)

    def until_ready(self) -> list[tuple[str, bytes]]:
        """Messages up to and with ReadyForQuery, or to the end of the stream."""
        messages = []
        while (received := self.receive()) is not None:
            messages.append(received)
            if received[0] == "Z":
                break
        return messages

    def ask(self, *data: bytes) -> list[tuple[str, bytes]]:
        self.send(*data)
        return self.until_ready()

    def codes(self, *data: bytes) -> str:
        """The types of the answer's messages."""
        return "".join(code for code, _ in self.ask(*data))

    def at_end(self) -> bool:
        """Whether the server has closed the connection."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True
