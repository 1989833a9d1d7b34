"""The stream plan: what the reactors run, node by node, with derived properties.

Pure data, made by ``laminar.sql.stream``, sent to reactors, turned into operators
by ``laminar.engine.operators.build``. Columns are those of the logical plan plus
hidden ones at the end (stream key, row watermark).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Union

from laminar.connectors.base import SinkSpec
from laminar.sql.plan import Aggregate, Column, ColumnRef, Emit, Expr, WindowCall


@dataclass(frozen=True, slots=True)
class Properties:
    """What holds for every node's output.

    Args:
        columns: the output, hidden columns included.
        key: column ids that identify a row; () when nothing less than the whole row does
            (then equal rows are alike and a deletion takes any one of them).
        append_only: weights are all +1 and nothing is ever taken back.
        partitioning: column ids whose hash decides the reactor; None when arbitrary.
        watermarks: ids of columns that carry a watermark.
        row_watermark: id of the hidden int64 column with the watermark of the row's source
            partition just before the row (its transaction); None behind the judging operator.
    """

    columns: tuple[Column, ...]
    key: tuple[int, ...] = ()
    append_only: bool = False
    partitioning: tuple[int, ...] | None = None
    watermarks: frozenset[int] = frozenset()
    row_watermark: int | None = None


@dataclass(frozen=True, slots=True)
class Input:
    """Changes of a relation: a table, push source, connector source or another view.

    ``attnums[i]`` is the relation's attribute behind column i; 0 is the hidden stream key
    (int64 for stored relations), -1 the row watermark. ``filter`` may be used by the reader
    to skip row groups and must be applied by it exactly.
    """

    id: int
    relation: int
    attnums: tuple[int, ...]
    properties: Properties
    filter: Expr | None = None


@dataclass(frozen=True, slots=True)
class Linear:
    """Filter, then projection. Weights pass through.

    ``watermarks``: (output column, input column, shift in microseconds): the output's watermark is
    the input column's plus the shift. Columns not named carry none.
    """

    id: int
    input: Node
    filter: Expr | None
    exprs: tuple[Expr, ...]
    properties: Properties
    watermarks: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Hop:
    """One row per window that it lies in; adds window_start, window_end (HOP, CUMULATE).

    window_end carries the watermark of ``time``, window_start the same less the size. Rows whose
    time is null or infinite lie in no window. ``sliced``: each row once, with the start of its slice
    (times between which no window starts or ends) as both bounds, for an aggregation that makes windows
    of slices.
    """

    id: int
    input: Node
    time: ColumnRef
    kind: Literal["hop", "cumulate"]
    step: int
    size: int
    offset: int
    properties: Properties
    sliced: bool = False


@dataclass(frozen=True, slots=True)
class Slices:
    """How an aggregation makes windows of the slices that a :class:`Hop` gives it.

    ``start`` and ``end`` are ids of the key columns that come out with a window's bounds (None: not
    grouped by) and come in with a slice's start; the rest is the Hop's.
    """

    start: int | None
    end: int | None
    kind: Literal["hop", "cumulate"]
    step: int
    size: int
    offset: int


@dataclass(frozen=True, slots=True)
class Constant:
    """Rows that are there from the start, once, in reactor 0 (VALUES, SELECT without FROM).

    No more will come, so every timestamp column carries a watermark at the end of time.
    """

    id: int
    rows: tuple[tuple[Expr, ...], ...]
    properties: Properties
    inputs: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class UnionAll:
    """All rows of all inputs (UNION ALL), column by column in order.

    A column carries a watermark where every input's does: the least of them.
    """

    id: int
    inputs: tuple[Node, ...]
    properties: Properties


@dataclass(frozen=True, slots=True)
class FlatMap:
    """For every row, one row per result of set-returning ``calls``, which go in lock-step.

    Output columns: those of the input that ``properties.columns`` names, then each call's (several
    when it returns rows; null past its end), then the number of the result from 1 when ``ordinality``.
    """

    id: int
    input: Node
    calls: tuple[Expr, ...]
    #: output columns of each call
    widths: tuple[int, ...]
    properties: Properties
    ordinality: bool = False


@dataclass(frozen=True, slots=True)
class Repeat:
    """Every row as often as its int8 column ``times`` says, never when that is below 1.

    ``times`` is not among the output columns.
    """

    id: int
    input: Node
    times: int
    properties: Properties


@dataclass(frozen=True, slots=True)
class ClockBound:
    """A condition that turns once as time passes.

    Args:
        condition: over the input's columns and the clock's.
        enters: it turns from false to true, else from true to false.
        moment: with ``shift`` (microseconds) the first time at which it has turned; None when that has
            to be searched for.
    """

    condition: Expr
    enters: bool
    moment: Expr | None = None
    shift: int = 0


@dataclass(frozen=True, slots=True)
class TemporalFilter:
    """Rows while all conditions on the epoch's time hold (``clock``: the column id that stands for it)."""

    id: int
    input: Node
    clock: int
    bounds: tuple[ClockBound, ...]
    properties: Properties


