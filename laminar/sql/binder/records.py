"""Rows as values: ``ROW(a, b)``, whole rows of FROM, their fields; rows as arguments of JSON functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from laminar.errors import PgError, not_supported
from laminar.sql import ast, facts
from laminar.sql import plan as p
from laminar.sql.binder import scope
from laminar.sql.binder.scope import Item, Level
from laminar.sql.binder.state import location
from laminar.sql.facts.own import ROW_JSON
from laminar.sql.resolve import array_type, oid_name
from laminar.sql.resolve.calls import as_function
from laminar.sql.resolve.rowtypes import ROW, made_row
from laminar.sql.resolve.rowtypes import field as field_of
from laminar.types import BOOL, RECORD, TEXT, PgType

if TYPE_CHECKING:
    from laminar.sql.binder.calls import CallBinder
    from laminar.sql.binder.exprs import ExpressionBinder

#: functions that take a row for any of their arguments
JSON_FUNCTIONS: Final = frozenset(
    {"row_to_json", "to_json", "to_jsonb", "json_agg", "jsonb_agg", "json_object_agg", "jsonb_object_agg"}
    | {f"{type_}_build_{kind}" for type_ in ("json", "jsonb") for kind in ("array", "object")}
)
_ROW_OID: Final = 10008
_IS_NULL: Final = p.Function(10042, "row_is_null", "laminar_row_null", False, "i")
_IS_NOT_NULL: Final = p.Function(10043, "row_is_not_null", "laminar_row_not_null", False, "i")


_COMPACT: Final = p.Const(False, PgType(BOOL))

Named = list[tuple[str, p.Expr]]


# --- rows


def constructed(binder: ExpressionBinder, node: ast.Row, level: Level) -> p.Expr:
    """ROW(…) with its stars expanded."""
    values = [value for _, value in items(binder, node.items, level)]
    return made_row([(f"f{i}", value) for i, value in enumerate(values, 1)], node.pos)


def items(binder: ExpressionBinder, nodes: list[ast.Expr], level: Level, *, known: bool = True) -> Named:
    """A row constructor's values: ``t.*`` and ``(row).*`` stand for all columns.

    Args:
        known: untyped literals become text.
    """
    values: Named = []
    for node in nodes:
        if isinstance(node, ast.Star) and node.parts:
            values += _columns(binder, node.parts, node.pos, level)
        elif isinstance(node, ast.FieldSelect) and node.name == "*":
            values += expanded(binder, node, level)
        else:
            value = binder.expr(node, level)
            values.append(("", binder.known(value, node) if known else value))
    return values


def _columns(binder: ExpressionBinder, parts: tuple[str, ...], pos: int, level: Level) -> Named:
    found = scope.find_item(level, parts[-1], parts[-2] if len(parts) > 1 else None)
    if found is None:
        raise scope.missing_item(level, parts[-1], pos)
    return [(label, binder.reference(column, found[1], pos)) for label, column in found[0].columns]


def whole_row(binder: ExpressionBinder, parts: tuple[str, ...], pos: int, level: Level) -> p.Expr | None:
    """The row of a FROM item of that name, null where an outer join found none; None if there is no item."""
    found = scope.find_item(level, parts[-1], parts[-2] if len(parts) > 1 else None)
    if found is None:
        return None
    item, depth = found
    if item.value:
        return binder.reference(item.columns[0][1], depth, pos)
    row = made_row(_columns(binder, parts, pos, level), pos)
    return _unless_missing(binder, item, depth, row, pos)


def expanded(binder: ExpressionBinder, node: ast.FieldSelect, level: Level) -> Named:
    """``(row).*``"""
    arg = binder.expr(node.arg, level)
    shape = _shape(arg, node)
    return [(name, field_of(arg, place, node.pos)) for place, (name, _) in enumerate(shape)]


def field(binder: ExpressionBinder, node: ast.FieldSelect, level: Level) -> p.Expr:
    """``(row).name``

    Raises:
        PgError: 42809 it is no row, 42703 there is no such field.
    """
    arg = binder.expr(node.arg, level)
    for place, (name, _) in enumerate(_shape(arg, node)):
        if name == node.name:
            return field_of(arg, place, node.pos)
    if arg.type.oid == RECORD:
        message = f'could not identify column "{node.name}" in record data type'
    else:
        message = f'column "{node.name}" not found in data type {oid_name(arg.type.oid)}'
    raise PgError("42703", message, position=location(node.arg) or None)


def _shape(arg: p.Expr, node: ast.FieldSelect) -> tuple[tuple[str, PgType], ...]:
    if not arg.type.is_row:
        name = oid_name(arg.type.oid)
        if node.name == "*":
            raise PgError("42809", f"type {name} is not composite", position=location(node.arg) or None)
        message = f"column notation .{node.name} applied to type {name}, which is not a composite type"
        raise PgError("42809", message, position=location(node.arg) or None)
    shape = arg.type.row
    if shape is None:
        raise not_supported("rows whose fields are not known are not supported", position=node.pos)
    return shape


def null_test(row: p.Expr, negated: bool, pos: int) -> p.Expr:
    """``row IS [NOT] NULL``: true when all fields are (not) null."""
    return p.Call(_IS_NOT_NULL if negated else _IS_NULL, (row,), PgType(BOOL), pos)


# --- rows as JSON


def json_record(
    binder: CallBinder,
    node: ast.Expr,
    level: Level,
    type_: PgType = ROW_JSON,
    pretty: p.Expr = _COMPACT,
) -> p.Expr | None:
    """The JSON object of a row constructor or a whole row of FROM; None if the expression is neither.

    Args:
        type_: of the result.
        pretty: whether a line feed is to come between the fields.
    """
    if isinstance(node, ast.Row):
        return _call(_fields(binder, node, level), pretty, type_, node.pos)
    if isinstance(node, ast.Name) and len(node.parts) <= 2:
        if len(node.parts) == 1 and scope.find_column(level, node.parts[0], node.pos) is not None:
            return None
        parts, pos = node.parts, node.pos
        if len(parts) == 2 and scope.find_item(level, parts[0], None) is not None:
            return None
    elif isinstance(node, ast.Star) and node.parts:
        parts, pos = node.parts, node.pos
    else:
        return None
    found = scope.find_item(level, parts[-1], parts[-2] if len(parts) > 1 else None)
    if found is None or found[0].value:
        return None
    item, depth = found
    values = [(label, binder.reference(column, depth, pos)) for label, column in item.columns]
    return _unless_missing(binder, item, depth, _call(values, pretty, type_, pos), pos)


def json_of(row: p.Expr, type_: PgType = ROW_JSON, pretty: p.Expr = _COMPACT) -> p.Expr:
    """A row value's JSON object; null for a null row."""
    shape = row.type.row
    assert shape is not None
    values = [(name, field_of(row, place, 0)) for place, (name, _) in enumerate(shape)]
    made = _call([(name, json_of(v) if v.type.is_row else v) for name, v in values], pretty, type_, 0)
    if isinstance(row, p.Call) and row.function is ROW:
        return made
    return p.Case(((p.Test(row, "null"), p.Const(None, type_)),), made, type_)


