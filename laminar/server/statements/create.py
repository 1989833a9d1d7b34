"""CREATE TABLE, CREATE SOURCE, CREATE SCHEMA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import pyarrow as pa

from laminar.catalog.catalog import Catalog
from laminar.catalog.objects import StoredColumn, StoredRelation
from laminar.errors import (
    DUPLICATE_COLUMN,
    DUPLICATE_SCHEMA,
    INSUFFICIENT_PRIVILEGE,
    INVALID_PARAMETER_VALUE,
    UNDEFINED_COLUMN,
    PgError,
    not_supported,
)
from laminar.pgwire.backend import Notice, Result
from laminar.server import privileges, sources, temporary
from laminar.server.computed import computed_spec
from laminar.server.definitions import defining
from laminar.server.session import Session
from laminar.server.statements import deadletters, like
from laminar.server.statements.base import Action, already_exists
from laminar.server.statements.indexes import attnums_of, new_index
from laminar.server.statements.sequences import column_sequence, default_of
from laminar.server.statements.usertypes import column_type, with_domain_default
from laminar.server.statements.watermark import watermark_of
from laminar.sql import statements as s
from laminar.sql.binder import bind_check, bind_default, bind_expression, bind_generated
from laminar.sql.expressions import walk
from laminar.sql.plan import ColumnRef
from laminar.sql.resolve import oid_name
from laminar.types import ARRAY_OF, RECORD, supported

#: PostgreSQL's parameters of how a table is stored (CREATE TABLE, "Storage Parameters"): of no meaning here
_STORAGE = frozenset(
    {"fillfactor", "toast_tuple_target", "parallel_workers", "vacuum_truncate", "vacuum_index_cleanup",
     "log_autovacuum_min_duration"}
    | {f"autovacuum_{name}" for name in (
        "enabled", "vacuum_threshold", "vacuum_scale_factor", "vacuum_insert_threshold",
        "vacuum_insert_scale_factor", "analyze_threshold", "analyze_scale_factor", "vacuum_cost_delay",
        "vacuum_cost_limit", "freeze_min_age", "freeze_max_age", "freeze_table_age",
        "multixact_freeze_min_age", "multixact_freeze_max_age", "multixact_freeze_table_age",
    )}
)  # fmt: skip


class CreateRelationAction(Action):
    """CREATE TABLE and CREATE SOURCE."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.CreateTable | s.CreateSource, sql: str) -> None:
        super().__init__(session)
        self.statement = statement
        self.kind = "table" if isinstance(statement, s.CreateTable) else "source"
        self.sequences: list[StoredRelation] = []
        #: (constraint's name or None, columns) of each UNIQUE
        self.uniques: list[tuple[str | None, tuple[int, ...]]] = []
        #: gets the rows that a source cannot read
        self.dead_letters: StoredRelation | None = None
        #: None: IF NOT EXISTS found one
        self.relation: StoredRelation | None = None
        temp = isinstance(statement, s.CreateTable) and statement.temporary
        if session.catalog.taken(statement.name, statement.if_not_exists, temp):
            return
        _refuse_gaps(statement)
        if temp:
            temporary.make_schema(session)
        schema, name = session.catalog.creation_name(statement.name, temp)
        statement = replace(statement, elements=like.expanded(session, statement.elements))
        uses: set[int] = set()
        columns, self.sequences = new_columns(session, statement.elements, schema, name, uses)
        primary = primary_key(statement.elements, columns, name)
        columns = tuple(replace(c, not_null=True) if i in primary else c for i, c in enumerate(columns, 1))
        relation = StoredRelation(
            oid=0,
            schema=schema,
            name=name,
            kind=self.kind,  # type: ignore[arg-type]
            owner=session.role.name,
            columns=columns,
            sql=sql,
            search_path=session.search_path,
            primary_key=primary,
            append_only=isinstance(statement, s.CreateTable) and statement.append_only,
        )
        if isinstance(statement, s.CreateSource):
            _check_server_files(session, statement)
            relation = sources.with_connector(relation, statement)
            self.dead_letters = deadletters.table_of(session, relation, statement.name.pos or None)
        relation = replace(relation, on_conflict=_on_conflict(statement, relation))
        self.uniques = _uniques(statement, relation)
        watermark = watermark_of(session, statement.elements.watermark, relation)
        _check_generated(session, statement.elements, relation, uses)
        checks = _checks(session, statement.elements, relation, uses)
        self.relation = replace(relation, watermark=watermark, checks=checks, depends_on=tuple(sorted(uses)))

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        tag = f"CREATE {self.kind.upper()}"
        if self.relation is None:
            return already_exists(tag, self.statement.name.name)
        async with defining(self.session, tag):
            catalog = self.database.catalog
            if catalog.find(self.relation.schema, self.relation.name) is not None:
                if self.statement.if_not_exists:
                    return already_exists(tag, self.relation.name)
                catalog.check_free(self.relation.schema, self.relation.name, self.statement.name.pos or None)
            relation = replace(self.relation, oid=catalog.new_oid())
            sequences = [
                replace(q, oid=catalog.new_oid(), owned_by=(relation.oid, q.owned_by[1]))
                for q in self.sequences
                if q.owned_by is not None
            ]
            uniques = unique_indexes(catalog, relation, self.uniques)
            others = like.indexes(self.session, relation, self.statement.elements.likes, uniques)
            indexes = [replace(i, oid=catalog.new_oid()) for i in (*uniques, *others)]
            self.database.made(relation)
            if self.dead_letters is not None:
                async with deadletters.taking(self.session, relation, self.dead_letters) as taker:
                    catalog.create(relation, taker)
                return Result(tag)
            catalog.create(relation, *sequences, *indexes)
            like.comment(self.session, relation, self.statement.elements.likes)
            self.database.coordinator.register_relation(computed_spec(self.database, relation))
        return Result(tag)


