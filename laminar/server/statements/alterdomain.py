"""ALTER DOMAIN: defaults and constraints, held against the rows that are there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pyarrow as pa

from laminar.catalog.catalog import describe
from laminar.catalog.objects import StoredRelation, StoredType
from laminar.errors import (
    CHECK_VIOLATION,
    DUPLICATE_OBJECT,
    NOT_NULL_VIOLATION,
    UNDEFINED_OBJECT,
    WRONG_OBJECT_TYPE,
    PgError,
    not_supported,
)
from laminar.pgwire.backend import Notice, Result
from laminar.server.definitions import defining, refuse_changed
from laminar.server.session import Session
from laminar.server.statements.alter import table_sql
from laminar.server.statements.base import Action
from laminar.server.statements.usertypes import check_name, find_type
from laminar.sql import statements as s
from laminar.sql.binder import bind_default
from laminar.sql.binder.domains import bound_check
from laminar.sql.evaluator import compile as compile_exprs
from laminar.sql.facts import types_by_name
from laminar.sql.parse import parse_expression
from laminar.sql.resolve import oid_name

_TAG = "ALTER DOMAIN"


class AlterDomainAction(Action):
    """ALTER DOMAIN SET | DROP DEFAULT, SET | DROP NOT NULL, ADD | DROP | RENAME | VALIDATE CONSTRAINT."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.AlterDomain) -> None:
        super().__init__(session)
        self.statement = statement
        self._find()

    def _find(self) -> StoredType:
        name = self.statement.name
        if name.schema in (None, "pg_catalog") and name.name in types_by_name():
            shown = oid_name(types_by_name()[name.name].oid)
            raise PgError(WRONG_OBJECT_TYPE, f"{shown} is not a domain")
        made = find_type(self.session, name)
        if made.kind != "d":
            raise PgError(WRONG_OBJECT_TYPE, f"{made.name} is not a domain")
        return made

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        result = Result(_TAG)
        async with defining(self.session, _TAG):
            made = self._find()
            tables = {relation.oid: relation for relation, _ in self._columns(made)}
            for table in tables.values():
                refuse_changed(self.session, table, _TAG)
            # nobody may add rows that have not been looked at
            frozen = self.database.frozen
            frozen.update(tables)
            try:
                for oid in tables:
                    coordinator = self.database.coordinator
                    await coordinator.wait_published(coordinator.accepted_epoch(oid))
                changed = self._changed(made, result)
                if changed != made:
                    self.database.catalog.put_type(changed)
            finally:
                frozen.difference_update(tables)
        return result

    def _changed(self, made: StoredType, result: Result) -> StoredType:
        statement = self.statement
        match statement.action:
            case "default":
                return self._default(made)
            case "not null":
                self._refuse_uses(made)
                if not made.not_null:
                    self._check_nulls(made)
                return replace(made, not_null=True)
            case "null":
                self._refuse_uses(made)
                return replace(made, not_null=False)
            case "add":
                self._refuse_uses(made)
                return self._added(made)
        name = statement.arguments[0]
        found = next((check for check in made.checks if check[0] == name), None)
        if found is None:
            of = f"for domain {made.name}" if statement.action == "rename" else f'of domain "{made.name}"'
            message = f'constraint "{name}" {of} does not exist'
            if not statement.if_exists:
                raise PgError(UNDEFINED_OBJECT, message)
            result.notices.append(Notice("NOTICE", "00000", f"{message}, skipping"))
            return made
        if statement.action == "validate":
            self._check_values(made, found[1])
            return replace(made, unvalidated=tuple(n for n in made.unvalidated if n != name))
        self._refuse_uses(made)
        if statement.action == "rename":
            return self._renamed(made, *statement.arguments)
        kept = tuple(check for check in made.checks if check[0] != name)
        return replace(made, checks=kept, unvalidated=tuple(n for n in made.unvalidated if n != name))

    def _refuse_uses(self, made: StoredType) -> None:
        """What is stored and was computed under the old constraints would not equal its query any more."""
        dependents = self.database.catalog.dependents
        users = [r for oid in sorted(self._over(made)) for r in dependents(oid) if r.kind != "table"]
        if users:
            path = self.session.search_path
            raise not_supported(
                f"{describe(made, path)} cannot be altered because {describe(users[0], path)} uses it",
                hint="Drop what uses it first, and create it again afterwards.",
            )

    def _default(self, made: StoredType) -> StoredType:
        uses: set[int] = set()
        if self.statement.default is not None:
            assert made.base is not None
            bind_default(self.statement.default, made.base, made.name, self.session.catalog, uses)
        text = self.statement.default_text
        changed: dict[int, StoredRelation] = {}
        for found, i in self._columns(made):
            relation = changed.get(found.oid, found)
            # columns took the domain's default over when they were made
            if relation.columns[i].domain == made.oid and relation.columns[i].default == made.default:
                changed[relation.oid] = _with_default(relation, i, text, uses)
        if changed:
            self.database.catalog.exchange((), changed.values())
        return replace(made, default=text, depends_on=tuple(sorted({*made.depends_on, *uses})))

    def _added(self, made: StoredType) -> StoredType:
        check, uses = self.statement.check, set[int]()
        assert check is not None and made.base is not None
        bound_check(check.expr, made.base, self.session.catalog, uses)
        name = check_name(made.name, check, [known for known, _, _ in made.checks])
        if self.statement.valid:
            self._check_values(made, check.text)
        return replace(
            made,
            checks=(*made.checks, (name, check.text, self.database.catalog.new_oid())),
            unvalidated=made.unvalidated if self.statement.valid else (*made.unvalidated, name),
            depends_on=tuple(sorted({*made.depends_on, *uses})),
        )

    def _renamed(self, made: StoredType, old: str, new: str) -> StoredType:
        if any(known == new for known, _, _ in made.checks):
            message = f'constraint "{new}" for domain {made.name} already exists'
            raise PgError(DUPLICATE_OBJECT, message)
        checks = tuple((new if name == old else name, text, oid) for name, text, oid in made.checks)
        unvalidated = tuple(new if name == old else name for name in made.unvalidated)
        return replace(made, checks=checks, unvalidated=unvalidated)

    # --- rows that are there

    def _over(self, made: StoredType) -> set[int]:
        """The domain and those over it."""
        oids, types = {made.oid}, self.database.catalog.types.values()
        while more := {t.oid for t in types if oids.intersection(t.depends_on)} - oids:
            oids |= more
        return oids

    def _columns(self, made: StoredType) -> Iterator[tuple[StoredRelation, int]]:
        """The columns of this domain and of those over it: tables with places from 0."""
        oids = self._over(made)
        for relation in self.database.catalog.in_creation_order():
            for i, column in enumerate(relation.columns):
                if column.domain in oids and relation.kind in ("table", "source"):
                    yield relation, i

    def _values(self, made: StoredType) -> Iterator[tuple[StoredRelation, int, pa.RecordBatch]]:
        view = self.database.coordinator.read()
        for relation, i in self._columns(made):
            for batch in view.snapshot(relation.oid).batches((i + 1,)):
                yield relation, i, batch

    def _check_nulls(self, made: StoredType) -> None:
        for relation, i, batch in self._values(made):
            if batch.column(0).null_count:
                name = relation.columns[i].name
                message = f'column "{name}" of table "{relation.name}" contains null values'
                raise PgError(NOT_NULL_VIOLATION, message)

    def _check_values(self, made: StoredType, text: str) -> None:
        assert made.base is not None
        # VALUE is column 1, whatever column of a table it comes from
        condition = bound_check(parse_expression(text), made.base, self.session.catalog)
        program = compile_exprs([condition], [1])
        for relation, i, batch in self._values(made):
            if not np.asarray(program(batch, self.session.env())[0].fill_null(True)).all():
                name = relation.columns[i].name
                where = f'column "{name}" of table "{relation.name}"'
                message = f"{where} contains values that violate the new constraint"
                raise PgError(CHECK_VIOLATION, message)


def _with_default(relation: StoredRelation, i: int, text: str | None, uses: set[int]) -> StoredRelation:
    columns = list(relation.columns)
    columns[i] = replace(columns[i], default=text)
    depends_on = tuple(sorted({*relation.depends_on, *uses}))
    changed = replace(relation, columns=tuple(columns), depends_on=depends_on)
    return replace(changed, sql=table_sql(changed)) if relation.kind == "table" else changed