@dataclass(frozen=True, slots=True)
class Closing:
    """When windows of the processing time are over: spans in microseconds.

    Aligned ones end at multiples of ``step`` plus ``offset``; without a step they end ``size`` after a row.
    """

    step: int | None
    size: int
    offset: int = 0
    lateness: int = 0


@dataclass(frozen=True, slots=True)
class ProcessingTime:
    """Adds the epoch's time as the last column, which carries a watermark. The input only grows.

    With ``closing`` the operator asks for barriers when windows are over.
    """

    id: int
    input: Node
    properties: Properties
    closing: Closing | None = None


@dataclass(frozen=True, slots=True)
class SessionWindow:
    """Rows of a key closer than the gap share a window; adds window_start, window_end.

    Judges lateness as GroupAggregate does, by the end of the session that a row would join; window_end
    carries the watermark of ``time``. Rows whose time is null lie in no session. With ``closes`` rows
    appear once, when W >= window_end + lateness.
    """

    id: int
    input: Node
    time: ColumnRef
    keys: tuple[int, ...]
    gap: int
    lateness: int | None
    properties: Properties
    closes: bool = False
    #: late rows go to a table
    keeps_late: bool = False


@dataclass(frozen=True, slots=True)
class Exchange:
    """Rows go to the reactor hash(keys) says; keys () means reactor 0."""

    id: int
    input: Node
    keys: tuple[int, ...]
    properties: Properties


@dataclass(frozen=True, slots=True)
class GroupAggregate:
    """Keyed aggregation, retraction included; emits each touched group once per epoch.

    Output columns: keys, then aggregates. ``window_end`` is the id of the key column that
    judges lateness (row_watermark of the input >= value + lateness means late) and whose
    watermark frees state; None when the grouping is not windowed, or when nothing is late
    (``emit.lateness`` None and mode update). Without a row_watermark in the input nothing is judged,
    only freed. With the view's EMIT fused in (``closes``), a group appears once, when
    W >= window_end + lateness; in mode watermark when W >= window_end, and is corrected until then.
    Without keys there is always exactly one row. Elsewhere the output's watermark is the lateness
    behind the input's; ``partial`` results, which another aggregation combines, carry it as it is.
    ``judged``: the input comes from sessions, which have left out late rows themselves.
    ``slices``: rows come by slices of time, each part of several windows.
    """

    id: int
    input: Node
    keys: tuple[int, ...]
    aggregates: tuple[Aggregate, ...]
    properties: Properties
    window_end: int | None = None
    emit: Emit | None = None
    closes: bool = False
    partial: bool = False
    judged: bool = False
    slices: Slices | None = None


@dataclass(frozen=True, slots=True)
class TimeBound:
    """What a join's condition says of a watermarked column of each side: low <= left - right <= high.

    A row is late once the watermark has passed the last time at which it could find a match, plus
    ``lateness``; rows that no further one can match are freed. Spans in microseconds.
    """

    left: int
    right: int
    low: int
    high: int
    lateness: int = 0


@dataclass(frozen=True, slots=True)
class TopN:
    """The first rows of every partition; changes only where a partition's first rows do.

    Of each partition the rows whose ``rank`` (from 1, by ``order``: column, descending; ties that
    row_number must break go by the row itself) is at most ``limit`` (None: all), less the first
    ``offset`` rows. ``number`` is the last output column and holds the rank, None when nobody asks.
    Output columns are those of the input that ``properties`` names, and ``number``.
    ``window_end``, ``emit``, ``closes`` and ``judged`` as in GroupAggregate, of partitions.
    """

    id: int
    input: Node
    keys: tuple[int, ...]
    order: tuple[tuple[int, bool], ...]
    rank: Literal["row_number", "rank", "dense_rank"]
    limit: int | None
    offset: int
    number: Column | None
    properties: Properties
    window_end: int | None = None
    emit: Emit | None = None
    closes: bool = False
    judged: bool = False


