"""What a role may do with what: every check of a privilege is here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from laminar.catalog import acl
from laminar.catalog.catalog import SYSTEM_SCHEMAS
from laminar.catalog.objects import KIND_NAMES, StoredDatabase, StoredRelation
from laminar.errors import INSUFFICIENT_PRIVILEGE, PgError

if TYPE_CHECKING:
    from laminar.catalog.catalog import Catalog
    from laminar.sql.catalog_view import Access


def relation_letters(catalog: Catalog, role: str, relation: StoredRelation) -> str:
    """What a role may do with a relation, as letters of an aclitem."""
    return acl.privileges(catalog.roles, role, acl_kind(relation), relation.owner, relation.acl)


def schema_letters(catalog: Catalog, role: str, schema: str) -> str:
    """What a role may do in a schema; everybody may look into the system's."""
    if schema in SYSTEM_SCHEMAS:
        return "U"
    found = catalog.schemas[schema]
    return acl.privileges(catalog.roles, role, "schema", found.owner, found.acl)


def database_letters(catalog: Catalog, role: str, database: StoredDatabase | None = None) -> str:
    """What a role may do with a database: the catalog's, unless told which."""
    database = catalog.database if database is None else database
    return acl.privileges(catalog.roles, role, "database", database.owner, database.acl)


def acl_kind(relation: StoredRelation) -> str:
    """The kind of object as far as privileges go."""
    return "sequence" if relation.kind == "sequence" else "table"


def check_relation(catalog: Catalog, role: str, relation: StoredRelation, privilege: str) -> None:
    """Raise 42501 unless the role has the privilege (SELECT, INSERT, …)."""
    if acl.LETTERS[privilege] not in relation_letters(catalog, role, relation):
        raise PgError(
            INSUFFICIENT_PRIVILEGE, f"permission denied for {KIND_NAMES[relation.kind]} {relation.name}"
        )


def check_accesses(catalog: Catalog, role: str, accesses: Iterable[Access]) -> None:
    """Raise 42501 unless the role may do all that; what a view's definition reads, its owner must be allowed
    to read."""
    for access in sorted(accesses):
        relation = catalog.relations.get(access.relation)
        if relation is None:
            continue  # a system relation: for everybody
        view = catalog.relations.get(access.via)
        check_relation(catalog, role if view is None else view.owner, relation, access.privilege)


def check_owner(catalog: Catalog, role: str, relation: StoredRelation) -> None:
    """Raise 42501 unless the role may change or drop the relation."""
    if not owns(catalog, role, relation.owner):
        raise PgError(INSUFFICIENT_PRIVILEGE, f"must be owner of {KIND_NAMES[relation.kind]} {relation.name}")


def check_schema(
    catalog: Catalog, role: str, schema: str, privilege: str, position: int | None = None
) -> None:
    """Raise 42501 unless the role has USAGE or CREATE on the schema."""
    if acl.LETTERS[privilege] not in schema_letters(catalog, role, schema):
        raise PgError(INSUFFICIENT_PRIVILEGE, f"permission denied for schema {schema}", position=position)


def owns(catalog: Catalog, role: str, owner: str) -> bool:
    """Whether a role has the rights of an owner."""
    found = catalog.roles.get(role)
    return (found is not None and found.superuser) or owner in acl.inherited(catalog.roles, role)


def given(database: StoredDatabase, owner: str) -> StoredDatabase:
    """The database with another owner, who has what the old one had."""
    return replace(database, owner=owner, acl=acl.with_owner(database.acl, database.owner, owner))


def may_become(catalog: Catalog, role: str, other: str) -> bool:
    """Whether a role may SET ROLE to another, or give it what it owns."""
    found = catalog.roles.get(role)
    return (found is not None and found.superuser) or acl.member_of(catalog.roles, role, other)
