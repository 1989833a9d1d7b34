"""Statements, one class each, as parsed: nothing looked up, nothing resolved.

``text`` fields hold the source text of an embedded query or expression, which the catalog
stores. Positions are 1-based offsets into the statement.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal as L
from typing import Union

from laminar.sql import ast


@dataclass(frozen=True, slots=True)
class QName:
    """A possibly qualified name."""

    parts: tuple[str, ...]
    pos: int = 0

    @property
    def name(self) -> str:
        return self.parts[-1]

    @property
    def schema(self) -> str | None:
        return self.parts[-2] if len(self.parts) > 1 else None

    def __str__(self) -> str:
        return ".".join(self.parts)


@dataclass(slots=True)
class Option:
    """``name = value`` of WITH (…) and its kin; ``value`` None when only the name is given."""

    name: str
    value: str | None
    pos: int = 0
    value_pos: int = 0
    #: the value was a quoted string
    quoted: bool = False
    #: COPY: a column list, or ('*',)
    items: tuple[str, ...] | None = None


# --- queries and DML ----------------------------------------------------------------


@dataclass(slots=True)
class Query:
    query: ast.Query


@dataclass(slots=True)
class LiteralRows:
    """VALUES rows of nothing but literals, column by column as SQL text.

    A cell is ``NULL``, ``TRUE``/``FALSE`` (any case), a number, or a quoted string with its quotes.
    The rows begin at ``pos`` of the statement ``text``.
    """

    columns: list[tuple[str, ...]]
    count: int
    pos: int
    text: str = field(repr=False)


@dataclass(slots=True)
class Assignment:
    """``columns = expr``; several columns when written ``(a, b) = …``."""

    columns: list[tuple[str, int]]
    expr: ast.Expr
    #: written in parentheses
    listed: bool = False


@dataclass(slots=True)
class OnConflict:
    """``columns`` or ``constraint`` name the arbiter; ``action`` nothing or update."""

    columns: list[tuple[str, int]]
    constraint: str | None
    action: L["nothing", "update"]
    assignments: list[Assignment]
    where: ast.Expr | None
    pos: int


@dataclass(slots=True)
class Insert:
    """``source`` None: DEFAULT VALUES; ``columns`` None: all, in order."""

    relation: QName
    alias: str | None
    columns: list[tuple[str, int]] | None
    source: ast.Query | LiteralRows | None
    on_conflict: OnConflict | None = None
    returning: list[ast.Target] = field(default_factory=list)
    with_: ast.With | None = None
    overriding: L["system", "user"] | None = None


@dataclass(slots=True)
class Update:
    relation: QName
    alias: str | None
    assignments: list[Assignment]
    from_: list[ast.FromItem]
    where: ast.Expr | None
    returning: list[ast.Target]
    with_: ast.With | None = None


@dataclass(slots=True)
class Delete:
    relation: QName
    alias: str | None
    using: list[ast.FromItem]
    where: ast.Expr | None
    returning: list[ast.Target]
    with_: ast.With | None = None


@dataclass(slots=True)
class MergeClause:
    """``WHEN [NOT] MATCHED [AND condition] THEN …``; ``values`` None: DEFAULT VALUES."""

    matched: bool
    condition: ast.Expr | None
    action: L["update", "delete", "insert", "nothing"]
    assignments: list[Assignment] = field(default_factory=list)
    columns: list[tuple[str, int]] | None = None
    values: list[ast.Expr] | None = None
    overriding: L["system", "user"] | None = None


@dataclass(slots=True)
class Merge:
    relation: QName
    alias: str | None
    source: ast.FromItem
    on: ast.Expr
    clauses: list[MergeClause]
    with_: ast.With | None = None


@dataclass(slots=True)
class Truncate:
    relations: list[QName]
    restart_identity: bool
    cascade: bool


@dataclass(slots=True)
class Subscribe:
    """``target``: a relation or a query."""

    target: QName | ast.Query
    options: list[Option]
    as_of: int | None
    where: ast.Expr | None
    pos: int


@dataclass(slots=True)
class Copy:
    """``source``: relation (with ``columns``), query or SUBSCRIBE. ``file``: 'stdin', 'stdout' or a path."""

    source: QName | ast.Query | Subscribe
    columns: list[tuple[str, int]]
    direction: L["from", "to"]
    file: L["stdin", "stdout"] | QName
    program: bool
    options: list[Option]
    where: ast.Expr | None
    pos: int


# --- definitions --------------------------------------------------------------------


@dataclass(slots=True)
class Check:
    expr: ast.Expr
    text: str
    name: str | None = None


@dataclass(slots=True)
class ColumnDef:
    """``generated``: a computed column's expression."""

    name: str
    type: ast.TypeName
    pos: int
    not_null: bool = False
    primary_key: bool = False
    unique: bool = False
    default: ast.Expr | None = None
    default_text: str | None = None
    generated: ast.Expr | None = None
    generated_text: str | None = None
    identity: L["always", "default"] | None = None
    #: of an identity column's sequence
    sequence: list[Option] = field(default_factory=list)
    #: smallserial, serial or bigserial
    serial: bool = False
    checks: list[Check] = field(default_factory=list)


