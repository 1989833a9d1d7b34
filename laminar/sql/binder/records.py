"""Rows as arguments of JSON functions: ``row_to_json(t)``, ``to_jsonb(ROW(1, 2))``, ``json_agg(t)``.

A row there is bound as its JSON object, which the functions pass on; elsewhere rows are not values yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from laminar.errors import not_supported
from laminar.sql import ast, facts
from laminar.sql import plan as p
from laminar.sql.binder import scope
from laminar.sql.binder.scope import Item, Level
from laminar.sql.facts.own import ROW_JSON
from laminar.sql.resolve import array_type
from laminar.sql.resolve.calls import as_function
from laminar.types import BOOL, TEXT, PgType

if TYPE_CHECKING:
    from laminar.sql.binder.calls import CallBinder

#: functions that take a row for any of their arguments
JSON_FUNCTIONS: Final = frozenset(
    {"row_to_json", "to_json", "to_jsonb", "json_agg", "jsonb_agg", "json_object_agg", "jsonb_object_agg"}
    | {f"{type_}_build_{kind}" for type_ in ("json", "jsonb") for kind in ("array", "object")}
)
_ROW_OID: Final = 10008


_COMPACT: Final = p.Const(False, PgType(BOOL))


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
    if found is None:
        return None
    item, depth = found
    values = [(label, binder.reference(column, depth, pos)) for label, column in item.columns]
    return _unless_missing(binder, item, depth, _call(values, pretty, type_, pos), pos)


def _fields(binder: CallBinder, node: ast.Row, level: Level) -> list[tuple[str, p.Expr]]:
    values: list[p.Expr] = []
    for part in node.items:
        if isinstance(part, ast.Star) and part.parts:
            found = scope.find_item(level, part.parts[-1], part.parts[-2] if len(part.parts) > 1 else None)
            if found is None:
                raise scope.missing_item(level, part.parts[-1], part.pos)
            values += [binder.reference(column, found[1], part.pos) for _, column in found[0].columns]
        else:
            inner = json_record(binder, part, level)
            values.append(binder.known(binder.expr(part, level), part) if inner is None else inner)
    return [(f"f{i}", value) for i, value in enumerate(values, 1)]


def _call(fields: list[tuple[str, p.Expr]], pretty: p.Expr, type_: PgType, pos: int) -> p.Call:
    names = p.Const(tuple(name for name, _ in fields), PgType(array_type(TEXT)))
    function = as_function(facts.function(_ROW_OID))
    return p.Call(function, (pretty, names, *(value for _, value in fields)), type_, pos)


def _unless_missing(binder: CallBinder, item: Item, depth: int, record: p.Expr, pos: int) -> p.Expr:
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
