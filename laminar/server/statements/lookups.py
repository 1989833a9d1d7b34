"""CREATE LOOKUP TABLE."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import pyarrow as pa

from laminar.catalog.objects import StoredRelation
from laminar.connectors.base import LookupSpec, lookup_connector
from laminar.connectors.options import bad_option
from laminar.errors import PgError, not_supported
from laminar.pgwire.backend import Result
from laminar.server import sinks, sources
from laminar.server.definitions import defining
from laminar.server.session import Session
from laminar.server.statements.base import Action, already_exists
from laminar.server.statements.create import new_columns, primary_key
from laminar.sql import statements as s
from laminar.sql.resolve import oid_name

_TAG = "CREATE LOOKUP TABLE"


class CreateLookupTableAction(Action):
    """The table is opened once, so that what is wrong with it is the statement's error."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.CreateLookupTable, sql: str) -> None:
        super().__init__(session)
        self.statement = statement
        #: None: IF NOT EXISTS found one
        self.relation: StoredRelation | None = None
        if session.catalog.taken(statement.name, statement.if_not_exists):
            return
        position = statement.name.pos or None
        _refuse_gaps(statement)
        schema, name = session.catalog.creation_name(statement.name)
        columns, _ = new_columns(session, statement.elements, schema, name, set())
        key = primary_key(statement.elements, columns, name)
        if not key:
            raise not_supported(
                "a lookup table needs a PRIMARY KEY",
                hint="Its rows are found by that: PRIMARY KEY (column, …).",
                position=position,
            )
        columns = tuple(replace(c, not_null=i in key) for i, c in enumerate(columns, 1))
        for definition, column in zip(statement.elements.columns, columns, strict=True):
            if column.type.special or (column.not_null and column.type.needs_sort_key):
                what = "The key of a lookup table" if column.not_null else "A column of a lookup table"
                raise not_supported(
                    f"{what[0].lower()}{what[1:]} cannot be of type {oid_name(column.type.oid)}",
                    hint="Declare it as text." if not column.not_null else None,
                    position=definition.pos or None,
                )
        options = {option.name.lower(): option.value or "" for option in statement.options}
        if len(options) != len(statement.options):
            raise bad_option("an option is given twice").at(position)
        if "connector" not in options:
            raise bad_option(
                "a lookup table needs a connector", hint="Add WITH (connector = 'postgres')."
            ).at(position)
        options = sinks.guarded(session, options["connector"], options)
        self.relation = StoredRelation(
            oid=0,
            schema=schema,
            name=name,
            kind="lookup",
            owner=session.role.name,
            columns=columns,
            sql=sql,
            search_path=session.search_path,
            primary_key=key,
            connector=options["connector"],
            options=options,
        )
        try:
            self.spec: LookupSpec = sources.lookup_spec(self.relation)
            lookup_connector(self.spec.connector).limits(self.spec)
        except PgError as error:
            raise error.at(position) from None

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        if self.relation is None:
            return already_exists(_TAG, self.statement.name.name)
        async with defining(self.session, _TAG):
            catalog = self.database.catalog
            if catalog.find(self.relation.schema, self.relation.name) is not None:
                if self.statement.if_not_exists:
                    return already_exists(_TAG, self.relation.name)
                catalog.check_free(self.relation.schema, self.relation.name, self.statement.name.pos or None)
            await asyncio.to_thread(_try, self.spec)
            relation = replace(self.relation, oid=catalog.new_oid())
            self.database.made(relation)
            catalog.create(relation)
            self.database.coordinator.register_relation(sources.relation_spec(relation))
        return Result(_TAG)


def _try(spec: LookupSpec) -> None:
    lookup_connector(spec.connector).open(spec).close()


def _refuse_gaps(statement: s.CreateLookupTable) -> None:
    """What says something about rows that are not kept here."""
    elements = statement.elements
    if elements.watermark is not None or elements.includes:
        raise not_supported(
            "a lookup table has no WATERMARK and no INCLUDE columns", position=statement.name.pos or None
        )
    for column in elements.columns:
        if (
            column.default is not None
            or column.generated is not None
            or column.serial
            or column.identity is not None
            or column.unique
            or column.checks
            or (column.not_null and not column.primary_key)
        ):
            raise not_supported(
                "columns of a lookup table have no constraints and no defaults",
                hint="Only the primary key is declared; the rest is up to the table outside.",
                position=column.pos or None,
            )
    for constraint in elements.constraints:
        if constraint.kind != "primary":
            raise not_supported(
                "a lookup table has no constraint but its primary key", position=constraint.pos or None
            )
