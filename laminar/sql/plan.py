"""The typed logical plan: what a statement means, before how it runs.

Columns are known by number (:attr:`Column.id`, unique within a statement), every
cast is explicit, and every operator and function is a resolved
:class:`Function`, named by the C symbol (``pg_proc.prosrc``) under which its
kernel is registered. The binder makes it, ``unnest`` removes its subqueries,
``rewrite`` simplifies it; from then on it goes either to the stream planner or,
as Substrait, to DataFusion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Union

from laminar.types import BOOL, PgType

BOOLEAN = PgType(BOOL)


@dataclass(frozen=True, slots=True)
class Column:
    """An output column of a plan node."""

    id: int
    name: str
    type: PgType
    #: catalog origin for RowDescription: (relation oid, attribute number), or (0, 0)
    origin: tuple[int, int] = (0, 0)


# --- expressions ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ColumnRef:
    id: int
    type: PgType


@dataclass(frozen=True, slots=True)
class Const:
    """A literal. ``value`` is what ``pa.scalar(value, type.storage)`` takes, or None for NULL."""

    value: object
    type: PgType


@dataclass(frozen=True, slots=True)
class Param:
    """``$n`` (index from 1), bound at execution."""

    index: int
    type: PgType


@dataclass(frozen=True, slots=True)
class Outer:
    """A column of an enclosing query, only inside an Apply's right side before unnesting."""

    id: int
    type: PgType
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Routine:
    """What a user's function does.

    Args:
        body: SQL text, or Python source.
        parameters: their names, ``arg1``, ``arg2``, … where they have none.
        types: the declared types of the parameters.
        vectorized: Python only: called with Arrow arrays rather than once a row.
        returns_set: each call yields any number of rows.
        aggregate: the body defines how values become one (:mod:`laminar.sql.routines.aggregating`).
        columns: of RETURNS TABLE: names and types; empty when the rows are plain values.
    """

    language: Literal["sql", "python"]
    body: str
    parameters: tuple[str, ...] = ()
    types: tuple[PgType, ...] = ()
    vectorized: bool = False
    returns_set: bool = False
    columns: tuple[tuple[str, PgType], ...] = ()
    aggregate: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """A resolved pg_proc row (or one of Laminar's own, oid >= 10000, or a user's with its routine)."""

    oid: int
    name: str
    symbol: str
    strict: bool
    volatility: Literal["i", "s", "v"]
    routine: Routine | None = None


#: of a MATCH_CONDITION: (left side's time, right side's time)
NEAREST = Function(10020, "nearest", "laminar_nearest", True, "i")


@dataclass(frozen=True, slots=True)
class Call:
    """A function or operator call. ``position`` is where errors point (1-based, 0 unknown)."""

    function: Function
    args: tuple[Expr, ...]
    type: PgType
    position: int = 0


@dataclass(frozen=True, slots=True)
class Cast:
    """A cast that is no plain function call.

    ``io``: through the text form; ``relabel``: same storage, other type;
    ``typmod``: PostgreSQL's length coercion (varchar(n), numeric(p,s), timestamp(p)),
    ``explicit`` deciding whether it truncates silently; ``rescale``: between numeric
    storages without change of value; ``array``: element by element, ``inner`` telling how.
    """

    arg: Expr
    type: PgType
    method: Literal["io", "relabel", "typmod", "rescale", "array"]
    explicit: bool = False
    inner: Expr | None = None
    position: int = 0


@dataclass(frozen=True, slots=True)
class BoolOp:
    """AND, OR (two or more args), NOT (one), with three-valued logic."""

    op: Literal["and", "or", "not"]
    args: tuple[Expr, ...]
    type: PgType = BOOLEAN


@dataclass(frozen=True, slots=True)
class Test:
    """IS [NOT] NULL / TRUE / FALSE / UNKNOWN: never null."""

    arg: Expr
    what: Literal["null", "true", "false"]
    negated: bool = False
    type: PgType = BOOLEAN


@dataclass(frozen=True, slots=True)
class Distinct:
    """``left IS [NOT] DISTINCT FROM right``; ``equals`` is the resolved ``=``."""

    left: Expr
    right: Expr
    equals: Function
    negated: bool = False
    type: PgType = BOOLEAN


