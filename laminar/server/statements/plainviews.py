"""CREATE [OR REPLACE] [TEMPORARY] VIEW: a query's text, expanded where the view is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import pyarrow as pa

from laminar.catalog.catalog import describe
from laminar.catalog.objects import StoredRelation
from laminar.errors import FEATURE_NOT_SUPPORTED, WRONG_OBJECT_TYPE, PgError
from laminar.pgwire.backend import Result
from laminar.server import temporary
from laminar.server.definitions import defining
from laminar.server.planning import plan_query
from laminar.server.session import Session
from laminar.server.statements.base import Action
from laminar.server.statements.views import output_columns, refuse_temporary
from laminar.sql import statements as s
from laminar.sql.resolve import type_name


class CreateViewAction(Action):
    """A view may be replaced by one that has its columns first, unless something stored is made of it."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.CreateView, sql: str) -> None:
        super().__init__(session)
        self.statement = statement
        planned = plan_query(statement.query, session.catalog)
        session.check_accesses(planned.accesses, streaming=True)
        self.old = self._replaced()
        if statement.temporary:
            temporary.make_schema(session)
        elif self.old is None or not temporary.is_temporary(self.old):
            refuse_temporary(session, planned)
        if self.old is not None:
            schema, name = self.old.schema, self.old.name
        else:
            schema, name = session.catalog.creation_name(statement.name, statement.temporary)
        self.relation = StoredRelation(
            oid=0,
            schema=schema,
            name=name,
            kind="view",
            owner=session.role.name,
            columns=output_columns(planned.columns, statement.columns),
            sql=sql,
            query=statement.query_text,
            search_path=session.search_path,
            settings=session.reading_settings(),
            created=session.now(),
            depends_on=planned.dependencies,
        )
        if self.old is not None:
            self._check_replacement(self.old)

    def _replaced(self) -> StoredRelation | None:
        """The relation that OR REPLACE finds under the name."""
        if not self.statement.or_replace:
            return None
        found = self.session.catalog.find(self.statement.name)
        if found is not None and self.statement.temporary and not temporary.is_temporary(found):
            return None
        if found is not None and found.kind != "view":
            raise PgError(WRONG_OBJECT_TYPE, f'"{found.name}" is not a view')
        return found

    def _check_replacement(self, old: StoredRelation) -> None:
        self.session.check_owner(old)
        if old.oid in self.relation.depends_on:
            raise PgError("42P17", f'infinite recursion detected in rules for relation "{old.name}"')
        new = self.relation.columns
        if len(new) < len(old.columns):
            raise PgError("42P16", "cannot drop columns from view")
        for before, after in zip(old.columns, new, strict=False):
            if before.name != after.name:
                raise PgError(
                    "42P16",
                    f'cannot change name of view column "{before.name}" to "{after.name}"',
                    hint="Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead.",
                )
            if before.type != after.type:
                was, will = type_name(before.type), type_name(after.type)
                raise PgError(
                    "42P16", f'cannot change data type of view column "{before.name}" from {was} to {will}'
                )
        for dependent in self.database.catalog.dependents(old.oid):
            if isinstance(dependent, StoredRelation) and dependent.kind in ("mview", "stream", "sink"):
                raise PgError(
                    FEATURE_NOT_SUPPORTED,
                    f"cannot replace view {old.name} because {describe(dependent)} is made of it",
                    hint="Drop it first, and create it again afterwards.",
                )

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        catalog, relation = self.database.catalog, self.relation
        async with defining(self.session, "CREATE VIEW"):
            old = catalog.relations.get(self.old.oid) if self.old is not None else None
            if old is not None:
                catalog.replace(replace(relation, oid=old.oid, owner=old.owner, acl=old.acl, parts=old.parts))
            else:
                catalog.check_free(relation.schema, relation.name, self.statement.name.pos or None)
                catalog.create(replace(relation, oid=catalog.new_oid()))
        return Result("CREATE VIEW")