def _refuse_gaps(statement: s.CreateTable | s.CreateSource) -> None:
    """What is understood but not there yet."""
    position = statement.name.pos or None
    if isinstance(statement, s.CreateTable):
        for option in statement.options:
            if option.name.lower() in _STORAGE:
                continue
            raise PgError(
                INVALID_PARAMETER_VALUE,
                f'unrecognized parameter "{option.name}"',
                hint="Tables have no options.",
                position=option.pos or None,
            )
    elif statement.or_replace:
        raise not_supported(
            "CREATE OR REPLACE SOURCE is not supported yet", hint="Drop the source first.", position=position
        )


def _on_conflict(statement: s.CreateTable | s.CreateSource, relation: StoredRelation) -> str:
    """What a row does whose key is there; in sources it takes the place of the one that is."""
    position = statement.name.pos or None
    if isinstance(statement, s.CreateSource):
        return "overwrite" if relation.primary_key else "error"
    if statement.conflict is None:
        return "error"
    if not relation.primary_key:
        raise PgError("42P16", "ON CONFLICT needs a PRIMARY KEY", position=position)
    if relation.append_only and statement.conflict != "ignore":
        raise not_supported("rows of APPEND ONLY tables are not overwritten", position=position)
    if statement.conflict == "update_if_not_null" and any(c.generated for c in relation.columns):
        raise not_supported(
            "DO UPDATE IF NOT NULL for tables with generated columns is not supported", position=position
        )
    return statement.conflict


def _check_server_files(session: Session, statement: s.CreateSource) -> None:
    """Files are read with the server's rights, so only superusers may name them, as for COPY."""
    reads = any(o.name.lower() == "connector" and o.value == "file" for o in statement.options)
    if reads and not session.role.superuser:
        raise PgError(
            INSUFFICIENT_PRIVILEGE,
            "permission denied to read files of the server",
            detail="Only superusers may create sources with the connector file.",
            hint="Create a source without a connector and COPY the rows from stdin.",
            position=statement.name.pos or None,
        )


