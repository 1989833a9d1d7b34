"""SELECT, VALUES, TABLE."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa

from laminar.errors import not_supported
from laminar.pgwire.backend import Field, Result
from laminar.server.planning import PlannedQuery, plan_query
from laminar.server.reading import read_rows
from laminar.server.rowlocks import locked_rows
from laminar.server.session import Session
from laminar.server.statements.base import Action
from laminar.sql import ast
from laminar.sql.resolve import oid_name
from laminar.types import supported


class QueryAction(Action):
    """An ad-hoc query, run by DataFusion over one epoch."""

    def __init__(self, session: Session, planned: PlannedQuery) -> None:
        super().__init__(session)
        self.planned = planned
        session.check_accesses(planned.accesses)
        self.param_types = planned.param_types
        self.fields = result_fields(planned)

    @classmethod
    def planned_from(cls, session: Session, query: ast.Query, param_types: Sequence[int]) -> QueryAction:
        """Bind and plan; raises PgError with position."""
        return cls(session, plan_query(query, session.catalog, param_types, locks=True))

    def shared(self) -> Callable[[Session], Action]:
        planned = self.planned
        return lambda session: QueryAction(session, planned)

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        locked = await locked_rows(self.session, self.planned.locking, params)
        rows = await read_rows(self.session, self.planned, params, locked=locked)
        return Result("SELECT", self.fields, rows, counts_rows=True)


def result_fields(planned: PlannedQuery) -> list[Field]:
    """The result's columns as RowDescription tells them. Raises 0A000 for types that are not stored."""
    for column in planned.columns:
        if not supported(column.type.oid):
            raise not_supported(f"results of type {oid_name(column.type.oid)} are not supported")
    return [Field(c.name, c.type, *c.origin) for c in planned.columns]
