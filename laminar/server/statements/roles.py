"""CREATE, ALTER and DROP ROLE, as far as logging in needs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import pyarrow as pa

from laminar.catalog.objects import Role
from laminar.errors import INSUFFICIENT_PRIVILEGE, PgError, not_supported
from laminar.pgwire.backend import Notice, Result
from laminar.security.scram import is_verifier, make_verifier
from laminar.server.session import Session
from laminar.server.statements.base import Action
from laminar.sql import statements as s

_IGNORED = frozenset({"inherit", "noinherit", "nocreatedb", "nocreaterole", "noreplication", "nobypassrls"})


class RoleAction(Action):
    """CREATE ROLE/USER and ALTER ROLE/USER."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.CreateRole) -> None:
        super().__init__(session)
        self.statement = statement

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        statement, session = self.statement, self.session
        own_password = (
            statement.alter
            and statement.name == session.role.name
            and all(option.name.lower() == "password" for option in statement.options)
        )
        if not session.role.superuser and not own_password:
            raise PgError(INSUFFICIENT_PRIVILEGE, "permission denied to create or alter role")
        tag = "ALTER ROLE" if statement.alter else "CREATE ROLE"
        catalog = self.database.catalog
        known = catalog.roles.get(statement.name)
        if known is not None and statement.if_not_exists and not statement.alter:
            notice = Notice("NOTICE", "42710", f'role "{statement.name}" already exists, skipping')
            return Result(tag, notices=[notice])
        role = known if known is not None and statement.alter else Role(statement.name, login=False)
        for option in statement.options:
            role = _with_option(role, option)
        async with self.database.ddl:
            catalog.put_role(role, replace=statement.alter)
        return Result(tag)


def _with_option(role: Role, option: s.Option) -> Role:
    name = option.name.lower()
    if name in ("login", "nologin"):
        return replace(role, login=name == "login")
    if name in ("superuser", "nosuperuser"):
        return replace(role, superuser=name == "superuser")
    if name == "password":
        if option.value is None:
            return replace(role, verifier=None)
        verifier = option.value if is_verifier(option.value) else make_verifier(option.value)
        return replace(role, verifier=verifier)
    if name in _IGNORED:
        return role
    raise not_supported(
        f"role option {name.upper()} is not supported",
        hint="LOGIN, SUPERUSER and PASSWORD are.",
        position=option.pos or None,
    )
