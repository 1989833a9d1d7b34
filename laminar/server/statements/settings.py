"""SET, RESET, SHOW of settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pyarrow as pa

from laminar.errors import PgError
from laminar.pgwire.backend import Notice, Result
from laminar.server import guc
from laminar.server.session import Session
from laminar.server.statements.base import Action, batches, text_batch, text_fields
from laminar.sql import statements as s


def assign(session: Session, name: str, value: str, local: bool = False) -> None:
    """Give a setting a checked value, until the transaction's end if it is local to it or rolls back."""
    if session.transaction is not None:
        before = session.settings.get(name, "")
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
    if setting.read_only:
        raise PgError("55P02", f'parameter "{setting.name}" cannot be changed')
    checked = setting.check(setting.name, setting.default if value is None else value)
    if not (local and session.transaction_status == "I"):
        assign(session, setting.name, checked, local)
    return checked


class SetAction(Action):
    """SET [LOCAL] name = value, RESET name, RESET ALL."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.SetVariable | s.ResetAll) -> None:
        super().__init__(session)
        self.statement = statement

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        if isinstance(self.statement, s.ResetAll):
            for name, value in guc.defaults().items():
                if not guc.find(name).read_only:
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
            assign(self.session, statement.name, ", ".join(statement.values or [""]), statement.local)
            return result
        setting = guc.find(statement.name)
        value = None
        if statement.values is not None:
            value = ", ".join(map(self._quoted(setting), statement.values))
        set_config(self.session, setting.name, value, statement.local)
        return result

    @staticmethod
    def _quoted(setting: guc.Setting):  # type: ignore[no-untyped-def]
        """List settings keep names that need quotes quoted."""
        if setting.name != "search_path":
            return str
        return lambda v: v if v.replace("_", "a").replace("$", "a").isalnum() and v == v.lower() else f'"{v}"'


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
                [k.name for k in known], [settings[k.name] for k in known], [k.description for k in known]
            )
        elif "." in self.name:
            batch = text_batch([settings[self.name]])
        else:
            batch = text_batch([settings[guc.find(_alias(self.name)).name]])
        return Result("SHOW", self.fields, batches(batch))


def _alias(name: str) -> str:
    """The spellings that are words rather than names."""
    return {"time zone": "timezone", "transaction isolation level": "transaction_isolation"}.get(name, name)
