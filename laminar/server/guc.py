"""Session settings with PostgreSQL's names, defaults and checks (PostgreSQL, chapter 20)."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from laminar import __version__
from laminar.errors import (
    INSUFFICIENT_PRIVILEGE,
    INVALID_PARAMETER_VALUE,
    UNDEFINED_OBJECT,
    PgError,
    not_supported,
)
from laminar.server.pgsettings import Fact, boolean, known

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
    #: PostgreSQL's description of one that is PostgreSQL's alone
    fact: Fact | None = None


def _invalid(name: str, value: str, hint: str | None = None) -> PgError:
    message = f'invalid value for parameter "{name}": "{value}"'
    return PgError(INVALID_PARAMETER_VALUE, message, hint=hint)


def _any(_name: str, value: str) -> str:
    return value


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
    _setting("default_transaction_read_only", "off", "Whether new transactions only read.", boolean),
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
    _setting("lc_collate", "C.UTF-8", "Order of text: by code points.", _fixed),
    _setting("lc_ctype", "C.UTF-8", "Classes of characters.", _fixed),
    _setting("lock_timeout", "0", "Longest wait for a lock.", _time),
    _setting("max_connections", "1000", "How many clients may be connected.", _fixed),
    _setting("max_function_args", "100", "Most arguments of a function.", _fixed),
    _setting("max_index_keys", "32", "Most columns of an index.", _fixed),
    _setting("max_identifier_length", "63", "Longest identifier in bytes.", _fixed),
    _setting("read_your_writes", "on", "Reads wait for the session's own commits.", boolean),
    _setting("row_security", "on", "Whether policies of rows hold.", boolean),
    _setting("synchronize_seqscans", "on", "Large scans may start in the middle; here none does.", boolean),
    _setting("role", "none", "The role whose privileges count; none is the session's user."),
    _setting("search_path", '"$user", public', "Schemas searched for names without one."),
    _setting("server_encoding", "UTF8", "Encoding of the database.", _fixed),
    _setting("server_version", SERVER_VERSION, "PostgreSQL version that is spoken.", _fixed),
    _setting("server_version_num", "150000", "The same as a number.", _fixed),
    _setting("session_authorization", "laminar", "The session's user."),
    _setting("standard_conforming_strings", "on", "Backslashes in '...' are themselves.", boolean),
    _setting("statement_timeout", "0", "Longest time a statement may take.", _time),
    _setting(
        "subscribe_buffer_limit", str(64 << 20), "Bytes kept for a subscriber that does not read.",
        _integer(1 << 16, 1 << 40),
    ),
    _setting("synchronous_commit", "on", "COMMIT waits until it is durable.", _one_of("on", "off", "local")),
    _setting("TimeZone", "UTC", "Time zone for display and input.", _timezone),
    _setting("transaction_isolation", "serializable", "Isolation of the transaction.", _any),
    _setting("transaction_read_only", "off", "Whether the transaction only reads.", boolean),
)  # fmt: skip


def _postgresql(fact: Fact) -> Setting:
    """A setting that only PostgreSQL has a use for."""
    default = fact.boot_val or ""
    if fact.context == "internal":
        return Setting(fact.name, default, fact.short_desc, _fixed, True, fact)
    return Setting(
        fact.name, fact.check(default), fact.short_desc, lambda _name, value: fact.check(value), False, fact
    )


_FACTS = known()
_WORK_MEM = _FACTS["work_mem"]
SETTINGS: dict[str, Setting] = {setting.name.lower(): setting for setting in _ALL}
SETTINGS |= {name.lower(): _postgresql(fact) for name, fact in _FACTS.items() if name.lower() not in SETTINGS}


class Values(dict[str, str]):
    """A session's settings by canonical name; what it never set has its default.

    Args:
        server: defaults that this server's configuration gives.
    """

    def __init__(self, values: Mapping[str, str], server: Mapping[str, str]) -> None:
        super().__init__(values)
        self.server = server

    def __missing__(self, name: str) -> str:
        return self.default(name)

    def default(self, name: str) -> str:
        """What RESET gives a setting."""
        return self.server.get(name) or SETTINGS[name.lower()].default


def find(name: str) -> Setting:
    """The setting of that name, in any case; raises 42704."""
    found = SETTINGS.get(name.lower())
    if found is None:
        raise PgError(UNDEFINED_OBJECT, f'unrecognized configuration parameter "{name}"')
    return found


def check_changeable(setting: Setting, superuser: bool) -> None:
    """Raise 55P02 for a setting that nobody can change, 42501 for one that only superusers can."""
    if setting.read_only:
        raise PgError("55P02", f'parameter "{setting.name}" cannot be changed')
    if setting.fact is not None and setting.fact.context == "superuser" and not superuser:
        raise PgError(INSUFFICIENT_PRIVILEGE, f'permission denied to set parameter "{setting.name}"')


def defaults(server: Mapping[str, str] | None = None) -> Values:
    """Laminar's settings at their defaults, by canonical name."""
    server = server or {}
    return Values({s.name: s.default for s in _ALL if s.name not in server}, server)


def server_defaults(work_mem: int, max_connections: int) -> dict[str, str]:
    """Defaults that the server's configuration gives; ``work_mem`` in bytes."""
    return {"work_mem": _WORK_MEM.shown(work_mem >> 10), "max_connections": str(max_connections)}


@cache
def _bytes(work_mem: str) -> int:
    return int(_WORK_MEM.number(work_mem)) << 10


def work_mem(values: Mapping[str, str]) -> int:
    """Bytes that a query may use for one intermediate result."""
    return _bytes(values["work_mem"])


def check_work_mem(values: Values, wanted: str) -> None:
    """Raise 22023 for more than the server's configuration allows."""
    most, found = work_mem(values.server) >> 10, _bytes(wanted) >> 10
    if found > most:
        message = f'{found} kB is outside the valid range for parameter "work_mem" (64 .. {most})'
        raise PgError(INVALID_PARAMETER_VALUE, message, hint="The server's work_mem is the limit.")


def resettable(values: Values) -> dict[str, str]:
    """What RESET ALL sets: not who the user is, nor what the session has never set."""
    kept = ("role", "session_authorization")
    found = (SETTINGS[name.lower()] for name in values if name.lower() in SETTINGS)
    return {s.name: values.default(s.name) for s in found if not s.read_only and s.name not in kept}


def split_path(value: str, user: str) -> tuple[str, ...]:
    """search_path as schema names."""
    names = []
    for quoted, bare in re.findall(r'"((?:[^"]|"")*)"|([^",\s]+)', value):
        name = quoted.replace('""', '"') if quoted else bare.lower()
        names.append(user if name == "$user" else name)
    return tuple(names)
