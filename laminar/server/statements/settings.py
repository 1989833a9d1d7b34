"""SET, RESET, SHOW of settings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Final

import pyarrow as pa

from laminar.errors import INSUFFICIENT_PRIVILEGE, INVALID_PARAMETER_VALUE, PgError
from laminar.pgwire.backend import Notice, Result
from laminar.server import guc, privileges
from laminar.server.session import Session
from laminar.server.statements.base import Action, batches, text_batch, text_fields
from laminar.sql import statements as s

#: names of schemas that need no quotes
_PLAIN: Final = re.compile(r"[a-z0-9_$]+")


def assign(session: Session, name: str, value: str, local: bool = False) -> None:
    """Give a setting a checked value, until the transaction's end if it is local to it or rolls back."""
    if session.transaction is not None:
        before = session.settings[name] if "." not in name else session.settings.get(name, "")
        session.local_settings.setdefault(name, before)
        if local:
            session.transaction.until_end.setdefault(name, before)
        else:
            # SET after SET LOCAL outlives the transaction
            session.transaction.until_end.pop(name, None)
    session.settings[name] = value


def set_config(session: Session, name: str, value: str | None, local: bool) -> str:
    """set_config(): SET as a function; the value it has then.

    Raises:
        PgError: 42704 no such setting, 55P02 a read-only one, 22023 a bad value.
    """
    if "." in name:
        assign(session, name, value or "", local)
        return value or ""
    setting = guc.find(name)
    guc.check_changeable(setting, session.role.superuser)
    if setting.name in ("role", "session_authorization"):
        return _set_role(session, setting.name, value, local)
    checked = setting.check(session.settings.default(setting.name) if value is None else value)
    if setting.name == "work_mem":
        guc.check_work_mem(session.settings, checked)
    if not (local and session.transaction_status == "I"):
        assign(session, setting.name, checked, local)
    return checked


def _set_role(session: Session, name: str, wanted: str | None, local: bool) -> str:
    """SET ROLE and SET SESSION AUTHORIZATION; 22023 for an unknown role, 42501 when not allowed."""
    catalog = session.database.catalog
    if name == "session_authorization":
        value = session.authenticated if wanted is None else wanted
        _check_role(session, value)
        logged_in = catalog.roles.get(session.authenticated)
        if value != session.authenticated and not (logged_in is not None and logged_in.superuser):
            raise PgError(INSUFFICIENT_PRIVILEGE, f'permission denied to set session authorization "{value}"')
        assign(session, "role", "none", local)
    elif wanted is None or wanted.lower() == "none":
        value = "none"
    else:
        value = wanted
        _check_role(session, value)
        if not privileges.may_become(catalog, session.settings["session_authorization"], value):
            raise PgError(INSUFFICIENT_PRIVILEGE, f'permission denied to set role "{value}"')
    assign(session, name, value, local)
    session.note_role()
    return value


def _check_role(session: Session, name: str) -> None:
    if name not in session.database.catalog.roles:
        raise PgError(INVALID_PARAMETER_VALUE, f'role "{name}" does not exist')


class SetAction(Action):
    """SET [LOCAL] name = value, RESET name, RESET ALL."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.SetVariable | s.ResetAll) -> None:
        super().__init__(session)
        self.statement = statement

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        if isinstance(self.statement, s.ResetAll):
            for name, value in guc.resettable(self.session.settings).items():
                assign(self.session, name, value)
            return Result("RESET")
        return self._set_variable(self.statement)

    def _set_variable(self, statement: s.SetVariable) -> Result:
        result = Result("SET" if statement.values is not None else "RESET")
        if statement.local and self.session.transaction_status == "I":
            text = "SET LOCAL can only be used in transaction blocks"
            result.notices.append(Notice("WARNING", "25P01", text))
            return result
        if "." in statement.name:
            assign(self.session, statement.name, value_of(statement), statement.local)
            return result
        setting = guc.find(statement.name)
        value = None if statement.values is None else value_of(statement)
        set_config(self.session, setting.name, value, statement.local)
        return result


def value_of(statement: s.SetVariable) -> str:
    """The text that SET gives a setting: names of schemas that need quotes keep them."""
    values = statement.values or [""]
    if statement.name.lower() == "search_path":
        values = [v if _PLAIN.fullmatch(v) else f'"{v}"' for v in values]
    return ", ".join(values)


class ShowAction(Action):
    """SHOW name, SHOW ALL."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.Show) -> None:
        super().__init__(session)
        self.name = statement.name.lower()
        if self.name == "all":
            self.fields = text_fields("name", "setting", "description")
        elif self.name in session.settings and "." in self.name:
            self.fields = text_fields(self.name)
        else:
            self.fields = text_fields(guc.find(_alias(self.name)).name)

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        settings = self.session.settings
        if self.name == "all":
            known = sorted(guc.SETTINGS.values(), key=lambda setting: setting.name.lower())
            batch = text_batch(
                [k.name for k in known], [settings[k.name] for k in known], [k.fact.short_desc for k in known]
            )
        elif "." in self.name:
            batch = text_batch([settings[self.name]])
        else:
            batch = text_batch([settings[guc.find(_alias(self.name)).name]])
        return Result("SHOW", self.fields, batches(batch))


def _alias(name: str) -> str:
    """The spellings that are words rather than names."""
    return {"time zone": "timezone", "transaction isolation level": "transaction_isolation"}.get(name, name)
