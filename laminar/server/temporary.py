"""Temporary tables: in a schema of the session's own, which goes when the session does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from laminar.catalog.acl import PUBLIC, AclItem
from laminar.catalog.catalog import SUPERUSER
from laminar.catalog.objects import Schema, StoredRelation

if TYPE_CHECKING:
    from laminar.server.database import Database
    from laminar.server.session import Session

PREFIX = "pg_temp_"


def is_temporary(relation: StoredRelation) -> bool:
    """Whether the relation is in some session's temporary schema."""
    return relation.schema.startswith(PREFIX)


def make_schema(session: Session) -> str:
    """The session's temporary schema, made when it is needed first."""
    name = f"{PREFIX}{session.client.process_id}"
    if session.temp_schema is None:
        # The tables' own privileges keep others out; SET ROLE must not lock the session out.
        anybody = (AclItem(SUPERUSER, SUPERUSER, "UC"), AclItem(PUBLIC, SUPERUSER, "UC"))
        session.database.catalog.add_session_schema(Schema(name, SUPERUSER, acl=anybody))
        session.temp_schema = name
    return name


async def drop_schema(database: Database, name: str) -> None:
    """A session has ended, or DISCARD TEMP: its tables go."""
    async with database.ddl:
        catalog = database.catalog
        if name not in catalog.schemas or catalog.oid not in catalog.databases:
            return
        doomed = catalog.to_drop(catalog.in_schema(name), cascade=True)
        if doomed:
            catalog.drop(relation.oid for relation in doomed)
            for relation in doomed:
                if isinstance(relation, StoredRelation):
                    database.forget(relation)
        catalog.drop_schema(name)


def forget_leftovers(database: Database) -> None:
    """At a start: sessions that a crash ended have left theirs."""
    catalog = database.catalog
    for name in [schema for schema in catalog.schemas if schema.startswith(PREFIX)]:
        doomed = catalog.to_drop(catalog.in_schema(name), cascade=True)
        if doomed:
            catalog.drop(relation.oid for relation in doomed)
        catalog.drop_schema(name)
