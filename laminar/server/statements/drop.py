"""DROP of relations, schemas and roles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pyarrow as pa

from laminar.catalog.catalog import SYSTEM_SCHEMAS, wrong_kind
from laminar.catalog.objects import KIND_NAMES, StoredRelation
from laminar.errors import (
    ACTIVE_SQL_TRANSACTION,
    DEPENDENT_OBJECTS,
    UNDEFINED_OBJECT,
    UNDEFINED_SCHEMA,
    UNDEFINED_TABLE,
    PgError,
    not_supported,
)
from laminar.pgwire.backend import Notice, Result
from laminar.server.session import Session
from laminar.server.statements.base import Action
from laminar.sql import statements as s

#: DROP's words for the kinds the catalog has
_KINDS = {name: kind for kind, name in KIND_NAMES.items() if kind != "system"}


class DropAction(Action):
    """DROP kind names [IF EXISTS] [CASCADE]."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.Drop) -> None:
        super().__init__(session)
        self.statement = statement
        if statement.kind not in (*_KINDS, "schema", "role"):
            raise not_supported(f"DROP {statement.kind.upper()} is not supported yet")

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        refuse_in_block(self.session, f"DROP {self.statement.kind.upper()}")
        result = Result(f"DROP {self.statement.kind.upper()}")
        async with self.database.ddl:
            if self.statement.kind == "schema":
                await self._drop_schemas(result)
            elif self.statement.kind == "role":
                self._drop_roles(result)
            else:
                targets = [
                    t for name in self.statement.names if (t := self._target(name, result)) is not None
                ]
                await self._drop(targets)
        return result

    def _target(self, name: s.QName, result: Result) -> StoredRelation | None:
        found = self.session.catalog.find(name)
        wanted = self.statement.kind
        if found is None:
            message = f'{wanted} "{name.name}" does not exist'
            if self.statement.if_exists:
                result.notices.append(Notice("NOTICE", "00000", f"{message}, skipping"))
                return None
            raise PgError(UNDEFINED_TABLE, message, position=name.pos or None)
        if found.kind != _KINDS[wanted]:
            raise wrong_kind(found, wanted)
        self.session.check_owner(found)
        return found

    async def _drop(self, targets: list[StoredRelation]) -> None:
        doomed = self.database.catalog.to_drop(targets, self.statement.cascade, self.session.search_path)
        # The catalog decides: after a crash from here on, a start removes what it does not have.
        self.database.catalog.drop(relation.oid for relation in doomed)
        dataflows = [relation.oid for relation in doomed if relation.kind in ("mview", "sink")]
        try:
            await self.database.coordinator.remove(dataflows)
        finally:
            for relation in doomed:
                self.database.forget(relation)

    async def _drop_schemas(self, result: Result) -> None:
        catalog = self.database.catalog
        doomed: list[StoredRelation] = []
        names: list[str] = []
        for name in (qname.name for qname in self.statement.names):
            if name not in catalog.schemas or name in SYSTEM_SCHEMAS:
                if self.statement.if_exists:
                    text = f'schema "{name}" does not exist, skipping'
                    result.notices.append(Notice("NOTICE", "00000", text))
                    continue
                raise PgError(UNDEFINED_SCHEMA, f'schema "{name}" does not exist')
            self.session.check_schema_owner(name, f"must be owner of schema {name}")
            inside = catalog.in_schema(name)
            if inside and not self.statement.cascade:
                raise PgError(
                    DEPENDENT_OBJECTS,
                    f"cannot drop schema {name} because other objects depend on it",
                    detail="\n".join(
                        f"{KIND_NAMES[r.kind]} {name}.{r.name} depends on schema {name}" for r in inside
                    ),
                    hint="Use DROP ... CASCADE to drop the dependent objects too.",
                )
            doomed += inside
            names.append(name)
        await self._drop(doomed)
        for name in dict.fromkeys(names):
            catalog.drop_schema(name)

    def _drop_roles(self, result: Result) -> None:
        if not self.session.role.superuser:
            raise PgError("42501", "permission denied to drop role")
        for name in (qname.name for qname in self.statement.names):
            if name not in self.database.catalog.roles and self.statement.if_exists:
                text = f'role "{name}" does not exist, skipping'
                result.notices.append(Notice("NOTICE", UNDEFINED_OBJECT, text))
                continue
            if name == self.session.role.name:
                raise PgError("55006", "current user cannot be dropped")
            self.database.catalog.drop_role(name)


def refuse_in_block(session: Session, what: str) -> None:
    """DDL is a step of its own: 25001 inside BEGIN … COMMIT."""
    transaction = session.transaction
    if transaction is not None and (transaction.block or transaction.changes):
        raise PgError(
            ACTIVE_SQL_TRANSACTION,
            f"{what} cannot run inside a transaction block",
            hint="DDL commits by itself; run it before BEGIN or after COMMIT.",
        )
