"""Runs a logical plan, node by node, over snapshots.

Filters and projections are evaluated batch by batch as rows pass; joins and large sorts are DataFusion's;
grouping, windows and set operations number rows by their keys and work a column at a time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa

from laminar.engine.serving import Snapshot
from laminar.errors import INTERNAL_ERROR, OUT_OF_MEMORY, QUERY_CANCELED, PgError, not_supported
from laminar.sql import plan as logical
from laminar.sql.adhoc import (
    asof,
    batches,
    calls,
    grouping,
    setops,
    sorting,
    tablefunctions,
    timewindows,
    windows,
)
from laminar.sql.adhoc.relational import Relational
from laminar.sql.adhoc.smalljoin import Ready, small_join
from laminar.sql.evaluator import Env
from laminar.sql.expressions import walk
from laminar.sql.plan import Call, Column, ColumnRef, Expr, Plan
from laminar.sql.sortkeys import sort_key

Batches = Iterator[pa.RecordBatch]
#: (relation oid, attribute numbers) -> its rows
Sources = Callable[[int, tuple[int, ...]], Snapshot]
#: up to this many rows are sorted here rather than in DataFusion
SORT_HERE: Final = 100_000
OUTPUT_ROWS: Final = 65536
#: a projection's result is cut into parts of about this size
PART_BYTES: Final = 32 << 20
_SAMPLE_ROWS: Final = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one query: bytes of one intermediate result, and of DataFusion's memory."""

    memory: int = 1 << 30


@dataclass(slots=True)
class NodeStatistics:
    """What a node of a plan did: its inputs' time is in its own."""

    seconds: float = 0.0
    rows: int = 0
    batches: int = 0


Statistics = dict[int, NodeStatistics]


@dataclass(slots=True)
class Execution:
    """One run of one plan. Used by one thread; ``cancelled`` may be set by any."""

    sources: Sources
    env: Env
    limits: Limits = field(default_factory=Limits)
    cancelled: threading.Event = field(default_factory=threading.Event)
    #: newest rows of the recursions under way
    work: dict[int, pa.RecordBatch] = field(default_factory=dict)
    #: by identity of a node, when somebody wants to know
    statistics: Statistics | None = None

    def run(self, plan: Plan) -> Batches:
        """The plan's rows; columns by position."""
        handler = _HANDLERS.get(type(plan))
        if handler is None:
            raise PgError(INTERNAL_ERROR, f"no execution for {type(plan).__name__}")
        rows = handler(self, plan)
        if self.statistics is not None:
            rows = _measured(rows, self.statistics.setdefault(id(plan), NodeStatistics()))
        for batch in rows:
            if self.cancelled.is_set():
                raise PgError(QUERY_CANCELED, "canceling statement due to user request")
            yield batch

    def collect(self, plan: Plan) -> list[pa.RecordBatch]:
        """All rows, kept in memory; 53200 beyond the limit."""
        kept, size = [], 0
        for batch in self.run(plan):
            size += batch.nbytes
            if size > self.limits.memory:
                raise PgError(
                    OUT_OF_MEMORY,
                    "out of memory",
                    detail=f"An intermediate result is larger than the limit of {self.limits.memory} bytes.",
                )
            kept.append(batch)
        return kept

    def whole(self, plan: Plan) -> pa.RecordBatch:
        """All rows in one batch."""
        return batches.concat(self.collect(plan), plan.columns)

    def evaluate(
        self, exprs: Sequence[Expr], columns: Sequence[Column], batch: pa.RecordBatch
    ) -> list[pa.Array]:
        program = calls.compiled(tuple(exprs), tuple(c.id for c in columns))
        result: list[pa.Array] = program(batch, self.env)
        return result

    def constant(self, expr: Expr) -> Any:
        """The value of an expression without columns."""
        return self.evaluate((expr,), (), batches.make([], 1))[0][0].as_py()


def _measured(rows: Batches, into: NodeStatistics) -> Batches:
    """The same batches; their number, rows and time (with that of what they come from) are noted."""
    while True:
        started = time.perf_counter()
        batch = next(rows, None)
        into.seconds += time.perf_counter() - started
        if batch is None:
            return
        into.batches += 1
        into.rows += batch.num_rows
        yield batch


def _scan(run: Execution, plan: logical.Scan) -> Batches:
    snapshot = run.sources(plan.relation, plan.attnums)
    if not plan.attnums:
        yield batches.make([], snapshot.num_rows)
        return
    yield from snapshot.batches(plan.attnums)


def _values(run: Execution, plan: logical.Values) -> Batches:
    rows = batches.make([], 1)
    flat = [expr for row in plan.rows for expr in row]
    values = run.evaluate(flat, (), rows) if flat else []
    width = len(plan.columns)
    columns = [
        pa.concat_arrays(values[i::width]) if plan.rows else pa.array([], c.type.storage)
        for i, c in enumerate(plan.columns)
    ]
    yield batches.make(columns, len(plan.rows))


