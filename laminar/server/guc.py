"""Session settings with PostgreSQL's names, defaults and checks (PostgreSQL, chapter 20)."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from laminar import __version__
from laminar.errors import INVALID_PARAMETER_VALUE, UNDEFINED_OBJECT, PgError, not_supported

#: what drivers compare with; the product's own version stands behind it
SERVER_VERSION = "15.0"

Check = Callable[[str, str], str]


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting: canonical name, default, what it means, how a value is checked and normalised."""

    name: str
    default: str
    description: str
    check: Check
    read_only: bool = False


def _invalid(name: str, value: str, hint: str | None = None) -> PgError:
    message = f'invalid value for parameter "{name}": "{value}"'
    return PgError(INVALID_PARAMETER_VALUE, message, hint=hint)


def _any(_name: str, value: str) -> str:
    return value


def _bool(name: str, value: str) -> str:
    text = value.strip().lower()
    if text in ("1", "on") or (text and ("true".startswith(text) or "yes".startswith(text))):
        return "on"
    if text in ("0", "off", "of") or (text and ("false".startswith(text) or "no".startswith(text))):
        return "off"
    raise PgError(INVALID_PARAMETER_VALUE, f'parameter "{name}" requires a Boolean value')


def _one_of(*allowed: str) -> Check:
    def check(name: str, value: str) -> str:
        if value.lower() not in allowed:
            raise _invalid(name, value, f"Available values: {', '.join(allowed)}.")
        return value.lower()

    return check


def _integer(low: int, high: int) -> Check:
    def check(name: str, value: str) -> str:
        if not re.fullmatch(r"\s*[-+]?\d+\s*", value):
            raise _invalid(name, value)
        number = int(value)
        if not low <= number <= high:
            raise PgError(
                INVALID_PARAMETER_VALUE,
                f'{number} is outside the valid range for parameter "{name}" ({low} .. {high})',
            )
        return str(number)

    return check


_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "min": 60_000.0, "h": 3_600_000.0, "d": 86_400_000.0}


