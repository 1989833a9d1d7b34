"""COPY's options, checked as PostgreSQL checks them (PostgreSQL, COPY)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from laminar.errors import (
    FEATURE_NOT_SUPPORTED,
    INVALID_PARAMETER_VALUE,
    SYNTAX_ERROR,
    UNDEFINED_COLUMN,
    PgError,
)
from laminar.pgwire.backend import CopyOptions
from laminar.sql import statements as s

_KNOWN: Final = (
    "format",
    "delimiter",
    "null",
    "freeze",
    "header",
    "quote",
    "escape",
    "force_quote",
    "force_not_null",
    "force_null",
    "encoding",
)
_CSV_ONLY = ("quote", "escape", "force_quote", "force_not_null", "force_null")


def parse_options(options: list[s.Option], names: Sequence[str], direction: str) -> CopyOptions:
    """The options of a COPY over columns ``names``; raises PgError with PostgreSQL's words."""
    given: dict[str, s.Option] = {}
    for option in options:
        name = option.name.lower()
        if name in given:
            raise PgError(SYNTAX_ERROR, "conflicting or redundant options", position=option.pos or None)
        if name not in _KNOWN:
            raise PgError(
                SYNTAX_ERROR,
                f'option "{option.name}" not recognized',
                hint=f"Known options: {', '.join(_KNOWN)}.",
                position=option.pos or None,
            )
        given[name] = option
    result = CopyOptions()
    result.format = _format(given.get("format"))
    csv = result.format == "csv"
    if csv:
        result.delimiter, result.null = ",", ""
    _refuse_misplaced(given, result.format)
    for name in ("delimiter", "null", "quote"):
        if name in given:
            setattr(result, name, given[name].value or "")
    result.escape = (given["escape"].value or "") if "escape" in given else result.quote
    if "freeze" in given:
        _check_freeze(given["freeze"], direction)
    if "header" in given:
        result.header = _header(given["header"], direction)
    if "encoding" in given and (given["encoding"].value or "").lower().replace("-", "") not in (
        "utf8",
        "unicode",
    ):
        raise PgError(FEATURE_NOT_SUPPORTED, "COPY supports the encoding UTF8 only")
    if "force_quote" in given:
        items = given["force_quote"].items
        result.force_quote = "*" if items == ("*",) else _columns(given["force_quote"], names)
    if "force_not_null" in given:
        result.force_not_null = _columns(given["force_not_null"], names)
    if "force_null" in given:
        result.force_null = _columns(given["force_null"], names)
    _check(result, direction, given)
    return result


def _format(option: s.Option | None) -> Literal["text", "csv", "binary"]:
    if option is None:
        return "text"
    match (option.value or "").lower():
        case "text" | "csv" | "binary" as known:
            return known
    raise PgError(
        INVALID_PARAMETER_VALUE,
        f'COPY format "{option.value}" not recognized',
        hint="Known formats: text, csv, binary.",
        position=option.value_pos or None,
    )


def _refuse_misplaced(given: dict[str, s.Option], form: str) -> None:
    if form == "binary":
        for name in ("delimiter", "null"):
            if name in given:
                raise PgError(SYNTAX_ERROR, f"cannot specify {name.upper()} in BINARY mode")
        if "header" in given:
            raise PgError(FEATURE_NOT_SUPPORTED, "cannot specify HEADER in BINARY mode")
    if form != "csv":
        for name in _CSV_ONLY:
            if name in given:
                words = name.replace("_", " ")
                raise PgError(FEATURE_NOT_SUPPORTED, f"COPY {words} available only in CSV mode")


def _check_freeze(option: s.Option, direction: str) -> None:
    """FREEZE is about how PostgreSQL stores rows: of no meaning here."""
    value = (option.value or "true").lower()
    if value not in ("true", "on", "1", "false", "off", "0"):
        raise PgError(SYNTAX_ERROR, "freeze requires a Boolean value")
    if direction == "to" and value in ("true", "on", "1"):
        raise PgError(FEATURE_NOT_SUPPORTED, "COPY freeze only available using COPY FROM")


def _header(option: s.Option, direction: str) -> Literal["false", "true", "match"]:
    value = (option.value or "true").lower()
    if value == "match":
        if direction == "to":
            raise PgError(FEATURE_NOT_SUPPORTED, 'cannot use "match" with HEADER in COPY TO')
        return "match"
    if value in ("true", "on", "1"):
        return "true"
    if value in ("false", "off", "0"):
        return "false"
    raise PgError(SYNTAX_ERROR, 'header requires a Boolean value or "match"')


def _columns(option: s.Option, names: Sequence[str]) -> frozenset[int]:
    wanted = option.items or ((option.value,) if option.value else ())
    found = set()
    for name in wanted:
        if name not in names:
            raise PgError(UNDEFINED_COLUMN, f'column "{name}" does not exist', position=option.pos or None)
        found.add(list(names).index(name))
    return frozenset(found)


def _check(result: CopyOptions, direction: str, given: dict[str, s.Option]) -> None:
    csv = result.format == "csv"
    for name, value in (("delimiter", result.delimiter), ("quote", result.quote), ("escape", result.escape)):
        if len(value.encode()) != 1:
            raise PgError(FEATURE_NOT_SUPPORTED, f"COPY {name} must be a single one-byte character")
    if result.delimiter in "\r\n":
        raise PgError(INVALID_PARAMETER_VALUE, "COPY delimiter cannot be newline or carriage return")
    if any(c in result.null for c in "\r\n"):
        raise PgError(
            INVALID_PARAMETER_VALUE, "COPY null representation cannot use newline or carriage return"
        )
    if not csv and result.delimiter in "\\.abcdefghijklmnopqrstuvwxyz0123456789":
        raise PgError(INVALID_PARAMETER_VALUE, f'COPY delimiter cannot be "{result.delimiter}"')
    if csv and result.delimiter == result.quote:
        raise PgError(INVALID_PARAMETER_VALUE, "COPY delimiter and quote must be different")
    if result.delimiter in result.null:
        raise PgError(INVALID_PARAMETER_VALUE, "COPY delimiter must not appear in the NULL specification")
    if csv and result.quote in result.null:
        raise PgError(
            INVALID_PARAMETER_VALUE, "CSV quote character must not appear in the NULL specification"
        )
    if direction == "from" and "force_quote" in given:
        raise PgError(FEATURE_NOT_SUPPORTED, "COPY force quote only available using COPY TO")
    if direction == "to" and ("force_not_null" in given or "force_null" in given):
        which = "not null" if "force_not_null" in given else "null"
        raise PgError(FEATURE_NOT_SUPPORTED, f"COPY force {which} only available using COPY FROM")
