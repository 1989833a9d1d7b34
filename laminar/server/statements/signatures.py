"""Functions by name and argument types, as DROP and its kin name them."""

from __future__ import annotations

from typing import Literal

from laminar.catalog.objects import StoredFunction
from laminar.errors import (
    AMBIGUOUS_FUNCTION,
    UNDEFINED_FUNCTION,
    UNDEFINED_SCHEMA,
    WRONG_OBJECT_TYPE,
    PgError,
)
from laminar.server.session import Session
from laminar.sql import ast, facts
from laminar.sql import statements as s
from laminar.sql.binder import bind_type
from laminar.sql.resolve import oid_name


def signature(session: Session, name: s.QName, arguments: list[ast.TypeName] | None) -> str:
    """``f(integer, text)``, or ``f()`` without parentheses."""
    types = [bind_type(a, session.catalog) for a in arguments or ()]
    return f"{name}({', '.join(oid_name(type_.oid) for type_ in types)})"


def named_function(
    session: Session,
    name: s.QName,
    arguments: list[ast.TypeName] | None,
    *,
    missing_ok: bool,
    kind: Literal["function", "aggregate"] = "function",
) -> StoredFunction | None:
    """The user's function or aggregate that is meant.

    Raises:
        PgError: 42883 there is none, 42725 several when no types are given, 2BP01 for PostgreSQL's own,
            42809 for one of the other kind.
    """
    aggregate = kind == "aggregate"
    types = None if arguments is None else tuple(bind_type(a, session.catalog).oid for a in arguments)
    schemas = (name.schema,) if name.schema is not None else session.catalog.search_path
    catalog = session.database.catalog
    if name.schema is not None and name.schema not in catalog.schemas and name.schema != "pg_catalog":
        raise PgError(UNDEFINED_SCHEMA, f'schema "{name.schema}" does not exist', position=name.pos or None)
    for schema in schemas:
        found = [f for f in catalog.functions_named(schema, name.name) if types in (None, f.types)]
        if len(found) > 1:
            raise PgError(
                AMBIGUOUS_FUNCTION,
                f'{kind} name "{name}" is not unique',
                hint=f"Specify the argument list to select the {kind} unambiguously.",
                position=name.pos or None,
            )
        if found and found[0].aggregate != aggregate:
            shown = f"{name}({', '.join(oid_name(oid) for oid in found[0].types)})"
            if aggregate:
                raise PgError(WRONG_OBJECT_TYPE, f"function {shown} is not an aggregate")
            hint = "Use DROP AGGREGATE to drop aggregate functions."
            raise PgError(WRONG_OBJECT_TYPE, f'"{name.name}" is an aggregate function', hint=hint)
        if found:
            return found[0]
        if schema == "pg_catalog":
            for fact in facts.functions_named(name.name):
                if types in (None, fact.args):
                    shown = f"{name}({', '.join(oid_name(oid) for oid in fact.args)})"
                    message = f"cannot drop function {shown} because it is required by the database system"
                    raise PgError("2BP01", message)
    if missing_ok:
        return None
    if types is None:
        raise PgError(
            UNDEFINED_FUNCTION, f'could not find {"an" if aggregate else "a"} {kind} named "{name}"'
        )
    raise PgError(UNDEFINED_FUNCTION, f"{kind} {signature(session, name, arguments)} does not exist")
