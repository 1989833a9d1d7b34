"""EXPLAIN of queries, writes, materialized views and sinks."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pyarrow as pa

from laminar.errors import INVALID_PARAMETER_VALUE, PgError, not_supported
from laminar.pgwire.backend import Field, Result
from laminar.server.planning import PlannedQuery, plan_query
from laminar.server.reading import read_rows
from laminar.server.session import Session
from laminar.server.statements.base import Action, batches, text_batch, text_fields
from laminar.server.statements.views import CreateMaterializedViewAction, CreateSinkAction
from laminar.server.statements.writes import WriteAction
from laminar.server.views import stream_plan
from laminar.sql import statements as s
from laminar.sql.adhoc import Statistics
from laminar.sql.explain import explain, head
from laminar.sql.plan import Plan
from laminar.sql.stream.explain import explain_stream
from laminar.sql.trees import inputs
from laminar.types import JSON, PgType

_KNOWN = ("analyze", "format", "verbose", "costs", "settings", "buffers", "wal", "timing", "summary")


class ExplainAction(Action):
    """The logical plan of a query or write, with ANALYZE what each node of a query did; the logical and the
    stream plan of a view or sink."""

    transactional: ClassVar[bool] = True

    def __init__(self, session: Session, statement: s.Explain, param_types: Sequence[int] = ()) -> None:
        super().__init__(session)
        self.analyze, self.json = _options(statement)
        self.fields = [Field("QUERY PLAN", PgType(JSON))] if self.json else text_fields("QUERY PLAN")
        self.planned: PlannedQuery | None = None
        self.lines: list[str] = []
        self.tree: dict[str, Any] = {}
        inner = statement.statement
        if isinstance(inner, s.Query):
            self.planned = plan_query(inner.query, session.catalog, param_types)
            session.check_accesses(self.planned.accesses)
            self.param_types = self.planned.param_types
            return
        if self.analyze:
            raise not_supported(
                "EXPLAIN ANALYZE of this statement is not supported yet",
                hint="laminar_catalog.operators has the counters of running views.",
            )
        if isinstance(inner, s.Insert | s.Update | s.Delete):
            write = WriteAction.planned_from(session, inner, param_types)
            self.param_types = write.param_types
            what = f"{write.verb.capitalize()} on {write.bound.relation.name}"
            below = [write.plan] if write.plan is not None else []
            self.tree = {"Node Type": what, "Plans": [self._tree(plan) for plan in below]}
            self.lines = [what]
            self.lines += [
                f"  -> {line}" for plan in below for line in explain(plan, self._names()).splitlines()
            ]
        elif isinstance(inner, s.CreateMaterializedView | s.CreateSink) and not self.json:
            self.lines = self._dataflow(inner)
        else:
            raise not_supported(
                "EXPLAIN of this statement is not supported yet",
                hint="EXPLAIN SELECT, INSERT, UPDATE, DELETE, CREATE MATERIALIZED VIEW and CREATE SINK are;"
                " (FORMAT json) for the first four.",
            )

    def _names(self) -> dict[int, str]:
        return {r.oid: r.name for r in self.database.catalog.relations.values()}

    def _dataflow(self, statement: s.CreateMaterializedView | s.CreateSink) -> list[str]:
        statement = replace(statement, if_not_exists=False)
        action: CreateMaterializedViewAction | CreateSinkAction
        if isinstance(statement, s.CreateMaterializedView):
            action = CreateMaterializedViewAction(self.session, statement, "")
        else:
            action = CreateSinkAction(self.session, statement, "")
        assert action.relation is not None
        root = stream_plan(self.database, action.relation, action.planned)
        names = self._names() | {action.relation.oid: action.relation.name}
        lines = [
            "Logical plan",
            *(f"  {line}" for line in explain(action.planned.plan, self._names()).splitlines()),
        ]
        return [*lines, "Stream plan", *(f"  {line}" for line in explain_stream(root, names))]

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        lines, tree, seconds = self.lines, self.tree, None
        if self.planned is not None:
            statistics: Statistics | None = None
            if self.analyze:
                statistics = {}
                started = time.perf_counter()
                async for _ in await read_rows(self.session, self.planned, params, statistics):
                    pass
                seconds = time.perf_counter() - started
            notes = {
                node: f" (actual time={s.seconds * 1000:.3f} ms rows={s.rows} batches={s.batches})"
                for node, s in (statistics or {}).items()
            }
            lines = explain(self.planned.plan, self._names(), notes).splitlines()
            tree = self._tree(self.planned.plan, statistics)
        if self.json:
            document: dict[str, Any] = {"Plan": tree}
            if seconds is not None:
                document["Execution Time"] = round(seconds * 1000, 3)
            text = json.dumps([document], indent=2, ensure_ascii=False)
            return Result("EXPLAIN", self.fields, batches(text_batch([text])))
        if seconds is not None:
            lines = [*lines, f"Execution Time: {seconds * 1000:.3f} ms"]
        return Result("EXPLAIN", self.fields, batches(text_batch(list(lines))))

    def _tree(self, plan: Plan, statistics: Statistics | None = None) -> dict[str, Any]:
        """A node as JSON, what it reads below it."""
        text = head(plan, self._names())
        node: dict[str, Any] = {"Node Type": text.split(" ", 1)[0], "Description": text}
        if statistics is not None:
            done = statistics.get(id(plan))
            node["Actual Rows"] = done.rows if done is not None else 0
            node["Actual Total Time"] = round(done.seconds * 1000, 3) if done is not None else 0.0
        below = [self._tree(child, statistics) for child in inputs(plan)]
        return node | ({"Plans": below} if below else {})


def _options(statement: s.Explain) -> tuple[bool, bool]:
    """(ANALYZE, FORMAT json)."""
    analyze = as_json = False
    for option in statement.options:
        name, value = option.name.lower(), (option.value or "true").lower()
        if name == "format":
            if value not in ("text", "json"):
                known = value in ("xml", "yaml")
                if known:
                    raise not_supported(
                        f"EXPLAIN (FORMAT {value}) is not supported", position=option.value_pos or None
                    )
                raise PgError(
                    INVALID_PARAMETER_VALUE,
                    f'unrecognized value for EXPLAIN option "format": "{option.value}"',
                    position=option.pos or None,
                )
            as_json = value == "json"
        elif name not in _KNOWN:
            raise PgError(
                "42601", f'unrecognized EXPLAIN option "{option.name}"', position=option.pos or None
            )
        elif name == "analyze":
            analyze = value in ("true", "on", "1")
    return analyze, as_json