def milliseconds(name: str, value: str) -> int:
    """A time setting as milliseconds: a number, with one of PostgreSQL's units or none."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", value)
    if not found or (found[2] and found[2] not in _UNITS):
        raise _invalid(
            name, value, 'Valid units for this parameter are "us", "ms", "s", "min", "h", and "d".'
        )
    return round(float(found[1]) * _UNITS[found[2] or "ms"])


def _time(name: str, value: str) -> str:
    total = milliseconds(name, value)
    if not total:
        return "0"
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if total % size == 0:
            return f"{total // size}{unit}"
    return f"{total}ms"


@cache
def _zones() -> dict[str, str]:
    return {zone.lower(): zone for zone in zoneinfo.available_timezones()}


def _timezone(name: str, value: str) -> str:
    text = value.strip()
    if text.lower() in ("default", "local"):
        return "UTC"
    if re.fullmatch(r"[-+]?\d{1,2}(:\d{2})?", text):
        return text
    found = _zones().get(text.lower())
    if found is None:
        raise _invalid(name, value)
    return found


_STYLES = {"iso": "ISO", "sql": "SQL", "postgres": "Postgres", "german": "German"}
_ORDERS = {"mdy": "MDY", "dmy": "DMY", "ymd": "YMD", "us": "MDY", "european": "DMY"}


def _date_style(name: str, value: str) -> str:
    style, order = "ISO", "MDY"
    for part in re.split(r"\s*,\s*", value.strip().lower()):
        if part in _STYLES:
            style = _STYLES[part]
        elif part in _ORDERS:
            order = _ORDERS[part]
        elif part != "default":
            raise _invalid(name, value)
    return f"{style}, {order}"


def _encoding(name: str, value: str) -> str:
    if value.strip().strip("'").lower().replace("-", "").replace("_", "") in ("utf8", "unicode"):
        return "UTF8"
    raise not_supported(f'client encoding "{value}" is not supported', hint="Set client_encoding to UTF8.")


def _fixed(name: str, value: str) -> str:
    raise PgError("55P02", f'parameter "{name}" cannot be changed')


def _setting(name: str, default: str, description: str, check: Check = _any) -> Setting:
    return Setting(name, default, description, check, check is _fixed)


_ALL = (
    _setting("application_name", "", "Name of the client's program."),
    _setting("bytea_output", "hex", "Output format for bytea.", _one_of("hex", "escape")),
    _setting("client_encoding", "UTF8", "Encoding of the client's text.", _encoding),
    _setting(
        "client_min_messages",
        "notice",
        "Lowest level of messages sent to the client.",
        _one_of("debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"),
    ),
    _setting("DateStyle", "ISO, MDY", "Display format for dates, order of ambiguous input.", _date_style),
    _setting("default_transaction_isolation", "serializable", "Isolation of new transactions.", _any),
    _setting("default_transaction_read_only", "off", "Whether new transactions only read.", _bool),
    _setting("check_function_bodies", "on", "Functions are checked when they are made; here always.", _bool),
    _setting("default_table_access_method", "heap", "How new tables are stored.", _one_of("heap")),
    _setting("default_tablespace", "", "Where new tables are stored: there are no tablespaces.", _one_of("")),
    _setting("jit", "off", "Whether queries are compiled; here none is.", _bool),
    _setting("xmloption", "content", "What XML values are.", _one_of("content", "document")),
    _setting("extra_float_digits", "1", "Digits for floating-point output.", _integer(-15, 3)),
    _setting("idle_in_transaction_session_timeout", "0", "Longest idle time in a transaction.", _time),
    _setting("idle_session_timeout", "0", "Longest idle time outside transactions.", _time),
    _setting("in_hot_standby", "off", "Whether this is a standby.", _fixed),
    _setting("integer_datetimes", "on", "Datetimes are 64-bit integers.", _fixed),
    _setting(
        "IntervalStyle",
        "postgres",
        "Display format for intervals.",
        _one_of("postgres", "postgres_verbose", "sql_standard", "iso_8601"),
    ),
    _setting("is_superuser", "on", "Whether the user is a superuser.", _fixed),
    _setting("laminar_version", __version__, "Version of Laminar.", _fixed),
    _setting("lock_timeout", "0", "Longest wait for a lock.", _time),
    _setting("max_identifier_length", "63", "Longest identifier in bytes.", _fixed),
    _setting("read_your_writes", "on", "Reads wait for the session's own commits.", _bool),
    _setting("row_security", "on", "Whether policies of rows hold.", _bool),
    _setting("synchronize_seqscans", "on", "Large scans may start in the middle; here none does.", _bool),
    _setting("role", "none", "The role whose privileges count; none is the session's user."),
    _setting("search_path", '"$user", public', "Schemas searched for names without one."),
    _setting("server_encoding", "UTF8", "Encoding of the database.", _fixed),
    _setting("server_version", SERVER_VERSION, "PostgreSQL version that is spoken.", _fixed),
    _setting("server_version_num", "150000", "The same as a number.", _fixed),
    _setting("session_authorization", "laminar", "The session's user."),
    _setting("standard_conforming_strings", "on", "Backslashes in '...' are themselves.", _bool),
    _setting("statement_timeout", "0", "Longest time a statement may take.", _time),
    _setting(
        "subscribe_buffer_limit", str(64 << 20), "Bytes kept for a subscriber that does not read.",
        _integer(1 << 16, 1 << 40),
    ),
    _setting("synchronous_commit", "on", "COMMIT waits until it is durable.", _one_of("on", "off", "local")),
    _setting("TimeZone", "UTC", "Time zone for display and input.", _timezone),
    _setting("transaction_isolation", "serializable", "Isolation of the transaction.", _any),
    _setting("transaction_read_only", "off", "Whether the transaction only reads.", _bool),
)  # fmt: skip

SETTINGS: dict[str, Setting] = {setting.name.lower(): setting for setting in _ALL}


def find(name: str) -> Setting:
    """The setting of that name, in any case; raises 42704."""
    found = SETTINGS.get(name.lower())
    if found is None:
        raise PgError(UNDEFINED_OBJECT, f'unrecognized configuration parameter "{name}"')
    return found


def defaults() -> dict[str, str]:
    """Every setting at its default, by canonical name."""
    return {setting.name: setting.default for setting in _ALL}


def resettable() -> dict[str, str]:
    """What RESET ALL sets: not who the user is."""
    kept = ("role", "session_authorization")
    return {s.name: s.default for s in _ALL if not s.read_only and s.name not in kept}


def split_path(value: str, user: str) -> tuple[str, ...]:
    """search_path as schema names."""
    names = []
    for quoted, bare in re.findall(r'"((?:[^"]|"")*)"|([^",\s]+)', value):
        name = quoted.replace('""', '"') if quoted else bare.lower()
        names.append(user if name == "$user" else name)
    return tuple(names)
