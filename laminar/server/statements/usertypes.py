"""CREATE TYPE, CREATE DOMAIN, ALTER TYPE."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import ClassVar, Final

import pyarrow as pa

from laminar.catalog.catalog import Catalog, describe
from laminar.catalog.objects import StoredColumn, StoredRelation, StoredType
from laminar.errors import DUPLICATE_OBJECT, DUPLICATE_TABLE, INVALID_PARAMETER_VALUE, PgError, not_supported
from laminar.pgwire.backend import Notice, Result
from laminar.server.definitions import defining
from laminar.server.session import Session
from laminar.server.statements.base import Action
from laminar.sql import ast
from laminar.sql import statements as s
from laminar.sql.binder import bind_default, bind_type
from laminar.sql.binder.domains import bound_check
from laminar.sql.binder.state import user_type
from laminar.sql.resolve import oid_name
from laminar.types import ELEMENT_OF, ENUM_KEY, RECORD, PgType, supported

#: digits that order as their bytes do
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
#: between the keys of neighbours when a type is made: values can be put in between this often in one place
_GAP: Final = 1 << 24


def enum_key(place: int) -> str:
    """A place as the eight characters by which values order."""
    digits = [_DIGITS[place >> 5 * i & 31] for i in range(ENUM_KEY)]
    return "".join(reversed(digits))


def _place(key: str) -> int:
    return int(key, 32)


def column_type(session: Session, node: ast.TypeName, uses: set[int]) -> tuple[PgType, int]:
    """What a column declared with this type is stored as, and its domain's oid or 0.

    ``uses`` gets the oid of a user's type.
    """
    found = user_type(node, session.catalog)
    type_ = bind_type(node, session.catalog)
    if found is not None:
        uses.add(found.oid)
    return type_, 0 if found is None or found.domain is None else found.oid


def with_domain_default(session: Session, column: StoredColumn) -> StoredColumn:
    """A column without a default of its own has its domain's."""
    domain = session.catalog.domain(column.domain) if column.domain else None
    if domain is None or column.default is not None:
        return column
    return replace(column, default=domain.default)


def without_type(
    relation: StoredRelation, gone: StoredColumn, columns: tuple[StoredColumn, ...]
) -> tuple[int, ...]:
    """What a table needs once it has lost a column: not the column's type, unless something else may."""
    texts = [text for _, text in relation.checks] + [c.default or "" for c in columns]
    own = {gone.domain, gone.type.oid, ELEMENT_OF.get(gone.type.oid, 0)} - {0}
    kept = {oid for c in columns for oid in (c.domain, c.type.oid, ELEMENT_OF.get(c.type.oid, 0))}
    if any("::" in text or "cast" in text.lower() for text in texts):
        return relation.depends_on
    return tuple(oid for oid in relation.depends_on if oid not in own or oid in kept)


def _new_name(session: Session, name: s.QName) -> tuple[str, str]:
    """Schema and name for a new type; 42710 when there is a type or a relation of that name."""
    try:
        return session.catalog.creation_name(name)
    except PgError as error:
        if error.sqlstate != DUPLICATE_TABLE:
            raise
        message = f'type "{name.name}" already exists'
        raise PgError(DUPLICATE_OBJECT, message) from None


class _CreateAction(Action):
    transactional: ClassVar[bool] = False
    tag: ClassVar[str]

    def __init__(self, session: Session, name: s.QName, made: StoredType) -> None:
        super().__init__(session)
        schema, own = _new_name(session, name)
        self.name = name
        self.made = replace(made, schema=schema, name=own, owner=session.role.name)

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        async with defining(self.session, self.tag):
            _new_name(self.session, self.name)
            catalog = self.database.catalog
            catalog.put_type(_with_oids(catalog, self.made))
        return Result(self.tag)


def _with_oids(catalog: Catalog, made: StoredType) -> StoredType:
    return replace(
        made,
        oid=catalog.new_oid(),
        array=0 if made.kind == "d" else catalog.new_oid(),
        relation=catalog.new_oid() if made.kind == "c" else 0,
        labels=tuple((key, label, catalog.new_oid()) for key, label, _ in made.labels),
        checks=tuple((name, text, catalog.new_oid()) for name, text, _ in made.checks),
    )