def _filter(run: Execution, plan: logical.Filter) -> Batches:
    for batch in run.run(plan.input):
        mask = run.evaluate((plan.condition,), plan.input.columns, batch)[0]
        if batch.num_columns:
            kept = batch.filter(mask)
        else:
            kept = batches.make([], int(mask.true_count))
        if kept.num_rows:
            yield kept


def _project(run: Execution, plan: logical.Project) -> Batches:
    inputs = plan.input.columns
    positions = {c.id: i for i, c in enumerate(inputs)}
    if all(isinstance(e, ColumnRef) for e in plan.exprs):
        picked = [positions[e.id] for e in plan.exprs if isinstance(e, ColumnRef)]
        for batch in run.run(plan.input):
            yield batches.make([batch.column(i) for i in picked], batch.num_rows)
        return
    grows = any(not isinstance(e, ColumnRef) and _variable(e.type.storage) for e in plan.exprs)
    # a sample would take a sequence's values twice
    grows = grows and not any(
        isinstance(e, Call) and e.function.volatility == "v" for x in plan.exprs for e in walk(x)
    )
    for batch in run.run(plan.input):
        rows = _rows_at_once(run, plan, batch) if grows else batch.num_rows
        for start in range(0, batch.num_rows, max(1, rows)):
            part = batch.slice(start, rows)
            yield batches.make(run.evaluate(plan.exprs, inputs, part), part.num_rows)


def _variable(storage: pa.DataType) -> bool:
    """Whether a value of the type may take any number of bytes."""
    return pa.types.is_string(storage) or pa.types.is_binary(storage) or pa.types.is_list(storage)


