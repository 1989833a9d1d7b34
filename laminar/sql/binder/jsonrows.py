"""json_to_record(set), json_populate_record(set) and their jsonb kin: rows made of JSON objects.

A call becomes ``populate(base, object)``, a row of the base's type; of the set-returning ones ``object`` is a
call that yields the elements of the array.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from laminar.errors import DATATYPE_MISMATCH, FEATURE_NOT_SUPPORTED, SYNTAX_ERROR, PgError
from laminar.sql import ast
from laminar.sql import plan as p
from laminar.types import RECORD, PgType

_POPULATE: Final = p.Function(10022, "json_populate_record", "laminar_json_populate", False, "s")
_NAMES: Final = frozenset(
    f"{json}_{what}_record{sets}"
    for json in ("json", "jsonb")
    for what in ("to", "populate")
    for sets in ("", "set")
)
Shape = tuple[tuple[str, PgType], ...]


def populates(function: p.Function) -> bool:
    """Whether it makes rows of JSON objects."""
    return function.routine is None and function.symbol in _NAMES


def is_populated(call: p.Call) -> bool:
    """Whether it is what :func:`populated` gives."""
    return call.function is _POPULATE


def populated(
    function: p.Function, args: Sequence[p.Expr], position: int, shape: Shape | None = None
) -> p.Call:
    """The row, or the rows, that a call stands for.

    Args:
        shape: the column definition list, for rows of type ``record``.
    """
    base, json = _base(function, args, position, shape)
    if function.symbol.endswith("set"):
        # nothing comes of null, whatever the base is
        json = p.Call(replace(function, strict=True), (json,), json.type, position)
    return p.Call(_POPULATE, (base, json), base.type, position)


def _base(
    function: p.Function, args: Sequence[p.Expr], position: int, shape: Shape | None
) -> tuple[p.Expr, p.Expr]:
    given = None if "_to_" in function.symbol else args[0]
    if given is not None and given.type.oid != RECORD:
        if given.type.row is None:
            message = f"first argument of {function.name} must be a row type"
            raise PgError(DATATYPE_MISMATCH, message)
        if shape is not None:
            message = 'a column definition list is only allowed for functions returning "record"'
            raise PgError(SYNTAX_ERROR, message, position=position or None)
    if given is not None and given.type.row is not None:
        return given, args[1]
    assert shape is not None
    return p.Const(None, PgType(RECORD, fields=shape)), args[0 if given is None else 1]


def without_definitions(
    function: p.Function, args: Sequence[p.Expr], node: ast.FuncCall, *, in_from: bool
) -> p.Call:
    """A call without a column definition list: only a base of a known type says what its rows are.

    Raises:
        PgError: 42601 in FROM and 0A000 elsewhere, if nothing says it; 42804 for a base that is no row.
    """
    known = "_to_" not in function.symbol and (args[0].type.oid != RECORD or args[0].type.row is not None)
    if known:
        return populated(function, args, node.pos)
    if in_from:
        message = 'a column definition list is required for functions returning "record"'
        raise PgError(SYNTAX_ERROR, message, position=node.pos)
    raise PgError(
        FEATURE_NOT_SUPPORTED,
        f"could not determine row type for result of {function.name}",
        hint="Provide a non-null record argument, or call the function in the FROM clause using a column "
        "definition list.",
    )