@dataclass(frozen=True, slots=True)
class Case:
    """Searched CASE; branches are evaluated only for the rows that reach them.

    Simple CASE, COALESCE, NULLIF, GREATEST and LEAST are bound into it or into calls.
    """

    whens: tuple[tuple[Expr, Expr], ...]
    default: Expr
    type: PgType


@dataclass(frozen=True, slots=True)
class Coalesce:
    args: tuple[Expr, ...]
    type: PgType


@dataclass(frozen=True, slots=True)
class ArrayCompare:
    """``left op ANY(array)`` / ``ALL``; IN lists are ANY over a MakeArray."""

    left: Expr
    array: Expr
    function: Function
    any: bool
    type: PgType = BOOLEAN
    position: int = 0


@dataclass(frozen=True, slots=True)
class MakeArray:
    items: tuple[Expr, ...]
    type: PgType


@dataclass(frozen=True, slots=True)
class SortKey:
    """The bytes or number by which equality and order of ``arg`` are those of PostgreSQL.

    Storage is ``kernels.sort_key_storage(arg.type)``; only planners make it.
    """

    arg: Expr
    type: PgType


@dataclass(frozen=True, slots=True)
class Subquery:
    """A subquery in an expression, only before unnesting.

    scalar: its one value; exists; any/all: ``left op`` each value; array: ARRAY(SELECT).
    ``function`` compares for any/all (one per column when ``left`` has several).
    """

    plan: Plan
    kind: Literal["scalar", "exists", "any", "all", "array"]
    type: PgType
    left: tuple[Expr, ...] = ()
    functions: tuple[Function, ...] = ()
    position: int = 0


Expr = Union[
    ColumnRef,
    Const,
    Param,
    Outer,
    Call,
    Cast,
    BoolOp,
    Test,
    Distinct,
    Case,
    Coalesce,
    ArrayCompare,
    MakeArray,
    SortKey,
    Subquery,
]


@dataclass(frozen=True, slots=True)
class SortItem:
    expr: Expr
    descending: bool = False
    nulls_first: bool = False


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An aggregate call; ``function.symbol`` is the aggregate's key, e.g. ``sum(int8)``."""

    function: Function
    args: tuple[Expr, ...]
    type: PgType
    distinct: bool = False
    filter: Expr | None = None
    order_by: tuple[SortItem, ...] = ()
    #: ordered-set aggregates: the direct arguments
    direct: tuple[Expr, ...] = ()
    position: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    mode: Literal["rows", "range", "groups"]
    #: (kind, offset): kind in unbounded_preceding, preceding, current, following, unbounded_following
    start: tuple[str, Expr | None]
    end: tuple[str, Expr | None]
    exclude: Literal["no_others", "current", "group", "ties"] = "no_others"


@dataclass(frozen=True, slots=True)
class WindowCall:
    function: Function
    args: tuple[Expr, ...]
    type: PgType
    partition_by: tuple[Expr, ...]
    order_by: tuple[SortItem, ...]
    frame: Frame
    filter: Expr | None = None
    position: int = 0


# --- relations --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scan:
    """A table, source, materialized view or system relation.

    ``attnums[i]`` is the relation's attribute behind ``columns[i]``; attribute 0 is
    the hidden stream key of relations without a primary key.
    """

    relation: int
    columns: tuple[Column, ...]
    attnums: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Values:
    rows: tuple[tuple[Expr, ...], ...]
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    input: Plan
    condition: Expr

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.input.columns


@dataclass(frozen=True, slots=True)
class Project:
    input: Plan
    exprs: tuple[Expr, ...]
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class ProjectSet:
    """A projection with set-returning functions in the select list (PostgreSQL's lock-step)."""

    input: Plan
    exprs: tuple[Expr, ...]
    columns: tuple[Column, ...]


JoinKind = Literal["inner", "left", "right", "full", "semi", "anti", "cross"]


@dataclass(frozen=True, slots=True)
class Join:
    """A join. semi and anti keep the left side's columns only.

    ``temporal`` is None, ``proctime``, or the event-time expression of FOR SYSTEM_TIME AS OF;
    ``asof`` is None or the MATCH_CONDITION, a comparison or a call of :data:`NEAREST`.
    """

    kind: JoinKind
    left: Plan
    right: Plan
    condition: Expr | None
    temporal: Expr | Literal["proctime"] | None = None
    asof: Expr | None = None

    @property
    def columns(self) -> tuple[Column, ...]:
        if self.kind in ("semi", "anti"):
            return self.left.columns
        return self.left.columns + self.right.columns


