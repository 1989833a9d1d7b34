"""CREATE TABLE … AS and SELECT … INTO: a table with a query's rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import pyarrow as pa

from laminar.catalog.objects import StoredRelation
from laminar.errors import OUT_OF_MEMORY, PgError
from laminar.pgwire.backend import Result
from laminar.server import temporary
from laminar.server.definitions import defining, in_block
from laminar.server.planning import plan_query
from laminar.server.reading import read_rows
from laminar.server.rewriting import store_rows
from laminar.server.session import Session
from laminar.server.statements.alter import table_sql
from laminar.server.statements.base import Action, already_exists
from laminar.server.statements.views import output_columns
from laminar.sql import statements as s


class CreateTableAsAction(Action):
    """The rows are the query's when it runs; the table is there with all of them, or not at all."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.CreateTable, param_types: Sequence[int]) -> None:
        super().__init__(session)
        assert statement.query is not None
        self.statement = statement
        self.exists = session.catalog.taken(statement.name, statement.if_not_exists, statement.temporary)
        self.planned = plan_query(statement.query, session.catalog, param_types)
        session.check_accesses(self.planned.accesses)
        self.param_types = self.planned.param_types

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        statement, session = self.statement, self.session
        if self.exists:
            return already_exists("CREATE TABLE AS", statement.name.name)
        rows = await self._rows(params) if statement.with_data else []
        async with defining(self.session, "CREATE TABLE AS"):
            if statement.temporary:
                temporary.make_schema(session)
            schema, name = session.catalog.creation_name(statement.name, statement.temporary)
            relation = StoredRelation(
                oid=0,
                schema=schema,
                name=name,
                kind="table",
                owner=session.role.name,
                columns=output_columns(self.planned.columns, statement.names),
                sql="",
                search_path=session.search_path,
            )
            stored = await store_rows(self.database, replace(relation, sql=table_sql(relation)), rows)
            try:
                self.database.catalog.create(stored)
            except BaseException:
                if not in_block(session.transaction):
                    self.database.coordinator.drop_relation(stored.oid)
                raise
        if not statement.with_data:
            return Result("CREATE TABLE AS")
        return Result(f"SELECT {sum(batch.num_rows for batch in rows)}")

    async def _rows(self, params: Sequence[pa.Scalar | None]) -> list[pa.RecordBatch]:
        limit = self.database.settings.work_mem
        rows, size = [], 0
        async for batch in await read_rows(self.session, self.planned, params):
            size += batch.nbytes
            if size > limit:
                raise PgError(
                    OUT_OF_MEMORY,
                    "out of memory",
                    detail=f"The new table's rows take more than the limit of {limit} bytes.",
                    hint="Create the table, then INSERT INTO … SELECT in parts.",
                )
            rows.append(batch)
        return rows
