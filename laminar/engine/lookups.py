"""What lookup tables are asked, and their answers on the way into the log.

Reactors ask for keys at the end of an epoch; the table's server is asked for many at once, by one thread per
table. The answers are committed like rows of the lookup table, so the epoch that they come in has them in its
record, and every dataflow that waits for them gets them. What fails is tried again, with growing pauses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from laminar import failpoints, logging
from laminar._native.rows import RowFormat
from laminar.connectors.base import LookupReader, lookup_connector
from laminar.engine.change import Change
from laminar.engine.nodes import LookupJoin
from laminar.engine.protocol import EpochReport
from laminar.engine.relations import DataflowSpec, RelationSpec, topological
from laminar.engine.state import EngineState
from laminar.errors import PgError

log = logging.get(__name__)

#: keys of one query
_BATCH_KEYS = 1000
#: seconds between attempts, growing
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
#: seconds that a connection stays open with nothing to ask
_IDLE_SECONDS = 30.0
#: keys asked for, or rows that wait, from which on what feeds their joins rests
_MOST_KEYS, _MOST_ROWS = 100_000, 1_000_000


class LookupTable:
    """One table's questions.

    ``answers``: rows that it has given since the start; ``error``: why it gives none now.
    """

    def __init__(self, spec: RelationSpec) -> None:
        assert spec.lookup is not None
        self.spec = spec
        self.connector = lookup_connector(spec.lookup.connector)
        self.timeout = self.connector.limits(spec.lookup).timeout
        keys = [spec.types[i] for i in spec.lookup.key]
        self.format = RowFormat(pa.schema([(str(i), type_.storage) for i, type_ in enumerate(keys)]))
        #: key -> the newest epoch that asks for it: to be read, and being read
        self.asked: dict[bytes, int] = {}
        self.reading: dict[bytes, int] = {}
        self.task: asyncio.Task[None] | None = None
        self.wake = asyncio.Event()
        self.answers = 0
        self.error: str | None = None
        self._reader: LookupReader | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"lookup-{spec.oid}")

    def ask(self, keys: pa.RecordBatch, epoch: int) -> None:
        """Rows with these keys are wanted."""
        named = pa.RecordBatch.from_arrays(keys.columns, schema=self.format.schema)
        for key in self.format.encode(named).to_pylist():
            self.asked[key] = epoch
        self.wake.set()

    @property
    def oldest(self) -> int | None:
        """The first epoch that waits for an answer."""
        return min((*self.asked.values(), *self.reading.values()), default=None)

    async def read(self) -> Change:
        """Answers for the next keys; they stay in ``reading`` until the caller has passed them on."""
        for key in list(islice(self.asked, _BATCH_KEYS)):
            self.reading[key] = self.asked.pop(key)
        try:
            return await self.fetch(
                self.format.decode(pa.array(self.reading, pa.binary())), [*self.reading.values()]
            )
        except BaseException:
            for key, epoch in self.reading.items():
                self.asked.setdefault(key, epoch)
            self.reading.clear()
            raise

    async def fetch(self, keys: pa.RecordBatch, epochs: Collection[int]) -> Change:
        """Rows as the relation's answers are stored; a failure ends the connection."""
        loop = asyncio.get_running_loop()
        try:
            if self._reader is None:
                assert self.spec.lookup is not None
                self._reader = await loop.run_in_executor(self._thread, self.connector.open, self.spec.lookup)
            work = loop.run_in_executor(self._thread, self._reader.fetch, keys)
            await asyncio.wait([work], timeout=self.timeout)
            if not work.done():
                self._reader.abort()
            numbers, rows = await work
        except BaseException:
            self.disconnect()
            raise
        self.answers += len(numbers)
        self.error = None
        return Change(_answers(self.spec, keys, epochs, numbers, rows))

    def disconnect(self) -> None:
        """Close the connection, in its thread."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.abort()
            self._thread.submit(_close, reader)

    def close(self) -> None:
        """The table is gone, or the engine stops."""
        if self.task is not None:
            self.task.cancel()
        self.disconnect()
        self._thread.shutdown(wait=False)


def _close(reader: LookupReader) -> None:
    with suppress(Exception):
        reader.close()


def _answers(
    spec: RelationSpec, keys: pa.RecordBatch, epochs: Collection[int], numbers: pa.Array, rows: pa.RecordBatch
) -> pa.RecordBatch:
    """One row per key: the table's columns or nulls, when it was asked for, whether it is there, the key."""
    places = np.full(keys.num_rows, -1, np.int64)
    places[numbers.to_numpy()] = np.arange(len(numbers))
    found = places >= 0
    columns = rows.take(pa.array(places, mask=~found)).columns
    asked = pa.array(list(epochs), pa.int64())
    return pa.RecordBatch.from_arrays([*columns, asked, pa.array(found), *keys.columns], schema=spec.schema)


