"""PREPARE, EXECUTE, DEALLOCATE: SQL's way to the connection's prepared statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pyarrow as pa

from laminar.errors import SYNTAX_ERROR, PgError
from laminar.pgwire.backend import Field, Result
from laminar.pgwire.portals import Statement
from laminar.server.session import PreparedStatement, Session
from laminar.server.statements.base import Action
from laminar.sql import statements as s
from laminar.sql.adhoc import batches
from laminar.sql.binder import bind_argument, bind_type
from laminar.sql.evaluator import compile as compile_exprs
from laminar.sql.plan import Expr


class PrepareAction(Action):
    """PREPARE name (types) AS statement."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.Prepare, sql: str) -> None:
        super().__init__(session)
        from laminar.server.statements import action_for

        self.statement = statement
        self.sql = sql
        types = [bind_type(node, session.catalog).oid for node in statement.types]
        version = self.database.catalog.version
        action = action_for(session, statement.statement, statement.text, types)
        path = session.settings["search_path"]
        self.prepared = PreparedStatement(
            statement.text, statement.statement, action, version, session.role.name, path, types
        )

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        client = self.session.client
        made = Statement(self.prepared, self.sql, from_sql=True, created=self.session.now())
        client.statements.add(self.statement.name, made, client.limit)
        return Result("PREPARE")


class ExecuteAction(Action):
    """EXECUTE name (values): the statement runs as if it were written here."""

    def __init__(self, session: Session, statement: s.Execute) -> None:
        super().__init__(session)
        self.statement = statement
        self._find()

    def _find(self) -> PreparedStatement:
        prepared = self.session.client.statements.find(self.statement.name).prepared
        if not isinstance(prepared, PreparedStatement):
            raise PgError(SYNTAX_ERROR, f'prepared statement "{self.statement.name}" is empty')
        return prepared

    @property
    def starts_transaction(self) -> bool:
        return self._find().action.starts_transaction

    def described(self) -> Sequence[Field] | None:
        return self._find().fields

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        prepared = await self.session.current(self._find())
        return await prepared.action.run(self._values(prepared))

    def _values(self, prepared: PreparedStatement) -> list[pa.Scalar | None]:
        """The arguments as the statement's parameters take them."""
        types, args, name = prepared.param_types, self.statement.args, self.statement.name
        if len(types) != len(args):
            raise PgError(
                SYNTAX_ERROR,
                f'wrong number of parameters for prepared statement "{name}"',
                detail=f"Expected {len(types)} parameters but got {len(args)}.",
            )
        exprs: list[Expr] = [
            bind_argument(arg, type_, index, self.session.catalog)
            for index, (arg, type_) in enumerate(zip(args, types, strict=True), 1)
        ]
        if not exprs:
            return []
        found = compile_exprs(exprs, [])(batches.make([], 1), self.session.env())
        values = [array[0] for array in found]
        return [value if value.is_valid else None for value in values]


class DeallocateAction(Action):
    """DEALLOCATE name, DEALLOCATE ALL."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.Deallocate) -> None:
        super().__init__(session)
        self.name = statement.name

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        self.session.client.statements.forget(self.name)
        return Result("DEALLOCATE" if self.name is not None else "DEALLOCATE ALL")
