"""Codes and limits of the frontend/backend protocol 3.0 (PostgreSQL, chapter 55)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PROTOCOL_3_0: Final = 3 << 16
#: 3.2 differs from 3.0 in the length of cancellation keys only
PROTOCOL_3_2: Final = 3 << 16 | 2
PROTOCOL_NEWEST: Final = PROTOCOL_3_2
CANCEL_REQUEST: Final = 80877102
SSL_REQUEST: Final = 80877103
GSSENC_REQUEST: Final = 80877104

#: PostgreSQL's MAX_STARTUP_PACKET_LENGTH
MAX_STARTUP_LENGTH: Final = 10_000
#: PostgreSQL's PG_MAX_AUTH_TOKEN_LENGTH and PG_MAX_SASL_MESSAGE_LENGTH are of this order
MAX_AUTHENTICATION_LENGTH: Final = 65_535

# frontend message types
BIND: Final = ord("B")
CLOSE: Final = ord("C")
COPY_DATA: Final = ord("d")
COPY_DONE: Final = ord("c")
COPY_FAIL: Final = ord("f")
DESCRIBE: Final = ord("D")
EXECUTE: Final = ord("E")
FLUSH: Final = ord("H")
FUNCTION_CALL: Final = ord("F")
PARSE: Final = ord("P")
PASSWORD: Final = ord("p")
QUERY: Final = ord("Q")
SYNC: Final = ord("S")
TERMINATE: Final = ord("X")

#: what a client may send once it is logged in; anything else is garbage
FRONTEND_TYPES: Final = frozenset(b"BCdcfDEHFPpQSX")
#: messages whose errors make the server skip to the next Sync
EXTENDED_TYPES: Final = frozenset(b"BCDEP")
#: messages that carry data; the others are refused when longer than SHORT_LENGTH (as PostgreSQL does)
LONG_TYPES: Final = frozenset(b"BdFPQ")
SHORT_LENGTH: Final = 10_000

TEXT: Final = 0
BINARY: Final = 1

#: settings PostgreSQL 15 reports by ParameterStatus (GUC_REPORT)
REPORTED_SETTINGS: Final = (
    "application_name",
    "client_encoding",
    "DateStyle",
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "IntervalStyle",
    "is_superuser",
    "server_encoding",
    "server_version",
    "session_authorization",
    "standard_conforming_strings",
    "TimeZone",
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that keep a connection from hurting the others.

    Args:
        authentication_timeout: seconds from connecting to being logged in.
        max_message: bytes of one message (a statement, its parameters, a chunk of COPY).
        read_buffer: bytes received and not yet consumed at which reading pauses
            (a single message may exceed it, up to ``max_message``).
        write_buffer: bytes encoded and not yet taken by the network at which encoding waits.
        max_statements: prepared statements and portals per connection.
        max_connections: of the server, those not yet logged in included.
    """

    authentication_timeout: float = 60.0
    max_message: int = 256 * 1024 * 1024
    read_buffer: int = 1024 * 1024
    write_buffer: int = 512 * 1024
    max_statements: int = 10_000
    max_connections: int = 10_000
