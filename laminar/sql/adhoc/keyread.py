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
class KeyRead:
    """A plan that is a look-up by key.

    Args:
        keys: for each column of the relation's key a parameter's number (from 0), or the constant's form.
        widths: for each column of the key the bytes of its integers, or -1 for text.
        positions: the stored columns that are the result.
    """

    relation: int
    keys: tuple[int | bytes, ...]
    widths: tuple[int, ...]
    param_types: tuple[PgType, ...]
    positions: tuple[int, ...]

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
        given = [_read(p, pg, f) for p, pg, f in zip(params, self.param_types, formats, strict=True)]
        found: list[int | bytes] = []
        for key, width in zip(self.keys, self.widths, strict=True):
            value = given[key] if isinstance(key, int) else _constant(key, width)
            if value is None:
                return None
            if isinstance(value, int) and not -(1 << 8 * width - 1) <= value < 1 << 8 * width - 1:
                return None
            found.append(value)
        return tuple(found)


def key_read(
    plan: Plan, columns: Sequence[Column], param_types: Sequence[PgType], layout: Layout
) -> KeyRead | None:
    """The plan as a look-up in a relation of that layout; None when it is more than that."""
    found = scanned(plan)
    if found is None:
        return None
    scan, condition = found
    if not 0 < len(layout.key) <= _MAX_KEYS:
        return None
    by_id = {c.id: a for c, a in zip(scan.columns, scan.attnums, strict=True)}
    wanted: dict[int, Expr] = {}
    parts = conjuncts(condition)
    for part in parts:
        equal = _equality(part)
        if equal is None or equal[0] not in by_id:
            return None
        wanted[layout.position[by_id[equal[0]]]] = equal[1]
    if len(parts) != len(layout.key) or set(wanted) != set(layout.key):
        return None
    if {e.index for e in wanted.values() if isinstance(e, Param)} != set(range(1, len(param_types) + 1)):
        return None
    keys: list[int | bytes] = []
    widths: list[int] = []
    for position, pg_type in zip(layout.key, layout.key_types, strict=True):
        width = _INTEGERS.get(pg_type.oid, -1)
        expr = wanted[position]
        if width < 0 and pg_type.oid not in _TEXTS:
            return None
        keys.append(expr.index - 1 if isinstance(expr, Param) else str(_value(expr)).encode())
        widths.append(width)
    outputs = _outputs(plan, columns)
    if outputs is None:
        return None
    positions = tuple(layout.position[by_id[i]] for i in outputs)
    return KeyRead(scan.relation, tuple(keys), tuple(widths), tuple(param_types), positions)


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


def _read(value: bytes | None, pg_type: PgType, form: int) -> int | bytes | None:
    """A parameter as Bind has it; None for null."""
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
