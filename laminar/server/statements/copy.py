"""COPY FROM STDIN and TO STDOUT."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from laminar.catalog.objects import StoredColumn
from laminar.errors import (
    DUPLICATE_COLUMN,
    INSUFFICIENT_PRIVILEGE,
    UNDEFINED_COLUMN,
    WRONG_OBJECT_TYPE,
    PgError,
)
from laminar.pgwire.backend import Field, Result
from laminar.server.planning import plan_query
from laminar.server.reading import read_rows
from laminar.server.session import Session
from laminar.server.statements.base import Action
from laminar.server.statements.copyoptions import parse_options
from laminar.server.statements.query import result_fields
from laminar.server.statements.subscribe import SubscribeAction
from laminar.server.statements.views import quoted
from laminar.server.writing import CopyWriter
from laminar.sql import statements as s
from laminar.sql.binder import bind_copy_condition
from laminar.sql.parse import parse_query
from laminar.sql.plan import Expr


def copy_action(session: Session, statement: s.Copy) -> Action:
    """The action of a COPY; only the client's end of the connection is read or written."""
    if statement.program or isinstance(statement.file, s.QName):
        raise PgError(
            INSUFFICIENT_PRIVILEGE,
            "COPY from or to files and programs of the server is not allowed",
            hint="Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone.",
        )
    if statement.direction == "from":
        return CopyFromAction(session, statement)
    if isinstance(statement.source, s.Subscribe):
        return CopySubscribeAction(session, statement)
    return CopyToAction(session, statement)


class CopyFromAction(Action):
    """COPY relation [(columns)] FROM STDIN: all of it or nothing."""

    def __init__(self, session: Session, statement: s.Copy) -> None:
        super().__init__(session)
        assert isinstance(statement.source, s.QName)
        self.relation = session.catalog.writable(statement.source, "copy to")
        session.check_access(self.relation, "INSERT")
        self.condition: Expr | None = None
        if statement.where is not None:
            described = session.catalog.describe(self.relation)
            self.condition = bind_copy_condition(statement.where, described, session.catalog)
        self.attnums = _attnums(self.relation.columns, self.relation.name, statement.columns)
        computed = [a for a in self.attnums if self.relation.columns[a - 1].generated is not None]
        if computed and statement.columns:
            raise PgError(
                "42P10",
                f'column "{self.relation.columns[computed[0] - 1].name}" is a generated column',
                detail="Generated columns cannot be used in COPY.",
            )
        self.attnums = tuple(a for a in self.attnums if a not in computed)
        names = [self.relation.columns[a - 1].name for a in self.attnums]
        self.options = parse_options(statement.options, names, "from")

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        writer = CopyWriter(self.session, self.relation, self.attnums, self.condition)
        return Result("COPY", copy_in=writer, copy_options=self.options)


class CopyToAction(Action):
    """COPY relation | (query) TO STDOUT."""

    def __init__(self, session: Session, statement: s.Copy) -> None:
        super().__init__(session)
        query = statement.source
        if isinstance(query, s.QName):
            relation = session.catalog.stored(query)
            if relation.kind == "view":
                raise PgError(
                    WRONG_OBJECT_TYPE,
                    f'cannot copy from view "{relation.name}"',
                    hint="Try the COPY (SELECT ...) TO variant.",
                )
            attnums = _attnums(relation.columns, relation.name, statement.columns)
            names = ", ".join(quoted(s.QName((relation.columns[a - 1].name,))) for a in attnums)
            query = parse_query(f"SELECT {names} FROM {quoted(query)}")
        assert not isinstance(query, s.Subscribe)
        self.planned = plan_query(query, session.catalog)
        session.check_accesses(self.planned.accesses)
        self.options = parse_options(statement.options, [c.name for c in self.planned.columns], "to")

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        rows = await read_rows(self.session, self.planned, params)
        fields: Sequence[Field] = result_fields(self.planned)
        return Result("COPY", fields, rows, copy_out=self.options, counts_rows=True)


class CopySubscribeAction(SubscribeAction):
    """COPY (SUBSCRIBE …) TO STDOUT: changes as they come, for clients that stream COPY."""

    def __init__(self, session: Session, statement: s.Copy) -> None:
        assert isinstance(statement.source, s.Subscribe)
        super().__init__(session, statement.source)
        assert self.fields is not None
        self.copied = self.fields
        self.options = parse_options(statement.options, [f.name for f in self.fields], "to")
        self.fields = None

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        return Result("COPY", self.copied, self.rows(), copy_out=self.options, counts_rows=True)


def _attnums(
    columns: Sequence[StoredColumn], relation: str, wanted: list[tuple[str, int]]
) -> tuple[int, ...]:
    """Attribute numbers of the named columns, of all when none is named."""
    numbers = {column.name: attnum for attnum, column in enumerate(columns, 1)}
    if not wanted:
        return tuple(numbers.values())
    found: list[int] = []
    for name, position in wanted:
        if name not in numbers:
            raise PgError(
                UNDEFINED_COLUMN,
                f'column "{name}" of relation "{relation}" does not exist',
                position=position or None,
            )
        if numbers[name] in found:
            raise PgError(
                DUPLICATE_COLUMN, f'column "{name}" specified more than once', position=position or None
            )
        found.append(numbers[name])
    return tuple(found)