class CreateTypeAction(_CreateAction):
    """CREATE TYPE … AS ENUM (…) | AS (…)."""

    tag: ClassVar[str] = "CREATE TYPE"

    def __init__(self, session: Session, statement: s.CreateType) -> None:
        made = StoredType(0, "", statement.name.name, "", "e")
        if statement.labels is not None:
            made = replace(made, labels=_labels(statement.labels))
        else:
            uses: set[int] = set()
            fields = _fields(session, statement.fields or [], uses)
            made = replace(made, kind="c", fields=fields, depends_on=tuple(sorted(uses)))
        super().__init__(session, statement.name, made)


def _labels(named: list[tuple[str, int]]) -> tuple[tuple[str, str, int], ...]:
    seen: set[str] = set()
    for label, _ in named:
        _check_label(label)
        if label in seen:
            raise PgError(
                "23505",
                'duplicate key value violates unique constraint "pg_enum_typid_label_index"',
            )
        seen.add(label)
    return tuple((enum_key(_GAP * i), label, 0) for i, (label, _) in enumerate(named, 1))


def _check_label(label: str) -> None:
    if len(label.encode()) > 63:
        raise PgError("42602", f'invalid enum label "{label}"', detail="Labels must be 63 bytes or less.")


def _fields(
    session: Session, named: list[tuple[str, ast.TypeName, int]], uses: set[int]
) -> tuple[tuple[str, PgType], ...]:
    fields: list[tuple[str, PgType]] = []
    for name, node, _ in named:
        if any(name == known for known, _ in fields):
            raise PgError("42701", f'column "{name}" specified more than once')
        type_, domain = column_type(session, node, uses)
        if domain:
            raise not_supported("fields of domain types are not supported", position=node.pos)
        if type_.oid == RECORD:
            raise PgError("42P16", f'column "{name}" has pseudo-type record')
        if not supported(type_.oid):
            raise not_supported(f"type {oid_name(type_.oid)} is not supported", position=node.pos)
        fields.append((name, type_))
    return tuple(fields)


class CreateDomainAction(_CreateAction):
    """CREATE DOMAIN … AS …"""

    tag: ClassVar[str] = "CREATE DOMAIN"

    def __init__(self, session: Session, statement: s.CreateDomain) -> None:
        uses: set[int] = set()
        base, over = column_type(session, statement.type, uses)
        if not supported(base.oid) or base.oid == RECORD:
            raise not_supported(
                f"domains over {oid_name(base.oid)} are not supported", position=statement.type.pos
            )
        if statement.default is not None:
            bind_default(statement.default, base, statement.name.name, session.catalog, uses)
        default = statement.default_text
        if default is None and over:
            # as it is now: later changes of the domain that this one is over do not come through
            default = session.database.catalog.types[over].default
        checks: list[tuple[str, str, int]] = []
        for check in statement.checks:
            bound_check(check.expr, base, session.catalog, uses)
            name = check_name(statement.name.name, check, [name for name, _, _ in checks])
            checks.append((name, check.text, 0))
        made = StoredType(
            0, "", statement.name.name, "", "d",
            base=base, not_null=statement.not_null, default=default, checks=tuple(checks),
            search_path=session.search_path, depends_on=tuple(sorted(uses)),
        )  # fmt: skip
        super().__init__(session, statement.name, made)


def check_name(domain: str, check: s.Check, taken: Collection[str]) -> str:
    """A check's name, or one like PostgreSQL's; 42710 when there is one of that name."""
    name, number = check.name or f"{domain}_check", 1
    while name in taken and check.name is None:
        name, number = f"{domain}_check{number}", number + 1
    if name in taken:
        raise PgError(DUPLICATE_OBJECT, f'constraint "{name}" for domain "{domain}" already exists')
    return name


def find_type(session: Session, name: s.QName) -> StoredType:
    """The user's type of that name, for statements that change it; 42704, 42501."""
    found = session.catalog.type_named(name.schema, name.name)
    if found is None:
        raise PgError("42704", f'type "{name}" does not exist')
    made = session.database.catalog.types[found.oid]
    if made.owner != session.role.name and not session.role.superuser:
        raise PgError("42501", f"must be owner of type {made.name}")
    return made


