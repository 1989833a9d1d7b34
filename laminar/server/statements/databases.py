"""CREATE, ALTER and DROP DATABASE; ALTER ROLE … SET."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Final

import pyarrow as pa

from laminar.catalog.objects import StoredDatabase
from laminar.errors import (
    FEATURE_NOT_SUPPORTED,
    INSUFFICIENT_PRIVILEGE,
    INVALID_CATALOG_NAME,
    INVALID_PARAMETER_VALUE,
    OBJECT_IN_USE,
    SYNTAX_ERROR,
    UNDEFINED_OBJECT,
    PgError,
    not_supported,
)
from laminar.pgwire.backend import Notice, Result
from laminar.server import guc, privileges
from laminar.server.definitions import defining, refuse_in_block
from laminar.server.session import Session
from laminar.server.statements.base import Action
from laminar.server.statements.settings import value_of
from laminar.sql import statements as s

_TEMPLATES: Final = ("template0", "template1")
#: options that must say what every database is
_FIXED: Final = {
    "encoding": ("utf8", "utf-8", "unicode", "6"),
    "lc_collate": ("c", "c.utf-8", "c.utf8", "posix", "en_us.utf-8", "en_us.utf8"),
    "locale_provider": ("libc",),
    "tablespace": ("pg_default",),
    "strategy": ("wal_log", "file_copy"),
}  # fmt: skip
_FIXED_AS: Final = {"lc_ctype": "lc_collate", "locale": "lc_collate"}
_ON: Final = {
    "true": True,
    "on": True,
    "yes": True,
    "1": True,
    "false": False,
    "off": False,
    "no": False,
    "0": False,
}
#: seconds that DROP DATABASE waits for sessions that it ends, or that are about to end
_PATIENCE: Final = 5.0


def named_database(session: Session, name: str) -> StoredDatabase:
    """The database of that name; 3D000."""
    found = session.database.instance.cluster.find(name)
    if found is None:
        raise PgError(INVALID_CATALOG_NAME, f'database "{name}" does not exist')
    return found


def owned_database(session: Session, name: str) -> StoredDatabase:
    """The same, for its owner; 42501."""
    found = named_database(session, name)
    if not privileges.owns(session.database.catalog, session.role.name, found.owner):
        raise PgError(INSUFFICIENT_PRIVILEGE, f"must be owner of database {name}")
    return found


def _check_createdb(session: Session, what: str) -> None:
    if not (session.role.superuser or session.role.createdb):
        raise PgError(INSUFFICIENT_PRIVILEGE, f"permission denied to {what} database")


def _check_free(session: Session, name: str) -> None:
    if session.database.instance.cluster.find(name) is not None:
        raise PgError("42P04", f'database "{name}" already exists')


def _check_owner_to_be(session: Session, name: str) -> str:
    name = session.named_role(name)
    catalog = session.database.catalog
    if name not in catalog.roles:
        raise PgError(UNDEFINED_OBJECT, f'role "{name}" does not exist')
    if not privileges.may_become(catalog, session.role.name, name):
        raise PgError(INSUFFICIENT_PRIVILEGE, f'must be member of role "{name}"')
    return name


def _with_option(session: Session, database: StoredDatabase, option: s.Option) -> StoredDatabase:
    """The database with an option of CREATE or ALTER DATABASE; None is DEFAULT.

    Raises:
        PgError: 42601 an unknown option, 22023 or 0A000 for its value.
    """
    name, value, at = option.name, option.value, option.value_pos or None
    if name == "connection limit":
        limit = -1 if value is None else _number(value, at)
        if limit < -1:
            raise PgError(INVALID_PARAMETER_VALUE, f"invalid connection limit: {limit}", position=at)
        return replace(database, connection_limit=limit)
    if name in ("allow_connections", "is_template"):
        on = name == "allow_connections" if value is None else _ON.get(value.lower())
        if on is None:
            raise PgError(SYNTAX_ERROR, f"{name} requires a Boolean value")
        if name == "is_template":
            return replace(database, is_template=on)
        if not on and database.oid == session.database.catalog.oid:
            raise PgError(INVALID_PARAMETER_VALUE, "cannot disallow connections for current database")
        return replace(database, allow_connections=on)
    raise PgError(SYNTAX_ERROR, f'option "{name}" not recognized', position=option.pos)


def _number(value: str, at: int | None) -> int:
    try:
        return int(value)
    except ValueError:
        raise PgError(SYNTAX_ERROR, "connection limit requires an integer value", position=at) from None


class CreateDatabaseAction(Action):
    """CREATE DATABASE: empty, whichever of the templates it is asked to be like."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.CreateDatabase) -> None:
        super().__init__(session)
        self.statement = statement

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        session, statement = self.session, self.statement
        refuse_in_block(session, "CREATE DATABASE")
        database = StoredDatabase(0, statement.name, session.role.name)
        for option in statement.options:
            if option.name == "owner":
                if option.value is not None:
                    database = replace(database, owner=_check_owner_to_be(session, option.value))
            elif option.name == "template":
                self._check_template(option)
            elif option.name in _FIXED or option.name in _FIXED_AS:
                _check_fixed(option)
            else:
                database = _with_option(session, database, option)
        _check_createdb(session, "create")
        async with self.database.ddl:
            _check_free(session, statement.name)
            self.database.instance.create(database)
        return Result("CREATE DATABASE")

    def _check_template(self, option: s.Option) -> None:
        name = option.value
        if name is None or name in _TEMPLATES:
            return
        if self.database.instance.cluster.find(name) is None:
            raise PgError(INVALID_CATALOG_NAME, f'template database "{name}" does not exist')
        raise not_supported(
            "databases cannot be copied",
            hint="template0 and template1 are empty.",
            position=option.value_pos or None,
        )


