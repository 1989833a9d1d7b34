"""GRANT and REVOKE: privileges on objects, membership in roles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import pyarrow as pa

from laminar.catalog import acl as lists
from laminar.catalog.acl import Acl
from laminar.catalog.objects import KIND_NAMES, Membership, Role, StoredRelation
from laminar.errors import (
    INSUFFICIENT_PRIVILEGE,
    UNDEFINED_OBJECT,
    UNDEFINED_SCHEMA,
    PgError,
    not_supported,
)
from laminar.pgwire.backend import Notice, Result
from laminar.server import privileges
from laminar.server.definitions import defining
from laminar.server.session import Session
from laminar.server.statements.base import Action
from laminar.server.statements.databases import named_database
from laminar.sql import statements as s

_RELATIONS: Final = (
    "table",
    "source",
    "view",
    "materialized view",
    "sink",
    "sequence",
    "stream",
    "lookup table",
)


@dataclass(slots=True)
class _Target:
    """An object whose list changes: how messages call it, its kind of privileges, owner and list."""

    name: str
    called: str
    kind: str
    owner: str
    acl: Acl | None
    store: Callable[[Acl], None]


class GrantAction(Action):
    """GRANT privileges ON objects TO roles, and REVOKE."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.Grant) -> None:
        super().__init__(session)
        self.statement = statement
        self.tag = "REVOKE" if statement.revoke else "GRANT"
        if statement.kind in ("function", "aggregate", "type"):
            raise not_supported(
                f"{self.tag} ON {statement.kind.upper()} is not supported yet",
                hint="Everybody may use functions and types.",
            )
        if any(columns for _, columns in statement.privileges):
            raise not_supported(
                "privileges on columns are not supported yet",
                hint="Create a view of these columns and grant on the view.",
            )

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        result = Result(self.tag)
        async with defining(self.session, self.tag):
            grantees = [self._grantee(name) for name in self.statement.roles]
            for target in self._targets():
                self._change(target, grantees, result)
        return result

    def _grantee(self, name: str) -> str:
        if name.lower() == "public":
            if self.statement.option and not self.statement.revoke:
                raise PgError("0LP01", "grant options can only be granted to roles")
            return lists.PUBLIC
        name = self.session.named_role(name)
        if name not in self.database.catalog.roles:
            raise PgError(UNDEFINED_OBJECT, f'role "{name}" does not exist')
        return name

    # --- objects

    def _targets(self) -> list[_Target]:
        statement, catalog = self.statement, self.database.catalog
        if statement.all_in_schema:
            found: list[StoredRelation] = []
            for name in statement.names:
                if not self.session.catalog.has_schema(name.name):
                    raise PgError(UNDEFINED_SCHEMA, f'schema "{name.name}" does not exist')
                inside = [r for r in catalog.in_schema(name.name) if isinstance(r, StoredRelation)]
                found += [r for r in inside if self._matches(r)]
            return [self._relation(r) for r in found]
        if statement.kind == "schema":
            return [self._schema(name.name) for name in statement.names]
        if statement.kind == "database":
            return [self._database(name.name) for name in statement.names]
        if statement.kind not in _RELATIONS:
            raise not_supported(f"{self.tag} ON {str(statement.kind).upper()} is not supported yet")
        return [self._relation(self.session.catalog.stored(name)) for name in statement.names]

    def _matches(self, relation: StoredRelation) -> bool:
        return (relation.kind == "sequence") == (self.statement.kind == "sequence")

    def _relation(self, relation: StoredRelation) -> _Target:
        wanted = self.statement.kind
        if wanted == "sequence" and relation.kind != "sequence":
            raise PgError("42809", f'"{relation.name}" is not a sequence')
        kind = privileges.acl_kind(relation)
        catalog = self.database.catalog

        def store(acl: Acl) -> None:
            catalog.replace(replace(catalog.relations[relation.oid], acl=acl))

        called = KIND_NAMES[relation.kind]
        return _Target(relation.name, called, kind, relation.owner, relation.acl, store)

    def _schema(self, name: str) -> _Target:
        catalog = self.database.catalog
        schema = catalog.schemas.get(name)
        if schema is None:
            if self.session.catalog.has_schema(name):
                raise PgError(INSUFFICIENT_PRIVILEGE, f"permission denied for schema {name}")
            raise PgError(UNDEFINED_SCHEMA, f'schema "{name}" does not exist')

        def store(acl: Acl) -> None:
            catalog.replace_schema(replace(catalog.schemas[name], acl=acl))

        return _Target(name, "schema", "schema", schema.owner, schema.acl, store)

    def _database(self, name: str) -> _Target:
        database = named_database(self.session, name)
        catalog = self.database.catalog

        def store(acl: Acl) -> None:
            catalog.put_database(replace(catalog.databases[database.oid], acl=acl))

        return _Target(name, "database", "database", database.owner, database.acl, store)

    # --- lists

    def _change(self, target: _Target, grantees: list[str], result: Result) -> None:
        statement, roles, me = self.statement, self.database.catalog.roles, self.session.role.name
        wanted = self._letters(target)
        grantor, letters = lists.grantor_of(roles, me, target.kind, target.owner, target.acl, wanted)
        if not letters and not lists.privileges(roles, me, target.kind, target.owner, target.acl):
            raise PgError(INSUFFICIENT_PRIVILEGE, f"permission denied for {target.called} {target.name}")
        if len(letters) < len(wanted):
            result.notices.append(self._short_of(target, none=not letters))
        acl = target.acl if target.acl is not None else lists.default_acl(target.kind, target.owner)
        for grantee in grantees:
            if not statement.revoke:
                acl = lists.grant(acl, grantee, grantor, letters, statement.option)
            else:
                acl = lists.revoke(
                    acl,
                    grantee,
                    grantor,
                    letters,
                    target.owner,
                    option_only=statement.option,
                    cascade=statement.cascade,
                )
        if acl != target.acl:
            target.store(acl)

    def _letters(self, target: _Target) -> str:
        known = lists.ALL[target.kind]
        found = ""
        for word, _ in self.statement.privileges:
            if word == "all":
                found += known
                continue
            letter = lists.LETTERS[word.upper()]
            if letter not in known:
                what = {"table": "relation"}.get(target.kind, target.kind)
                raise PgError("0LP01", f"invalid privilege type {word.upper()} for {what}")
            found += letter
        return "".join(dict.fromkeys(found))

    def _short_of(self, target: _Target, *, none: bool) -> Notice:
        how = "no privileges" if none else "not all privileges"
        if self.statement.revoke:
            return Notice("WARNING", "01006", f'{how} could be revoked for "{target.name}"')
        return Notice("WARNING", "01007", f'{how} were granted for "{target.name}"')


