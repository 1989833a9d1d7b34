"""The catalog in memory: names, dependencies, and one durable write per DDL statement."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from laminar.catalog.acl import mentions
from laminar.catalog.journal import Journal
from laminar.catalog.objects import (
    KIND_NAMES,
    Role,
    Schema,
    StoredDatabase,
    StoredFunction,
    StoredRelation,
    StoredType,
    part_names,
)
from laminar.errors import (
    DEPENDENT_OBJECTS,
    DUPLICATE_OBJECT,
    DUPLICATE_SCHEMA,
    DUPLICATE_TABLE,
    UNDEFINED_OBJECT,
    UNDEFINED_SCHEMA,
    WRONG_OBJECT_TYPE,
    PgError,
)
from laminar.sql import facts
from laminar.sql.resolve import oid_name
from laminar.types import UserType

if TYPE_CHECKING:
    from laminar.catalog.cluster import Cluster
    from laminar.catalog.store import CatalogStore

SUPERUSER = "laminar"
#: PostgreSQL's oid of schema public
PUBLIC_OID = 2200
SYSTEM_SCHEMAS = ("pg_catalog", "information_schema", "laminar_catalog")


#: arguments of CatalogStore.write that are about what all databases share
_SHARED = frozenset(("put_roles", "drop_roles", "put_databases"))

StoredObject = StoredRelation | StoredFunction | StoredType


class Catalog:
    """Objects of one database, by oid and by name. All changes are durable when a method returns.

    Roles, databases, oids and sequences are the cluster's.
    """

    def __init__(self, cluster: Cluster, oid: int, store: CatalogStore) -> None:
        self.cluster = cluster
        self.oid = oid
        self._store = store
        self.databases = cluster.databases
        self.roles = cluster.roles
        self.sequences = cluster.sequences
        relations, schemas = store.load()
        self.relations: dict[int, StoredRelation] = {r.oid: r for r in relations}
        self._names: dict[tuple[str, str], int] = {(r.schema, r.name): r.oid for r in relations}
        self.schemas: dict[str, Schema] = {schema.name: schema for schema in schemas}
        self.functions: dict[int, StoredFunction] = {f.oid: f for f in store.load_functions()}
        self.types: dict[int, StoredType] = {t.oid: t for t in store.load_types()}
        for made in self.types.values():
            make_known(made)
        #: COMMENT ON by (oid of the system catalog that has the object, the object's, attribute or 0)
        self.comments: dict[tuple[int, int, int], str] = {
            _comment_key(key): text for key, text in store.notes().items() if key.startswith("comment ")
        }
        self._journal: Journal | None = None
        #: goes up with DDL statements: plans bound under another version are stale
        self.version = cluster.new_version()
        self._indexes: dict[int, list[StoredRelation]] = {}
        self._indexes_version = -1
        self._give_missing_oids()

    @property
    def database(self) -> StoredDatabase:
        """The database that it is of."""
        return self.databases[self.oid]

    def _give_missing_oids(self) -> None:
        """Catalogs of earlier versions have no oids for schemas and parts of relations."""
        schemas = [dataclasses.replace(s, oid=self._oid_of(s)) for s in self.schemas.values() if not s.oid]
        relations = [new for r in self.relations.values() if (new := self._with_parts(r)) is not r]
        if schemas or relations:
            self._write(put_schemas=tuple(schemas), put=tuple(relations))
            self.schemas |= {s.name: s for s in schemas}
            self.relations |= {r.oid: r for r in relations}

    def _oid_of(self, schema: Schema) -> int:
        return PUBLIC_OID if schema.name == "public" else self.new_oid()

    def _with_parts(self, relation: StoredRelation) -> StoredRelation:
        """The relation with an oid for each of its parts."""
        names = part_names(relation)
        if names == list(relation.parts):
            return relation
        parts = {name: relation.parts.get(name) or self.new_oid() for name in names}
        return dataclasses.replace(relation, parts=parts)

    def _write(self, **changes: tuple[object, ...]) -> None:
        """Memory is about to change so: durable now, or when the transaction block commits."""
        if self._journal is None:
            self._store.write(next_oid=self.next_oid, **changes)  # type: ignore[arg-type]
        else:
            # rows and dataflows get their numbers before the catalog's entry is durable
            self.reserve_oids()
            self._journal.note(self, changes)
        self.cluster.changed(self, shared=not _SHARED.isdisjoint(changes))

    # --- transaction blocks -------------------------------------------------------

    def begin(self) -> None:
        """From here on changes are kept in memory; see :class:`Journal`."""
        self._journal = Journal()

    @property
    def changed(self) -> int:
        """How many changes there are that are not durable."""
        return 0 if self._journal is None else len(self._journal)

    def undo_to(self, mark: int) -> set[int]:
        """Take back changes but the first ``mark``; returns the oids of relations that changed."""
        assert self._journal is not None
        undone = self._journal.undo_to(self, mark)
        if undone:
            self._names = {(r.schema, r.name): r.oid for r in self.relations.values()}
        for oid in undone - self.relations.keys():
            self.sequences.forget(oid)
        self.cluster.changed(self, shared=True)
        return undone

    def commit(self) -> None:
        """Make all changes durable, in one step. Raises 53100, 58030; then nothing is."""
        assert self._journal is not None
        changes = self._journal.net(self)
        if changes:
            self._store.write(next_oid=self.next_oid, **changes)
        self.end()
        for oid in changes.get("remove", ()):
            self.sequences.forget(oid)

    def end(self) -> None:
        """Changes are durable at once again."""
        self._journal = None

    def value(self, kind: str, key: int | str) -> Any:
        """What there is under a journal's key, or None."""
        if kind == "notes":
            return self.comments.get(_comment_key(str(key)))
        return getattr(self, kind).get(key)

    def set_value(self, kind: str, key: int | str, value: Any) -> None:
        """Put it back; names of relations are to be gathered again after that."""
        where: dict[Any, Any] = self.comments if kind == "notes" else getattr(self, kind)
        at = _comment_key(str(key)) if kind == "notes" else key
        if value is None:
            where.pop(at, None)
        else:
            where[at] = value
            if isinstance(value, StoredType):
                make_known(value)

    @property
    def next_oid(self) -> int:
        """Everything that was ever created has a lower one."""
        return self.cluster.next_oid

    def new_oid(self) -> int:
        """An oid nobody has had; durable with the next write."""
        return self.cluster.new_oid()

    def reserve_oids(self) -> None:
        """Make durable that the oids given so far are taken, though nothing in the catalog has them yet."""
        self._store.write(next_oid=self.next_oid)

    # --- relations ----------------------------------------------------------------

    def find(self, schema: str, name: str) -> StoredRelation | None:
        """The relation of that name, or None."""
        oid = self._names.get((schema, name))
        return None if oid is None else self.relations[oid]

    def check_free(self, schema: str, name: str, position: int | None = None) -> None:
        """Raise 3F000 for an unknown schema, 42501 for a system one, 42P07 for a taken name."""
        self.check_schema(schema, position)
        if (schema, name) in self._names:
            raise PgError(DUPLICATE_TABLE, f'relation "{name}" already exists', position=position)
        if self.find_type(schema, name) is not None:
            raise PgError(
                DUPLICATE_OBJECT,
                f'type "{name}" already exists',
                hint="A relation has an associated type of the same name, so you must use a name "
                "that doesn't conflict with any existing type.",
            )

    def create(self, *relations: StoredRelation) -> None:
        """Add relations whose names are free, all or none."""
        self.exchange((), relations)

    def drop(self, oids: Iterable[int]) -> None:
        """Remove relations and functions (dependents included by the caller)."""
        self.exchange(tuple(oids), ())

    def replace(self, *relations: StoredRelation) -> None:
        """Change relations; their names may change too."""
        self.exchange((), relations)

    def exchange(self, gone: Iterable[int], relations: Iterable[StoredRelation]) -> None:
        """Remove some relations and functions, add or change others, all in one step."""
        gone, put = tuple(gone), tuple(self._with_parts(r) for r in relations)
        functions = tuple(oid for oid in gone if oid in self.functions)
        types = tuple(oid for oid in gone if oid in self.types)
        gone = tuple(oid for oid in gone if oid in self.relations)
        self._write(remove=gone, put=put, drop_functions=functions, drop_types=types)
        for oid in functions:
            del self.functions[oid]
        for oid in types:
            del self.types[oid]
        for oid in (*gone, *(r.oid for r in put if r.oid in self.relations)):
            old = self.relations.pop(oid)
            del self._names[old.schema, old.name]
        for relation in put:
            self.relations[relation.oid] = relation
            self._names[relation.schema, relation.name] = relation.oid
        if self._journal is None:
            for oid in gone:
                self.sequences.forget(oid)

    def free_name(self, schema: str, *parts: str) -> str:
        """PostgreSQL's name for what comes with a relation (``t_id_seq``, ``t_a_idx``), numbered if taken."""
        base = "_".join(parts)
        name, number = base[:63], 0
        while (schema, name) in self._names:
            number += 1
            name = f"{base[: 63 - len(str(number))]}{number}"
        return name

    def indexes_of(self, oid: int) -> list[StoredRelation]:
        """A relation's indexes."""
        if self._indexes_version != self.version:
            self._indexes = {}
            for relation in self.relations.values():
                if relation.kind == "index" and relation.owned_by is not None:
                    self._indexes.setdefault(relation.owned_by[0], []).append(relation)
            self._indexes_version = self.version
        return self._indexes.get(oid, [])

    def uniques_of(self, oid: int) -> list[StoredRelation]:
        """Those of them that are unique."""
        return [index for index in self.indexes_of(oid) if index.options["unique"] == "true"]

    def owned(self, oid: int) -> list[StoredRelation]:
        """The sequences and indexes that belong to a relation."""
        return [r for r in self.relations.values() if r.owned_by is not None and r.owned_by[0] == oid]

    def dependents(self, oid: int) -> list[StoredRelation]:
        """Relations that read ``oid`` directly."""
        return [r for r in self.relations.values() if oid in r.depends_on]

    def _needing(self, oid: int) -> list[StoredObject]:
        """Relations and types that need ``oid``, and functions with it in their signature."""
        needing: list[StoredObject] = [*self.dependents(oid)]
        needing += [t for t in self.types.values() if oid in t.depends_on]
        made = self.types.get(oid)
        if made is not None:
            own = {oid, made.array}
            needing += [f for f in self.functions.values() if own.intersection((f.result, *f.types))]
        return needing

    def to_drop(
        self, targets: Iterable[StoredObject], cascade: bool, path: tuple[str, ...] = ("public",)
    ) -> list[StoredObject]:
        """Targets and, with CASCADE, what needs them; dependents first.

        ``path``: the search path, for the names in messages.

        Raises:
            PgError: 2BP01 without CASCADE when others need a target.
        """
        wanted = {relation.oid: relation for relation in targets}
        found: dict[int, StoredObject] = {}
        needing: list[tuple[StoredObject, StoredObject]] = []

        def visit(relation: StoredObject) -> None:
            for dependent in self._needing(relation.oid):
                if dependent.oid not in wanted:
                    needing.append((dependent, relation))
                if dependent.oid not in found:
                    visit(dependent)
            for part in self.owned(relation.oid):
                found.setdefault(part.oid, part)
            found.setdefault(relation.oid, relation)

        for relation in wanted.values():
            if relation.oid not in found:
                visit(relation)
        sequences = [r for r in found.values() if isinstance(r, StoredRelation) and r.kind == "sequence"]
        defaults = [d for sequence in sequences for d in self.defaults_of(sequence, found)]
        if defaults and not cascade:
            first = next(iter(wanted.values()))
            raise PgError(
                DEPENDENT_OBJECTS,
                f"cannot drop {describe(first, path)} because other objects depend on it",
                detail="\n".join(
                    f"default value for column {r.columns[i].name} of {describe(r, path)}"
                    f" depends on {describe(q, path)}"
                    for q, r, i in defaults
                ),
                hint="Use DROP ... CASCADE to drop the dependent objects too.",
            )
        if needing and not cascade:
            first = next(iter(wanted.values()))
            raise PgError(
                DEPENDENT_OBJECTS,
                f"cannot drop {describe(first, path)} because other objects depend on it",
                detail="\n".join(line for a, b in needing for line in _dependence(a, b, path)),
                hint="Use DROP ... CASCADE to drop the dependent objects too.",
            )
        return list(found.values())

    def defaults_of(
        self, sequence: StoredRelation, gone: Iterable[int] = ()
    ) -> list[tuple[StoredRelation, StoredRelation, int]]:
        """(sequence, relation, position of the column) for each default that takes its values."""
        start = f"nextval('{sequence.schema}.{sequence.name}'"
        return [
            (sequence, relation, i)
            for relation in self.relations.values()
            if relation.oid not in gone
            for i, column in enumerate(relation.columns)
            if (column.default or "").replace('"', "").startswith(start)
        ]

    def in_creation_order(self) -> Iterator[StoredRelation]:
        """Relations so that what one reads comes before it."""
        return iter(sorted(self.relations.values(), key=lambda r: r.oid))

    # --- functions ----------------------------------------------------------------

    def functions_named(self, schema: str, name: str) -> list[StoredFunction]:
        """The overloads of a function in a schema."""
        return [f for f in self.functions.values() if f.schema == schema and f.name == name]

    def put_function(self, function: StoredFunction) -> None:
        """Add a function, or replace the one with its oid."""
        self._write(put_functions=(function,))
        self.functions[function.oid] = function

    # --- types --------------------------------------------------------------------

    def find_type(self, schema: str, name: str) -> StoredType | None:
        """The user's type of that name, or None."""
        return next((t for t in self.types.values() if (t.schema, t.name) == (schema, name)), None)

    def put_type(self, made: StoredType) -> None:
        """Add a type, or replace the one with its oid."""
        self._write(put_types=(made,))
        self.types[made.oid] = made
        make_known(made)

    # --- schemas ------------------------------------------------------------------

    def check_schema(self, schema: str, position: int | None = None) -> None:
        """Raise unless users may create things in ``schema``."""
        if schema in SYSTEM_SCHEMAS:
            raise PgError("42501", f"permission denied for schema {schema}", position=position)
        if schema not in self.schemas:
            raise PgError(UNDEFINED_SCHEMA, f'schema "{schema}" does not exist', position=position)

    def create_schema(self, name: str, owner: str) -> None:
        """Add a schema."""
        if name in self.schemas or name in SYSTEM_SCHEMAS:
            raise PgError(DUPLICATE_SCHEMA, f'schema "{name}" already exists')
        if name.startswith("pg_"):
            raise PgError(
                "42939",
                f'unacceptable schema name "{name}"',
                detail='The prefix "pg_" is reserved for system schemas.',
            )
        self.add_schema(Schema(name, owner))

    def add_schema(self, schema: Schema) -> None:
        """Add a schema whatever it is called."""
        schema = dataclasses.replace(schema, oid=self.new_oid())
        self._write(put_schemas=(schema,))
        self.schemas[schema.name] = schema

    def add_session_schema(self, schema: Schema) -> None:
        """Add a session's temporary schema: no part of anybody's transaction."""
        journal, self._journal = self._journal, None
        try:
            self.add_schema(schema)
        finally:
            self._journal = journal

    def drop_schema(self, name: str) -> None:
        """Remove an empty schema."""
        self._write(drop_schemas=(name,))
        del self.schemas[name]

    def in_schema(self, name: str) -> list[StoredObject]:
        """The relations and functions of a schema."""
        things: list[StoredObject] = [
            *self.relations.values(),
            *self.functions.values(),
            *self.types.values(),
        ]
        return [thing for thing in things if thing.schema == name]

    def replace_schema(self, schema: Schema) -> None:
        """Change a schema's owner or privileges."""
        self._write(put_schemas=(schema,))
        self.schemas[schema.name] = schema

    def put_database(self, database: StoredDatabase) -> None:
        """Change a database's name, owner, privileges or settings."""
        self._write(put_databases=(database,))
        self.databases[database.oid] = database

    def comment(self, key: tuple[int, int, int], text: str | None) -> None:
        """COMMENT ON; None or an empty text takes it away."""
        name = "comment {} {} {}".format(*key)
        if text:
            self._write(put_notes=((name, text),))
            self.comments[key] = text
        elif key in self.comments:
            self._write(drop_notes=(name,))
            del self.comments[key]

    def move_comments(self, old: int, new: int, places: dict[int, int]) -> None:
        """A relation got another number: its comments, and its columns', follow."""
        for (catalog, oid, attnum), text in list(self.comments.items()):
            if oid == old:
                self.comment((catalog, oid, attnum), None)
                if attnum in places:
                    self.comment((catalog, new, places[attnum]), text)

    # --- roles --------------------------------------------------------------------

    def put_role(self, role: Role, *, replace: bool = False) -> None:
        """Add a role, or change one."""
        if (role.name in self.roles) != replace:
            what = "does not exist" if replace else "already exists"
            raise PgError(UNDEFINED_OBJECT if replace else DUPLICATE_OBJECT, f'role "{role.name}" {what}')
        known = self.roles.get(role.name)
        role = dataclasses.replace(role, oid=known.oid if known is not None else role.oid or self.new_oid())
        self._write(put_roles=(role,))
        self.roles[role.name] = role

    def drop_role(self, name: str) -> None:
        """Remove a role that owns nothing."""
        if name not in self.roles:
            raise PgError(UNDEFINED_OBJECT, f'role "{name}" does not exist')
        needing = [*self.needing_role(name), *self.cluster.needing_role(name, self)]
        if needing or name == SUPERUSER:
            raise PgError(
                DEPENDENT_OBJECTS,
                f'role "{name}" cannot be dropped because some objects depend on it',
                detail="\n".join(needing) or None,
            )
        members = [
            dataclasses.replace(r, memberships=tuple(m for m in r.memberships if m.role != name))
            for r in self.roles.values()
            if any(m.role == name for m in r.memberships)
        ]
        self._write(drop_roles=(name,), put_roles=tuple(members))
        del self.roles[name]
        self.roles |= {role.name: role for role in members}

    def needing_role(self, name: str) -> list[str]:
        """What in the database belongs to a role or is about it, as messages list it."""
        owned = [f"owner of schema {schema.name}" for schema in self.schemas.values() if schema.owner == name]
        things: list[StoredObject] = [
            *self.relations.values(),
            *self.functions.values(),
            *self.types.values(),
        ]
        owned += [f"owner of {describe(thing)}" for thing in things if thing.owner == name]
        owned += [f"privileges for schema {x.name}" for x in self.schemas.values() if allows(x, name)]
        owned += [f"privileges for {describe(r)}" for r in self.relations.values() if allows(r, name)]
        return owned


