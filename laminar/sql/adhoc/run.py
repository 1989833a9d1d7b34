"""The way in: asynchronous for sessions, synchronous for whoever is in a thread of his own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

import pyarrow as pa

from laminar.engine.serving import Snapshot
from laminar.sql import plan as logical
from laminar.sql.adhoc import batches
from laminar.sql.adhoc.execute import OUTPUT_ROWS, Execution, Limits, Sources, Statistics
from laminar.sql.adhoc.indexread import AT_ONCE, Indexes, lookup
from laminar.sql.adhoc.pointread import Stores, narrowed
from laminar.sql.evaluator import Env
from laminar.sql.kernels.waiting import SYMBOLS
from laminar.sql.plan import Call, Column, Plan

#: queries that compute at the same time; more wait
_ACTIVE: Final = 4
#: cancelled queries whose step (a sort, a join) cannot be stopped and still runs, at most
_ABANDONED: Final = 12
_WORKERS: Final = ThreadPoolExecutor(_ACTIVE + _ABANDONED, thread_name_prefix="adhoc")
#: for queries that wait more than they compute (pg_sleep)
_WAITERS: Final = ThreadPoolExecutor(1000, thread_name_prefix="adhoc-waiting")
#: rows of a batch that does not make another trip to a thread worth while
_SHORT: Final = 1000
_slots: dict[asyncio.AbstractEventLoop, asyncio.Semaphore] = {}


async def run(
    plan: Plan,
    columns: Sequence[Column],
    sources: Sources,
    env: Env,
    limits: Limits | None = None,
    stores: Stores | None = None,
    indexes: Indexes | None = None,
    statistics: Statistics | None = None,
    waits: bool = False,
) -> AsyncIterator[pa.RecordBatch]:
    """The rows of a query, ``columns`` by position, at most 65,536 per batch.

    ``waits`` (see :func:`waits`) keeps a query that sleeps from holding up others.
    ``stores`` and ``indexes`` let rows be found by a key or an indexed value instead of a scan.

    Work is done in worker threads, a batch at a time as the caller asks for it; what is done in no time
    (constants, a row by its key, which ``stores`` allows) is done at once. Closing the iterator or
    cancelling the task stops the query at its next batch.

    Raises:
        PgError: of a failing expression, 53200 beyond the memory limit, 57014 when cancelled.
    """
    if waits:
        async for batch in _waiting(plan, columns, sources, env, limits or Limits()):
            yield batch
        return
    at_once = _constant(plan)
    if stores is not None and not at_once:
        point = narrowed(plan, stores, env)
        if point is not None:
            at_once = True
            sources = _instead(sources, *point)
    if indexes is not None and not at_once:
        asked = lookup(plan, indexes, sources, env)
        if asked is not None:
            if asked.missing > AT_ONCE:
                await asyncio.get_running_loop().run_in_executor(_WORKERS, asked.prepare)
            candidates = asked.rows()
            at_once = candidates.num_rows <= AT_ONCE
            sources = _instead(sources, asked.relation, candidates)
    execution = Execution(sources, env, limits or Limits(), statistics=statistics)
    rows = _output(execution, plan, columns)
    if at_once:
        for batch in rows:
            yield batch
        return
    try:
        more = True
        while more:
            made, more = await _step(rows)
            for batch in made:
                yield batch
    finally:
        execution.cancelled.set()


async def _waiting(
    plan: Plan, columns: Sequence[Column], sources: Sources, env: Env, limits: Limits
) -> AsyncIterator[pa.RecordBatch]:
    """A query that sleeps takes no slot of those that compute, and wakes when it is cancelled."""
    cancelled = threading.Event()
    execution = Execution(sources, replace(env, cancelled=cancelled), limits, cancelled)
    rows = _output(execution, plan, columns)
    loop = asyncio.get_running_loop()
    try:
        while (batch := await loop.run_in_executor(_WAITERS, next, rows, None)) is not None:
            yield batch
    finally:
        cancelled.set()


def waits(plan: object) -> bool:
    """Whether a plan calls a function that waits."""
    if isinstance(plan, Call) and plan.function.symbol in SYMBOLS:
        return True
    if isinstance(plan, tuple):
        return any(waits(part) for part in plan)
    names = getattr(plan, "__dataclass_fields__", ())
    return any(waits(getattr(plan, name)) for name in names)


async def _step(rows: Iterator[pa.RecordBatch]) -> tuple[list[pa.RecordBatch], bool]:
    """The next batches and whether there may be more, computed in a worker thread.

    A step that is cancelled gives its slot to others at once, though its thread ends with the step only.
    """
    loop = asyncio.get_running_loop()
    slots = _slots.get(loop)
    if slots is None:
        _slots.clear()  # of a loop that has ended
        slots = _slots[loop] = asyncio.Semaphore(_ACTIVE)
    async with slots:
        return await loop.run_in_executor(_WORKERS, _next, rows)


def _next(rows: Iterator[pa.RecordBatch]) -> tuple[list[pa.RecordBatch], bool]:
    """A batch; after a short one, which is mostly the only one, the end is looked for too."""
    first = next(rows, None)
    if first is None:
        return [], False
    if first.num_rows > _SHORT:
        return [first], True
    second = next(rows, None)
    return ([first], False) if second is None else ([first, second], True)


def run_sync(
    plan: Plan, columns: Sequence[Column], sources: Sources, env: Env, limits: Limits | None = None
) -> Iterator[pa.RecordBatch]:
    """As :func:`run`, in the calling thread."""
    return _output(Execution(sources, env, limits or Limits()), plan, columns)


def _instead(sources: Sources, relation: int, snapshot: Snapshot) -> Sources:
    """The sources with another snapshot of one relation."""
    return lambda oid, attnums: snapshot if oid == relation else sources(oid, attnums)


def _output(execution: Execution, plan: Plan, columns: Sequence[Column]) -> Iterator[pa.RecordBatch]:
    ids = [c.id for c in plan.columns]
    wanted = [ids.index(c.id) for c in columns]
    same = wanted == list(range(len(ids)))
    for batch in execution.run(plan):
        out = batch if same else batches.make([batch.column(i) for i in wanted], batch.num_rows)
        yield from batches.split(out, OUTPUT_ROWS)


def _constant(plan: Plan) -> bool:
    """Whether the plan reads no relation and is done in no time (SELECT 1)."""
    while isinstance(plan, logical.Project | logical.Filter):
        plan = plan.input
    return isinstance(plan, logical.Values) and len(plan.rows) <= 100