def new_columns(
    session: Session, elements: s.Elements, schema: str, relation: str, uses: set[int]
) -> tuple[tuple[StoredColumn, ...], list[StoredRelation]]:
    """The columns, and the sequences of those that are serial or identity.

    ``uses`` gets the oids of the users' functions in their defaults.
    """
    seen: set[str] = set()
    columns: list[StoredColumn] = []
    sequences: list[StoredRelation] = []
    for definition in elements.columns:
        where = definition.pos or None
        if definition.name in seen:
            raise PgError(
                DUPLICATE_COLUMN, f'column "{definition.name}" specified more than once', position=where
            )
        seen.add(definition.name)
        type_, domain = column_type(session, definition.type, uses)
        if type_.oid in (RECORD, ARRAY_OF[RECORD]):
            raise PgError("42P16", f'column "{definition.name}" has pseudo-type {oid_name(type_.oid)}')
        if not supported(type_.oid):
            raise not_supported(f'type of column "{definition.name}" is not supported', position=where)
        if definition.default is not None:
            bind_default(definition.default, type_, definition.name, session.catalog, uses)
        column = StoredColumn(
            definition.name, type_, definition.not_null, definition.default_text, domain=domain
        )
        column = replace(with_domain_default(session, column), generated=definition.generated_text)
        if definition.generated is not None and (definition.default is not None or definition.identity):
            raise PgError(
                "42601",
                f"both {'identity' if definition.identity else 'default'} and generation expression specified"
                f' for column "{column.name}" of table "{relation}"',
                position=where,
            )
        if definition.serial or definition.identity is not None:
            if definition.default is not None:
                what = "both default and identity" if definition.identity else "multiple default values"
                raise PgError(
                    "42601",
                    f'{what} specified for column "{column.name}" of table "{relation}"',
                    position=where,
                )
            sequence = column_sequence(session, schema, relation, len(columns) + 1, definition, type_)
            sequences.append(sequence)
            identity = (definition.identity or "")[:1]
            column = replace(column, not_null=True, default=default_of(sequence), identity=identity)
        columns.append(column)
    return tuple(columns), sequences


def primary_key(elements: s.Elements, columns: tuple[StoredColumn, ...], relation: str) -> tuple[int, ...]:
    """Attribute numbers of the primary key, wherever it was declared."""
    numbers = {column.name: attnum for attnum, column in enumerate(columns, 1)}
    keys: list[tuple[tuple[str, ...], int]] = [((c.name,), c.pos) for c in elements.columns if c.primary_key]
    for constraint in elements.constraints:
        if constraint.kind == "primary":
            for name, position in constraint.columns:
                if name not in numbers:
                    raise PgError(
                        UNDEFINED_COLUMN,
                        f'column "{name}" named in key does not exist',
                        position=constraint.pos or position or None,
                    )
            keys.append((tuple(name for name, _ in constraint.columns), constraint.pos))
    if len(keys) > 1:
        raise PgError(
            "42P16",
            f'multiple primary keys for table "{relation}" are not allowed',
            position=keys[1][1] or None,
        )
    if not keys:
        return ()
    names = keys[0][0]
    if len(set(names)) != len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise PgError(
            DUPLICATE_COLUMN,
            f'column "{twice}" appears twice in primary key constraint',
            position=keys[0][1] or None,
        )
    return tuple(numbers[name] for name in names)


