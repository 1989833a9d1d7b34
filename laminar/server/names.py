"""Names of catalog objects and their oids: what text means as regclass, regtype and so on, and back."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from laminar.catalog.system.pg_catalog import NAMESPACES
from laminar.catalog.system.registry import domains
from laminar.errors import UNDEFINED_OBJECT, UNDEFINED_TABLE, PgError
from laminar.sql import facts
from laminar.sql.binder import bind_type
from laminar.sql.binder.state import user_type
from laminar.sql.parse import parse_type
from laminar.sql.resolve import oid_name, type_name
from laminar.types import (
    REGCLASS,
    REGCOLLATION,
    REGNAMESPACE,
    REGOPER,
    REGOPERATOR,
    REGPROC,
    REGPROCEDURE,
    REGROLE,
    REGTYPE,
    PgType,
)  # fmt: skip

if TYPE_CHECKING:
    from laminar.server.session import Session

_COLLATIONS: Final = {100: "default", 950: "C", 951: "POSIX"}


def split_name(name: str) -> tuple[str, ...]:
    """The parts of a qualified name, quotes taken off; spaces may stand around each."""
    parts: list[str] = []
    at = 0
    while (found := _PART.match(name, at)) is not None:
        parts.append(found[1].replace('""', '"') if found[1] is not None else found[2].strip().lower())
        if not found[3]:
            return tuple(parts)
        at = found.end()
    return (name,)


_PART = re.compile(r'\s*(?:"((?:[^"]|"")+)"\s*|([^".]+))(\.|$)')


def quoted(name: str) -> str:
    """quote_ident()."""
    from laminar.sql.keywords import COL_NAME, RESERVED, TYPE_FUNC_NAME

    if re.fullmatch(r"[a-z_][a-z0-9_$]*", name) and name not in RESERVED | TYPE_FUNC_NAME | COL_NAME:
        return name
    return '"' + name.replace('"', '""') + '"'


def schema_name(session: Session, oid: int) -> str | None:
    """pg_namespace.nspname."""
    for name, known in NAMESPACES.items():
        if known == oid:
            return name
    return next((s.name for s in session.database.catalog.schemas.values() if s.oid == oid), None)


def schema_oid(session: Session, name: str) -> int | None:
    """pg_namespace.oid."""
    if name in NAMESPACES:
        return NAMESPACES[name]
    schema = session.database.catalog.schemas.get(name)
    return None if schema is None else schema.oid


# --- text to oid ----------------------------------------------------------------------


def parse(session: Session, text: str, type_oid: int) -> int:
    """The oid that text means; raises 42P01, 42704, 42883, 42725."""
    if text.isdigit():
        return int(text)
    if text == "-" and type_oid not in (REGNAMESPACE, REGROLE):
        return 0
    return _PARSERS[type_oid](session, text)


def _parse_class(session: Session, text: str) -> int:
    parts = split_name(text)
    found = session.catalog.relation(parts[-2] if len(parts) > 1 else None, parts[-1])
    if found is None:
        raise PgError(UNDEFINED_TABLE, f'relation "{".".join(parts)}" does not exist')
    return found.oid


def _parse_type(session: Session, text: str) -> int:
    try:
        node = parse_type(text)
        named = user_type(node, session.catalog)
        if named is not None:
            return named.array if node.dims else named.oid
        return bind_type(node).oid
    except PgError:
        parts = split_name(text)
        pseudo = facts.types_by_name().get(parts[-1])
        if pseudo is not None and parts[:-1] in ((), ("pg_catalog",)):
            return pseudo.oid
        found = session.catalog.relation(parts[-2] if len(parts) > 1 else None, parts[-1])
        if found is None:
            raise
        stored = session.database.catalog.relations.get(found.oid)
        row_type = session.database.system.by_oid[found.oid].row_type if stored is None else None
        return row_type if row_type is not None else (stored.parts.get("type", 0) if stored else 0)


def _functions(session: Session, name: str) -> list[facts.ProcFact]:
    parts = split_name(name)
    schema = parts[-2] if len(parts) > 1 else None
    found = list(session.catalog.functions(schema, parts[-1]))
    if schema in (None, "pg_catalog"):
        found += [fact for fact in facts.functions_named(parts[-1]) if fact.oid < 10000 or fact.oid >= 11000]
    return found


def _parse_function(session: Session, text: str) -> int:
    found = _functions(session, text)
    if len(found) != 1:
        what = "does not exist" if not found else None
        if what is None:
            raise PgError("42725", f'more than one function named "{text}"')
        raise PgError("42883", f'function "{text}" {what}')
    return found[0].oid


def _parse_signature(session: Session, text: str) -> int:
    name, _, rest = text.partition("(")
    if not rest:
        raise PgError("22P02", "expected a left parenthesis")
    types = [part for part in rest.rstrip().removesuffix(")").split(",") if part.strip()]
    oids = tuple(_parse_type(session, part.strip()) for part in types)
    for fact in _functions(session, name.strip()):
        if fact.args == oids:
            return fact.oid
    raise PgError("42883", f'function "{text}" does not exist')


def _parse_operator_name(_session: Session, text: str) -> int:
    found = facts.operators_named(text.rpartition(".")[2])
    if len(found) != 1:
        if found:
            raise PgError("42725", f"more than one operator named {text}")
        raise PgError("42883", f"operator does not exist: {text}")
    return found[0].oid


def _parse_operator(session: Session, text: str) -> int:
    name, _, rest = text.partition("(")
    sides = [part.strip() for part in rest.rstrip().removesuffix(")").split(",")]
    oids = [0 if side.upper() == "NONE" else _parse_type(session, side) for side in sides]
    for fact in facts.operators_named(name.strip().rpartition(".")[2]):
        if [fact.left, fact.right] == oids:
            return fact.oid
    raise PgError("42883", f"operator does not exist: {text}")


def _parse_schema(session: Session, text: str) -> int:
    name = split_name(text)[-1]
    oid = schema_oid(session, name)
    if oid is None:
        raise PgError("3F000", f'schema "{name}" does not exist')
    return oid


def _parse_role(session: Session, text: str) -> int:
    name = split_name(text)[-1]
    role = session.database.catalog.roles.get(name)
    if role is None:
        raise PgError(UNDEFINED_OBJECT, f'role "{name}" does not exist')
    return role.oid


def _parse_collation(_session: Session, text: str) -> int:
    name = split_name(text)[-1]
    for oid, known in _COLLATIONS.items():
        if known == name:
            return oid
    raise PgError(UNDEFINED_OBJECT, f'collation "{text}" for encoding "UTF8" does not exist')


def _parse_search(name: str, column: str) -> Callable[[Session, str], int]:
    def find(_session: Session, text: str) -> int:
        columns, rows = facts.raw(name)
        wanted = split_name(text)[-1]
        for row in rows:
            if row[columns.index(column)] == wanted:
                return int(row[0])
        what = "configuration" if name == "pg_ts_config" else "dictionary"
        raise PgError(UNDEFINED_OBJECT, f'text search {what} "{text}" does not exist')

    return find


_PARSERS: Final[dict[int, Callable[[Session, str], int]]] = {
    REGCLASS: _parse_class,
    REGTYPE: _parse_type,
    REGPROC: _parse_function,
    REGPROCEDURE: _parse_signature,
    REGOPER: _parse_operator_name,
    REGOPERATOR: _parse_operator,
    REGNAMESPACE: _parse_schema,
    REGROLE: _parse_role,
    REGCOLLATION: _parse_collation,
    3734: _parse_search("pg_ts_config", "cfgname"),
    3769: _parse_search("pg_ts_dict", "dictname"),
}

# --- oid to text ----------------------------------------------------------------------


def display(session: Session, oid: int, type_oid: int) -> str:
    """The name of an oid, qualified unless the search path finds it; an unknown one as its digits."""
    if oid == 0:
        return "-"
    return _DISPLAYS[type_oid](session, oid) or str(oid)


def relation_name(session: Session, oid: int) -> str | None:
    """A relation's name, qualified unless the search path finds it."""
    found = session.catalog.relation_by_oid(oid)
    if found is None:
        for r in session.database.catalog.relations.values():
            if r.parts.get("key index") == oid:
                from laminar.catalog.system.pg_catalog import key_name

                return quoted(key_name(r))
        return None
    visible = session.catalog.relation(None, found.name)
    if visible is not None and visible.oid == oid:
        return quoted(found.name)
    return f"{quoted(found.schema)}.{quoted(found.name)}"