class Lookups:
    """All lookup tables. The event loop's thread calls everything here.

    Args:
        commit: accepts answers as rows of their table.
    """

    def __init__(self, state: EngineState, commit: Callable[[int, Change], Awaitable[Any]]) -> None:
        self.state = state
        self.commit = commit
        self.tables: dict[int, LookupTable] = {}
        #: relations that should rest, because what they feed waits
        self.crowded: frozenset[int] = frozenset()
        self._changed: list[asyncio.Future[None]] = []

    def add(self, spec: RelationSpec) -> None:
        """Make a lookup table known."""
        self.tables[spec.oid] = LookupTable(spec)

    def drop(self, oid: int) -> None:
        """Forget a table that nothing reads any more."""
        table = self.tables.pop(oid, None)
        if table is not None:
            table.close()
            self._tell()

    def close(self) -> None:
        """The engine stops."""
        for table in self.tables.values():
            table.close()

    def ask(self, relation: int, keys: pa.RecordBatch, epoch: int) -> None:
        """A reactor wants rows."""
        table = self.tables.get(relation)
        if table is None:
            return
        table.ask(keys, epoch)
        if table.task is None or table.task.done():
            table.task = asyncio.create_task(self._serve(table))

    async def _serve(self, table: LookupTable) -> None:
        """Answer what is asked, and stay connected for more for a while."""
        pause = _FIRST_PAUSE
        while not self.state.failure.done():
            if not table.asked:
                table.wake.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(table.wake.wait(), _IDLE_SECONDS)
                if not table.asked:
                    break
            try:
                answers = await table.read()
            except Exception as error:
                table.error = error.message if isinstance(error, PgError) else str(error).strip()
                log.warning("a lookup table does not answer", table=table.spec.name, error=table.error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            pause = _FIRST_PAUSE
            failpoints.reach("lookup: answered")
            await self.commit(table.spec.oid, answers)
            table.reading.clear()
            self._tell()
        table.disconnect()

    # --- who waits for answers ------------------------------------------------------------

    def _tell(self) -> None:
        for future in self._changed:
            if not future.done():
                future.set_result(None)
        self._changed.clear()

    async def _change(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._changed.append(future)
        await future

    def asked(self, epoch: int, tables: Collection[int]) -> bool:
        """Whether something that was asked of the tables up to ``epoch`` has no accepted answer."""
        waiting = [self.tables[oid].oldest for oid in tables if oid in self.tables]
        return any(oldest is not None and oldest <= epoch for oldest in waiting)

    async def answered(self, epoch: int, tables: Collection[int]) -> None:
        """Return when what was asked of the tables up to ``epoch`` has been accepted into another one."""
        while self.asked(epoch, tables):
            await self._change()

    def joined_by(self, dataflow: DataflowSpec) -> list[int]:
        """The lookup table of every join of a dataflow."""
        return [node.relation for node in topological(dataflow.root) if isinstance(node, LookupJoin)]

    def behind(self, relations: Collection[int]) -> list[int]:
        """The lookup tables, as often as they are joined, on the way to the rows of ``relations``."""
        if not self.tables:
            return []
        return [oid for flow in self._before(relations) for oid in self.joined_by(flow)]

    def _before(self, relations: Collection[int]) -> list[DataflowSpec]:
        """The dataflows that these relations' rows come through."""
        flows = (*self.state.dataflows.values(), *self.state.installing.values())
        wanted, found = set(relations), []
        for flow in reversed({flow.id: flow for flow in flows}.values()):
            if flow.id in wanted or wanted.intersection(flow.outputs):
                found.append(flow)
                wanted.update(flow.inputs)
        return found

    # --- backpressure ------------------------------------------------------------------------

    def published(self, reports: Collection[EpochReport]) -> None:
        """An epoch has been published: see which dataflows wait, and who should rest for them."""
        if not self.tables:
            return
        waiting: dict[int, int] = {}
        for report in reports:
            for stats in report.operators:
                rows = stats.counters.get("waiting", 0)
                if rows:
                    waiting[stats.dataflow] = waiting.get(stats.dataflow, 0) + rows
        full = {oid for oid, t in self.tables.items() if len(t.asked) + len(t.reading) > _MOST_KEYS}
        slow = [oid for oid, rows in waiting.items() if rows > _MOST_ROWS or full & {*self._tables_of(oid)}]
        before = {oid for flow in self._before(slow) for oid in flow.inputs} - self.tables.keys()
        if before != self.crowded:
            self.crowded = frozenset(before)
            self.state.clock.urge()
            self._tell()

    def _tables_of(self, dataflow: int) -> list[int]:
        spec = self.state.dataflows.get(dataflow) or self.state.installing.get(dataflow)
        return [] if spec is None else self.joined_by(spec)

    async def room(self, relations: Collection[int]) -> None:
        """Return when rows of these relations are welcome."""
        while self.crowded.intersection(relations):
            await self._change()
