"""PostgreSQL's own settings, as its pg_settings describes them (``sql/facts/settings.json``).

Those that steer what Laminar does not have (planner costs, vacuum, statistics) take the values that
PostgreSQL takes, and have no effect. Those that would change what a statement means keep their default.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Final

from laminar.errors import INVALID_PARAMETER_VALUE, PgError, not_supported
from laminar.sql import facts

_MEMORY: Final = {"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
_TIME: Final = {"us": 1, "ms": 1000, "s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6}
_NUMBER = re.compile(r"\s*([-+]?(?:0x[0-9a-f]+|(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?))\s*([a-zA-Z]*)\s*")
_TRUE: Final = {"on", "true", "yes", "1"}
_FALSE: Final = {"off", "false", "no", "0"}
#: settings that change what statements mean; only PostgreSQL's default does here what it says
KEPT: Final = frozenset(
    {"array_nulls", "transform_null_equals", "password_encryption", "quote_all_identifiers", "xmloption"}
    | {"session_replication_role", "ignore_checksum_failure", "allow_system_table_mods"}
)


@dataclass(frozen=True, slots=True)
class Fact:
    """A row of pg_settings."""

    name: str
    vartype: str
    unit: str | None
    context: str
    boot_val: str | None
    min_val: str | None
    max_val: str | None
    enumvals: list[str] | None
    category: str
    short_desc: str

    @property
    def default(self) -> str:
        """PostgreSQL's default as SHOW shows it."""
        return self._checked(self.boot_val or "")

    def check(self, value: str) -> str:
        """A value as SHOW shows it.

        Raises:
            PgError: 22023 for a value that PostgreSQL does not take, 0A000 for what Laminar cannot honour,
                55P02 for a setting that cannot be changed.
        """
        if self.context == "internal":
            raise PgError("55P02", f'parameter "{self.name}" cannot be changed')
        checked = self._checked(value)
        if self.name in KEPT and checked != self.default:
            raise not_supported(f'"{self.name}" cannot be changed here', hint=f"It is {self.boot_val}.")
        return checked

    def _checked(self, value: str) -> str:
        match self.vartype:
            case "bool":
                return boolean(self.name, value)
            case "enum":
                return self._enumerated(value)
            case "integer" | "real":
                return self.shown(self.number(value))
        return value

    def _enumerated(self, value: str) -> str:
        allowed, text = self.enumvals or [], value.strip().lower()
        if text not in allowed and text in _TRUE | _FALSE:
            text = "on" if text in _TRUE else "off"
        if text not in allowed:
            raise self.invalid(value, f"Available values: {', '.join(allowed)}.")
        return text

    def invalid(self, value: str, hint: str | None = None) -> PgError:
        """22023 for a value."""
        return PgError(
            INVALID_PARAMETER_VALUE, f'invalid value for parameter "{self.name}": "{value}"', hint=hint
        )

    def _units(self) -> tuple[dict[str, int], int]:
        """The units of its kind, and how many of the smallest its own unit is."""
        if self.unit is None:
            return {}, 1
        for units in (_MEMORY, _TIME):
            found = re.fullmatch(r"(\d*)([a-zA-Z]+)", self.unit)
            if found and found[2] in units:
                return units, int(found[1] or 1) * units[found[2]]
        return {}, 1

    def number(self, value: str) -> float:
        """A number in the setting's own unit."""
        units, base = self._units()
        found = _NUMBER.fullmatch(value)
        if found is None or (found[2] and not units):
            raise self.invalid(value)
        if found[2] and found[2] not in units:
            names = ", ".join(f'"{name}"' for name in list(units)[:-1])
            raise self.invalid(value, f'Valid units for this parameter are {names}, and "{list(units)[-1]}".')
        number = float(int(found[1], 16)) if "x" in found[1].lower() else float(found[1])
        if found[2]:
            number = number * units[found[2]] / base
        if self.vartype == "integer":
            number = float(round(number))
            if abs(number) > (1 << 31) - 1:
                raise self.invalid(value, "Value exceeds integer range.")
        if not float(self.min_val or "-inf") <= number <= float(self.max_val or "inf"):
            unit = f" {self.unit}" if self.unit else ""
            raise PgError(
                INVALID_PARAMETER_VALUE,
                f'{number:g}{unit} is outside the valid range for parameter "{self.name}"'
                f" ({self.min_val} .. {self.max_val})",
            )
        return number

    def stored(self, value: str) -> str:
        """A shown value as pg_settings has it: numbers in the setting's unit."""
        return f"{self.number(value):g}" if self.vartype in ("integer", "real") else value

    def shown(self, number: float) -> str:
        """The number in the largest unit that it is a whole number of."""
        units, base = self._units()
        if number > 0:
            for name, size in reversed(units.items()):
                whole = number * base / size
                if whole >= 1 and whole == int(whole):
                    return f"{int(whole)}{name}"
        return f"{int(number)}" if number == int(number) and abs(number) < 1e6 else f"{number:g}"


def boolean(name: str, value: str) -> str:
    """``on`` or ``off``; 22023."""
    text = value.strip().lower()
    if text in ("1", "on") or (text and ("true".startswith(text) or "yes".startswith(text))):
        return "on"
    if text in ("0", "off", "of") or (text and ("false".startswith(text) or "no".startswith(text))):
        return "off"
    raise PgError(INVALID_PARAMETER_VALUE, f'parameter "{name}" requires a Boolean value')


def known() -> dict[str, Fact]:
    """PostgreSQL's settings that a session may change, and a few that say how it was built, by name."""
    names, rows = facts.raw("settings")
    assert names == [field.name for field in fields(Fact)]
    return {row[0]: Fact(*row) for row in rows}


def own(
    name: str, vartype: str, default: str, description: str, context: str = "user",
    unit: str | None = None, min_val: str | None = None, max_val: str | None = None,
) -> Fact:  # fmt: skip
    """A setting that PostgreSQL's table does not have."""
    return Fact(name, vartype, unit, context, default, min_val, max_val, None, "Laminar", description)