@dataclass(frozen=True, slots=True)
class OverWindow:
    """Window functions over partitions by ``keys``; touched partitions are computed anew.

    Output columns: those of the input that ``properties`` names, then one per call. The calls'
    partition_by is ``keys``, whatever it says; their arguments are columns or constants.
    ``window_end``, ``emit``, ``closes`` and ``judged`` as in GroupAggregate, of partitions.
    """

    id: int
    input: Node
    keys: tuple[int, ...]
    order: tuple[tuple[int, bool], ...]
    calls: tuple[WindowCall, ...]
    properties: Properties
    window_end: int | None = None
    emit: Emit | None = None
    closes: bool = False
    judged: bool = False


@dataclass(frozen=True, slots=True)
class GroupReduce:
    """Aggregates that need a group's rows: touched groups are computed anew.

    As GroupAggregate, but rows are kept; ``order`` (column, descending) is the order in which an
    aggregate without ORDER BY meets them.
    """

    id: int
    input: Node
    keys: tuple[int, ...]
    order: tuple[tuple[int, bool], ...]
    aggregates: tuple[Aggregate, ...]
    properties: Properties
    window_end: int | None = None
    emit: Emit | None = None
    closes: bool = False
    judged: bool = False


@dataclass(frozen=True, slots=True)
class GroupFold:
    """Aggregates that rows are folded into one by one: a state per group, whatever its size.

    Output columns: one per key, with ids of its own where ``properties`` says so, then one per aggregate.
    """

    id: int
    input: Node
    keys: tuple[int, ...]
    aggregates: tuple[Aggregate, ...]
    properties: Properties


@dataclass(frozen=True, slots=True)
class HashJoin:
    """Join of two changing inputs by equal keys and ``residual``; without keys all rows meet.

    Output columns: left's, then right's; of ``semi`` and ``anti`` left's only. Left, right and full
    joins pad rows without a match with nulls.
    """

    id: int
    left: Node
    right: Node
    left_keys: tuple[int, ...]
    right_keys: tuple[int, ...]
    residual: Expr | None
    properties: Properties
    #: key positions compared with IS NOT DISTINCT FROM
    null_safe: tuple[int, ...] = ()
    kind: Literal["inner", "left", "right", "full", "semi", "anti"] = "inner"
    #: implied by the keys or the residual; the inputs' row watermarks judge by it and are not passed on
    bound: TimeBound | None = None


@dataclass(frozen=True, slots=True)
class AsofJoin:
    """Joins each left row with the right row of equal keys that is nearest in time, on one or either side.

    Output columns: left's, then right's; ``padded`` (LEFT) with nulls where there is none. Of several at
    one time the stream key decides. Earlier results are corrected when the right side changes.
    """

    id: int
    left: Node
    right: Node
    left_keys: tuple[int, ...]
    right_keys: tuple[int, ...]
    #: columns compared: left ``comparison`` right
    left_time: int
    right_time: int
    comparison: Literal[">=", ">", "<=", "<", "nearest"]
    padded: bool
    properties: Properties


@dataclass(frozen=True, slots=True)
class Versions:
    """When a temporal join's left rows are matched, and with which versions (spans in microseconds).

    Left rows wait until the watermark of both sides has reached ``left_end``, just past ``left_time``, plus
    ``lateness``; those that come later are late, and so are versions from before their watermark less it.
    """

    left_time: int
    left_end: int
    right_time: int
    lateness: int = 0


@dataclass(frozen=True, slots=True)
class TemporalJoin:
    """Joins each left row once with the right row of its key, which is the right side's stream key.

    With ``versions`` the right row is that of the left row's time, else that of the epoch (PROCTIME()).
    Output columns: left's, without what only ``versions`` needs, then ``right_columns``; ``padded`` (LEFT)
    with nulls where there is none. Results are not corrected. ``held``: properties of waiting left rows.
    """

    id: int
    left: Node
    right: Node
    left_keys: tuple[int, ...]
    right_keys: tuple[int, ...]
    right_columns: tuple[Column, ...]
    padded: bool
    properties: Properties
    versions: Versions | None = None
    held: Properties = Properties(())


