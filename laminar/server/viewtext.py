"""A view's query as pg_get_viewdef() shows it: as written, with schemas where the search path needs them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING

from laminar.errors import not_supported
from laminar.sql import ast, facts
from laminar.sql.parse import parse_query

if TYPE_CHECKING:
    from laminar.catalog.objects import StoredRelation
    from laminar.server.database import Database
    from laminar.server.session import Session


def shown_query(session: Session, view: StoredRelation) -> str:
    """The query's text, to be read under the session's search path as it was under the view's."""
    text = (view.query or "").strip()
    nodes = list(_nodes(parse_query(text)))
    common = {node.name for node in nodes if isinstance(node, ast.Cte)}
    places: dict[int, str] = {}
    for node in nodes:
        if isinstance(node, ast.TableRef) and len(node.parts) == 1 and node.parts[0] not in common:
            schema = _schema_of_relation(session, view, node.parts[0])
        elif isinstance(node, ast.FuncCall) and len(node.names) == 1:
            schema = _schema_of_function(session, view, node.names[0])
        else:
            continue
        if schema is not None:
            places[node.pos] = schema
    from laminar.server.names import quoted

    for pos in sorted(places, reverse=True):
        text = f"{text[: pos - 1]}{quoted(places[pos])}.{text[pos - 1 :]}"
    return text


def _nodes(node: object) -> Iterator[object]:
    stack = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, list | tuple):
            stack.extend(item)
        elif is_dataclass(item):
            yield item
            stack.extend(getattr(item, field.name) for field in fields(item))


def _schema_of_relation(session: Session, view: StoredRelation, name: str) -> str | None:
    """The schema of what the view means; None when the session would find the same."""
    meant = session.catalog.with_search_path(view.search_path).relation(None, name)
    found = session.catalog.relation(None, name)
    if meant is None or (found is not None and found.oid == meant.oid):
        return None
    return meant.schema


def _schema_of_function(session: Session, view: StoredRelation, name: str) -> str | None:
    """The same for users' functions; PostgreSQL's come first on every path."""
    if facts.functions_named(name):
        return None
    catalog = session.database.catalog
    meant = next((s for s in view.search_path if catalog.functions_named(s, name)), None)
    return None if meant in session.search_path else meant


_NAME = re.compile(r'(?:"(?:[^"]|"")*"|[^\W\d][\w$]*)(?:\s*\.\s*(?:"(?:[^"]|"")*"|[^\W\d][\w$]*))*')


def with_renamed(
    database: Database, view: StoredRelation, old: StoredRelation, new: StoredRelation
) -> StoredRelation:
    """A view or sink whose query names ``old``, once that is called as ``new`` is.

    Raises:
        PgError: 0A000 where the query says ``schema.relation.column``.
    """
    from laminar.server.catalog_view import StoredCatalog
    from laminar.server.names import quoted

    text = view.query or ""
    catalog = StoredCatalog(database, view.search_path, view.owner)
    places: dict[int, bool] = {}
    nodes = list(_nodes(parse_query(text)))
    common = {node.name for node in nodes if isinstance(node, ast.Cte)}
    for node in nodes:
        if isinstance(node, ast.TableRef) and not (len(node.parts) == 1 and node.parts[0] in common):
            schema = node.parts[-2] if len(node.parts) > 1 else None
            meant = catalog.relation(schema, node.parts[-1])
            if meant is not None and meant.oid == old.oid:
                places[node.pos] = node.alias is None
        elif isinstance(node, ast.Name | ast.Star) and tuple(node.parts[-3:-1]) == (old.schema, old.name):
            raise not_supported(
                f'cannot rename "{old.name}" because "{view.name}" names its columns with its schema',
                hint="Drop that first, and create it again afterwards.",
            )
    called = f"{quoted(new.schema)}.{quoted(new.name)}"
    for pos in sorted(places, reverse=True):
        found = _NAME.match(text, pos - 1)
        assert found is not None
        alias = f" AS {quoted(old.name)}" if places[pos] else ""
        text = f"{text[: found.start()]}{called}{alias}{text[found.end() :]}"
    return replace(view, query=text, sql=view.sql.replace(view.query or "", text, 1))