class AlterTypeAction(Action):
    """ALTER TYPE and ALTER DOMAIN."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.AlterType) -> None:
        super().__init__(session)
        self.statement = statement
        find_type(session, statement.name)

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        tag = f"ALTER {self.statement.kind.upper()}"
        result = Result(tag)
        async with defining(self.session, tag):
            made = find_type(self.session, self.statement.name)
            if self.statement.kind == "domain" and made.kind != "d":
                raise PgError("42809", f'"{made.name}" is not a domain')
            changed = self._changed(made, result)
            if changed != made:
                self.database.catalog.put_type(changed)
                if changed.kind == "e":
                    self.database.coordinator.announce_type(PgType(changed.oid))
        return result

    def _changed(self, made: StoredType, result: Result) -> StoredType:
        action, arguments = self.statement.action, self.statement.arguments
        if action in ("add value", "rename value") and made.kind != "e":
            raise PgError("42809", f"{made.name} is not an enum")
        if action == "add value":
            return self._add_value(made, arguments[0], result)
        if action == "rename value":
            return self._rename_value(made, *arguments)
        if action == "owner":
            if arguments[0] not in self.database.catalog.roles:
                raise PgError("42704", f'role "{arguments[0]}" does not exist')
            return replace(made, owner=arguments[0])
        self._check_unnamed(made)
        parts = (made.schema, arguments[0]) if action == "rename" else (arguments[0], made.name)
        schema, name = _new_name(self.session, s.QName(parts))
        return replace(made, schema=schema, name=name)

    def _check_unnamed(self, made: StoredType) -> None:
        """Views and functions are kept as SQL text, which may have the type's name in it."""
        for relation in self.database.catalog.dependents(made.oid):
            if relation.kind != "table" or relation.checks or any(c.default for c in relation.columns):
                raise not_supported(
                    f"{describe(made)} cannot be renamed because {describe(relation)} names it"
                )
        if any(made.oid in t.depends_on for t in self.database.catalog.types.values()):
            raise not_supported(f"{describe(made)} cannot be renamed because other types need it")

    def _add_value(self, made: StoredType, label: str, result: Result) -> StoredType:
        _check_label(label)
        labels = list(made.labels)
        if any(label == known for _, known, _ in labels):
            message = f'enum label "{label}" already exists'
            if not self.statement.if_not_exists:
                raise PgError(DUPLICATE_OBJECT, message)
            result.notices.append(Notice("NOTICE", DUPLICATE_OBJECT, f"{message}, skipping"))
            return made
        at = len(labels)
        if self.statement.neighbour is not None:
            before, neighbour = self.statement.neighbour
            at = _index(made, neighbour) + (not before)
        low = _place(labels[at - 1][0]) if at else 0
        high = _place(labels[at][0]) if at < len(labels) else low + 2 * _GAP
        if high - low < 2 or high >= 1 << 5 * ENUM_KEY:
            raise PgError("54000", f"{describe(made)} has no room for a value there")
        labels.insert(at, (enum_key((low + high) // 2), label, self.database.catalog.new_oid()))
        return replace(made, labels=tuple(labels))

    def _rename_value(self, made: StoredType, old: str, new: str) -> StoredType:
        at = _index(made, old)
        _check_label(new)
        if any(new == known for _, known, _ in made.labels):
            raise PgError(DUPLICATE_OBJECT, f'enum label "{new}" already exists')
        users: list[StoredRelation] = self.database.catalog.dependents(made.oid)
        if users:
            raise not_supported(
                f"a value of {describe(made)} cannot be renamed because {describe(users[0])} uses the type",
                hint="Rows hold their labels: add a value and UPDATE them.",
            )
        labels = list(made.labels)
        labels[at] = (labels[at][0], new, labels[at][2])
        return replace(made, labels=tuple(labels))


def _index(made: StoredType, label: str) -> int:
    for at, (_, known, _) in enumerate(made.labels):
        if known == label:
            return at
    raise PgError(INVALID_PARAMETER_VALUE, f'"{label}" is not an existing enum label')