@dataclass(slots=True)
class TableConstraint:
    kind: L["primary", "unique", "check"]
    columns: list[tuple[str, int]]
    check: Check | None
    name: str | None
    pos: int


@dataclass(slots=True)
class WatermarkDef:
    """``WATERMARK FOR column [AS expr]``."""

    column: str
    expr: ast.Expr | None
    text: str | None
    pos: int


@dataclass(slots=True)
class Include:
    """``INCLUDE what [AS column]``."""

    what: L["offset", "partition", "key", "timestamp", "headers"]
    column: str | None
    pos: int


@dataclass(slots=True)
class Format:
    """``FORMAT kind ENCODE encoding (options)``; ``encoding`` None when left out."""

    kind: str
    encoding: str | None
    options: list[Option]
    pos: int


@dataclass(slots=True)
class Like:
    """``LIKE relation [INCLUDING …]``, before column ``place``."""

    name: QName
    place: int
    including: set[str] = field(default_factory=set)

    def has(self, what: str) -> bool:
        """Whether this goes over to the new table."""
        return what in self.including


@dataclass(slots=True)
class Elements:
    """What stands between the parentheses of CREATE TABLE or SOURCE."""

    columns: list[ColumnDef] = field(default_factory=list)
    constraints: list[TableConstraint] = field(default_factory=list)
    watermark: WatermarkDef | None = None
    includes: list[Include] = field(default_factory=list)
    likes: list[Like] = field(default_factory=list)


@dataclass(slots=True)
class CreateTable:
    """With ``query``: CREATE TABLE AS (``names`` renames its columns)."""

    name: QName
    elements: Elements
    if_not_exists: bool = False
    temporary: bool = False
    append_only: bool = False
    conflict: L["overwrite", "ignore", "update_if_not_null"] | None = None
    options: list[Option] = field(default_factory=list)
    query: ast.Query | None = None
    query_text: str | None = None
    names: list[str] = field(default_factory=list)
    with_data: bool = True


@dataclass(slots=True)
class CreateSource:
    name: QName
    elements: Elements
    or_replace: bool
    if_not_exists: bool
    options: list[Option]
    format: Format | None


@dataclass(slots=True)
class CreateLookupTable:
    name: QName
    elements: Elements
    if_not_exists: bool
    options: list[Option]


@dataclass(slots=True)
class EmitClause:
    """EMIT …, ALLOW LATENESS …, LATE DATA TO …; ``mode`` None when EMIT was left out."""

    mode: L["update", "watermark", "close", "final", "every"] | None = None
    every: ast.Expr | None = None
    lateness: ast.Expr | None = None
    late_table: QName | None = None
    pos: int = 0
    lateness_pos: int = 0


