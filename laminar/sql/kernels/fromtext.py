"""to_date and to_timestamp: times read by a template (PostgreSQL's manual, 9.8).

A template with a pattern that is not read here (Roman months, ISO weeks, zones, FX and so on) is refused.
"""

from __future__ import annotations

import re
from calendar import isleap, monthrange
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa

from laminar.errors import DATETIME_FIELD_OVERFLOW, INVALID_DATETIME_FORMAT, PgError, not_supported
from laminar.sql.kernels.registry import Run, Signature, builder
from laminar.sql.kernels.rowwise import apply
from laminar.types import TIMESTAMP, PgType

_MONTHS: Final = [
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
    "november", "december",
]  # fmt: skip
_DAYS: Final = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
#: pattern -> (field, digits); names and halves of the day have no digits
_NUMBERS: Final = {
    "HH24": ("hour", 2), "HH12": ("hour", 2), "HH": ("hour", 2), "MI": ("minute", 2), "SS": ("second", 2),
    "YYYY": ("year", 4), "MM": ("month", 2), "DDD": ("day of year", 3), "DD": ("day", 2),
}  # fmt: skip
_FRACTIONS: Final = {"MS": 3, "US": 6}
_NAMES: Final = {
    "MONTH": _MONTHS,
    "MON": [m[:3] for m in _MONTHS],
    "DAY": _DAYS,
    "DY": [d[:3] for d in _DAYS],
}
_READ: Final = {*_NUMBERS, *_FRACTIONS, *_NAMES, "AM", "PM"}
_REFUSED: Final = {
    "A.D.", "A.M.", "AD", "B.C.", "BC", "CC", "D", "FF1", "FF2", "FF3", "FF4", "FF5", "FF6", "FX", "IDDD",
    "ID", "IW", "IYYY", "IYY", "IY", "I", "J", "OF", "P.M.", "Q", "RM", "SSSSS", "SSSS", "TZH", "TZM", "TZ",
    "WW", "W", "Y,YYY", "YYY", "YY", "Y",
}  # fmt: skip
_PATTERN: Final = re.compile("|".join(map(re.escape, sorted(_READ | _REFUSED, key=len, reverse=True))), re.I)
_SPACE: Final = " \t\n\v\f\r"
_EPOCH: Final = date(1970, 1, 1).toordinal()
_DAYS_OF_400_YEARS: Final = 146_097


@dataclass(frozen=True, slots=True)
class _Node:
    """A part of a template: ``pattern`` as written, or a separator, space or other character."""

    pattern: str
    text: str
    fill: bool = True

    @property
    def digits(self) -> bool:
        upper = self.pattern.upper()
        return upper in _NUMBERS or upper in _FRACTIONS or (not self.pattern and self.text.isdigit())


def _separator(char: str) -> bool:
    return "!" <= char <= "~" and not char.isalnum()


@lru_cache(64)
def _template(form: str) -> tuple[_Node, ...]:
    nodes: list[_Node] = []
    at = 0
    while at < len(form):
        fill = True
        while form[at : at + 2] in ("FM", "fm"):
            fill, at = False, at + 2
        if form[at : at + 2] in ("TM", "tm"):
            raise not_supported("the template prefix TM is not supported for reading")
        found = _PATTERN.match(form, at)
        if found:
            word = found.group()
            after = form[found.end() : found.end() + 2]
            mixed = word not in (word.upper(), word.lower()) and word.upper() not in _NAMES
            if mixed or word.upper() in _REFUSED or after in ("TH", "th"):
                shown = word + after if after in ("TH", "th") else word
                raise not_supported(f'the template pattern "{shown}" is not supported for reading')
            nodes.append(_Node(word.upper(), word, fill))
            at = found.end()
        else:
            # a prefix may end the template
            if at == len(form):
                break
            if form[at] in '"\\':
                raise not_supported("quoted text in a template is not supported for reading")
            nodes.append(_Node("", form[at]))
            at += 1
    return tuple(nodes)