def _rows_at_once(run: Execution, plan: logical.Project, batch: pa.RecordBatch) -> int:
    """How many rows to project together, so that long values (repeat()) do not fill the memory.

    The first rows tell how long values are.
    """
    if batch.num_rows <= _SAMPLE_ROWS:
        return max(1, batch.num_rows)
    sample = run.evaluate(plan.exprs, plan.input.columns, batch.slice(0, _SAMPLE_ROWS))
    per_row = sum(array.nbytes for array in sample) / _SAMPLE_ROWS
    return int(min(batch.num_rows, max(1, PART_BYTES // max(1.0, per_row))))


def _join(run: Execution, plan: logical.Join) -> Batches:
    if plan.asof is not None:
        return iter([asof.asof_join(run, plan)])
    if plan.temporal == "proctime":
        plan = replace(plan, temporal=None)
    if plan.temporal is not None:
        raise not_supported(
            "FOR SYSTEM_TIME AS OF an event time is supported in materialized views only",
            hint="Only they keep the versions that have been; AS OF PROCTIME() joins the current ones.",
        )

    ready: Ready = {}
    joined = small_join(run, plan, ready)
    if joined is not None:
        return iter([joined])

    def stream(part: Plan) -> Batches:
        return iter(ready[id(part)] if id(part) in ready else run.collect(part))

    return Relational(stream, run.env, run.limits.memory, ready.keys()).join(plan)


def _group_by(run: Execution, plan: logical.GroupBy) -> Batches:
    return grouping.group_by(plan, run.whole(plan.input), run.env)


def _distinct(run: Execution, plan: logical.DistinctOn) -> Batches:
    rows = run.whole(plan.input)
    on = run.evaluate([sort_key(ref) for ref in plan.on], plan.columns, rows)
    if plan.order_by:
        keys = run.evaluate([sort_key(i.expr) for i in plan.order_by], plan.columns, rows)
        order = sorting.sort_indices(keys, plan.order_by)
        rows = batches.take(rows, order)
        on = [array.take(pa.array(order)) for array in on]
    _, first = setops.number_rows(on, rows.num_rows)
    yield batches.take(rows, first)


def _set_op(run: Execution, plan: logical.SetOp) -> Batches:
    if plan.op == "union" and plan.all:
        yield from run.run(plan.left)
        yield from run.run(plan.right)
        return
    left = run.whole(plan.left)
    right = run.whole(plan.right)
    both = batches.concat([left, right], plan.columns)
    refs = [ColumnRef(c.id, c.type) for c in plan.columns]
    keys = run.evaluate([sort_key(ref) for ref in refs], plan.columns, both) if refs else []
    groups, first = setops.number_rows(keys, both.num_rows)
    if plan.op == "union":
        yield batches.take(both, first)
        return
    yield batches.take(left, setops.combine(plan.op, plan.all, groups, left.num_rows))


def _recursive(run: Execution, plan: logical.Recursive) -> Batches:
    """Rounds of the step over the rows that the last one made; bounded by the memory limit."""
    made: list[pa.RecordBatch] = []
    size, rows = 0, run.whole(plan.start)
    while True:
        new = rows if plan.all else _unseen(run, plan, made, rows)
        if not new.num_rows:
            return
        size += new.nbytes
        if not plan.all:
            made.append(new)
        if new.nbytes > run.limits.memory or (not plan.all and size > run.limits.memory):
            raise PgError(
                OUT_OF_MEMORY,
                "out of memory",
                detail=f"A recursive query made more than the limit of {run.limits.memory} bytes.",
            )
        yield new
        run.work[plan.table] = new
        rows = run.whole(plan.step)


def _unseen(
    run: Execution, plan: logical.Recursive, made: list[pa.RecordBatch], rows: pa.RecordBatch
) -> pa.RecordBatch:
    """Rows that were not there before, each once."""
    both = batches.concat([*made, rows], plan.columns)
    before = both.num_rows - rows.num_rows
    refs = [ColumnRef(c.id, c.type) for c in plan.columns]
    keys = run.evaluate([sort_key(ref) for ref in refs], plan.columns, both) if refs else []
    _, first = setops.number_rows(keys, both.num_rows)
    return batches.take(both, first[first >= before])


def _work_table(run: Execution, plan: logical.WorkTable) -> Batches:
    yield run.work[plan.table]


def _sort(run: Execution, plan: logical.Sort) -> Batches:
    return _sorted(run, plan, None)


def _sorted(run: Execution, plan: logical.Sort, limit: int | None) -> Batches:
    rows = run.collect(plan.input)
    total = sum(b.num_rows for b in rows)
    if not plan.keys or total <= 1:
        yield from rows
    elif total > SORT_HERE and plan.columns:
        yield from Relational(run.run, run.env, run.limits.memory).sort(rows, plan.keys, plan, limit)
    else:
        one = batches.concat(rows, plan.columns)
        keys = run.evaluate([sort_key(i.expr) for i in plan.keys], plan.columns, one)
        yield batches.take(one, sorting.sort_indices(keys, plan.keys)[:limit])


def _limit(run: Execution, plan: logical.Limit) -> Batches:
    count = None if plan.count is None else run.constant(plan.count)
    offset = None if plan.offset is None else run.constant(plan.offset)
    if count is not None and count < 0:
        raise PgError("2201W", "LIMIT must not be negative")
    if offset is not None and offset < 0:
        raise PgError("2201X", "OFFSET must not be negative")
    skip = offset or 0
    if plan.with_ties and count is not None:
        return _with_ties(run, plan, skip, count)
    if isinstance(plan.input, logical.Sort) and count is not None:
        rows = _sorted(run, plan.input, skip + count)
    elif isinstance(plan.input, logical.Project):
        # rows beyond the limit are not evaluated: they may fail
        below = logical.Limit(plan.input.input, plan.count, plan.offset)
        return _project(run, logical.Project(below, plan.input.exprs, plan.input.columns))
    else:
        rows = run.run(plan.input)
    return _slice(rows, skip, count)


def _slice(rows: Batches, skip: int, count: int | None) -> Batches:
    if count == 0:
        return
    left = count
    for batch in rows:
        if skip >= batch.num_rows:
            skip -= batch.num_rows
            continue
        part = batch.slice(skip, left)
        skip = 0
        yield part
        if left is not None:
            left -= part.num_rows
            if left <= 0:
                return


def _with_ties(run: Execution, plan: logical.Limit, skip: int, count: int) -> Batches:
    """FETCH FIRST n ROWS WITH TIES: as many more rows as sort equal to the last one."""
    below = plan.input
    if not isinstance(below, logical.Sort):
        raise PgError(INTERNAL_ERROR, "WITH TIES without a sort below")
    rows = run.whole(below)
    stop = min(skip + count, rows.num_rows)
    if count and stop > skip and stop < rows.num_rows:
        keys = run.evaluate([sort_key(i.expr) for i in below.keys], below.columns, rows)
        groups, _ = setops.number_rows(keys, rows.num_rows)
        stop = int(np.searchsorted(groups, groups[stop - 1], side="right"))
    if stop > skip and count:
        yield rows.slice(skip, stop - skip)


def _window(run: Execution, plan: logical.Window) -> Batches:
    rows = run.whole(plan.input)
    added = windows.window(plan, rows, run.env)
    yield batches.make([*rows.columns, *added], rows.num_rows)


def _table_function(run: Execution, plan: logical.TableFunction) -> Batches:
    return tablefunctions.table_function(plan, run.env, OUTPUT_ROWS)


def _project_set(run: Execution, plan: logical.ProjectSet) -> Batches:
    projection = tablefunctions.SetProjection(plan)
    for batch in run.run(plan.input):
        yield projection.run(batch, run.env)


def _time_window(run: Execution, plan: logical.TimeWindow) -> Batches:
    if plan.kind == "tumble":
        return run.run(timewindows.tumble(plan))
    if plan.kind == "session":
        return iter([timewindows.session(plan, run.whole(plan.input), run.env)])
    return timewindows.hop(plan, run.run(plan.input))


_HANDLERS: Final[dict[type, Callable[[Execution, Any], Batches]]] = {
    logical.Scan: _scan,
    logical.Values: _values,
    logical.Filter: _filter,
    logical.Project: _project,
    logical.ProjectSet: _project_set,
    logical.Join: _join,
    logical.GroupBy: _group_by,
    logical.DistinctOn: _distinct,
    logical.SetOp: _set_op,
    logical.Recursive: _recursive,
    logical.WorkTable: _work_table,
    logical.Sort: _sort,
    logical.Limit: _limit,
    logical.Window: _window,
    logical.TableFunction: _table_function,
    logical.TimeWindow: _time_window,
}
