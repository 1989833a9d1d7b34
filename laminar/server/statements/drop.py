"""DROP of relations, schemas and roles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import pyarrow as pa

from laminar.catalog.catalog import SYSTEM_SCHEMAS, StoredObject, describe, wrong_kind
from laminar.catalog.objects import KIND_NAMES, StoredFunction, StoredRelation, StoredType
from laminar.errors import (
    DEPENDENT_OBJECTS,
    UNDEFINED_OBJECT,
    UNDEFINED_SCHEMA,
    UNDEFINED_TABLE,
    PgError,
    not_supported,
)
from laminar.pgwire.backend import Notice, Result
from laminar.server import privileges
from laminar.server.definitions import defining, forget_changes
from laminar.server.session import Session
from laminar.server.statements.base import Action
from laminar.server.statements.signatures import named_function, signature
from laminar.sql import ast
from laminar.sql import statements as s
from laminar.sql.facts import types_by_name
from laminar.sql.resolve import oid_name

#: DROP's words for the kinds the catalog has
_KINDS = {name: kind for kind, name in KIND_NAMES.items() if kind != "system"}


class DropAction(Action):
    """DROP kind names [IF EXISTS] [CASCADE]."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.Drop) -> None:
        super().__init__(session)
        self.statement = statement
        if statement.kind not in (*_KINDS, "schema", "role", "function", "aggregate", "type", "domain"):
            raise not_supported(f"DROP {statement.kind.upper()} is not supported yet")

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        result = Result(f"DROP {self.statement.kind.upper()}")
        async with defining(self.session, f"DROP {self.statement.kind.upper()}"):
            if self.statement.kind == "schema":
                await self._drop_schemas(result)
            elif self.statement.kind == "role":
                self._drop_roles(result)
            else:
                find: Callable[..., StoredObject | None] = {
                    "function": self._function, "aggregate": self._function,
                    "type": self._type, "domain": self._type,
                }.get(self.statement.kind, self._target)  # fmt: skip
                named = zip(self.statement.names, self.statement.arguments, strict=True)
                found = [find(name, arguments, result) for name, arguments in named]
                await self._drop([target for target in found if target is not None])
        return result

    def _function(
        self, name: s.QName, arguments: list[ast.TypeName] | None, result: Result
    ) -> StoredFunction | None:
        kind: Literal["function", "aggregate"] = "function"
        if self.statement.kind == "aggregate":
            kind = "aggregate"
        found = named_function(self.session, name, arguments, missing_ok=self.statement.if_exists, kind=kind)
        if found is None:
            message = f"{kind} {signature(self.session, name, arguments)} does not exist"
            result.notices.append(Notice("NOTICE", "00000", f"{message}, skipping"))
            return None
        if not self.session.role.superuser and found.owner != self.session.role.name:
            raise PgError("42501", f"must be owner of {kind} {found.name}")
        return found

    def _type(self, name: s.QName, _arguments: object, result: Result) -> StoredType | None:
        wanted = self.statement.kind
        found = self.session.catalog.type_named(name.schema, name.name)
        if found is None:
            if name.schema in (None, "pg_catalog") and name.name in types_by_name():
                shown = oid_name(types_by_name()[name.name].oid)
                raise PgError(
                    DEPENDENT_OBJECTS,
                    f"cannot drop type {shown} because it is required by the database system",
                )
            message = f'type "{name}" does not exist'
            if self.statement.if_exists:
                result.notices.append(Notice("NOTICE", "00000", f"{message}, skipping"))
                return None
            raise PgError(UNDEFINED_OBJECT, message)
        made = self.database.catalog.types[found.oid]
        if wanted == "domain" and made.kind != "d":
            raise PgError("42809", f'"{name}" is not a domain')
        if made.owner != self.session.role.name and not self._owns_schema(made.schema):
            raise PgError("42501", f"must be owner of type {made.name}")
        return made

    def _target(self, name: s.QName, _arguments: object, result: Result) -> StoredRelation | None:
        found = self.session.catalog.find(name)
        wanted = self.statement.kind
        if found is None:
            message = f'{wanted} "{name.name}" does not exist'
            if self.statement.if_exists:
                result.notices.append(Notice("NOTICE", "00000", f"{message}, skipping"))
                return None
            code = UNDEFINED_OBJECT if wanted == "index" else UNDEFINED_TABLE
            raise PgError(code, message, position=name.pos or None)
        if found.kind != _KINDS[wanted]:
            raise wrong_kind(found, wanted)
        if found.kind == "index" and found.options["constraint"] == "true" and found.owned_by is not None:
            table = self.database.catalog.relations[found.owned_by[0]]
            constraint = f"constraint {found.name} on table {table.name}"
            raise PgError(
                DEPENDENT_OBJECTS,
                f"cannot drop index {found.name} because {constraint} requires it",
                hint=f"You can drop {constraint} instead.",
            )
        if not self._owns_schema(found.schema):
            self.session.check_owner(found)
        return found

    def _owns_schema(self, schema: str) -> bool:
        """The owner of a schema may drop what is in it."""
        catalog = self.database.catalog
        return privileges.owns(catalog, self.session.role.name, catalog.schemas[schema].owner)

    async def _drop(self, targets: Sequence[StoredObject]) -> None:
        doomed = self.database.catalog.to_drop(targets, self.statement.cascade, self.session.search_path)
        forget_changes(self.session, (thing for thing in doomed if isinstance(thing, StoredRelation)))
        if self.statement.kind in ("function", "aggregate", "type", "domain"):
            _keep_tables(doomed, self.statement.kind)
        # The catalog decides: after a crash from here on, a start removes what it does not have.
        relations = [thing for thing in doomed if isinstance(thing, StoredRelation)]
        catalog = self.database.catalog
        changed: dict[int, StoredRelation] = {}
        gone = {thing.oid for thing in doomed}
        for sequence in relations:
            if sequence.kind == "sequence":
                for _, relation, i in catalog.defaults_of(sequence, gone):
                    columns = list(changed.get(relation.oid, relation).columns)
                    columns[i] = replace(columns[i], default=None)
                    changed[relation.oid] = replace(relation, columns=tuple(columns))
        catalog.exchange(gone, changed.values())
        await self.database.retire(relations)

    async def _drop_schemas(self, result: Result) -> None:
        catalog = self.database.catalog
        doomed: list[StoredObject] = []
        names: list[str] = []
        for name in (qname.name for qname in self.statement.names):
            if name not in catalog.schemas or name in SYSTEM_SCHEMAS:
                if self.statement.if_exists:
                    text = f'schema "{name}" does not exist, skipping'
                    result.notices.append(Notice("NOTICE", "00000", text))
                    continue
                raise PgError(UNDEFINED_SCHEMA, f'schema "{name}" does not exist')
            self.session.check_schema_owner(name)
            inside = catalog.in_schema(name)
            if inside and not self.statement.cascade:
                raise PgError(
                    DEPENDENT_OBJECTS,
                    f"cannot drop schema {name} because other objects depend on it",
                    detail="\n".join(f"{describe(thing, ())} depends on schema {name}" for thing in inside),
                    hint="Use DROP ... CASCADE to drop the dependent objects too.",
                )
            doomed += inside
            names.append(name)
        await self._drop(doomed)
        for name in dict.fromkeys(names):
            catalog.drop_schema(name)

    def _drop_roles(self, result: Result) -> None:
        role, roles = self.session.role, self.database.catalog.roles
        if not role.superuser and not role.createrole:
            raise PgError("42501", "permission denied to drop role")
        for name in (qname.name for qname in self.statement.names):
            if name not in roles and self.statement.if_exists:
                text = f'role "{name}" does not exist, skipping'
                result.notices.append(Notice("NOTICE", UNDEFINED_OBJECT, text))
                continue
            if name == role.name:
                raise PgError("55006", "current user cannot be dropped")
            if name == self.session.settings["session_authorization"]:
                raise PgError("55006", "session user cannot be dropped")
            if name in roles and roles[name].superuser and not role.superuser:
                raise PgError("42501", "must be superuser to drop superusers")
            self.database.catalog.drop_role(name)


def _keep_tables(doomed: Sequence[StoredObject], kind: str) -> None:
    """A function that a default or a check needs, or a column's type, takes no table with it."""
    what = "a default or check" if kind == "function" else "a column, default or check"
    for thing in doomed:
        if isinstance(thing, StoredRelation) and thing.kind == "table":
            raise PgError(
                DEPENDENT_OBJECTS,
                f"cannot drop the {kind} because {what} of {describe(thing)} needs it",
                hint="Drop the table first.",
            )


def missing(session: Session, name: s.QName, what: str) -> PgError:
    """What a statement raises for a relation that is not there: 42P01, or 3F000 for its schema."""
    where = name.pos or None
    if name.schema is not None and not session.catalog.has_schema(name.schema):
        return PgError(UNDEFINED_SCHEMA, f'schema "{name.schema}" does not exist', position=where)
    code = UNDEFINED_OBJECT if what == "index" else UNDEFINED_TABLE
    return PgError(code, f'{what} "{name}" does not exist', position=where)
