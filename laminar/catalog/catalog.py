"""The catalog in memory: names, dependencies, and one durable write per DDL statement."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

from laminar.catalog.objects import KIND_NAMES, Role, Schema, StoredFunction, StoredRelation, part_names
from laminar.catalog.store import CatalogStore
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
from laminar.sql.resolve import oid_name

#: PostgreSQL gives user objects oids from here on
FIRST_OID = 16384
SUPERUSER = "laminar"
#: PostgreSQL's oids of the first superuser and of schema public
SUPERUSER_OID, PUBLIC_OID = 10, 2200
DATABASE = "laminar"
SYSTEM_SCHEMAS = ("pg_catalog", "information_schema", "laminar_catalog")


StoredObject = StoredRelation | StoredFunction


class Catalog:
    """Objects by oid and by name. All changes are durable when a method returns."""

    def __init__(self, directory: Path) -> None:
        self._store = CatalogStore(directory)
        relations, schemas, roles, next_oid = self._store.load()
        self.relations: dict[int, StoredRelation] = {r.oid: r for r in relations}
        self._names: dict[tuple[str, str], int] = {(r.schema, r.name): r.oid for r in relations}
        self.schemas: dict[str, Schema] = {schema.name: schema for schema in schemas}
        self.roles: dict[str, Role] = {role.name: role for role in roles}
        self.functions: dict[int, StoredFunction] = {f.oid: f for f in self._store.load_functions()}
        self._next_oid = max(next_oid, FIRST_OID)
        #: counts DDL statements: plans bound under another version are stale
        self.version = 0
        if self._store.is_new:
            self._bootstrap()
        self._give_missing_oids()

    def _bootstrap(self) -> None:
        self.schemas = {"public": Schema("public", SUPERUSER, PUBLIC_OID)}
        self.roles = {SUPERUSER: Role(SUPERUSER, superuser=True, oid=SUPERUSER_OID)}
        self._write(put_schemas=tuple(self.schemas.values()), put_roles=tuple(self.roles.values()))

    def _give_missing_oids(self) -> None:
        """Catalogs of earlier versions have no oids for schemas, roles and parts of relations."""
        schemas = [dataclasses.replace(s, oid=self._oid_of(s)) for s in self.schemas.values() if not s.oid]
        roles = [dataclasses.replace(r, oid=self._oid_of(r)) for r in self.roles.values() if not r.oid]
        relations = [new for r in self.relations.values() if (new := self._with_parts(r)) is not r]
        if schemas or roles or relations:
            self._write(put_schemas=tuple(schemas), put_roles=tuple(roles), put=tuple(relations))
            self.schemas |= {s.name: s for s in schemas}
            self.roles |= {r.name: r for r in roles}
            self.relations |= {r.oid: r for r in relations}

    def _oid_of(self, thing: Schema | Role) -> int:
        if isinstance(thing, Schema):
            return PUBLIC_OID if thing.name == "public" else self.new_oid()
        return SUPERUSER_OID if thing.name == SUPERUSER else self.new_oid()

    def _with_parts(self, relation: StoredRelation) -> StoredRelation:
        """The relation with an oid for each of its parts."""
        names = part_names(relation)
        if names == list(relation.parts):
            return relation
        parts = {name: relation.parts.get(name) or self.new_oid() for name in names}
        return dataclasses.replace(relation, parts=parts)

    def _write(self, **changes: tuple[object, ...]) -> None:
        self._store.write(next_oid=self._next_oid, **changes)  # type: ignore[arg-type]
        self.version += 1

    @property
    def next_oid(self) -> int:
        """Everything that was ever created has a lower one."""
        return self._next_oid

    def new_oid(self) -> int:
        """An oid nobody has had; durable with the next write."""
        oid = self._next_oid
        self._next_oid += 1
        return oid

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

    def create(self, relation: StoredRelation) -> None:
        """Add a relation whose name is free."""
        relation = self._with_parts(relation)
        self._write(put=(relation,))
        self.relations[relation.oid] = relation
        self._names[relation.schema, relation.name] = relation.oid

    def drop(self, oids: Iterable[int]) -> None:
        """Remove relations and functions (dependents included by the caller)."""
        gone = tuple(oids)
        relations = tuple(oid for oid in gone if oid in self.relations)
        self._write(remove=relations, drop_functions=tuple(oid for oid in gone if oid in self.functions))
        for oid in gone:
            self.functions.pop(oid, None)
        for oid in relations:
            relation = self.relations.pop(oid)
            del self._names[relation.schema, relation.name]

    def dependents(self, oid: int) -> list[StoredRelation]:
        """Relations that read ``oid`` directly."""
        return [r for r in self.relations.values() if oid in r.depends_on]

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
            for dependent in self.dependents(relation.oid):
                if dependent.oid not in wanted:
                    needing.append((dependent, relation))
                if dependent.oid not in found:
                    visit(dependent)
            found.setdefault(relation.oid, relation)

        for relation in wanted.values():
            if relation.oid not in found:
                visit(relation)
        if needing and not cascade:
            first = next(iter(wanted.values()))
            raise PgError(
                DEPENDENT_OBJECTS,
                f"cannot drop {describe(first, path)} because other objects depend on it",
                detail="\n".join(f"{describe(a, path)} depends on {describe(b, path)}" for a, b in needing),
                hint="Use DROP ... CASCADE to drop the dependent objects too.",
            )
        return list(found.values())

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
        schema = Schema(name, owner, self.new_oid())
        self._write(put_schemas=(schema,))
        self.schemas[name] = schema

    def drop_schema(self, name: str) -> None:
        """Remove an empty schema."""
        self._write(drop_schemas=(name,))
        del self.schemas[name]

    def in_schema(self, name: str) -> list[StoredObject]:
        """The relations and functions of a schema."""
        things: list[StoredObject] = [*self.relations.values(), *self.functions.values()]
        return [thing for thing in things if thing.schema == name]

    # --- roles --------------------------------------------------------------------

    def put_role(self, role: Role, *, replace: bool = False) -> None:
        """Add a role, or change one."""
        if (role.name in self.roles) != replace:
            what = "does not exist" if replace else "already exists"
            raise PgError(UNDEFINED_OBJECT if replace else DUPLICATE_OBJECT, f'role "{role.name}" {what}')
        known = self.roles.get(role.name)
        role = dataclasses.replace(role, oid=known.oid if known is not None else self.new_oid())
        self._write(put_roles=(role,))
        self.roles[role.name] = role

    def drop_role(self, name: str) -> None:
        """Remove a role that owns nothing."""
        if name not in self.roles:
            raise PgError(UNDEFINED_OBJECT, f'role "{name}" does not exist')
        owned = [f"schema {schema.name}" for schema in self.schemas.values() if schema.owner == name]
        owned += [describe(r) for r in self.relations.values() if r.owner == name]
        owned += [describe(f) for f in self.functions.values() if f.owner == name]
        if owned or name == SUPERUSER:
            raise PgError(
                DEPENDENT_OBJECTS,
                f'role "{name}" cannot be dropped because some objects depend on it',
                detail="\n".join(f"owner of {what}" for what in owned) or None,
            )
        self._write(drop_roles=(name,))
        del self.roles[name]

    def close(self) -> None:
        """Release the store."""
        self._store.close()


def describe(thing: StoredObject, path: tuple[str, ...] = ("public",)) -> str:
    """``materialized view v``, as messages name a relation: with its schema unless that is in the path."""
    name = thing.name if thing.schema in path else f"{thing.schema}.{thing.name}"
    if isinstance(thing, StoredFunction):
        return f"function {name}({','.join(oid_name(oid) for oid in thing.types)})"
    return f"{KIND_NAMES[thing.kind]} {name}"


def wrong_kind(relation: StoredRelation, wanted: str, hint_kind: str | None = None) -> PgError:
    """42809: the object is there, but is something else."""
    kind = KIND_NAMES[relation.kind]
    return PgError(
        WRONG_OBJECT_TYPE,
        f'"{relation.name}" is not a {wanted}',
        hint=f"Use DROP {(hint_kind or kind).upper()} to remove a {kind}.",
    )