@dataclass(slots=True)
class CreateMaterializedView:
    name: QName
    columns: list[str]
    query: ast.Query
    query_text: str
    emit: EmitClause
    options: list[Option]
    if_not_exists: bool
    or_replace: bool = False


@dataclass(slots=True)
class CreateStream:
    name: QName
    columns: list[str]
    query: ast.Query
    query_text: str
    emit: EmitClause
    options: list[Option]
    if_not_exists: bool
    or_replace: bool = False


@dataclass(slots=True)
class CreateView:
    name: QName
    columns: list[str]
    query: ast.Query
    query_text: str
    or_replace: bool
    temporary: bool = False


@dataclass(slots=True)
class CreateSink:
    """From a relation or a query, into a connector (``options``) or a table (``into``)."""

    name: QName
    from_: QName | None
    query: ast.Query | None
    query_text: str | None
    into: QName | None
    options: list[Option]
    format: Format | None
    if_not_exists: bool
    emit: EmitClause = field(default_factory=EmitClause)


@dataclass(slots=True)
class CreateSchema:
    name: str
    if_not_exists: bool
    pos: int


@dataclass(slots=True)
class CreateIndex:
    """``columns``: expressions with their order."""

    name: str | None
    relation: QName
    columns: list[ast.SortBy]
    unique: bool
    if_not_exists: bool
    method: str | None = None
    where: ast.Expr | None = None


@dataclass(slots=True)
class CreateRole:
    """CREATE and ALTER ROLE/USER; ``options``: login, superuser, password, …"""

    name: str
    options: list[Option]
    alter: bool = False
    if_not_exists: bool = False


ObjectKind = L[
    "table", "source", "materialized view", "view", "stream", "sink", "lookup table", "index", "schema",
    "function",
    "aggregate", "secret", "connection", "role", "column", "database", "type", "domain", "sequence",
    "policy",
]  # fmt: skip


@dataclass(slots=True)
class CreateDatabase:
    """``options``: owner, template, encoding, connection limit, … ; a value None is DEFAULT."""

    name: str
    options: list[Option]
    pos: int = 0


@dataclass(slots=True)
class AlterDatabase:
    """RENAME TO, OWNER TO, SET or RESET of a setting, or options: one of them is given."""

    name: str
    new_name: str | None = None
    owner: str | None = None
    setting: SetVariable | ResetAll | None = None
    options: list[Option] = field(default_factory=list)


@dataclass(slots=True)
class DropDatabase:
    name: str
    if_exists: bool
    force: bool = False


@dataclass(slots=True)
class AlterRoleSetting:
    """ALTER ROLE name SET … | RESET …"""

    name: str
    setting: SetVariable | ResetAll


@dataclass(slots=True)
class Parameter:
    """A function's parameter; ``default`` is its expression."""

    name: str
    type: ast.TypeName
    default: ast.Expr | None = None
    variadic: bool = False
    pos: int = 0


@dataclass(slots=True)
class CreateFunction:
    """CREATE [OR REPLACE] FUNCTION | AGGREGATE.

    ``body`` is None when AS was not given; ``columns`` of RETURNS TABLE.
    """

    name: QName
    parameters: list[Parameter]
    result: ast.TypeName | None
    or_replace: bool = False
    language: str = ""
    language_pos: int = 0
    volatility: L["i", "s", "v"] = "v"
    strict: bool = False
    body: str | None = None
    body_pos: int = 0
    options: list[Option] = field(default_factory=list)
    columns: list[Parameter] = field(default_factory=list)
    aggregate: bool = False


@dataclass(slots=True)
class CreateType:
    """CREATE TYPE name AS ENUM (labels) or AS (fields): ``labels`` or ``fields`` is None.

    ``labels``: texts with their positions; ``fields``: names, types and positions.
    """

    name: QName
    labels: list[tuple[str, int]] | None = None
    fields: list[tuple[str, ast.TypeName, int]] | None = None