class MembershipAction(Action):
    """GRANT role TO role, and REVOKE."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.Grant) -> None:
        super().__init__(session)
        self.statement = statement

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        statement = self.statement
        tag = "REVOKE ROLE" if statement.revoke else "GRANT ROLE"
        result = Result(tag)
        async with defining(self.session, tag):
            for group, _ in statement.privileges:
                self._check_admin(group)
                for name in statement.roles:
                    self._change(group, self.session.named_role(name), result)
        return result

    def _check_admin(self, group: str) -> None:
        roles, me = self.database.catalog.roles, self.session.role
        if group not in roles:
            raise PgError(UNDEFINED_OBJECT, f'role "{group}" does not exist')
        if roles[group].superuser:
            if not me.superuser:
                raise PgError(INSUFFICIENT_PRIVILEGE, "must be superuser to alter superusers")
            return
        admin = any(m.role == group and m.admin for m in me.memberships)
        if not (me.superuser or me.createrole or admin):
            raise PgError(INSUFFICIENT_PRIVILEGE, f'must have admin option on role "{group}"')

    def _change(self, group: str, name: str, result: Result) -> None:
        catalog = self.database.catalog
        member = catalog.roles.get(name)
        if member is None:
            raise PgError(UNDEFINED_OBJECT, f'role "{name}" does not exist')
        if self.statement.revoke:
            catalog.put_role(self._without(member, group, result), replace=True)
            return
        if lists.member_of(catalog.roles, group, name):
            raise PgError("0LP01", f'role "{group}" is a member of role "{name}"')
        known = next((m for m in member.memberships if m.role == group), None)
        if known is not None and (known.admin or not self.statement.option):
            text = f'role "{name}" is already a member of role "{group}"'
            result.notices.append(Notice("NOTICE", "42710", text))
            return
        new = Membership(group, self.session.role.name, self.statement.option)
        others = tuple(m for m in member.memberships if m.role != group)
        catalog.put_role(replace(member, memberships=(*others, new)), replace=True)

    def _without(self, member: Role, group: str, result: Result) -> Role:
        if not any(m.role == group for m in member.memberships):
            text = f'role "{member.name}" is not a member of role "{group}"'
            result.notices.append(Notice("WARNING", "01000", text))
            return member
        if self.statement.option:
            kept = tuple(replace(m, admin=m.admin and m.role != group) for m in member.memberships)
        else:
            kept = tuple(m for m in member.memberships if m.role != group)
        return replace(member, memberships=kept)
