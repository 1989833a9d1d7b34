"""CREATE TABLE (LIKE relation [INCLUDING …]): columns and constraints as another relation has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from laminar.catalog.catalog import Catalog
from laminar.catalog.objects import StoredColumn, StoredRelation
from laminar.catalog.system.pg_catalog import PG_CLASS
from laminar.server import names, privileges
from laminar.server.session import Session
from laminar.server.statements.indexes import new_index
from laminar.sql import statements as s
from laminar.sql.parse import parse_expression, parse_type
from laminar.sql.resolve.names import type_name

_IDENTITIES: Final = {"a": "always", "d": "default"}


def expanded(session: Session, elements: s.Elements) -> s.Elements:
    """The elements with what LIKE stands for in its places; 42P01, 42501.

    Indexes that are no constraints and comments come once the table is there (``indexes``, ``comment``).
    """
    if not elements.likes:
        return elements
    columns, constraints, done = [], [], 0
    for like in elements.likes:
        source = session.catalog.stored(like.name)
        privileges.check_relation(session.database.catalog, session.role.name, source, "SELECT")
        columns += elements.columns[done : like.place]
        columns += [_column(session, column, like) for column in source.columns]
        constraints += _constraints(session, source, like)
        done = like.place
    columns += elements.columns[done:]
    return replace(elements, columns=columns, constraints=[*elements.constraints, *constraints])


def _column(session: Session, column: StoredColumn, like: s.Like) -> s.ColumnDef:
    made = s.ColumnDef(column.name, parse_type(_type_text(session, column)), like.name.pos, column.not_null)
    if column.generated is not None:
        if like.has("generated"):
            made.generated, made.generated_text = parse_expression(column.generated), column.generated
    elif column.identity:
        if like.has("identity"):
            made.identity = _IDENTITIES[column.identity]  # type: ignore[assignment]
    elif column.default is not None and like.has("defaults"):
        made.default, made.default_text = parse_expression(column.default), column.default
    return made


def _type_text(session: Session, column: StoredColumn) -> str:
    """The type as a statement would have it."""
    oid, typmod = (column.domain, -1) if column.domain else (column.type.oid, column.type.typmod)
    return names.named_type(session, oid, typmod) or type_name(column.type)


def _constraints(session: Session, source: StoredRelation, like: s.Like) -> list[s.TableConstraint]:
    found: list[s.TableConstraint] = []

    def key(kind: str, attnums: Iterable[int]) -> None:
        listed = [(source.columns[a - 1].name, like.name.pos) for a in attnums]
        found.append(s.TableConstraint(kind, listed, None, None, like.name.pos))  # type: ignore[arg-type]

    if like.has("constraints"):
        for name, text in source.checks:
            check = s.Check(parse_expression(text), text, name)
            found.append(s.TableConstraint("check", [], check, name, like.name.pos))
    if like.has("indexes"):
        if source.primary_key:
            key("primary", source.primary_key)
        for index in session.database.catalog.indexes_of(source.oid):
            if index.options["constraint"] == "true":
                key("unique", _attnums(index))
    return found


def _attnums(index: StoredRelation) -> tuple[int, ...]:
    return tuple(map(int, index.options["columns"].split(",")))


def indexes(
    session: Session, relation: StoredRelation, likes: Sequence[s.Like], taken: Sequence[StoredRelation]
) -> list[StoredRelation]:
    """Copies of the indexes that are no constraints; ``taken``: others that are made too."""
    catalog = session.database.catalog
    numbers = {column.name: attnum for attnum, column in enumerate(relation.columns, 1)}
    made: list[StoredRelation] = []
    for like in likes:
        source = session.catalog.stored(like.name)
        for index in catalog.indexes_of(source.oid) if like.has("indexes") else ():
            if index.options["constraint"] == "true":
                continue
            columns = [source.columns[a - 1].name for a in _attnums(index)]
            name = _free_name(catalog, relation, columns, {other.name for other in (*taken, *made)})
            unique = index.options["unique"] == "true"
            attnums = tuple(numbers[column] for column in columns)
            made.append(new_index(relation, name, attnums, unique=unique, constraint=False))
    return made


def _free_name(catalog: Catalog, relation: StoredRelation, columns: list[str], taken: set[str]) -> str:
    name = catalog.free_name(relation.schema, relation.name, *columns, "idx")
    base, number = name, 1
    while name in taken:
        name, number = f"{base}{number}", number + 1
    return name


def comment(session: Session, relation: StoredRelation, likes: Sequence[s.Like]) -> None:
    """Give the columns the comments of those that they are like."""
    catalog = session.database.catalog
    numbers = {column.name: attnum for attnum, column in enumerate(relation.columns, 1)}
    for like in likes:
        source = session.catalog.stored(like.name)
        for attnum, column in enumerate(source.columns, 1) if like.has("comments") else ():
            text = catalog.comments.get((PG_CLASS, source.oid, attnum))
            if text is not None:
                catalog.comment((PG_CLASS, relation.oid, numbers[column.name]), text)