@dataclass(slots=True)
class CreateDomain:
    """CREATE DOMAIN name AS type …; ``default`` is its text, ``checks`` have names or None."""

    name: QName
    type: ast.TypeName
    not_null: bool = False
    default: ast.Expr | None = None
    default_text: str | None = None
    checks: list[Check] = field(default_factory=list)


@dataclass(slots=True)
class AlterType:
    """ALTER TYPE name ADD VALUE …, RENAME VALUE … TO …, RENAME TO, OWNER TO, SET SCHEMA.

    ``arguments``: (value,), (value, new value), (name,); ``neighbour``: (BEFORE, value) of ADD VALUE.
    """

    kind: L["type", "domain"]
    name: QName
    action: L["add value", "rename value", "rename", "owner", "schema"]
    arguments: tuple[str, ...]
    if_not_exists: bool = False
    neighbour: tuple[bool, str] | None = None


@dataclass(slots=True)
class AlterDomain:
    """ALTER DOMAIN SET | DROP DEFAULT, SET | DROP NOT NULL, ADD, DROP, RENAME and VALIDATE CONSTRAINT.

    ``default`` with its text, of SET DEFAULT; ``check`` of ADD, ``valid`` unless NOT VALID; ``arguments``:
    the constraint's name, and its new one.
    """

    name: QName
    action: L["default", "not null", "null", "add", "drop", "rename", "validate"]
    arguments: tuple[str, ...] = ()
    default: ast.Expr | None = None
    default_text: str | None = None
    check: Check | None = None
    valid: bool = True
    if_exists: bool = False


@dataclass(slots=True)
class Drop:
    """``arguments``: of functions, by name, the types in parentheses; None without parentheses."""

    kind: ObjectKind
    names: list[QName]
    if_exists: bool
    cascade: bool
    arguments: list[list[ast.TypeName] | None] = field(default_factory=list)


AlterAction = L[
    "rename", "rename column", "rename constraint", "owner", "schema", "swap", "set", "add column",
    "drop column", "default", "not null", "nullable", "type", "add constraint", "drop constraint", "pause",
    "resume", "sequence",
]  # fmt: skip


@dataclass(slots=True)
class Alter:
    """ALTER kind name action. ``arguments`` by action: rename (new name), rename column and constraint
    (old, new), owner, schema, swap (other), set (options), drop column and constraint, and the column of
    default, not null, nullable and type. ``next``: the action behind the comma."""

    kind: ObjectKind
    name: QName
    action: AlterAction
    if_exists: bool = False
    arguments: tuple[str, ...] = ()
    options: list[Option] = field(default_factory=list)
    column: ColumnDef | None = None
    constraint: TableConstraint | None = None
    cascade: bool = False
    #: default: the expression, None drops it; type: USING
    expr: ast.Expr | None = None
    text: str | None = None
    type: ast.TypeName | None = None
    pos: int = 0
    #: ADD COLUMN IF NOT EXISTS, DROP COLUMN IF EXISTS
    if_column: bool = False
    next: Alter | None = None


@dataclass(slots=True)
class CreateSequence:
    """``options``: increment, start, minvalue, maxvalue, cache, cycle, as, owned by; value None for NO …"""

    name: QName
    options: list[Option]
    if_not_exists: bool = False
    temporary: bool = False


@dataclass(slots=True)
class CommentOn:
    kind: ObjectKind
    name: QName
    comment: str | None


@dataclass(slots=True)
class Grant:
    """GRANT and REVOKE. ``kind`` None: role membership (``privileges`` are the roles)."""

    revoke: bool
    privileges: list[tuple[str, list[str]]]
    kind: ObjectKind | None
    names: list[QName]
    roles: list[str]
    option: bool
    cascade: bool = False
    all_in_schema: bool = False


# --- sessions -----------------------------------------------------------------------


@dataclass(slots=True)
class Explain:
    statement: Statement
    options: list[Option]
    text: str = ""


@dataclass(slots=True)
class Show:
    """SHOW name: a setting, ``all``, or a kind of objects (``sources``, ``materialized views``, …)."""

    name: str
    pos: int
    like: str | None = None
    schema: str | None = None