@dataclass(frozen=True, slots=True)
class Apply:
    """A dependent join: ``right`` may use ``left``'s columns as Outer. Gone after unnesting.

    ``mark`` adds a boolean column (three-valued: match, no match, unknown) in place of
    filtering; ``single`` raises 21000 when the right side has more than one row.
    """

    kind: Literal["inner", "left", "semi", "anti", "mark", "single"]
    left: Plan
    right: Plan
    condition: Expr | None = None
    mark: Column | None = None

    @property
    def columns(self) -> tuple[Column, ...]:
        if self.kind in ("semi", "anti"):
            return self.left.columns
        if self.kind == "mark":
            assert self.mark is not None
            return (*self.left.columns, self.mark)
        return self.left.columns + self.right.columns


@dataclass(frozen=True, slots=True)
class GroupBy:
    """Grouping and aggregation.

    ``keys`` are bare columns of the input (a Project below computes expressions);
    ``sets`` are the grouping sets as indexes into keys, ((0..n-1),) normally.
    Output: the key columns, then one column per aggregate, then, with more than one set,
    ``grouping_id`` (PostgreSQL's GROUPING bits over all keys).
    """

    input: Plan
    keys: tuple[ColumnRef, ...]
    aggregates: tuple[Aggregate, ...]
    columns: tuple[Column, ...]
    sets: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class DistinctOn:
    """DISTINCT (``on`` holds all columns, no order) or DISTINCT ON."""

    input: Plan
    on: tuple[ColumnRef, ...]
    order_by: tuple[SortItem, ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.input.columns


@dataclass(frozen=True, slots=True)
class SetOp:
    """UNION, INTERSECT, EXCEPT. Inputs have equal types column by column."""

    op: Literal["union", "intersect", "except"]
    all: bool
    left: Plan
    right: Plan
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Recursive:
    """WITH RECURSIVE: ``step`` runs over the rows that it made last, until it makes none.

    ``table`` is the number of the work table that ``step`` reads; without ``all``, rows that
    were there before are dropped.
    """

    table: int
    all: bool
    start: Plan
    step: Plan
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class WorkTable:
    """The newest rows of the recursion with this number, inside its step."""

    table: int
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Sort:
    input: Plan
    keys: tuple[SortItem, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.input.columns


@dataclass(frozen=True, slots=True)
class Limit:
    input: Plan
    count: Expr | None
    offset: Expr | None
    with_ties: bool = False

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.input.columns


@dataclass(frozen=True, slots=True)
class Window:
    """Adds one column per call to the input's columns."""

    input: Plan
    calls: tuple[WindowCall, ...]
    added: tuple[Column, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.input.columns + self.added


@dataclass(frozen=True, slots=True)
class TableFunction:
    """A set-returning function in FROM (generate_series, unnest, …); args may be Outer."""

    function: Function
    args: tuple[Expr, ...]
    columns: tuple[Column, ...]
    ordinality: bool = False
    position: int = 0


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """TUMBLE, HOP, SESSION, CUMULATE over ``time`` (a column of the input).

    Adds ``window_start`` and ``window_end``. Spans are (months, days, microseconds):
    TUMBLE size; HOP slide, size; CUMULATE step, size; SESSION gap. ``offset`` in microseconds.
    """

    kind: Literal["tumble", "hop", "session", "cumulate"]
    input: Plan
    time: ColumnRef
    spans: tuple[tuple[int, int, int], ...]
    added: tuple[Column, Column]
    offset: int = 0
    partition_by: tuple[ColumnRef, ...] = ()
    position: int = 0

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.input.columns + self.added


Plan = Union[
    Scan,
    Values,
    Filter,
    Project,
    ProjectSet,
    Join,
    Apply,
    GroupBy,
    DistinctOn,
    SetOp,
    Recursive,
    WorkTable,
    Sort,
    Limit,
    Window,
    TableFunction,
    TimeWindow,
]


@dataclass(frozen=True, slots=True)
class Emit:
    """A view's EMIT clause, lateness and late-data table. Spans in microseconds."""

    mode: Literal["update", "watermark", "close", "final", "every"] = "update"
    every: int = 0
    lateness: int | None = None
    late_table: int | None = None
    position: int = 0