def _uniques(
    statement: s.CreateTable | s.CreateSource, relation: StoredRelation
) -> list[tuple[str | None, tuple[int, ...]]]:
    """The UNIQUE constraints of columns and of the table; the primary key needs none."""
    elements = statement.elements
    named: list[tuple[str | None, list[str], int]] = [
        (None, [column.name], column.pos) for column in elements.columns if column.unique
    ]
    named += [
        (constraint.name, [name for name, _ in constraint.columns], constraint.pos)
        for constraint in elements.constraints
        if constraint.kind == "unique"
    ]
    if named and isinstance(statement, s.CreateSource):
        raise not_supported("UNIQUE is for tables", position=named[0][2] or None)
    found: list[tuple[str | None, tuple[int, ...]]] = []
    for name, columns, position in named:
        for column in columns:
            if all(known.name != column for known in relation.columns):
                raise PgError(
                    UNDEFINED_COLUMN, f'column "{column}" named in key does not exist', position=position
                )
        attnums = attnums_of(relation, columns)
        if attnums != relation.primary_key and all(attnums != known for _, known in found):
            found.append((name, attnums))
    return found


def unique_indexes(
    catalog: Catalog, relation: StoredRelation, uniques: list[tuple[str | None, tuple[int, ...]]]
) -> list[StoredRelation]:
    """The indexes of UNIQUE constraints, with PostgreSQL's names where they have none."""
    made: list[StoredRelation] = []
    for name, attnums in uniques:
        columns = [relation.columns[a - 1].name for a in attnums]
        called = name or catalog.free_name(relation.schema, relation.name, *columns, "key")
        catalog.check_free(relation.schema, called)
        made.append(new_index(relation, called, attnums, unique=True, constraint=True))
    return made


def _checks(
    session: Session, elements: s.Elements, relation: StoredRelation, uses: set[int]
) -> tuple[tuple[str, str], ...]:
    """Named check constraints, each bound once to see that it can be; ``uses`` as for columns."""
    found: list[tuple[str, str]] = []
    taken: set[str] = set()

    def add(check: s.Check, base: str) -> None:
        bind_check(check.expr, session.catalog.describe(relation), session.catalog, uses)
        name, number = check.name or base, 1
        while name in taken:
            name, number = f"{base}{number}", number + 1
        taken.add(name)
        found.append((name, check.text))

    for column in elements.columns:
        for check in column.checks:
            add(check, f"{relation.name}_{column.name}_check")
    for constraint in elements.constraints:
        if constraint.check is not None:
            add(constraint.check, check_base(session, relation, constraint.check))
    return tuple(found)


def _check_generated(
    session: Session, elements: s.Elements, relation: StoredRelation, uses: set[int]
) -> None:
    """Computed columns, each bound once to see that it can be; ``uses`` as for columns."""
    described = session.catalog.describe(relation)
    columns = {column.name: column for column in described.columns}
    for definition in elements.columns:
        if definition.generated is not None:
            column = columns[definition.name]
            bind_generated(definition.generated, column, described, session.catalog, uses)


def check_base(session: Session, relation: StoredRelation, check: s.Check) -> str:
    """PostgreSQL's name for a table's check constraint: with the column if it is about one."""
    expr, numbers = bind_expression(check.expr, session.catalog.describe(relation), session.catalog)
    attnums = {numbers[e.id] for e in walk(expr) if isinstance(e, ColumnRef)}
    column = f"_{relation.columns[attnums.pop() - 1].name}" if len(attnums) == 1 else ""
    return f"{relation.name}{column}_check"


class CreateSchemaAction(Action):
    """CREATE SCHEMA."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.CreateSchema) -> None:
        super().__init__(session)
        self.statement = statement

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        if "C" not in privileges.database_letters(self.database.catalog, self.session.role.name):
            raise PgError(INSUFFICIENT_PRIVILEGE, f"permission denied for database {self.database.name}")
        result = Result("CREATE SCHEMA")
        async with defining(self.session, "CREATE SCHEMA"):
            try:
                self.database.catalog.create_schema(self.statement.name, self.session.role.name)
            except PgError as error:
                if error.sqlstate != DUPLICATE_SCHEMA or not self.statement.if_not_exists:
                    raise error.at(self.statement.pos or None) from None
                text = f'schema "{self.statement.name}" already exists, skipping'
                result.notices.append(Notice("NOTICE", DUPLICATE_SCHEMA, text))
        return result
