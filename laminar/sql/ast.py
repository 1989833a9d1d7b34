"""Syntax trees of expressions and queries, as PostgreSQL's grammar gives them.

Nothing is resolved: names are name parts, types are type names. ``pos`` is the 1-based
character offset that PostgreSQL's errors point at for that node (its ``location`` + 1), 0 if unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Union
from typing import Literal as L

# --- expressions ------------------------------------------------------------------


@dataclass(slots=True)
class Name:
    """A column reference: ``col``, ``rel.col``, ``schema.rel.col``."""

    parts: tuple[str, ...]
    pos: int


@dataclass(slots=True)
class Star:
    """``*`` or ``rel.*`` (``parts`` is the qualification)."""

    parts: tuple[str, ...]
    pos: int


@dataclass(slots=True)
class Literal:
    """A constant; ``value`` is the text, None for NULL."""

    kind: L["int", "float", "string", "bool", "null", "bit", "hex"]
    value: str | None
    pos: int


@dataclass(slots=True)
class Parameter:
    index: int
    pos: int


@dataclass(slots=True)
class TypeName:
    """``names`` (qualified), modifiers, array dimensions; ``fields`` of an interval."""

    names: tuple[str, ...]
    typmods: tuple[Expr, ...]
    dims: int
    pos: int
    setof: bool = False
    fields: str | None = None


@dataclass(slots=True)
class Cast:
    arg: Expr
    type: TypeName
    pos: int


@dataclass(slots=True)
class Operator:
    """``left`` is None for a prefix operator."""

    op: str
    left: Expr | None
    right: Expr
    pos: int
    schema: str | None = None


@dataclass(slots=True)
class Bool:
    op: L["and", "or", "not"]
    args: list[Expr]
    pos: int


@dataclass(slots=True)
class Test:
    """IS [NOT] NULL | TRUE | FALSE | UNKNOWN."""

    arg: Expr
    what: L["null", "true", "false", "unknown"]
    negated: bool
    pos: int


@dataclass(slots=True)
class IsDistinct:
    left: Expr
    right: Expr
    negated: bool
    pos: int


@dataclass(slots=True)
class Between:
    arg: Expr
    low: Expr
    high: Expr
    symmetric: bool
    negated: bool
    pos: int


@dataclass(slots=True)
class InList:
    left: Expr
    items: list[Expr]
    negated: bool
    pos: int


@dataclass(slots=True)
class Like:
    kind: L["like", "ilike", "similar"]
    arg: Expr
    pattern: Expr
    escape: Expr | None
    negated: bool
    pos: int


@dataclass(slots=True)
class Quantified:
    """``left op ANY|ALL (array)``."""

    left: Expr
    op: str
    any: bool
    array: Expr
    pos: int


@dataclass(slots=True)
class SubLink:
    """A subquery in an expression; any/all: ``left op ANY|ALL (query)``, IN is ``= ANY``."""

    kind: L["scalar", "exists", "any", "all", "array"]
    query: Query
    pos: int
    left: Expr | None = None
    op: str = "="


@dataclass(slots=True)
class SortBy:
    expr: Expr
    descending: bool
    nulls_first: bool | None
    pos: int


@dataclass(slots=True)
class FrameBound:
    kind: L["unbounded_preceding", "preceding", "current", "following", "unbounded_following"]
    offset: Expr | None
    pos: int


@dataclass(slots=True)
class FrameClause:
    mode: L["rows", "range", "groups"]
    start: FrameBound
    end: FrameBound
    exclude: L["no_others", "current", "group", "ties"]
    pos: int


@dataclass(slots=True)
class WindowDef:
    """``OVER name`` (``name`` only) or ``OVER ([base] ...)``."""

    name: str | None
    base: str | None
    partition_by: list[Expr]
    order_by: list[SortBy]
    frame: FrameClause | None
    pos: int


@dataclass(slots=True)
class FuncCall:
    """A function, aggregate or window function call.

    ``names`` may be qualified; ``arg_names[i]`` is set for ``name => value``.
    """

    names: tuple[str, ...]
    args: list[Expr]
    pos: int
    star: bool = False
    distinct: bool = False
    variadic: bool = False
    order_by: list[SortBy] = field(default_factory=list)
    within_group: list[SortBy] = field(default_factory=list)
    filter: Expr | None = None
    over: WindowDef | None = None
    arg_names: list[str | None] = field(default_factory=list)


@dataclass(slots=True)
class Special:
    """COALESCE, GREATEST, LEAST, NULLIF, GROUPING and the like: syntax, not functions."""

    kind: L["coalesce", "greatest", "least", "nullif", "grouping"]
    args: list[Expr]
    pos: int


@dataclass(slots=True)
class SqlValue:
    """CURRENT_DATE, CURRENT_TIMESTAMP(p), CURRENT_USER, ... ; ``name`` in lower case."""

    name: str
    precision: int | None
    pos: int


@dataclass(slots=True)
class Case:
    arg: Expr | None
    whens: list[tuple[Expr, Expr]]
    default: Expr | None
    pos: int


@dataclass(slots=True)
class Array:
    items: list[Expr]
    pos: int


@dataclass(slots=True)
class Row:
    items: list[Expr]
    pos: int
    explicit: bool = False


@dataclass(slots=True)
class Subscript:
    """``arg[index]`` or, with ``slice``, ``arg[index:upper]`` (either bound may be missing)."""

    arg: Expr
    index: Expr | None
    upper: Expr | None
    slice: bool
    pos: int


@dataclass(slots=True)
class FieldSelect:
    """``(arg).name``; name ``*`` expands."""

    arg: Expr
    name: str
    pos: int


@dataclass(slots=True)
class Collate:
    arg: Expr
    names: tuple[str, ...]
    pos: int


@dataclass(slots=True)
class Default:
    """DEFAULT in INSERT … VALUES and UPDATE … SET."""

    pos: int


Expr = Union[
    Name, Star, Literal, Parameter, Cast, Operator, Bool, Test, IsDistinct, Between, InList, Like, Quantified,
    SubLink, FuncCall, Special, SqlValue, Case, Array, Row, Subscript, FieldSelect, Collate, Default,
]  # fmt: skip

# --- queries ----------------------------------------------------------------------


@dataclass(slots=True)
class Target:
    """An item of a select list; ``name`` is the label given with AS."""

    expr: Expr
    name: str | None
    pos: int


@dataclass(slots=True)
class Definitions:
    """A column definition list: what a function that returns ``record`` is to return."""

    columns: list[tuple[str, TypeName]]
    pos: int


@dataclass(slots=True)
class Alias:
    """``AS name (columns)``; ``definitions`` are the typed columns of a function alias."""

    name: str
    columns: list[str]
    definitions: Definitions | None = None


@dataclass(slots=True)
class TableRef:
    """A relation by name. ``as_of``: FOR SYSTEM_TIME AS OF, ``proctime`` or an expression."""

    parts: tuple[str, ...]
    alias: Alias | None
    pos: int
    as_of: Expr | L["proctime"] | None = None


@dataclass(slots=True)
class SubqueryRef:
    query: Query
    alias: Alias | None
    lateral: bool
    pos: int


@dataclass(slots=True)
class FunctionRef:
    """Functions in FROM; several are ROWS FROM (…), where each may have its own ``definitions``."""

    calls: list[Expr]
    alias: Alias | None
    lateral: bool
    ordinality: bool
    pos: int
    definitions: list[Definitions | None] = field(default_factory=list)


@dataclass(slots=True)
class WindowRef:
    """``TUMBLE(input, time, span...)`` and its kin in FROM."""

    kind: L["tumble", "hop", "session", "cumulate"]
    input: FromItem
    time: Expr
    spans: list[Expr]
    partition_by: list[Expr]
    alias: Alias | None
    pos: int


@dataclass(slots=True)
class JoinRef:
    kind: L["inner", "left", "right", "full", "cross"]
    left: FromItem
    right: FromItem
    natural: bool
    using: list[tuple[str, int]]
    on: Expr | None
    alias: Alias | None
    pos: int
    using_alias: str | None = None
    asof: bool = False
    match_condition: Expr | None = None


@dataclass(slots=True)
class ProbeRef:
    """``left TEMPORAL PROBE JOIN right ON (keys) TIMESTAMPS (l, r) RANGE … | LIST … AS alias``."""

    left: FromItem
    right: FromItem
    keys: list[tuple[str, int]]
    timestamps: tuple[Expr, Expr]
    offsets: list[int]
    alias: str
    pos: int


FromItem = Union[TableRef, SubqueryRef, FunctionRef, WindowRef, JoinRef, ProbeRef]


@dataclass(slots=True)
class GroupingSet:
    """ROLLUP, CUBE, GROUPING SETS or () in GROUP BY; ``items`` are expressions or nested sets."""

    kind: L["rollup", "cube", "sets", "empty"]
    items: list[Expr | GroupingSet]
    pos: int


@dataclass(slots=True)
class Cte:
    """``modifying``: an INSERT, UPDATE or DELETE (of :mod:`laminar.sql.statements`) instead of a query."""

    name: str
    columns: list[str]
    query: Query
    materialized: bool | None
    pos: int
    modifying: Any = None


@dataclass(slots=True)
class With:
    ctes: list[Cte]
    recursive: bool
    pos: int


@dataclass(slots=True)
class Locking:
    """FOR strength [OF names] [NOWAIT | SKIP LOCKED]; ``of``: names and positions."""

    strength: L["key share", "share", "no key update", "update"]
    pos: int
    of: list[tuple[str, int]] = field(default_factory=list)
    policy: L["block", "skip", "nowait"] = "block"


@dataclass(slots=True)
class Tail:
    """What may follow any query: ORDER BY, LIMIT, OFFSET, and its WITH."""

    with_: With | None = None
    order_by: list[SortBy] = field(default_factory=list)
    limit: Expr | None = None
    offset: Expr | None = None
    with_ties: bool = False
    locking: list[Locking] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not (self.order_by or self.limit or self.offset or self.locking or self.with_)


@dataclass(slots=True)
class Select:
    """``distinct``: None, [] (DISTINCT) or the expressions of DISTINCT ON."""

    targets: list[Target]
    from_: list[FromItem]
    where: Expr | None
    group_by: list[Expr | GroupingSet]
    having: Expr | None
    windows: list[tuple[str, WindowDef]]
    distinct: list[Expr] | None
    tail: Tail
    pos: int
    group_distinct: bool = False


@dataclass(slots=True)
class ValuesQuery:
    rows: list[list[Expr]]
    tail: Tail
    pos: int


@dataclass(slots=True)
class SetOperation:
    op: L["union", "intersect", "except"]
    all: bool
    left: Query
    right: Query
    tail: Tail
    pos: int


Query = Union[Select, ValuesQuery, SetOperation]
