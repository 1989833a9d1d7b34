"""What the catalog stores: relations, functions, schemas, roles."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from laminar.catalog.acl import Acl, AclItem
from laminar.types import PgType

Kind = Literal["table", "source", "mview", "view", "stream", "sink", "sequence", "index", "lookup"]

#: how each kind is called in messages
KIND_NAMES: dict[str, str] = {
    "table": "table",
    "source": "source",
    "mview": "materialized view",
    "view": "view",
    "stream": "stream",
    "sink": "sink",
    "sequence": "sequence",
    "index": "index",
    "lookup": "lookup table",
    "system": "table",
}


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """A column; its attribute number is its place in the relation, from 1.

    ``default`` and ``generated`` are expressions as SQL text; ``include`` names what of a
    message the column is taken from (offset, partition, …).
    """

    name: str
    type: PgType
    not_null: bool = False
    default: str | None = None
    generated: str | None = None
    include: str | None = None
    #: "a": GENERATED ALWAYS AS IDENTITY, "d": BY DEFAULT; ``default`` takes the sequence's next value
    identity: str = ""
    #: oid of the domain that it was declared with; ``type`` is what that is stored as
    domain: int = 0


@dataclass(frozen=True, slots=True)
class StoredRelation:
    """A table, source, view, materialized view or sink.

    Args:
        sql: the statement that made it.
        query: views and sinks: text of the SELECT, EMIT left out.
        search_path: schemas under which ``query`` was bound.
        primary_key: attribute numbers.
        watermark: (attribute, delay in microseconds).
        checks: (constraint name, expression as SQL text).
        connector: name and options of a source or sink; None for a push source.
        depends_on: oids of the relations it reads.
        settings: session settings that its text was read under (TimeZone, DateStyle, IntervalStyle).
        created: when, microseconds since 1970; what a literal 'now' in its text means.
        acl: who may do what; None: its owner everything, nobody else anything.
        owned_by: sequences and indexes: (relation, attribute number or 0) with which they go.
        parts: oids of what comes with it, by the names of :func:`part_names`; the catalog gives them.
    """

    oid: int
    schema: str
    name: str
    kind: Kind
    owner: str
    columns: tuple[StoredColumn, ...]
    sql: str
    query: str | None = None
    search_path: tuple[str, ...] = ()
    primary_key: tuple[int, ...] = ()
    watermark: tuple[int, int] | None = None
    checks: tuple[tuple[str, str], ...] = ()
    append_only: bool = False
    on_conflict: str = "error"
    connector: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    emit: dict[str, Any] = field(default_factory=dict)
    depends_on: tuple[int, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    created: int = 0
    parts: dict[str, int] = field(default_factory=dict)
    acl: Acl | None = None
    owned_by: tuple[int, int] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data for :func:`relation_from_json`."""
        return asdict(self)


def relation_from_json(data: dict[str, Any]) -> StoredRelation:
    """The relation that :meth:`StoredRelation.to_json` described."""
    columns = tuple(StoredColumn(**{**c, "type": _type(c["type"])}) for c in data["columns"])
    tuples = {name: tuple(data[name]) for name in ("search_path", "primary_key", "depends_on")}
    watermark = tuple(data["watermark"]) if data["watermark"] else None
    checks = tuple((name, text) for name, text in data["checks"])
    acl = acl_from_json(data.get("acl"))
    owned_by = tuple(data["owned_by"]) if data.get("owned_by") else None
    parts = {"columns": columns, "watermark": watermark, "checks": checks, "acl": acl, "owned_by": owned_by}
    return StoredRelation(**{**data, **tuples, **parts})


def _type(data: dict[str, Any]) -> PgType:
    decimal = data["decimal"]
    return PgType(data["oid"], data["typmod"], tuple(decimal) if decimal else None)


def part_names(relation: StoredRelation) -> list[str]:
    """What PostgreSQL's catalogs number apart from the relation itself.

    ``type`` and ``array``: its row type and the array of that; ``key`` and ``key index``: the primary
    key; ``check c``: a constraint; ``constraint``: that of a unique index; ``default 2``: the default of an
    attribute; ``rule``: of a view.
    """
    names = [] if relation.kind in ("sink", "sequence", "index") else ["type", "array"]
    if relation.primary_key:
        names += ["key", "key index"]
    if relation.kind == "index" and relation.options["constraint"] == "true":
        names.append("constraint")
    names += [f"check {name}" for name, _ in relation.checks]
    for attnum, column in enumerate(relation.columns, 1):
        if column.default is not None or column.generated is not None:
            names.append(f"default {attnum}")
    if relation.kind in ("view", "mview", "stream"):
        names.append("rule")
    return names


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema; the catalog gives the oid."""

    name: str
    owner: str
    oid: int = 0
    #: None: the default, everything for the owner alone
    acl: Acl | None = None


@dataclass(frozen=True, slots=True)
class StoredDatabase:
    """A database.

    Args:
        acl: None: its owner everything, everybody else to connect and to make temporary tables.
        connection_limit: sessions at the same time; -1 for no limit.
        settings: what ALTER DATABASE … SET gives to sessions.
    """

    oid: int
    name: str
    owner: str
    acl: Acl | None = None
    connection_limit: int = -1
    allow_connections: bool = True
    is_template: bool = False
    settings: dict[str, str] = field(default_factory=dict)


def database_from_json(data: dict[str, Any]) -> StoredDatabase:
    """The database whose ``asdict`` this is."""
    return StoredDatabase(**{**data, "acl": acl_from_json(data["acl"])})


@dataclass(frozen=True, slots=True)
class Membership:
    """Being a member of ``role``; ``admin`` WITH ADMIN OPTION."""

    role: str
    grantor: str
    admin: bool = False


@dataclass(frozen=True, slots=True)
class StoredFunction:
    """A user's function.

    Args:
        parameters: names, '' where there is none.
        types, result: type oids.
        variadic: the last parameter takes any number of arguments.
        defaults: texts of the last parameters' default values, None for null.
        volatility: i, s or v, as in pg_proc.
        columns: of RETURNS TABLE, names and type oids.
        aggregate: CREATE AGGREGATE made it.
    """

    oid: int
    schema: str
    name: str
    owner: str
    language: Literal["sql", "python"]
    parameters: tuple[str, ...]
    types: tuple[int, ...]
    result: int
    body: str
    sql: str
    volatility: Literal["i", "s", "v"] = "v"
    strict: bool = False
    variadic: bool = False
    defaults: tuple[str | None, ...] = ()
    vectorized: bool = False
    returns_set: bool = False
    columns: tuple[tuple[str, int], ...] = ()
    aggregate: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain data for :func:`function_from_json`."""
        return asdict(self)


