"""ALTER of relations, schemas and sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import pyarrow as pa

from laminar.catalog.acl import with_owner
from laminar.catalog.catalog import SYSTEM_SCHEMAS, describe, index_attnums
from laminar.catalog.objects import KIND_NAMES, StoredColumn, StoredRelation
from laminar.errors import (
    DEPENDENT_OBJECTS,
    DUPLICATE_COLUMN,
    DUPLICATE_OBJECT,
    FEATURE_NOT_SUPPORTED,
    INSUFFICIENT_PRIVILEGE,
    UNDEFINED_COLUMN,
    UNDEFINED_OBJECT,
    UNDEFINED_SCHEMA,
    WRONG_OBJECT_TYPE,
    PgError,
    not_supported,
)
from laminar.pgwire.backend import Notice, Result
from laminar.server import privileges, rewriting
from laminar.server.definitions import defining, refuse_changed, refuse_in_block
from laminar.server.session import Session
from laminar.server.statements.base import Action
from laminar.server.statements.create import check_base, new_columns, unique_indexes
from laminar.server.statements.drop import missing
from laminar.server.statements.indexes import attnums_of, check_unique, new_index
from laminar.server.statements.sequences import alter_sequence, default_of
from laminar.server.statements.usertypes import column_type, without_type
from laminar.server.viewtext import with_renamed
from laminar.sql import statements as s
from laminar.sql.binder import bind_assignment, bind_check, bind_default
from laminar.sql.parse import parse_expression
from laminar.sql.parser.names import rename_column
from laminar.sql.plan import ColumnRef, Expr


@dataclass(slots=True)
class _Form:
    """A relation as it will be: its entry, how its columns come from the old ones, the old attribute numbers
    (0: new), and whether its rows are to be written again."""

    relation: StoredRelation
    exprs: list[Expr]
    origins: list[int]
    rewrite: bool = False
    #: indexes that come and go
    added: list[StoredRelation] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    #: views and sinks whose queries name it otherwise now
    dependents: list[StoredRelation] = field(default_factory=list)


class AlterAction(Action):
    """ALTER TABLE, SOURCE, VIEW, MATERIALIZED VIEW, SINK, SEQUENCE."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.Alter) -> None:
        super().__init__(session)
        self.statement = statement
        self.tag = f"ALTER {statement.kind.upper()}"
        self.result = Result(self.tag)

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        self.result = Result(self.tag)
        coordinator = self.database.coordinator
        async with defining(self.session, self.tag):
            found = self.session.catalog.find(self.statement.name)
            if found is None:
                if not self.statement.if_exists:
                    raise missing(self.session, self.statement.name, "relation")
                text = f'relation "{self.statement.name.name}" does not exist, skipping'
                self.result.notices.append(Notice("NOTICE", "00000", text))
                return self.result
            self._check_kind(found)
            self.session.check_owner(found)
            refuse_changed(self.session, found, self.tag)
            if self.statement.action == "swap":
                self._swap(found)
                return self.result
            # nobody may add rows that have not been looked at
            self.database.frozen.add(found.oid)
            try:
                await coordinator.wait_published(coordinator.accepted_epoch(found.oid))
                await self._alter(found)
            finally:
                self.database.frozen.discard(found.oid)
        return self.result

    def _check_kind(self, found: StoredRelation) -> None:
        wanted, kind = self.statement.kind, KIND_NAMES[found.kind]
        plain = self.statement.action in ("rename", "owner", "schema")
        if wanted != kind and not (wanted == "table" and plain and found.kind != "source"):
            raise PgError(WRONG_OBJECT_TYPE, f'"{found.name}" is not a {wanted}')

    def _swap(self, found: StoredRelation) -> None:
        """SWAP WITH: two relations of one kind exchange their names, in one step."""
        refuse_in_block(self.session, f"{self.tag} SWAP WITH")
        name = s.QName(self.statement.arguments)
        other = self.session.catalog.find(name)
        if other is None:
            raise missing(self.session, name, "relation")
        self._check_kind(other)
        self.session.check_owner(other)
        if (
            found.kind not in ("table", "source", "mview", "view", "stream", "sink")
            or other.kind != found.kind
        ):
            raise PgError(WRONG_OBJECT_TYPE, f'cannot swap "{found.name}" with "{other.name}"')
        if found.schema != other.schema:
            raise not_supported(
                "SWAP WITH is supported for relations of one schema",
                hint="ALTER … SET SCHEMA first.",
            )
        if found.oid == other.oid:
            return
        changed: list[StoredRelation] = []
        for relation, called in ((found, other.name), (other, found.name)):
            self._refuse_dependents(relation, "swap")
            new = replace(relation, name=called)
            if relation.kind == "table":
                new = replace(new, sql=table_sql(new))
            changed += [new, *self._moved_parts(relation, new)]
        self.database.catalog.exchange((), changed)

    async def _alter(self, found: StoredRelation) -> None:
        refs: list[Expr] = [ColumnRef(a, c.type) for a, c in enumerate(found.columns, 1)]
        form = _Form(found, refs, list(range(1, len(refs) + 1)))
        action: s.Alter | None = self.statement
        while action is not None:
            self._apply(form, action)
            action = action.next
        catalog, env = self.database.catalog, self.session.env()
        new = replace(form.relation, sql=table_sql(form.relation)) if found.kind == "table" else form.relation
        if form.rewrite:
            self._refuse_dependents(found, "change the columns of")
            places = {old: attnum for attnum, old in enumerate(form.origins, 1) if old} | {0: 0}
            await rewriting.replace_table(self.database, found, new, form.exprs, places, env)
            return
        moved = self._moved_parts(found, new)
        added = [replace(index, oid=catalog.new_oid()) for index in form.added]
        catalog.exchange(
            form.gone, (new, *(p for p in moved if p.oid not in form.gone), *added, *form.dependents)
        )

    def _moved_parts(self, old: StoredRelation, new: StoredRelation) -> list[StoredRelation]:
        """Sequences and indexes go where their table goes, and belong to whom it belongs."""
        moved = []
        for part in self.database.catalog.owned(old.oid):
            if part.kind == "index":
                unique, constraint = (part.options[n] == "true" for n in ("unique", "constraint"))
                again = new_index(new, part.name, index_attnums(part), unique=unique, constraint=constraint)
                moved.append(replace(again, oid=part.oid, parts=part.parts))
            else:
                acl = with_owner(part.acl, old.owner, new.owner)
                moved.append(replace(part, schema=new.schema, owner=new.owner, acl=acl))
        return moved

    def _refuse_dependents(self, relation: StoredRelation, what: str) -> None:
        """Views keep the names that they were written with."""
        dependents = self.database.catalog.dependents(relation.oid)
        if dependents:
            path = self.session.search_path
            raise PgError(
                FEATURE_NOT_SUPPORTED,
                f"cannot {what} {describe(relation, path)} because other objects depend on it",
                detail="\n".join(
                    f"{describe(d, path)} depends on {describe(relation, path)}" for d in dependents
                ),
                hint="Drop them first, and create them again afterwards.",
            )

    # --- one action

    def _apply(self, form: _Form, action: s.Alter) -> None:
        columns = ("rename column", "add column", "drop column", "type")
        added = action.column is not None and action.column.generated is not None
        if action.action in columns and (added or any(c.generated for c in form.relation.columns)):
            raise not_supported(
                "changing the columns of tables with generated columns is not supported yet",
                hint="Create another table, and INSERT INTO … SELECT.",
                position=action.pos or None,
            )
        match action.action:
            case "rename":
                self._rename(form, action.arguments[0])
            case "schema":
                self._set_schema(form, action.arguments[0])
            case "owner":
                self._set_owner(form, action.arguments[0])
            case "sequence":
                form.relation = alter_sequence(self.session, form.relation, action.options)
            case "rename column":
                self._rename_column(form, *action.arguments)
            case "add column":
                self._table_only(form, action)
                self._add_column(form, action)
            case "drop column":
                self._table_only(form, action)
                self._drop_column(form, action)
            case "default":
                self._set_default(form, action)
            case "not null" | "nullable":
                self._table_only(form, action)
                self._set_not_null(form, action)
            case "type":
                self._table_only(form, action)
                self._set_type(form, action)
            case "add constraint":
                self._table_only(form, action)
                self._add_constraint(form, action)
            case "drop constraint":
                self._table_only(form, action)
                self._drop_constraint(form, action)
            case _:
                raise not_supported(
                    f"ALTER {action.kind.upper()} … {action.action.upper()} is not supported yet",
                    position=action.pos or None,
                )

    def _table_only(self, form: _Form, action: s.Alter) -> None:
        if form.relation.kind != "table":
            raise not_supported(
                f"ALTER {action.kind.upper()} … {action.action.upper()} is not supported",
                hint="The columns of tables can be changed.",
                position=action.pos or None,
            )

    def _rename(self, form: _Form, name: str) -> None:
        relation, catalog = form.relation, self.database.catalog
        catalog.check_free(relation.schema, name)
        form.relation = replace(relation, name=name)
        self._rename_in_dependents(form, relation, form.relation)
        if relation.kind == "sequence":
            self._follow(relation, form.relation)

    def _set_schema(self, form: _Form, schema: str) -> None:
        relation, catalog = form.relation, self.database.catalog
        if schema not in catalog.schemas and schema not in SYSTEM_SCHEMAS:
            raise PgError(UNDEFINED_SCHEMA, f'schema "{schema}" does not exist')
        privileges.check_schema(catalog, self.session.role.name, schema, "CREATE")
        if schema == relation.schema:
            return
        catalog.check_free(schema, relation.name)
        moved = replace(relation, schema=schema)
        self._rename_in_dependents(form, relation, moved)
        if relation.kind == "sequence":
            self._follow(relation, moved)
        for part in catalog.owned(relation.oid):
            if part.kind == "sequence":
                old, new = default_of(part), default_of(replace(part, schema=schema))
                columns = tuple(replace(c, default=new) if c.default == old else c for c in moved.columns)
                moved = replace(moved, columns=columns)
        form.relation = moved

    def _rename_in_dependents(self, form: _Form, old: StoredRelation, new: StoredRelation) -> None:
        """Queries go on naming what they named."""
        known = {d.oid: d for d in form.dependents}
        for dependent in self.database.catalog.dependents(old.oid):
            if dependent.query is not None:
                before = known.get(dependent.oid, dependent)
                known[dependent.oid] = with_renamed(self.database, before, old, new)
        form.dependents = list(known.values())

    def _follow(self, old: StoredRelation, new: StoredRelation) -> None:
        """Defaults that take a sequence's values, after it got another name."""
        catalog = self.database.catalog
        changed: dict[int, StoredRelation] = {}
        for _, relation, i in catalog.defaults_of(old):
            columns = list(changed.get(relation.oid, relation).columns)
            columns[i] = replace(columns[i], default=default_of(new))
            changed[relation.oid] = replace(relation, columns=tuple(columns))
        if changed:
            catalog.replace(*changed.values())

    def _set_owner(self, form: _Form, name: str) -> None:
        catalog, me = self.database.catalog, self.session.role
        name = self.session.named_role(name)
        if name not in catalog.roles:
            raise PgError(UNDEFINED_OBJECT, f'role "{name}" does not exist')
        if not me.superuser:
            if not privileges.may_become(catalog, me.name, name):
                raise PgError(INSUFFICIENT_PRIVILEGE, f'must be member of role "{name}"')
            privileges.check_schema(catalog, name, form.relation.schema, "CREATE")
        acl = with_owner(form.relation.acl, form.relation.owner, name)
        form.relation = replace(form.relation, owner=name, acl=acl)

    # --- columns

    def _place(self, relation: StoredRelation, name: str) -> int:
        for i, column in enumerate(relation.columns):
            if column.name == name:
                return i
        raise PgError(UNDEFINED_COLUMN, f'column "{name}" of relation "{relation.name}" does not exist')

    def _rename_column(self, form: _Form, old: str, new: str) -> None:
        relation = form.relation
        self._refuse_dependents(relation, "rename a column of")
        if relation.kind not in ("table", "source") or relation.connector is not None:
            raise not_supported(f"columns of a {KIND_NAMES[relation.kind]} cannot be renamed")
        if all(column.name != old for column in relation.columns):
            raise PgError(UNDEFINED_COLUMN, f'column "{old}" does not exist')
        i = self._place(relation, old)
        if any(column.name == new for column in relation.columns):
            raise PgError(DUPLICATE_COLUMN, f'column "{new}" of relation "{relation.name}" already exists')
        columns = list(relation.columns)
        columns[i] = replace(columns[i], name=new)
        checks = tuple((name, rename_column(text, old, new)) for name, text in relation.checks)
        form.relation = replace(relation, columns=tuple(columns), checks=checks)

    def _set_column(self, form: _Form, i: int, column: StoredColumn) -> None:
        columns = list(form.relation.columns)
        columns[i] = column
        form.relation = replace(form.relation, columns=tuple(columns))

    def _set_default(self, form: _Form, action: s.Alter) -> None:
        i = self._place(form.relation, action.arguments[0])
        column = form.relation.columns[i]
        if column.identity:
            raise PgError(
                "42601",
                f'column "{column.name}" of relation "{form.relation.name}" is an identity column',
            )
        if action.expr is not None:
            uses: set[int] = set()
            bind_default(action.expr, column.type, column.name, self.session.catalog, uses)
            self._note_uses(form, uses)
        self._set_column(form, i, replace(column, default=action.text))

    @staticmethod
    def _note_uses(form: _Form, uses: set[int]) -> None:
        """Users' functions in defaults and checks: they stay as long as the table."""
        depends_on = tuple(sorted({*form.relation.depends_on, *uses}))
        form.relation = replace(form.relation, depends_on=depends_on)

    def _set_not_null(self, form: _Form, action: s.Alter) -> None:
        i = self._place(form.relation, action.arguments[0])
        column = form.relation.columns[i]
        if action.action == "nullable":
            if i + 1 in form.relation.primary_key:
                raise PgError("42P16", f'column "{column.name}" is in a primary key')
            if column.identity:
                raise PgError(
                    "42601",
                    f'column "{column.name}" of relation "{form.relation.name}" is an identity column',
                )
            self._set_column(form, i, replace(column, not_null=False))
            return
        self._set_column(form, i, replace(column, not_null=True))
        if not form.rewrite:
            self._check_stored(form)

    def _check_stored(self, form: _Form) -> None:
        """The rows that are there satisfy the constraints too."""
        attnums = tuple(range(1, len(form.relation.columns) + 1))
        snapshot = self.database.coordinator.read().snapshot(form.relation.oid)
        rows = list(snapshot.batches(attnums))
        rewriting.check_rows(self.database, form.relation, rows, self.session.env())

    def _add_column(self, form: _Form, action: s.Alter) -> None:
        assert action.column is not None
        relation, definition = form.relation, action.column
        if any(column.name == definition.name for column in relation.columns):
            text = f'column "{definition.name}" of relation "{relation.name}" already exists'
            if action.if_column:
                self.result.notices.append(Notice("NOTICE", DUPLICATE_COLUMN, f"{text}, skipping"))
                return
            raise PgError(DUPLICATE_COLUMN, text)
        if definition.primary_key or definition.unique:
            raise not_supported("adding a column with a key is not supported yet", position=definition.pos)
        elements = s.Elements(columns=[definition])
        uses: set[int] = set()
        (column,), sequences = new_columns(self.session, elements, relation.schema, relation.name, uses)
        depends_on = tuple(sorted({*relation.depends_on, *uses}))
        form.relation = replace(relation, columns=(*relation.columns, column), depends_on=depends_on)
        form.origins.append(0)
        if sequences:
            raise not_supported(
                "adding a serial or identity column is not supported yet", position=definition.pos or None
            )
        default = column.default or "NULL"
        form.exprs.append(
            bind_default(parse_expression(default), column.type, column.name, self.session.catalog)
        )
        form.rewrite = True
        for check in definition.checks:
            self._add_check(form, check, f"{relation.name}_{column.name}_check")

    def _drop_column(self, form: _Form, action: s.Alter) -> None:
        relation, name = form.relation, action.arguments[0]
        if action.if_column and all(column.name != name for column in relation.columns):
            text = f'column "{name}" of relation "{relation.name}" does not exist, skipping'
            self.result.notices.append(Notice("NOTICE", "00000", text))
            return
        i = self._place(relation, name)
        attnum = i + 1
        if relation.watermark is not None and relation.watermark[0] == attnum:
            raise PgError(DEPENDENT_OBJECTS, f'column "{name}" carries the watermark of "{relation.name}"')

        def moved(number: int) -> int:
            return number - (number > attnum)

        key = () if attnum in relation.primary_key else tuple(map(moved, relation.primary_key))
        watermark = relation.watermark and (moved(relation.watermark[0]), relation.watermark[1])
        checks = tuple(c for c in relation.checks if rename_column(c[1], name, name + "_") == c[1])
        columns = (*relation.columns[:i], *relation.columns[i + 1 :])
        depends_on = without_type(relation, relation.columns[i], columns)
        form.relation = replace(
            relation, columns=columns, primary_key=key, watermark=watermark, checks=checks,
            depends_on=depends_on,
        )  # fmt: skip
        del form.exprs[i], form.origins[i]
        form.rewrite = True

    def _set_type(self, form: _Form, action: s.Alter) -> None:
        assert action.type is not None
        i = self._place(form.relation, action.arguments[0])
        column = form.relation.columns[i]
        if form.rewrite:
            raise not_supported("several changes of columns in one ALTER TABLE are not supported yet")
        uses: set[int] = set()
        type_, domain = column_type(self.session, action.type, uses)
        if domain:
            raise not_supported("ALTER COLUMN … TYPE to a domain is not supported", position=action.pos)
        form.relation = replace(form.relation, depends_on=tuple(sorted({*form.relation.depends_on, *uses})))
        if form.relation.watermark is not None and form.relation.watermark[0] == i + 1:
            raise PgError(DEPENDENT_OBJECTS, f'column "{column.name}" carries the watermark')
        relation = self.session.catalog.describe(form.relation)
        form.exprs[i] = bind_assignment(
            action.expr, column.name, type_, relation, self.session.catalog, using=action.expr is not None
        )
        if column.default is not None:
            bind_default(parse_expression(column.default), type_, column.name, self.session.catalog)
        self._set_column(form, i, replace(column, type=type_, domain=0))
        form.rewrite = True

    # --- constraints

    def _add_constraint(self, form: _Form, action: s.Alter) -> None:
        constraint, relation = action.constraint, form.relation
        assert constraint is not None
        if constraint.kind == "check":
            assert constraint.check is not None
            self._add_check(form, constraint.check, check_base(self.session, relation, constraint.check))
            if not form.rewrite:
                self._check_stored(form)
            return
        if constraint.kind == "unique":
            if form.rewrite:
                raise not_supported("ADD UNIQUE with a change of columns is not supported yet")
            attnums = attnums_of(relation, [name for name, _ in constraint.columns])
            (index,) = unique_indexes(self.database.catalog, relation, [(constraint.name, attnums)])
            check_unique(self.database, relation, index, attnums)
            form.added.append(index)
            return
        if relation.primary_key:
            raise PgError("42P16", f'multiple primary keys for table "{relation.name}" are not allowed')
        key = tuple(self._place(relation, name) + 1 for name, _ in constraint.columns)
        columns = tuple(
            replace(c, not_null=True) if a in key else c for a, c in enumerate(relation.columns, 1)
        )
        form.relation = replace(relation, primary_key=key, columns=columns)
        form.rewrite = True

    def _add_check(self, form: _Form, check: s.Check, base: str) -> None:
        relation = form.relation
        uses: set[int] = set()
        bind_check(check.expr, self.session.catalog.describe(relation), self.session.catalog, uses)
        self._note_uses(form, uses)
        relation = form.relation
        taken = {name for name, _ in relation.checks}
        if check.name in taken:
            raise PgError(
                DUPLICATE_OBJECT,
                f'constraint "{check.name}" for relation "{relation.name}" already exists',
            )
        name, number = check.name or base, 1
        while name in taken:
            name, number = f"{base}{number}", number + 1
        form.relation = replace(relation, checks=(*relation.checks, (name, check.text)))

    def _drop_constraint(self, form: _Form, action: s.Alter) -> None:
        relation, name = form.relation, action.arguments[0]
        if relation.primary_key and name == f"{relation.name}_pkey":
            form.relation = replace(relation, primary_key=())
            form.rewrite = True
            return
        for index in self.database.catalog.uniques_of(relation.oid):
            if index.name == name and index.options["constraint"] == "true":
                form.gone.append(index.oid)
                return
        kept = tuple(check for check in relation.checks if check[0] != name)
        if len(kept) == len(relation.checks):
            text = f'constraint "{name}" of relation "{relation.name}" does not exist'
            if not action.if_column:
                raise PgError(UNDEFINED_OBJECT, text)
            self.result.notices.append(Notice("NOTICE", "00000", f"{text}, skipping"))
        form.relation = replace(relation, checks=kept)