class _Reader:
    """One text read by one template, as DCH_from_char reads it."""

    def __init__(self, text: str, nodes: tuple[_Node, ...]) -> None:
        self.text = text
        self.nodes = nodes
        self.at = 0
        self.skipped = 0  # blanks that separators of the template may still stand for
        self.values: dict[str, int] = {}

    def read(self) -> dict[str, int]:
        for index, node in enumerate(self.nodes):
            if self.at >= len(self.text):
                break
            if node.pattern or index == 0:
                self._blanks()
                if self.at >= len(self.text) and not node.pattern:
                    break
            if not node.pattern:
                self._literal(node)
                continue
            self._field(index, node)
            self.skipped = 0
            self._blanks()
        return self.values

    def _blanks(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in _SPACE:
            self.at += 1
            self.skipped += 1

    def _literal(self, node: _Node) -> None:
        if node.text in _SPACE or _separator(node.text):
            self.skipped -= 1
            if self.text[self.at] in _SPACE or _separator(self.text[self.at]):
                self.at += 1
                self.skipped += 1
        elif self.skipped > 0:
            self.skipped -= 1
        else:
            self.at += 1

    def _field(self, index: int, node: _Node) -> None:
        if node.pattern in _NUMBERS:
            field, digits = _NUMBERS[node.pattern]
            value, _ = self._number(index, node, digits)
            self._set(field, value, node)
            if node.pattern in ("HH12", "HH"):
                self.values["twelve"] = 1
        elif node.pattern in _FRACTIONS:
            digits = _FRACTIONS[node.pattern]
            value, used = self._number(index, node, digits)
            self._set(node.pattern, value * 10 ** max(0, digits - used), node)
        elif node.pattern in ("AM", "PM"):
            self._set("half", self._name(node, ["am", "pm"]), node)
            self.values["twelve"] = 1
        else:
            value = self._name(node, _NAMES[node.pattern])
            self._set("month" if node.pattern.startswith("MON") else "weekday", value + 1, node)

    def _number(self, index: int, node: _Node, digits: int) -> tuple[int, int]:
        following = self.nodes[index + 1] if index + 1 < len(self.nodes) else None
        rest = self.text[self.at :]
        piece = rest[:digits]
        free = not node.fill or following is None or not following.digits
        hint = 'If your source string is not fixed-width, try using the "FM" modifier.'
        if not free and len(piece) < digits:
            raise PgError(
                INVALID_DATETIME_FORMAT,
                f'source string too short for "{node.text}" formatting field',
                detail=f"Field requires {digits} characters, but only {len(piece)} remain.",
                hint=hint,
            )
        found = re.match(r"[ \t\n\v\f\r]*[+-]?[0-9]+", rest if free else piece)
        used = found.end() if found else 0
        if not free and 0 < used < digits:
            raise PgError(
                INVALID_DATETIME_FORMAT,
                f'invalid value "{piece}" for "{node.text}"',
                detail=f"Field requires {digits} characters, but only {used} could be parsed.",
                hint=hint,
            )
        if found is None:
            message = f'invalid value "{piece}" for "{node.text}"'
            raise PgError(INVALID_DATETIME_FORMAT, message, detail="Value must be an integer.")
        # more digits than any int4 has are not worth a conversion
        value = int(found.group()) if used < 100 else 2**31
        if not -(2**31) <= value < 2**31:
            raise PgError(
                DATETIME_FIELD_OVERFLOW,
                f'value for "{node.text}" in source string is out of range',
                detail="Value must be in the range -2147483648 to 2147483647.",
            )
        self.at += used
        return value, used

    def _name(self, node: _Node, names: list[str]) -> int:
        rest = self.text[self.at :].lower()
        for number, name in enumerate(names):
            if rest.startswith(name):
                self.at += len(name)
                return number
        word = re.split(r"[ \t\n\v\f\r]", self.text[self.at :], maxsplit=1)[0]
        raise PgError(
            INVALID_DATETIME_FORMAT,
            f'invalid value "{word}" for "{node.text}"',
            detail="The given value did not match any of the allowed values for this field.",
        )

    def _set(self, field: str, value: int, node: _Node) -> None:
        if self.values.get(field) not in (None, 0, value):
            raise PgError(
                INVALID_DATETIME_FORMAT,
                f'conflicting values for "{node.text}" field in formatting string',
                detail="This value contradicts a previous setting for the same field type.",
            )
        self.values[field] = value


def _micros(text: str, form: str) -> int:
    """Wall-clock microseconds since 1970."""
    values = _Reader(text, _template(form)).read()
    bad = PgError(DATETIME_FIELD_OVERFLOW, f'date/time field value out of range: "{text}"')
    hour, minute, second = (values.get(f, 0) for f in ("hour", "minute", "second"))
    if values.get("twelve"):
        if not 1 <= hour <= 12:
            raise PgError(
                INVALID_DATETIME_FORMAT,
                f'hour "{hour}" is invalid for the 12-hour clock',
                hint="Use the 24-hour clock, or give an hour between 1 and 12.",
            )
        hour = hour % 12 + (12 if values.get("half") else 0) if "half" in values else hour
    fraction = values.get("MS", 0) * 1000 + values.get("US", 0)
    in_range = 0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60 and 0 <= fraction < 1_000_000
    if not in_range:
        raise bad
    seconds = (_days(values, bad) * 24 + hour) * 3600 + minute * 60 + second
    return seconds * 1_000_000 + fraction


def _days(values: dict[str, int], bad: PgError) -> int:
    # a year 0 is as one that is not given: 1 BC
    year, month, day = (values.get(f, 0) for f in ("year", "month", "day"))
    if year < 0 or year > 9999:
        raise not_supported("years before 1 and after 9999 are not supported here")
    ordinal = values.get("day of year", 0)
    if ordinal and (not month or not day):
        if not year:
            raise PgError(INVALID_DATETIME_FORMAT, "cannot calculate day of year without year information")
        if not 1 <= ordinal <= 365 + isleap(year):
            raise bad
        return _proleptic(year, 1, 1) + ordinal - 1
    month, day = month or 1, day or 1
    # year 0 is 1 BC, a leap year as 400 is
    if not 1 <= month <= 12 or not 1 <= day <= monthrange(year or 400, month)[1]:
        raise bad
    return _proleptic(year, month, day)


def _proleptic(year: int, month: int, day: int) -> int:
    """Days since 1970; the calendar repeats every 400 years."""
    if year == 0:
        return date(400, month, day).toordinal() - _DAYS_OF_400_YEARS - _EPOCH
    return date(year, month, day).toordinal() - _EPOCH


@builder("to_date")
def _to_date(signature: Signature) -> Run:
    def run(_env: object, *columns: Any) -> Any:
        days = apply(lambda text, form: _micros(text, form) // 86_400_000_000, columns, pa.int32())
        return days.cast(signature.result.storage)

    return run


@builder("to_timestamp")
def _to_timestamp(signature: Signature) -> Run:
    """In the session's time zone."""
    from laminar.sql.kernels.registry import bind
    from laminar.sql.plan import Function

    stamp = PgType(TIMESTAMP)
    symbol = "timestamp_timestamptz"
    zoned = bind(Function(0, symbol, symbol, True, "s"), (stamp,), signature.result)[1]

    def run(env: Any, *columns: Any) -> Any:
        return zoned(env, apply(_micros, columns, pa.int64()).cast(stamp.storage))

    return run
