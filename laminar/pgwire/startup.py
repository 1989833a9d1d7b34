"""The first packets of a connection: encryption requests, cancellation, version, parameters."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from laminar import errors
from laminar.errors import PgError
from laminar.pgwire import constants as c
from laminar.pgwire import messages as m
from laminar.pgwire.wire import Wire


@dataclass(slots=True)
class Startup:
    """What the client asked for.

    Args:
        version: the protocol version that will be spoken, 3.0 to 3.2.
        parameters: settings for the session (``options`` taken apart, ``user`` and ``database`` apart).
        tls: whether the connection is encrypted by now.
    """

    version: int
    user: str
    database: str
    parameters: dict[str, str]
    tls: bool


@dataclass(slots=True)
class Cancel:
    """A CancelRequest: its own connection, which gets no answer."""

    process_id: int
    key: bytes


async def receive_startup(wire: Wire, context: ssl.SSLContext | None) -> Startup | Cancel:
    """Read packets until one says what the connection is for.

    Raises:
        PgError: FATAL, 08P01 for a malformed packet, 0A000 for another protocol, 28000 without a user.
    """
    tls = asked_tls = asked_gss = False
    while True:
        body = m.Body(await wire.read_startup())
        code = body.uint32()
        if code == c.CANCEL_REQUEST:
            return Cancel(body.uint32(), body.take(len(body.data) - body.position))
        if code == c.SSL_REQUEST and not asked_tls:
            asked_tls = True
            wire.write(b"S" if context else b"N")
            wire.flush()
            if context:
                await wire.start_tls(context)
                tls = True
        elif code == c.GSSENC_REQUEST and not asked_gss:
            asked_gss = True
            wire.write(b"N")
            wire.flush()
        else:
            return _startup(wire, code, body, tls)


def _startup(wire: Wire, version: int, body: m.Body, tls: bool) -> Startup:
    if version >> 16 != 3:
        raise PgError(
            errors.FEATURE_NOT_SUPPORTED,
            f"unsupported frontend protocol {version >> 16}.{version & 0xFFFF}: server supports 3.0 to 3.2",
            severity="FATAL",
        )
    parameters = _parameters(body)
    unknown = [name for name in parameters if name.startswith("_pq_.")]
    if version > c.PROTOCOL_NEWEST or unknown:
        version = min(version, c.PROTOCOL_NEWEST)
        wire.write(m.negotiate_protocol_version(version, unknown))
        for name in unknown:
            del parameters[name]
    user = parameters.pop("user", "")
    if not user:
        raise PgError(
            errors.INVALID_AUTHORIZATION,
            "no PostgreSQL user name specified in startup packet",
            severity="FATAL",
        )
    database = parameters.pop("database", "") or user
    if parameters.pop("replication", "off").lower() not in ("off", "false", "no", "0"):
        raise PgError(
            errors.FEATURE_NOT_SUPPORTED, "replication connections are not supported", severity="FATAL"
        )
    parameters.update(parse_options(parameters.pop("options", "")))
    return Startup(version, user, database, parameters, tls)


def _parameters(body: m.Body) -> dict[str, str]:
    parameters: dict[str, str] = {}
    try:
        while name := body.string():
            parameters[name] = body.string()
        body.end()
    except PgError as error:
        if error.sqlstate == errors.PROTOCOL_VIOLATION:
            error.message = "invalid startup packet layout: expected terminator as last byte"
        error.severity = "FATAL"
        raise
    return parameters


def parse_options(text: str) -> dict[str, str]:
    """Settings out of the ``options`` parameter: ``-c name=value`` and ``--name=value``.

    Words are split at blanks; a backslash makes the next character part of the word.

    Raises:
        PgError: FATAL 42601 for anything else.
    """
    settings: dict[str, str] = {}
    words = iter(_split_words(text))
    for word in words:
        if word == "-c":
            assignment = next(words, "")
        elif word.startswith(("-c", "--")):
            assignment = word[2:]
        else:
            raise _bad_option(word)
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise _bad_option(word)
        settings[name.replace("-", "_")] = value
    return settings


def _split_words(text: str) -> list[str]:
    words: list[str] = []
    word: list[str] | None = None
    escaped = False
    for char in text:
        if not escaped and char.isspace():
            if word is not None:
                words.append("".join(word))
            word = None
            continue
        word = [] if word is None else word
        if char == "\\" and not escaped:
            escaped = True
            continue
        escaped = False
        word.append(char)
    if word is not None:
        words.append("".join(word))
    return words


def _bad_option(word: str) -> PgError:
    return PgError(
        errors.SYNTAX_ERROR,
        f"invalid command-line argument for server process: {word}",
        hint='Settings are given as "-c name=value".',
        severity="FATAL",
    )
