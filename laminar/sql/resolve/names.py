"""Names of types: as SQL writes them, and as PostgreSQL's format_type prints them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from laminar.errors import (
    FEATURE_NOT_SUPPORTED,
    INVALID_PARAMETER_VALUE,
    SYNTAX_ERROR,
    UNDEFINED_OBJECT,
    PgError,
)
from laminar.sql import facts
from laminar.types import (
    BOOL,
    BPCHAR,
    CHAR,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    NUMERIC,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    VARCHAR,
    PgType,
    numeric,
)

TIMETZ: Final = 1266
BIT, VARBIT = 1560, 1562
ANY: Final = 2276

_SQL_NAMES: Final = {
    BOOL: "boolean",
    BPCHAR: "character",
    CHAR: '"char"',
    ANY: '"any"',
    FLOAT4: "real",
    FLOAT8: "double precision",
    INT2: "smallint",
    INT4: "integer",
    INT8: "bigint",
    VARCHAR: "character varying",
    BIT: "bit",
    VARBIT: "bit varying",
    TIME: "time without time zone",
    TIMETZ: "time with time zone",
    TIMESTAMP: "timestamp without time zone",
    TIMESTAMPTZ: "timestamp with time zone",
}
#: what SQL calls a type -> pg_type.typname
_ALIASES: Final = {name.strip('"'): oid for oid, name in _SQL_NAMES.items() if oid not in (CHAR, ANY)} | {
    "int": INT4,
    "char": BPCHAR,
    "nchar": BPCHAR,
    "national character": BPCHAR,
    "char varying": VARCHAR,
    "national character varying": VARCHAR,
    "dec": NUMERIC,
    "decimal": NUMERIC,
    "timestamp": TIMESTAMP,
    "time": TIME,
    "string": 25,
}
_INTERVAL_FULL_RANGE: Final = 0x7FFF
_INTERVAL_FULL_PRECISION: Final = 0xFFFF
#: INTERVAL_MASK of each field combination -> words (utils/timestamp.h)
_INTERVAL_FIELDS: Final = {
    1 << 2: "year",
    1 << 1: "month",
    1 << 3: "day",
    1 << 10: "hour",
    1 << 11: "minute",
    1 << 12: "second",
    (1 << 2) | (1 << 1): "year to month",
    (1 << 3) | (1 << 10): "day to hour",
    (1 << 3) | (1 << 10) | (1 << 11): "day to minute",
    (1 << 3) | (1 << 10) | (1 << 11) | (1 << 12): "day to second",
    (1 << 10) | (1 << 11): "hour to minute",
    (1 << 10) | (1 << 11) | (1 << 12): "hour to second",
    (1 << 11) | (1 << 12): "minute to second",
}
#: words of an interval qualifier -> range mask for ``type_by_name('interval', [mask, precision])``
INTERVAL_MASKS: Final = {words: mask for mask, words in _INTERVAL_FIELDS.items()}


def is_array(fact: facts.TypeFact) -> bool:
    """Whether a type is another's array type (int2vector and oidvector are types of their own)."""
    return bool(fact.element) and facts.types()[fact.element].array == fact.oid


def oid_name(oid: int) -> str:
    """format_type_be: the type's name without modifiers, as messages show it."""
    fact = facts.types().get(oid)
    if fact is None:
        return "???"
    if is_array(fact):
        return oid_name(fact.element) + "[]"
    return _SQL_NAMES.get(oid, fact.name)


def type_name(type_: PgType) -> str:
    """format_type(oid, typmod): ``numeric(5,2)``, ``character varying(10)[]``."""
    oid, typmod = type_.oid, type_.typmod
    fact = facts.types().get(oid)
    if fact is not None and is_array(fact):
        return type_name(PgType(fact.element, typmod)) + "[]"
    if typmod < 0:
        return "bpchar" if oid == BPCHAR else oid_name(oid)
    if oid in (BPCHAR, VARCHAR):
        return f"{oid_name(oid)}({typmod - 4})"
    if oid == NUMERIC:
        scale = ((typmod - 4) & 0x7FF ^ 1024) - 1024
        return f"numeric({(typmod - 4) >> 16 & 0xFFFF},{scale})"
    if oid in (TIME, TIMESTAMP, TIMESTAMPTZ, TIMETZ):
        word, rest = oid_name(oid).split(" ", 1)
        return f"{word}({typmod}) {rest}"
    if oid == INTERVAL:
        fields = _INTERVAL_FIELDS.get(typmod >> 16 & _INTERVAL_FULL_RANGE, "")
        precision = typmod & _INTERVAL_FULL_PRECISION
        shown = "" if precision == _INTERVAL_FULL_PRECISION else f"({precision})"
        return "interval" + (f" {fields}" if fields else "") + shown
    return oid_name(oid) if oid in _SQL_NAMES or fact is None else f"{fact.name}({typmod})"