def _fields(binder: CallBinder, node: ast.Row, level: Level) -> Named:
    values: list[p.Expr] = []
    for part in node.items:
        inner = None if isinstance(part, ast.Star) else json_record(binder, part, level)
        values += [value for _, value in items(binder, [part], level)] if inner is None else [inner]
    return [(f"f{i}", json_of(v) if v.type.is_row else v) for i, v in enumerate(values, 1)]


def _call(fields: Named, pretty: p.Expr, type_: PgType, pos: int) -> p.Call:
    names = p.Const(tuple(name for name, _ in fields), PgType(array_type(TEXT)))
    function = as_function(facts.function(_ROW_OID))
    return p.Call(function, (pretty, names, *(value for _, value in fields)), type_, pos)


def _unless_missing(binder: ExpressionBinder, item: Item, depth: int, record: p.Expr, pos: int) -> p.Expr:
    """Null where an outer join found no row."""
    if not item.nullable:
        return record
    relation = item.relation
    present = {a.attnum for a in relation.columns if a.not_null} if relation else set()
    present |= set(relation.primary_key) if relation else set()
    ids = {item.ids[attnum] for attnum in present if attnum in item.ids}
    column = next((c for _, c in item.columns if c.id in ids), None)
    if column is None:
        raise not_supported(
            "a whole row of the nullable side of an outer join is not supported",
            hint="Its columns are: name them in json_build_object().",
            position=pos,
        )
    test = p.Test(binder.reference(column, depth, pos), "null", False)
    return p.Case(((test, p.Const(None, record.type)),), record, record.type)