def _check_fixed(option: s.Option) -> None:
    value, allowed = option.value, _FIXED[_FIXED_AS.get(option.name, option.name)]
    if value is not None and value.lower() not in allowed:
        raise not_supported(
            f'{option.name.upper()} "{value}" is not supported',
            hint="Every database has the encoding UTF8 and compares text as C does.",
            position=option.value_pos or None,
        )


class DropDatabaseAction(Action):
    """DROP DATABASE [IF EXISTS] name [WITH (FORCE)]."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.DropDatabase) -> None:
        super().__init__(session)
        self.statement = statement

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        session, statement = self.session, self.statement
        refuse_in_block(session, "DROP DATABASE")
        instance, result = self.database.instance, Result("DROP DATABASE")
        if instance.cluster.find(statement.name) is None and statement.if_exists:
            text = f'database "{statement.name}" does not exist, skipping'
            result.notices.append(Notice("NOTICE", "00000", text))
            return result
        doomed = owned_database(session, statement.name)
        if doomed.is_template:
            raise PgError("42809", "cannot drop a template database")
        if doomed.oid == self.database.catalog.oid:
            raise PgError(OBJECT_IN_USE, "cannot drop the currently open database")
        if statement.force:
            self._end_sessions(doomed)
        # Not with the lock: sessions that end take it to drop their temporary tables.
        await self._until_left(doomed)
        async with self.database.ddl:
            _refuse_in_use(session, doomed)
            await instance.drop(doomed.oid)
        return result

    def _end_sessions(self, doomed: StoredDatabase) -> None:
        database = self.database.instance.databases[doomed.oid]
        catalog, me = self.database.catalog, self.session.role.name
        for other in database.my_sessions:
            if not privileges.owns(catalog, me, other.authenticated):
                raise PgError(
                    INSUFFICIENT_PRIVILEGE,
                    "must be a member of the role whose process is being terminated "
                    "or member of pg_signal_backend",
                )
        for other in database.my_sessions:
            other.client.terminate(PgError("57P01", "terminating connection due to administrator command"))

    async def _until_left(self, doomed: StoredDatabase) -> None:
        """Give sessions that are ending the time for it, as PostgreSQL does."""
        database = self.database.instance.databases[doomed.oid]
        deadline = self.session.loop.time() + _PATIENCE
        while database.my_sessions and self.session.loop.time() < deadline:
            await asyncio.sleep(0.02)


def _refuse_in_use(session: Session, database: StoredDatabase) -> None:
    """55006 for a database that others are connected to."""
    others = [o for o in session.database.instance.databases[database.oid].my_sessions if o is not session]
    if others:
        count = "is 1 other session" if len(others) == 1 else f"are {len(others)} other sessions"
        raise PgError(
            OBJECT_IN_USE,
            f'database "{database.name}" is being accessed by other users',
            detail=f"There {count} using the database.",
        )


class AlterDatabaseAction(Action):
    """ALTER DATABASE: its name, owner, options and settings."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.AlterDatabase) -> None:
        super().__init__(session)
        self.statement = statement

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        async with defining(self.session, "ALTER DATABASE"):
            database = owned_database(self.session, self.statement.name)
            changed = self._changed(database)
            if changed != database:
                self.database.catalog.put_database(changed)
        return Result("ALTER DATABASE")

    def _changed(self, database: StoredDatabase) -> StoredDatabase:
        statement, session = self.statement, self.session
        if statement.new_name is not None:
            _check_createdb(session, "rename")
            _check_free(session, statement.new_name)
            if database.oid == self.database.catalog.oid:
                raise PgError(FEATURE_NOT_SUPPORTED, "current database cannot be renamed")
            _refuse_in_use(session, database)
            return replace(database, name=statement.new_name)
        if statement.owner is not None:
            owner = _check_owner_to_be(session, statement.owner)
            if owner != database.owner:
                _check_createdb(session, "change owner of")
            return privileges.given(database, owner)
        if statement.setting is not None:
            return replace(database, settings=_with_setting(session, database.settings, statement.setting))
        for option in statement.options:
            database = _with_option(session, database, option)
        return database