def named_type(session: Session, oid: int, typmod: int = -1) -> str | None:
    """format_type(): None for an oid that is no type's."""
    made = next((t for t in session.database.catalog.types.values() if oid in (t.oid, t.array)), None)
    if made is not None:
        visible = session.catalog.type_named(None, made.name)
        shown = quoted(made.name)
        if visible is None or visible.oid != made.oid:
            shown = f"{quoted(made.schema)}.{shown}"
        return shown if oid == made.oid else f"{shown}[]"
    if oid in facts.types():
        return oid_name(oid) if typmod < 0 else type_name(PgType(oid, typmod))
    if oid in domains():
        return f"information_schema.{domains()[oid][0]}"
    for domain, (_, _, _, array) in domains().items():
        if array == oid:
            return f"information_schema.{domains()[domain][0]}[]"
    for s in session.database.system.by_oid.values():
        if s.row_type == oid:
            return relation_name(session, s.oid)
    for r in session.database.catalog.relations.values():
        if oid in (r.parts.get("type"), r.parts.get("array")):
            return f"{relation_name(session, r.oid)}{'[]' if oid == r.parts['array'] else ''}"
    return None


def function_name(session: Session, oid: int) -> str | None:
    """regproc's text: the bare name when it alone is enough."""
    stored = session.database.catalog.functions.get(oid)
    name = stored.name if stored is not None else None
    if name is None:
        try:
            name = facts.function(oid).name
        except (KeyError, StopIteration):
            return None
    if len(_functions(session, quoted(name))) == 1:
        return quoted(name)
    return f"{quoted(stored.schema if stored is not None else 'pg_catalog')}.{quoted(name)}"


