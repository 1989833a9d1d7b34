"""SELECT, VALUES, TABLE."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from laminar.pgwire.backend import Field, Result
from laminar.server.planning import PlannedQuery, plan_query
from laminar.server.reading import read_rows
from laminar.server.session import Session
from laminar.server.statements.base import Action
from laminar.sql import ast


class QueryAction(Action):
    """An ad-hoc query, run by DataFusion over one epoch."""

    def __init__(self, session: Session, query: ast.Query, param_types: Sequence[int]) -> None:
        super().__init__(session)
        self.planned = plan_query(query, session.catalog, param_types)
        session.check_dependencies(self.planned.dependencies)
        self.param_types = self.planned.param_types
        self.fields = result_fields(self.planned)

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        rows = await read_rows(self.session, self.planned, params)
        return Result("SELECT", self.fields, rows, counts_rows=True)


def result_fields(planned: PlannedQuery) -> list[Field]:
    """The result's columns as RowDescription tells them."""
    return [Field(c.name, c.type, *c.origin) for c in planned.columns]