def type_by_name(name: str, typmods: Sequence[int] = (), position: int | None = None) -> PgType:
    """The type that SQL text names, e.g. ``int``, ``double precision``, ``varchar`` with (10,), ``text[]``.

    ``interval`` takes (range mask,) or (range mask, precision), see INTERVAL_MASKS.
    Bare ``char`` is ``character(1)``; the catalogs' one-byte type is ``'"char"'``.

    Raises:
        PgError: 42704 unknown type, 22023 or 42601 wrong modifiers.
    """
    text = " ".join(name.split())
    array = text.endswith("]")
    if array:
        text = text[: text.index("[")].strip()
    if text.lower().startswith("pg_catalog."):
        text = text[len("pg_catalog.") :]
    base = _base_type(text, typmods, position)
    if not array:
        return base
    oid = facts.types()[base.oid].array
    if not oid:
        raise PgError(UNDEFINED_OBJECT, f'type "{text}[]" does not exist', position=position)
    return PgType(oid, base.typmod)


def _base_type(text: str, typmods: Sequence[int], position: int | None) -> PgType:
    if text == '"char"':
        return PgType(CHAR)
    lowered = text.lower()
    if lowered == "float":
        return _float(typmods, position)
    oid = _ALIASES.get(lowered)
    if oid is None:
        fact = facts.types_by_name().get(text.strip('"') if text.startswith('"') else lowered)
        if fact is None or (fact.kind == "p" and fact.name not in ("record", "unknown", "void")):
            raise PgError(UNDEFINED_OBJECT, f'type "{text}" does not exist', position=position)
        oid = fact.oid
    if not typmods and lowered in ("char", "character", "nchar", "national character"):
        typmods = (1,)
    return _modified(oid, typmods, position)


def _float(typmods: Sequence[int], position: int | None) -> PgType:
    if not typmods:
        return PgType(FLOAT8)
    if typmods[0] < 1:
        message = "precision for type float must be at least 1 bit"
        raise PgError(INVALID_PARAMETER_VALUE, message, position=position)
    if typmods[0] > 53:
        message = "precision for type float must be less than 54 bits"
        raise PgError(INVALID_PARAMETER_VALUE, message, position=position)
    return PgType(FLOAT4 if typmods[0] <= 24 else FLOAT8)


def _modified(oid: int, typmods: Sequence[int], position: int | None) -> PgType:
    if not typmods:
        return PgType(oid)
    if oid == NUMERIC:
        return _numeric(typmods, position)
    if oid in (BPCHAR, VARCHAR):
        return PgType(oid, _length(oid, typmods, position) + 4)
    if oid in (TIME, TIMETZ, TIMESTAMP, TIMESTAMPTZ):
        if len(typmods) != 1:
            raise PgError(INVALID_PARAMETER_VALUE, "invalid type modifier", position=position)
        if typmods[0] < 0:
            word, rest = oid_name(oid).upper().split(" ", 1)
            zone = " WITH TIME ZONE" if rest.startswith("WITH ") else ""
            message = f"{word}({typmods[0]}){zone} precision must not be negative"
            raise PgError(INVALID_PARAMETER_VALUE, message, position=position)
        return PgType(oid, min(typmods[0], 6))
    if oid == INTERVAL:
        mask = typmods[0]
        precision = typmods[1] if len(typmods) > 1 else _INTERVAL_FULL_PRECISION
        if mask == _INTERVAL_FULL_RANGE and precision == _INTERVAL_FULL_PRECISION:
            return PgType(oid)
        if precision < 0:
            message = f"INTERVAL({precision}) precision must not be negative"
            raise PgError(INVALID_PARAMETER_VALUE, message, position=position)
        if precision != _INTERVAL_FULL_PRECISION:
            precision = min(precision, 6)
        return PgType(oid, (mask & _INTERVAL_FULL_RANGE) << 16 | precision)
    if oid in (BIT, VARBIT):
        raise PgError(FEATURE_NOT_SUPPORTED, f"type {oid_name(oid)} is not supported", position=position)
    raise PgError(
        SYNTAX_ERROR, f'type modifier is not allowed for type "{facts.types()[oid].name}"', position=position
    )


def _numeric(typmods: Sequence[int], position: int | None) -> PgType:
    if len(typmods) > 2:
        raise PgError(INVALID_PARAMETER_VALUE, "invalid NUMERIC type modifier", position=position)
    precision, scale = typmods[0], typmods[1] if len(typmods) == 2 else 0
    if not 1 <= precision <= 1000:
        message = f"NUMERIC precision {precision} must be between 1 and 1000"
        raise PgError(INVALID_PARAMETER_VALUE, message, position=position)
    if not -1000 <= scale <= 1000:
        message = f"NUMERIC scale {scale} must be between -1000 and 1000"
        raise PgError(INVALID_PARAMETER_VALUE, message, position=position)
    return numeric(precision, scale)


def _length(oid: int, typmods: Sequence[int], position: int | None) -> int:
    word = "varchar" if oid == VARCHAR else "char"
    if len(typmods) != 1:
        raise PgError(INVALID_PARAMETER_VALUE, "invalid type modifier", position=position)
    if typmods[0] < 1:
        message = f"length for type {word} must be at least 1"
        raise PgError(INVALID_PARAMETER_VALUE, message, position=position)
    if typmods[0] > 10485760:
        message = f"length for type {word} cannot exceed 10485760"
        raise PgError(INVALID_PARAMETER_VALUE, message, position=position)
    return typmods[0]
