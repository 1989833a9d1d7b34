"""EXPLAIN of queries and of materialized views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import pyarrow as pa

from laminar.errors import INVALID_PARAMETER_VALUE, PgError, not_supported
from laminar.pgwire.backend import Result
from laminar.server.planning import plan_query
from laminar.server.session import Session
from laminar.server.statements.base import Action, batches, text_batch, text_fields
from laminar.server.statements.views import CreateMaterializedViewAction, CreateSinkAction
from laminar.server.views import stream_plan
from laminar.sql import statements as s
from laminar.sql.explain import explain
from laminar.sql.stream.explain import explain_stream


class ExplainAction(Action):
    """The logical plan of a query; the logical and the stream plan of a view or sink."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.Explain) -> None:
        super().__init__(session)
        self.fields = text_fields("QUERY PLAN")
        _check_options(statement)
        inner = statement.statement
        if isinstance(inner, s.Query):
            planned = plan_query(inner.query, session.catalog)
            session.check_accesses(planned.accesses)
            self.lines = explain(planned.plan).splitlines()
        elif isinstance(inner, s.CreateMaterializedView | s.CreateSink):
            self.lines = self._dataflow(inner)
        else:
            raise not_supported(
                "EXPLAIN of this statement is not supported yet",
                hint="EXPLAIN SELECT, CREATE MATERIALIZED VIEW and CREATE SINK are.",
            )

    def _dataflow(self, statement: s.CreateMaterializedView | s.CreateSink) -> list[str]:
        statement = replace(statement, if_not_exists=False)
        action: CreateMaterializedViewAction | CreateSinkAction
        if isinstance(statement, s.CreateMaterializedView):
            action = CreateMaterializedViewAction(self.session, statement, "")
        else:
            action = CreateSinkAction(self.session, statement, "")
        assert action.relation is not None
        root = stream_plan(self.database, action.relation, action.planned)
        names = {r.oid: r.name for r in self.database.catalog.relations.values()}
        names[action.relation.oid] = action.relation.name
        lines = ["Logical plan", *(f"  {line}" for line in explain(action.planned.plan).splitlines())]
        return [*lines, "Stream plan", *(f"  {line}" for line in explain_stream(root, names))]

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        return Result("EXPLAIN", self.fields, batches(text_batch(list(self.lines))))


def _check_options(statement: s.Explain) -> None:
    for option in statement.options:
        name, value = option.name.lower(), (option.value or "true").lower()
        if name == "analyze" and value in ("true", "on"):
            raise not_supported(
                "EXPLAIN ANALYZE is not supported yet",
                hint="laminar_catalog.operators has the counters of running views.",
                position=option.pos or None,
            )
        if name == "format" and value != "text":
            raise not_supported(
                f"EXPLAIN (FORMAT {value}) is not supported yet", position=option.value_pos or None
            )
        if name not in ("analyze", "format", "verbose", "costs", "settings", "buffers", "timing", "summary"):
            raise PgError(
                INVALID_PARAMETER_VALUE,
                f'unrecognized EXPLAIN option "{option.name}"',
                position=option.pos or None,
            )
