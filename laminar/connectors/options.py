"""WITH options: typed, checked when the statement is issued, with the known ones in the hint."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from laminar.errors import INVALID_PARAMETER_VALUE, PgError, not_supported
from laminar.types import ELEMENT_OF, PgType

Kind = Literal["text", "int", "float", "bool", "duration", "choice"]

_DURATION: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]+)\s*")
_UNITS: Final = {
    "us": 1, "microsecond": 1, "microseconds": 1,
    "ms": 1000, "millisecond": 1000, "milliseconds": 1000,
    "s": 1_000_000, "sec": 1_000_000, "secs": 1_000_000, "second": 1_000_000, "seconds": 1_000_000,
    "m": 60_000_000, "min": 60_000_000, "mins": 60_000_000, "minute": 60_000_000, "minutes": 60_000_000,
    "h": 3_600_000_000, "hour": 3_600_000_000, "hours": 3_600_000_000,
    "d": 86_400_000_000, "day": 86_400_000_000, "days": 86_400_000_000,
}  # fmt: skip
_TRUE: Final = frozenset({"true", "on", "yes", "1", "t"})
_FALSE: Final = frozenset({"false", "off", "no", "0", "f"})


@dataclass(frozen=True, slots=True)
class Option:
    """One option a connector knows.

    Args:
        kind: how its text is read; durations are '5 seconds' or '100ms' and become microseconds.
        default: the value when it is absent.
        required: absent is an error.
        choices: for kind ``choice``.
        minimum: smallest allowed number.
        unsupported: known from SQL.md, but refused with 0A000.
        secret: only the object's owner may see its value.
    """

    kind: Kind = "text"
    default: Any = None
    required: bool = False
    choices: tuple[str, ...] = ()
    minimum: float = -math.inf
    unsupported: bool = False
    secret: bool = False


#: options of every source; ``watermark.*`` are the engine's, the rest the reader's
SOURCE_OPTIONS: Final[Mapping[str, Option]] = {
    "connector": Option(required=True),
    "on_error": Option("choice", "skip", choices=("skip", "fail", "dead_letter")),
    "watermark.idle_timeout": Option("duration", minimum=1000),
    "watermark.max_future": Option("duration", minimum=0),
    "dead_letter_table": Option(),
    "upsert.deleted": Option(),
    "rate_limit": Option("int", minimum=1),
}
SINK_OPTIONS: Final[Mapping[str, Option]] = {"connector": Option(required=True)}
#: options of every lookup table
LOOKUP_OPTIONS: Final[Mapping[str, Option]] = {
    "connector": Option(required=True),
    "cache.ttl": Option("duration", 60_000_000, minimum=0),
    "cache.size": Option("int", 100_000, minimum=0),
    "timeout": Option("duration", 5_000_000, minimum=10_000),
}


def parse_options(given: Iterable[tuple[str, str]], known: Mapping[str, Option], what: str) -> dict[str, Any]:
    """All of ``known`` with given or default values.

    Raises:
        PgError: 22023 for an unknown, repeated, missing or malformed option; 0A000 for one
            that is planned but not there.
    """
    values: dict[str, Any] = {}
    for name, text in given:
        key = name.lower()
        option = known.get(key)
        if option is None:
            raise _unknown(key, known, what)
        if option.unsupported:
            raise not_supported(f'option "{key}" is not supported for {what}')
        if key in values:
            raise bad_option(f'option "{key}" is given twice')
        values[key] = _read(key, option, text)
    for key, option in known.items():
        if key not in values:
            if option.required:
                raise bad_option(f'{what} needs option "{key}"')
            values[key] = option.default
    return values


def bad_option(message: str, *, hint: str | None = None) -> PgError:
    """22023."""
    return PgError(INVALID_PARAMETER_VALUE, message, hint=hint)


def _unknown(key: str, known: Mapping[str, Option], what: str) -> PgError:
    names = [name for name, option in known.items() if not option.unsupported]
    close = difflib.get_close_matches(key, names, n=1)
    guess = f'Perhaps you meant "{close[0]}". ' if close else ""
    return bad_option(f'{what} has no option "{key}"', hint=f"{guess}Options: {', '.join(names)}.")


def _read(key: str, option: Option, text: str) -> Any:
    value: Any = None
    match option.kind:
        case "text":
            value = text
        case "int":
            value = _number(int, text)
        case "float":
            value = _number(float, text)
        case "bool":
            lowered = text.strip().lower()
            value = True if lowered in _TRUE else False if lowered in _FALSE else None
        case "duration":
            value = parse_duration(text)
        case "choice":
            value = text.lower() if text.lower() in option.choices else None
    if value is None:
        raise bad_option(f'invalid value for option "{key}": "{text}"', hint=_expected(option))
    if isinstance(value, (int, float)) and value < option.minimum:
        raise bad_option(
            f'value {text} of option "{key}" is too small', hint=f"The least value is {option.minimum:g}."
        )
    return value


def _number(read: type[int] | type[float], text: str) -> float | None:
    try:
        value = read(text.strip())
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def parse_duration(text: str) -> int | None:
    """'5 seconds', '1 min 30 s', '100ms' in microseconds; None when it is none of these."""
    total, end = 0.0, 0
    while end < len(text):
        match = _DURATION.match(text, end)
        unit = _UNITS.get(match[2].lower()) if match else None
        if match is None or unit is None:
            return None
        total += float(match[1]) * unit
        end = match.end()
    return round(total) if end and math.isfinite(total) and total < 2**62 else None


def _expected(option: Option) -> str:
    match option.kind:
        case "choice":
            return f"Known values: {', '.join(option.choices)}."
        case "duration":
            return "Write a number and a unit, as in '5 seconds' or '100ms'."
        case "bool":
            return "Write true or false."
        case "float":
            return "Write a number."
        case _:
            return "Write a whole number."


_LABELS: Final = {
    16: "boolean", 17: "bytea", 20: "bigint", 21: "smallint", 23: "integer", 25: "text", 26: "oid",
    114: "json", 700: "real", 701: "double precision", 1042: "character", 1043: "character varying",
    1082: "date", 1083: "time without time zone", 1114: "timestamp without time zone",
    1184: "timestamp with time zone", 1186: "interval", 1700: "numeric", 2950: "uuid", 3802: "jsonb",
}  # fmt: skip


def type_label(type_: PgType) -> str:
    """The type's SQL name, for messages."""
    if type_.oid in ELEMENT_OF:
        return type_label(PgType(ELEMENT_OF[type_.oid])) + "[]"
    return _LABELS.get(type_.oid, f"type {type_.oid}")
