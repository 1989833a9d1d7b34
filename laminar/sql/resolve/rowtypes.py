"""Conversions of rows: values to a row, a row's fields, rows to composite types and back."""

from __future__ import annotations

from typing import Final

from laminar.errors import CANNOT_COERCE, PgError
from laminar.sql.plan import Call, Case, Const, Expr, Function, Test
from laminar.sql.resolve.names import oid_name
from laminar.sql.resolve.rules import Context
from laminar.types import INT4, RECORD, TEXT, UNKNOWN, PgType

ROW: Final = Function(10040, "row", "laminar_row", False, "i")
_FIELD: Final = Function(10041, "row_field", "laminar_field", True, "i")


def made_row(fields: list[tuple[str, Expr]], position: int) -> Call:
    """The row of these values. Its fields have no type modifiers, so that rows compare by type alone."""
    from laminar.sql.resolve.coercion import coerce

    values = tuple(
        coerce(e, PgType(e.type.oid, fields=e.type.fields), "implicit", position or None) for _, e in fields
    )
    shape = tuple((name, value.type) for (name, _), value in zip(fields, values, strict=True))
    return Call(ROW, values, PgType(RECORD, fields=shape), position)


def field(row: Expr, place: int, position: int = 0) -> Expr:
    """A field's value: what the row was made of, where that is at hand."""
    shape = row.type.row
    assert shape is not None
    made = row.default if isinstance(row, Case) and _is_set_row(row) else row
    if isinstance(made, Call) and made.function is ROW:
        return made.args[place]
    return Call(_FIELD, (row, Const(place, PgType(INT4))), shape[place][1], position)


def set_row(fields: list[tuple[str, Expr]], ordinality: Expr, position: int) -> Expr:
    """A row out of a set-returning function's columns: null where the set has ended."""
    return _unless_null(ordinality, made_row(fields, position))


def _is_set_row(row: Case) -> bool:
    """Whether it is of :func:`set_row`, whose columns are null together with the row."""
    test = row.whens[0][0]
    return len(row.whens) == 1 and isinstance(test, Test) and isinstance(test.arg, Call)


def _unless_null(row: Expr, result: Expr) -> Expr:
    return Case(((Test(row, "null"), Const(None, result.type)),), result, result.type)


def to_record(row: Expr, position: int) -> Expr:
    """A composite value as a record."""
    fields = [(name, field(row, i, position)) for i, (name, _) in enumerate(row.type.row or ())]
    made = made_row(fields, position)
    return made if isinstance(row, Call) and row.function is ROW else _unless_null(row, made)


def to_composite(row: Expr, target: PgType, context: Context, position: int) -> Expr:
    """A record as a value of a composite type, field by field.

    Raises:
        PgError: 42846 it has other fields.
    """
    from laminar.sql.resolve.coercion import coerce

    shape, wanted = row.type.row, target.row
    if shape is None or wanted is None or len(shape) != len(wanted):
        few = shape is not None and wanted is not None and len(shape) < len(wanted)
        raise PgError(
            CANNOT_COERCE,
            f"cannot cast type record to {oid_name(target.oid)}",
            detail=f"Input has too {'few' if few else 'many'} columns." if shape is not None else None,
            position=position or None,
        )
    at = position or None
    values = tuple(
        coerce(_literal_again(field(row, i, position)), type_, context, at)
        for i, (_, type_) in enumerate(wanted)
    )
    made = Call(ROW, values, PgType(target.oid), position)
    return made if isinstance(row, Call) and row.function is ROW else _unless_null(row, made)


def _literal_again(value: Expr) -> Expr:
    """ROW(…) has made text of an untyped literal; in a composite type it is what the field is."""
    if isinstance(value, Const) and value.type == PgType(TEXT):
        return Const(value.value, PgType(UNKNOWN))
    return value