def function_from_json(data: dict[str, Any]) -> StoredFunction:
    """The function that :meth:`StoredFunction.to_json` described."""
    tuples = {name: tuple(data[name]) for name in ("parameters", "types", "defaults")}
    columns = tuple((name, oid) for name, oid in data.get("columns", ()))
    return StoredFunction(**{**data, **tuples, "columns": columns})


@dataclass(frozen=True, slots=True)
class StoredType:
    """A user's type.

    Args:
        kind: e(num), c(omposite) or d(omain), as in pg_type.typtype.
        array: oid of its array type; 0 for domains.
        relation: composite: its oid in pg_class.
        labels: enum: (sort key, label, oid in pg_enum) in order.
        fields: composite: names and types.
        base: domain: what it is stored as.
        checks: domain: (constraint name, expression about VALUE as SQL text, oid in pg_constraint).
        default: domain: SQL text.
        unvalidated: domain: names of checks that rows may break that were there before (NOT VALID).
        depends_on: oids of the types and functions that it needs.
    """

    oid: int
    schema: str
    name: str
    owner: str
    kind: Literal["e", "c", "d"]
    array: int = 0
    relation: int = 0
    labels: tuple[tuple[str, str, int], ...] = ()
    fields: tuple[tuple[str, PgType], ...] = ()
    base: PgType | None = None
    not_null: bool = False
    default: str | None = None
    checks: tuple[tuple[str, str, int], ...] = ()
    search_path: tuple[str, ...] = ()
    depends_on: tuple[int, ...] = ()
    unvalidated: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data for :func:`type_from_json`."""
        fields = [[name, _type_data(type_)] for name, type_ in self.fields]
        return {
            **{name: getattr(self, name) for name in self.__slots__},
            "fields": fields,
            "base": None if self.base is None else _type_data(self.base),
        }


def type_from_json(data: dict[str, Any]) -> StoredType:
    """The type that :meth:`StoredType.to_json` described."""
    tuples = {name: tuple(map(tuple, data[name])) for name in ("labels", "checks")}
    lists = {name: tuple(data.get(name, ())) for name in ("search_path", "depends_on", "unvalidated")}
    fields = tuple((name, _type(type_)) for name, type_ in data["fields"])
    base = None if data["base"] is None else _type(data["base"])
    return StoredType(**{**data, **tuples, **lists, "fields": fields, "base": base})


def _type_data(type_: PgType) -> dict[str, Any]:
    return {"oid": type_.oid, "typmod": type_.typmod, "decimal": type_.decimal}


@dataclass(frozen=True, slots=True)
class Role:
    """A user or a group.

    Args:
        verifier: PostgreSQL's stored SCRAM form, None when it has no password.
        oid: the catalog gives it.
        connection_limit: sessions at the same time; -1 for no limit.
        valid_until: when the password ends, microseconds since 1970.
        memberships: the roles that it is a member of.
    """

    name: str
    superuser: bool = False
    login: bool = True
    verifier: str | None = None
    oid: int = 0
    createdb: bool = False
    createrole: bool = False
    inherit: bool = True
    replication: bool = False
    bypassrls: bool = False
    connection_limit: int = -1
    valid_until: int | None = None
    memberships: tuple[Membership, ...] = ()
    #: what ALTER ROLE … SET gives to its sessions
    settings: dict[str, str] = field(default_factory=dict)


def role_from_json(data: dict[str, Any]) -> Role:
    """The role whose ``asdict`` this is."""
    memberships = tuple(Membership(**m) for m in data.get("memberships", ()))
    return Role(**{**data, "memberships": memberships})


def acl_from_json(data: list[dict[str, str]] | None) -> Acl | None:
    """The list whose items' ``asdict`` these are."""
    return None if data is None else tuple(AclItem(**item) for item in data)