class RoleSettingAction(Action):
    """ALTER ROLE name SET … | RESET …: for sessions that begin later."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.AlterRoleSetting) -> None:
        super().__init__(session)
        self.statement = statement

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        session, catalog = self.session, self.database.catalog
        async with defining(session, "ALTER ROLE"):
            name = session.named_role(self.statement.name)
            role = catalog.roles.get(name)
            if role is None:
                raise PgError(UNDEFINED_OBJECT, f'role "{name}" does not exist')
            me = session.role
            if not me.superuser and (role.superuser or not (me.createrole or name == me.name)):
                what = "must be superuser to alter superusers" if role.superuser else "permission denied"
                raise PgError(INSUFFICIENT_PRIVILEGE, what)
            settings = _with_setting(session, role.settings, self.statement.setting)
            catalog.put_role(replace(role, settings=settings), replace=True)
        return Result("ALTER ROLE")


def _with_setting(
    session: Session, settings: dict[str, str], change: s.SetVariable | s.ResetAll
) -> dict[str, str]:
    """The settings after SET name TO value, SET name TO DEFAULT, RESET name or RESET ALL."""
    if isinstance(change, s.ResetAll):
        return {}
    custom = "." in change.name
    name = change.name if custom else guc.find(change.name).name
    kept = {n: v for n, v in settings.items() if n != name}
    if change.values is None:
        return kept
    value = value_of(change)
    if not custom:
        setting = guc.find(name)
        guc.check_changeable(setting, session.role.superuser)
        if name in ("role", "session_authorization"):
            raise not_supported(f'"{name}" cannot be a default of sessions')
        value = setting.check(value)
        if name == "work_mem":
            guc.check_work_mem(session.settings, value)
    return kept | {name: value}
