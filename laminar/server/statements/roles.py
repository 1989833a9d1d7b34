"""CREATE, ALTER ROLE, with their attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Final

import pyarrow as pa

from laminar.catalog.objects import Membership, Role
from laminar.errors import INSUFFICIENT_PRIVILEGE, INVALID_PARAMETER_VALUE, UNDEFINED_OBJECT, PgError
from laminar.pgwire.backend import Notice, Result
from laminar.security.scram import is_verifier, make_verifier
from laminar.server.definitions import defining
from laminar.server.session import Session
from laminar.server.statements.base import Action
from laminar.sql import statements as s
from laminar.sql.adhoc import batches
from laminar.sql.binder import bind_argument
from laminar.sql.evaluator import compile as compile_exprs
from laminar.sql.parse import parse_expression
from laminar.types import TIMESTAMPTZ, PgType

#: option -> attribute, for those that are on or off
_FLAGS: Final = {
    "login": "login", "superuser": "superuser", "createdb": "createdb", "createrole": "createrole",
    "inherit": "inherit", "replication": "replication", "bypassrls": "bypassrls",
}  # fmt: skip
#: what only superusers may give
_HIGH: Final = {
    "superuser": "superusers", "replication": "replication users", "bypassrls": "bypassrls users",
}  # fmt: skip


class RoleAction(Action):
    """CREATE ROLE/USER and ALTER ROLE/USER."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.CreateRole) -> None:
        super().__init__(session)
        self.statement = statement
        seen: set[str] = set()
        for option in statement.options:
            if option.name in seen and option.pos:
                raise PgError("42601", "conflicting or redundant options", position=option.pos)
            seen.add(option.name)

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        statement, session = self.statement, self.session
        tag = "ALTER ROLE" if statement.alter else "CREATE ROLE"
        catalog = self.database.catalog
        name = session.named_role(statement.name) if statement.alter else statement.name
        if name in ("public", "none") or name.startswith("pg_"):
            raise PgError("42939", f'role name "{name}" is reserved')
        known = catalog.roles.get(name)
        self._check_rights(name, known)
        if known is not None and statement.if_not_exists and not statement.alter:
            notice = Notice("NOTICE", "42710", f'role "{name}" already exists, skipping')
            return Result(tag, notices=[notice])
        role = known if known is not None and statement.alter else Role(name, login=False)
        for option in statement.options:
            if option.items is None and option.name != "sysid":
                role = self._with_option(role, option)
        async with defining(self.session, tag):
            others = self._members(role)
            role = self._with_groups(role)
            catalog.put_role(role, replace=statement.alter)
            for other in others:
                catalog.put_role(other, replace=True)
        return Result(tag)

    def _check_rights(self, name: str, known: Role | None) -> None:
        me, options = self.session.role, self.statement.options
        if me.superuser:
            return
        if self.statement.alter:
            own_password = name == me.name and all(option.name == "password" for option in options)
            if known is not None and known.superuser and not own_password:
                raise PgError(
                    INSUFFICIENT_PRIVILEGE,
                    "must be superuser to alter superuser roles or change superuser attribute",
                )
            if not (me.createrole or own_password):
                raise PgError(INSUFFICIENT_PRIVILEGE, "permission denied")
        elif not me.createrole:
            raise PgError(INSUFFICIENT_PRIVILEGE, "permission denied to create role")
        for option in options:
            if option.name in _HIGH and option.value == "true":
                what = f"create {_HIGH[option.name]}"
                if self.statement.alter:
                    what = f"change {option.name} attribute"
                raise PgError(INSUFFICIENT_PRIVILEGE, f"must be superuser to {what}")

    def _with_option(self, role: Role, option: s.Option) -> Role:
        if option.name in _FLAGS:
            return replace(role, **{_FLAGS[option.name]: option.value == "true"})  # type: ignore[arg-type]
        if option.name == "password":
            if option.value is None or not option.value:
                return replace(role, verifier=None)
            verifier = option.value if is_verifier(option.value) else make_verifier(option.value)
            return replace(role, verifier=verifier)
        if option.name == "connection limit":
            limit = int(option.value or "-1")
            if limit < -1:
                raise PgError(INVALID_PARAMETER_VALUE, f"invalid connection limit: {limit}")
            return replace(role, connection_limit=limit)
        assert option.name == "valid until", option.name
        return replace(role, valid_until=self._time(option.value or ""))

    def _time(self, text: str) -> int | None:
        """A timestamp with time zone in microseconds; infinity is no limit."""
        if text.strip().lower() == "infinity":
            return None
        quoted = "'" + text.replace("'", "''") + "'"
        expr = bind_argument(parse_expression(quoted), PgType(TIMESTAMPTZ), 1, self.session.catalog)
        value = compile_exprs([expr], [])(batches.make([], 1), self.session.env())[0][0]
        return int(value.value)

    def _with_groups(self, role: Role) -> Role:
        """IN ROLE: the role becomes a member of others."""
        for option in self.statement.options:
            if option.name == "in role":
                for group in option.items or ():
                    if group not in self.database.catalog.roles:
                        raise PgError(UNDEFINED_OBJECT, f'role "{group}" does not exist')
                    new = Membership(group, self.session.role.name)
                    role = replace(role, memberships=(*role.memberships, new))
        return role

    def _members(self, role: Role) -> list[Role]:
        """ROLE and ADMIN: others become its members."""
        found = []
        for option in self.statement.options:
            if option.name in ("role", "admin"):
                for name in option.items or ():
                    member = self.database.catalog.roles.get(name)
                    if member is None:
                        raise PgError(UNDEFINED_OBJECT, f'role "{name}" does not exist')
                    new = Membership(role.name, self.session.role.name, option.name == "admin")
                    found.append(replace(member, memberships=(*member.memberships, new)))
        return found