def allows(thing: Schema | StoredRelation | StoredDatabase, role: str) -> bool:
    """Whether privileges mention a role that is not the owner."""
    return thing.owner != role and mentions(thing.acl, role)


def index_attnums(index: StoredRelation) -> tuple[int, ...]:
    """The attribute numbers that an index is over."""
    return tuple(int(number) for number in index.options["columns"].split(","))


def _comment_key(name: str) -> tuple[int, int, int]:
    catalog, oid, part = (int(number) for number in name.split()[1:])
    return catalog, oid, part


def describe(thing: StoredObject, path: tuple[str, ...] = ("public",)) -> str:
    """``materialized view v``, as messages name a relation: with its schema unless that is in the path."""
    name = thing.name if thing.schema in path else f"{thing.schema}.{thing.name}"
    if isinstance(thing, StoredFunction):
        return f"function {name}({','.join(oid_name(oid) for oid in thing.types)})"
    if isinstance(thing, StoredType):
        return f"type {name}"
    return f"{KIND_NAMES[thing.kind]} {name}"


def _dependence(thing: StoredObject, needed: StoredObject, path: tuple[str, ...]) -> list[str]:
    """How a message says that one object needs another: of a type, the columns that have it."""
    shown = describe(needed, path)
    if isinstance(needed, StoredType) and isinstance(thing, StoredRelation) and thing.kind == "table":
        own = {needed.oid, needed.array} - {0}
        columns = [c.name for c in thing.columns if own.intersection((c.type.oid, c.domain))]
        if columns:
            return [f"column {name} of {describe(thing, path)} depends on {shown}" for name in columns]
    if isinstance(needed, StoredType) and isinstance(thing, StoredType) and thing.kind == "c":
        own = {needed.oid, needed.array} - {0}
        named = describe(thing, path).replace("type", "composite type", 1)
        return [f"column {n} of {named} depends on {shown}" for n, t in thing.fields if t.oid in own]
    return [f"{describe(thing, path)} depends on {shown}"]


def make_known(made: StoredType) -> None:
    """Let overload resolution and storage know an enum or a composite type."""
    if made.kind == "d":
        return
    name = made.name if re.fullmatch(r"[a-z_][a-z0-9_$]*", made.name) else f'"{made.name}"'
    labels = tuple((key, label) for key, label, _ in made.labels) if made.kind == "e" else None
    fields = made.fields if made.kind == "c" else None
    facts.register_type(UserType(made.oid, made.array, name, labels, fields))


def wrong_kind(relation: StoredRelation, wanted: str, hint_kind: str | None = None) -> PgError:
    """42809: the object is there, but is something else."""
    kind = KIND_NAMES[relation.kind]
    return PgError(
        WRONG_OBJECT_TYPE,
        f'"{relation.name}" is not a {wanted}',
        hint=f"Use DROP {(hint_kind or kind).upper()} to remove a {kind}.",
    )
