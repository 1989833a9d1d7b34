"""Reads of one row by its whole key and nothing else, from a parameter's bytes on the wire.

``SELECT columns FROM t WHERE key = $1``: what web applications and caches ask all day. Such a plan
needs no evaluation at all: its parameters are looked up, and columns of the stored row are the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from laminar import types as t
from laminar.engine.serving import Layout
from laminar.sql import plan as logical
from laminar.sql.adhoc.joinkeys import INTEGER_EQUALS
from laminar.sql.expressions import conjuncts
from laminar.sql.plan import Call, Column, ColumnRef, Const, Expr, Param, Plan
from laminar.types import PgType

#: bytes of integers
_INTEGERS: Final = {t.INT2: 2, t.INT4: 4, t.INT8: 8}
_TEXTS: Final = frozenset({t.TEXT, t.VARCHAR})
_EQUALS: Final = INTEGER_EQUALS | {"int2eq", "int4eq", "int8eq", "texteq"}
_MAX_KEYS: Final = 8
_MAX_DIGITS: Final = 19


class Unusual(Exception):
    """A value that the ordinary way has to deal with: of another form, or wrong."""


@dataclass(frozen=True, slots=True)
class Key:
    """The key of one row, from parameters.

    Args:
        keys: for each column of the relation's key a parameter's number (from 0), or the constant's form.
        widths: for each column of the key the bytes of its integers, or -1 for text.
    """

    keys: tuple[int | bytes, ...]
    widths: tuple[int, ...]
    param_types: tuple[PgType, ...]

    def values(
        self, params: Sequence[bytes | None], formats: Sequence[int]
    ) -> tuple[int | bytes, ...] | None:
        """The key as ``RowIndex.find_row`` takes it; None when no row can have it.

        Args:
            params: as Bind has them.
            formats: one for each.

        Raises:
            Unusual: a parameter is not in the plainest form of its type.
        """
        found = [
            read_plain(params[key], self.param_types[key], formats[key])
            if isinstance(key, int)
            else _constant(key, width)
            for key, width in zip(self.keys, self.widths, strict=True)
        ]
        for value, width in zip(found, self.widths, strict=True):
            if value is None:
                return None
            if isinstance(value, int) and not -(1 << 8 * width - 1) <= value < 1 << 8 * width - 1:
                return None
        return tuple(v for v in found if v is not None)


@dataclass(frozen=True, slots=True)
class KeyRead:
    """A plan that is a look-up by key.

    Args:
        positions: the stored columns that are the result.
    """

    relation: int
    key: Key
    positions: tuple[int, ...]


def key_read(
    plan: Plan, columns: Sequence[Column], param_types: Sequence[PgType], layout: Layout
) -> KeyRead | None:
    """The plan as a look-up in a relation of that layout; None when it is more than that."""
    found = scanned(plan)
    keyed = None if found is None else by_key(*found, param_types, layout)
    if found is None or keyed is None:
        return None
    scan, (key, rest) = found[0], keyed
    if rest or {k for k in key.keys if isinstance(k, int)} != set(range(len(param_types))):
        return None
    outputs = _outputs(plan, columns)
    if outputs is None:
        return None
    positions = tuple(layout.position[a] for a in (_attnums(scan)[i] for i in outputs))
    return KeyRead(scan.relation, key, positions)


def by_key(
    scan: logical.Scan, condition: Expr, param_types: Sequence[PgType], layout: Layout
) -> tuple[Key, list[Expr]] | None:
    """The key that a condition demands, and what it demands beside it; None without a whole key."""
    widths = key_widths(layout)
    if widths is None:
        return None
    by_id = _attnums(scan)
    wanted: dict[int, Expr] = {}
    rest: list[Expr] = []
    for part in conjuncts(condition):
        equal = _equality(part)
        position = layout.position.get(by_id.get(equal[0], -2)) if equal is not None else None
        if equal is None or position not in layout.key or position in wanted:
            rest.append(part)
        else:
            wanted[position] = equal[1]
    if set(wanted) != set(layout.key):
        return None
    given = (wanted[position] for position in layout.key)
    keys = (e.index - 1 if isinstance(e, Param) else str(_value(e)).encode() for e in given)
    return Key(tuple(keys), widths, tuple(param_types)), rest


def key_widths(layout: Layout) -> tuple[int, ...] | None:
    """``Key.widths`` for every row of a relation; None when its key is not of integers and texts."""
    widths = tuple(_INTEGERS.get(t.oid, -1) for t in layout.key_types)
    plain = all(w > 0 or t.oid in _TEXTS for w, t in zip(widths, layout.key_types, strict=True))
    return widths if plain and 0 < len(widths) <= _MAX_KEYS else None


def _attnums(scan: logical.Scan) -> dict[int, int]:
    return {c.id: a for c, a in zip(scan.columns, scan.attnums, strict=True)}


def scanned(plan: Plan) -> tuple[logical.Scan, Expr] | None:
    """The scan and the condition of projections over one filter over a scan."""
    while isinstance(plan, logical.Project):
        plan = plan.input
    if isinstance(plan, logical.Filter) and isinstance(plan.input, logical.Scan):
        return plan.input, plan.condition
    return None


def _equality(part: Expr) -> tuple[int, Expr] | None:
    """A column's id and the parameter or constant that it must equal."""
    if not isinstance(part, Call) or part.function.symbol not in _EQUALS or len(part.args) != 2:
        return None
    for column, value in (part.args, part.args[::-1]):
        if not isinstance(column, ColumnRef) or not isinstance(value, Param | Const):
            continue
        if isinstance(value, Const) and _value(value) is None:
            return None
        if value.type.oid in _INTEGERS if column.type.oid in _INTEGERS else column.type == value.type:
            return column.id, value
    return None


def _value(expr: Expr) -> int | str | None:
    value = expr.value if isinstance(expr, Const) else None
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def _constant(key: bytes, width: int) -> int | bytes:
    return key if width < 0 else int(key)


def _outputs(plan: Plan, columns: Sequence[Column]) -> list[int] | None:
    """The ids of the scan's columns that a chain of projections gives; None when it computes something."""
    ids = [c.id for c in columns]
    while isinstance(plan, logical.Project):
        made = {c.id: e for c, e in zip(plan.columns, plan.exprs, strict=True)}
        below = []
        for i in ids:
            expr = made.get(i)
            if not isinstance(expr, ColumnRef):
                return None
            below.append(expr.id)
        ids, plan = below, plan.input
    return ids


def read_plain(value: bytes | None, pg_type: PgType, form: int) -> int | bytes | None:
    """A parameter of an integer or text type as Bind has it; None for null. Raises Unusual for others."""
    if value is None:
        return None
    width = _INTEGERS.get(pg_type.oid)
    if width is None:
        if pg_type.oid not in _TEXTS or b"\0" in value:
            raise Unusual
        if not value.isascii():
            _check_utf8(value)
        return value
    if form == 1:
        if len(value) != width:
            raise Unusual
        return int.from_bytes(value, "big", signed=True)
    digits = value[1:] if value[:1] == b"-" else value
    if not digits.isdigit() or len(digits) > _MAX_DIGITS:
        raise Unusual
    number = int(value)
    if not -(1 << 8 * width - 1) <= number < 1 << 8 * width - 1:
        raise Unusual
    return number


def _check_utf8(value: bytes) -> None:
    try:
        value.decode()
    except UnicodeDecodeError:
        raise Unusual from None