@dataclass(frozen=True, slots=True)
class LookupJoin:
    """Joins each left row with the row that a lookup table has for its key, as of when the row comes.

    ``right`` brings the answers: ``right_columns`` (null when there is no row) and by ``asked`` the epoch in
    which the key was asked for, whether there is a row, and the key. Rows wait until theirs is answered,
    which the operator asks for; an answer holds for ``ttl`` microseconds, of at most ``size`` keys. What a
    row was given is what it is taken back with. Output columns: left's, then ``right_columns``, of ``semi``
    and ``anti`` left's only; without a match (``residual`` included) left joins pad with nulls.
    """

    id: int
    left: Node
    right: Node
    relation: int
    left_keys: tuple[int, ...]
    asked: tuple[int, ...]
    right_columns: tuple[Column, ...]
    residual: Expr | None
    kind: Literal["inner", "left", "semi", "anti"]
    ttl: int
    size: int
    properties: Properties


@dataclass(frozen=True, slots=True)
class EmitGate:
    """Holds rows back until W >= end + lateness; in mode watermark until W >= end (EMIT where not fused)."""

    id: int
    input: Node
    end: int
    emit: Emit
    properties: Properties
    judged: bool = False


@dataclass(frozen=True, slots=True)
class EmitEvery:
    """Changes go on together, at the first barrier of every period of ``every`` microseconds since 1970.

    ``end``: id of the column with the window's end; rows of windows that W has passed are not held back.
    """

    id: int
    input: Node
    every: int
    end: int | None
    properties: Properties


@dataclass(frozen=True, slots=True)
class LateRows:
    """The changes that ``input``, which judges lateness, has left out: what its own input has of them.

    ``picks`` says what each output column is: a column of the judge's input by id, or "late_by" (interval:
    how far the watermark was past the end and the allowed lateness), "arrived_at" (timestamptz: the
    epoch's time), "laminar_diff" (int8: +1 or -1). Every change is a row of its own.
    """

    id: int
    input: Node
    picks: tuple[int | Literal["late_by", "arrived_at", "laminar_diff"], ...]
    properties: Properties


@dataclass(frozen=True, slots=True)
class FailedRows:
    """The rows for which expressions of ``inputs`` fail, or those that an Input of rejected rows gives.

    Args:
        picks: what each output column is: see ``operators/failed_rows.py``; () when no table gets the rows.
        source: the name of the source or view, for the table.
        counts: how many failing rows there are now is reported.
    """

    id: int
    inputs: tuple[Node, ...]
    picks: tuple[str, ...]
    properties: Properties
    source: str = ""
    counts: bool = False


@dataclass(frozen=True, slots=True)
class Append:
    """Rows of an append-only input go to the end of table ``relation``, in reactor 0.

    The columns are the table's; rows of one epoch are numbered in the order of their bytes, so that
    they get the same numbers in a replay.
    """

    id: int
    input: Node
    relation: int
    properties: Properties


@dataclass(frozen=True, slots=True)
class Materialize:
    """The end of a dataflow: changes go to the serving store under ``relation``.

    The columns are the view's, in order; ``properties.key`` names the stream key. ``windows``
    tells which columns bound windows: (column id, "start" or "end", size in microseconds or None).
    ``appends``: tables that get what the dataflow leaves out; ``watches``: what only counts it.
    """

    id: int
    input: Node
    relation: int
    properties: Properties
    windows: tuple[tuple[int, Literal["start", "end"], int | None], ...] = ()
    appends: tuple[Append, ...] = ()
    watches: tuple[FailedRows, ...] = ()


@dataclass(frozen=True, slots=True)
class Sink:
    """The end of a dataflow that feeds a connector sink.

    The first columns are the sink's, hidden ones follow.
    """

    id: int
    input: Node
    relation: int
    spec: SinkSpec
    properties: Properties


Node = Union[
    Input,
    Constant,
    Linear,
    Hop,
    SessionWindow,
    TemporalFilter,
    ProcessingTime,
    UnionAll,
    FlatMap,
    Repeat,
    Exchange,
    GroupAggregate,
    TopN,
    OverWindow,
    GroupReduce,
    GroupFold,
    HashJoin,
    AsofJoin,
    TemporalJoin,
    LookupJoin,
    EmitGate,
    EmitEvery,
    LateRows,
    FailedRows,
    Append,
    Materialize,
    Sink,
]