def _signature(session: Session, oid: int) -> str | None:
    stored = session.database.catalog.functions.get(oid)
    if stored is not None:
        return f"{quoted(stored.name)}({','.join(oid_name(t) for t in stored.types)})"
    try:
        fact = facts.function(oid)
    except (KeyError, StopIteration):
        return None
    return f"{quoted(fact.name)}({','.join(oid_name(t) for t in fact.args)})"


def _operator_name(_session: Session, oid: int) -> str | None:
    fact = facts.operators().get(oid)
    if fact is None:
        return None
    return fact.name if len(facts.operators_named(fact.name)) == 1 else f"pg_catalog.{fact.name}"


def _operator(_session: Session, oid: int) -> str | None:
    fact = facts.operators().get(oid)
    if fact is None:
        return None
    return f"{fact.name}({oid_name(fact.left) if fact.left else 'NONE'},{oid_name(fact.right)})"


def _quoted_schema(session: Session, oid: int) -> str | None:
    name = schema_name(session, oid)
    return None if name is None else quoted(name)


def _role(session: Session, oid: int) -> str | None:
    return next((quoted(r.name) for r in session.database.catalog.roles.values() if r.oid == oid), None)


def _collation(_session: Session, oid: int) -> str | None:
    return quoted(_COLLATIONS[oid]) if oid in _COLLATIONS else None


def _search(name: str) -> Callable[[Session, int], str | None]:
    def find(_session: Session, oid: int) -> str | None:
        return next((str(row[1]) for row in facts.raw(name)[1] if row[0] == oid), None)

    return find


_DISPLAYS: Final[dict[int, Callable[[Session, int], str | None]]] = {
    REGCLASS: relation_name,
    REGTYPE: named_type,
    REGPROC: function_name,
    REGPROCEDURE: _signature,
    REGOPER: _operator_name,
    REGOPERATOR: _operator,
    REGNAMESPACE: _quoted_schema,
    REGROLE: _role,
    REGCOLLATION: _collation,
    3734: _search("pg_ts_config"),
    3769: _search("pg_ts_dict"),
}