class AlterSchemaAction(Action):
    """ALTER SCHEMA … OWNER TO."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.Alter) -> None:
        super().__init__(session)
        self.statement = statement
        if statement.action != "owner":
            raise not_supported("ALTER SCHEMA … RENAME is not supported yet", position=statement.pos or None)

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        catalog, session = self.database.catalog, self.session
        async with defining(session, "ALTER SCHEMA"):
            name = self.statement.name.name
            if name not in catalog.schemas:
                raise PgError(UNDEFINED_SCHEMA, f'schema "{name}" does not exist')
            session.check_schema_owner(name)
            schema = catalog.schemas[name]
            owner = session.named_role(self.statement.arguments[0])
            if owner not in catalog.roles:
                raise PgError(UNDEFINED_OBJECT, f'role "{owner}" does not exist')
            if not privileges.may_become(catalog, session.role.name, owner):
                raise PgError(INSUFFICIENT_PRIVILEGE, f'must be member of role "{owner}"')
            acl = with_owner(schema.acl, schema.owner, owner)
            catalog.replace_schema(replace(schema, owner=owner, acl=acl))
        return Result("ALTER SCHEMA")


def table_sql(relation: StoredRelation) -> str:
    """CREATE TABLE as SHOW CREATE prints it, for a table that was altered."""
    from laminar.server.sequences import qualified, quoted
    from laminar.sql.resolve import type_name

    lines = []
    for column in relation.columns:
        line = f"{quoted(column.name)} {type_name(column.type)}"
        if column.identity:
            line += f" GENERATED {'ALWAYS' if column.identity == 'a' else 'BY DEFAULT'} AS IDENTITY"
        elif column.generated is not None:
            line += f" GENERATED ALWAYS AS ({column.generated}) STORED"
        elif column.default is not None:
            line += f" DEFAULT {column.default}"
        lines.append(line + (" NOT NULL" if column.not_null and not column.identity else ""))
    if relation.primary_key:
        names = ", ".join(quoted(relation.columns[a - 1].name) for a in relation.primary_key)
        lines.append(f"PRIMARY KEY ({names})")
    lines += [f"CONSTRAINT {quoted(name)} CHECK ({text})" for name, text in relation.checks]
    if relation.watermark is not None:
        name = quoted(relation.columns[relation.watermark[0] - 1].name)
        delay = relation.watermark[1]
        lines.append(
            f"WATERMARK FOR {name}" + (f" AS {name} - INTERVAL '{delay} microseconds'" if delay else "")
        )
    body = ",\n    ".join(lines)
    tail = " APPEND ONLY" if relation.append_only else ""
    behaviours = {"overwrite": "OVERWRITE", "ignore": "IGNORE", "update_if_not_null": "DO UPDATE IF NOT NULL"}
    if relation.on_conflict in behaviours:
        tail += f" ON CONFLICT {behaviours[relation.on_conflict]}"
    return f"CREATE TABLE {qualified(relation.schema, relation.name)} (\n    {body}\n){tail}"