@dataclass(slots=True)
class ShowCreate:
    kind: ObjectKind
    name: QName


@dataclass(slots=True)
class Describe:
    name: QName


@dataclass(slots=True)
class SetVariable:
    """``values`` None: to its default (also RESET name)."""

    name: str
    values: list[str] | None
    local: bool = False
    pos: int = 0


@dataclass(slots=True)
class ResetAll:
    pass


@dataclass(slots=True)
class TransactionModes:
    isolation: str | None = None
    read_only: bool | None = None
    deferrable: bool | None = None


@dataclass(slots=True)
class SetTransaction:
    modes: TransactionModes
    session: bool = False


@dataclass(slots=True)
class Begin:
    modes: TransactionModes
    start: bool = False  # spelled START TRANSACTION: its own command tag


@dataclass(slots=True)
class Commit:
    chain: bool = False


@dataclass(slots=True)
class Rollback:
    chain: bool = False


@dataclass(slots=True)
class Savepoint:
    name: str


@dataclass(slots=True)
class RollbackTo:
    name: str


@dataclass(slots=True)
class Release:
    name: str


@dataclass(slots=True)
class Declare:
    name: str
    statement: Query | Subscribe
    binary: bool = False
    scroll: bool | None = None
    hold: bool = False
    text: str = ""


@dataclass(slots=True)
class Fetch:
    """FETCH and MOVE. ``count`` None is ALL."""

    name: str
    direction: L["forward", "backward", "absolute", "relative"]
    count: int | None
    move: bool
    options: list[Option] = field(default_factory=list)


@dataclass(slots=True)
class Close:
    """``name`` None: ALL."""

    name: str | None


@dataclass(slots=True)
class Prepare:
    name: str
    types: list[ast.TypeName]
    statement: Statement
    text: str


@dataclass(slots=True)
class Execute:
    name: str
    args: list[ast.Expr]


@dataclass(slots=True)
class Deallocate:
    """``name`` None: ALL."""

    name: str | None


@dataclass(slots=True)
class Discard:
    what: L["all", "plans", "sequences", "temp"]


@dataclass(slots=True)
class Listen:
    channel: str


@dataclass(slots=True)
class Unlisten:
    """``channel`` None: ``*``."""

    channel: str | None


@dataclass(slots=True)
class Notify:
    channel: str
    payload: str


@dataclass(slots=True)
class Flush:
    pass


@dataclass(slots=True)
class Checkpoint:
    pass


@dataclass(slots=True)
class Backup:
    uri: str


@dataclass(slots=True)
class Maintenance:
    """VACUUM, ANALYZE, REINDEX, CLUSTER: accepted where there is nothing to do."""

    command: L["vacuum", "analyze"]
    relations: list[QName]


@dataclass(slots=True)
class Refresh:
    """REFRESH MATERIALIZED VIEW."""

    name: QName


@dataclass(slots=True)
class Lock:
    """LOCK TABLE; ``mode`` in lower case, ``pos`` where it is written."""

    relations: list[QName]
    mode: str
    pos: int
    nowait: bool = False


Statement = Union[
    Query, Insert, Update, Delete, Merge, Truncate, Subscribe, Copy, CreateTable, CreateSource,
    CreateLookupTable,
    CreateMaterializedView, CreateStream, CreateView, CreateSink, CreateSchema, CreateFunction, CreateIndex,
    CreateRole, CreateSequence, CreateDatabase, AlterDatabase, DropDatabase, AlterRoleSetting,
    CreateType, CreateDomain, AlterType, AlterDomain, Drop, Alter,
    CommentOn, Grant, Explain, Show, ShowCreate, Describe, SetVariable, ResetAll, SetTransaction, Begin,
    Commit,
    Rollback, Savepoint, RollbackTo, Release, Declare, Fetch, Close, Prepare, Execute, Deallocate,
    Discard, Listen,
    Unlisten, Notify, Flush, Checkpoint, Backup, Maintenance, Refresh, Lock,
]  # fmt: skip
