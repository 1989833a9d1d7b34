"""COMMENT ON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

import pyarrow as pa

from laminar.catalog.objects import KIND_NAMES, StoredRelation
from laminar.errors import (
    INSUFFICIENT_PRIVILEGE,
    UNDEFINED_COLUMN,
    UNDEFINED_OBJECT,
    UNDEFINED_SCHEMA,
    WRONG_OBJECT_TYPE,
    PgError,
    not_supported,
)
from laminar.pgwire.backend import Result
from laminar.server.definitions import defining
from laminar.server.session import Session
from laminar.server.statements.base import Action
from laminar.server.statements.databases import owned_database
from laminar.sql import statements as s

#: oids of the system catalogs that have the objects, as pg_description.classoid
PG_CLASS: Final = 1259
PG_NAMESPACE: Final = 2615
PG_AUTHID: Final = 1260
PG_DATABASE: Final = 1262


class CommentAction(Action):
    """COMMENT ON kind name IS 'text' | NULL."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.CommentOn) -> None:
        super().__init__(session)
        self.statement = statement

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        async with defining(self.session, "COMMENT"):
            self.database.catalog.comment(self._key(), self.statement.comment)
        return Result("COMMENT")

    def _key(self) -> tuple[int, int, int]:
        """(system catalog, object, attribute) after the checks of who may."""
        kind, name = self.statement.kind, self.statement.name
        catalog, session = self.database.catalog, self.session
        if kind == "schema":
            if name.name not in catalog.schemas:
                raise PgError(UNDEFINED_SCHEMA, f'schema "{name.name}" does not exist')
            session.check_schema_owner(name.name)
            return PG_NAMESPACE, catalog.schemas[name.name].oid, 0
        if kind == "role":
            if name.name not in catalog.roles:
                raise PgError(UNDEFINED_OBJECT, f'role "{name.name}" does not exist')
            if not session.role.superuser and not session.role.createrole:
                raise PgError(INSUFFICIENT_PRIVILEGE, "must have CREATEROLE privilege")
            return PG_AUTHID, catalog.roles[name.name].oid, 0
        if kind == "database":
            return PG_DATABASE, owned_database(session, name.name).oid, 0
        if kind == "column":
            return self._column(name)
        relation = session.catalog.stored(name)
        if kind != KIND_NAMES[relation.kind]:
            if kind not in KIND_NAMES.values():
                raise not_supported(f"COMMENT ON {kind.upper()} is not supported yet")
            raise PgError(WRONG_OBJECT_TYPE, f'"{relation.name}" is not a {kind}', position=name.pos or None)
        session.check_owner(relation)
        return PG_CLASS, relation.oid, 0

    def _column(self, name: s.QName) -> tuple[int, int, int]:
        if len(name.parts) < 2:
            raise PgError("42601", "column name must be qualified", position=name.pos or None)
        relation: StoredRelation = self.session.catalog.stored(s.QName(name.parts[:-1], name.pos))
        self.session.check_owner(relation)
        for attnum, column in enumerate(relation.columns, 1):
            if column.name == name.parts[-1]:
                return PG_CLASS, relation.oid, attnum
        raise PgError(
            UNDEFINED_COLUMN, f'column "{name.parts[-1]}" of relation "{relation.name}" does not exist'
        )
