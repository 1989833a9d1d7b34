"""Session settings with PostgreSQL's names, defaults and checks (PostgreSQL, chapter 20)."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

from laminar import __version__
from laminar.errors import (
    INSUFFICIENT_PRIVILEGE,
    INVALID_PARAMETER_VALUE,
    UNDEFINED_OBJECT,
    PgError,
    not_supported,
)
from laminar.pgwire.constants import REPORTED_SETTINGS
from laminar.server.pgsettings import Fact, known, own

#: what drivers compare with; the product's own version stands behind it
SERVER_VERSION = "15.0"

Check = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting: its row of pg_settings, its default, and how a value is checked and normalised."""

    fact: Fact
    default: str
    check: Check

    @property
    def name(self) -> str:
        return self.fact.name

    @property
    def read_only(self) -> bool:
        return self.fact.context == "internal"


@cache
def milliseconds(name: str, value: str) -> int:
    """A time setting as milliseconds: a number, with one of PostgreSQL's units or none."""
    return int(replace(_TIMEOUT, name=name).number(value))


@cache
def _zones() -> dict[str, str]:
    return {zone.lower(): zone for zone in zoneinfo.available_timezones()}


def _timezone(value: str) -> str:
    text = value.strip()
    if text.lower() in ("default", "local"):
        return "UTC"
    if re.fullmatch(r"[-+]?\d{1,2}(:\d{2})?", text):
        return text
    found = _zones().get(text.lower())
    if found is None:
        raise _FACTS["TimeZone"].invalid(value)
    return found


_STYLES = {"iso": "ISO", "sql": "SQL", "postgres": "Postgres", "german": "German"}
_ORDERS = {"mdy": "MDY", "dmy": "DMY", "ymd": "YMD", "us": "MDY", "european": "DMY"}


def _date_style(value: str) -> str:
    style, order = "ISO", "MDY"
    for part in re.split(r"\s*,\s*", value.strip().lower()):
        if part in _STYLES:
            style = _STYLES[part]
        elif part in _ORDERS:
            order = _ORDERS[part]
        elif part != "default":
            raise _FACTS["DateStyle"].invalid(value)
    return f"{style}, {order}"


def _encoding(value: str) -> str:
    if value.strip().strip("'").lower().replace("-", "").replace("_", "") in ("utf8", "unicode"):
        return "UTF8"
    raise not_supported(f'client encoding "{value}" is not supported', hint="Set client_encoding to UTF8.")


def _setting(fact: Fact, default: str | None = None, check: Check | None = None) -> Setting:
    return Setting(fact, fact.default if default is None else default, check or fact.check)


_FACTS = known()
_WORK_MEM, _TIMEOUT = _FACTS["work_mem"], _FACTS["statement_timeout"]

#: what only Laminar has, and what PostgreSQL's table of settings does not say
_OWN = (
    own("in_hot_standby", "bool", "off", "Shows whether hot standby is currently active.", "internal"),
    own("integer_datetimes", "bool", "on", "Datetimes are 64-bit integers.", "internal"),
    own("is_superuser", "bool", "on", "Shows whether the current user is a superuser.", "internal"),
    own("laminar_version", "string", __version__, "Version of Laminar.", "internal"),
    own("max_connections", "integer", "1000", "How many clients may be connected.", "internal"),
    own("max_identifier_length", "integer", "63", "Longest identifier in bytes.", "internal"),
    own("read_your_writes", "bool", "on", "Reads wait for the session's own commits."),
    own("role", "string", "none", "The role whose privileges count; none is the session's user."),
    own("server_encoding", "string", "UTF8", "Encoding of the database.", "internal"),
    own("server_version", "string", SERVER_VERSION, "PostgreSQL version that is spoken.", "internal"),
    own("server_version_num", "integer", "150000", "The same as a number.", "internal"),
    own("session_authorization", "string", "laminar", "The session's user."),
    own(
        "subscribe_buffer_limit", "integer", "64MB", "Most kept for a subscriber that does not read.",
        unit="B", min_val="65536", max_val="2147483647",
    ),
)  # fmt: skip

#: PostgreSQL's settings whose default or check is another here
_OTHERWISE = (
    _setting(_FACTS["client_encoding"], "UTF8", _encoding),
    _setting(_FACTS["DateStyle"], check=_date_style),
    _setting(_FACTS["default_transaction_isolation"], "serializable"),
    _setting(_FACTS["lc_collate"], "C.UTF-8"),
    _setting(_FACTS["lc_ctype"], "C.UTF-8"),
    _setting(_FACTS["TimeZone"], "UTC", _timezone),
    _setting(_FACTS["transaction_isolation"], "serializable"),
)

SETTINGS: dict[str, Setting] = {
    setting.name.lower(): setting for setting in (*map(_setting, (*_FACTS.values(), *_OWN)), *_OTHERWISE)
}


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
        return self.server[name] if name in self.server else find(name).default


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
    if setting.fact.context == "superuser" and not superuser:
        raise PgError(INSUFFICIENT_PRIVILEGE, f'permission denied to set parameter "{setting.name}"')


def defaults(server: Mapping[str, str] | None = None) -> Values:
    """Laminar's settings at their defaults, by canonical name."""
    values = Values({}, server or {})
    custom = [name for name in values.server if "." in name]
    values |= {name: values.default(name) for name in (*REPORTED_SETTINGS, *custom)}
    return values


def server_defaults(work_mem: int, max_connections: int) -> dict[str, str]:
    """Defaults that the server's configuration gives; ``work_mem`` in bytes."""
    return {"work_mem": _WORK_MEM.shown(work_mem >> 10), "max_connections": str(max_connections)}


def subscribe_buffer_limit(values: Mapping[str, str]) -> int:
    """Bytes that are kept for a subscriber that does not read."""
    return int(find("subscribe_buffer_limit").fact.number(values["subscribe_buffer_limit"]))


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
