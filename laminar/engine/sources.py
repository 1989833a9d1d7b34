"""Connector sources in a reactor: partitions, readers, watermarks.

All dataflows that read a source share one reader (a *reading*), so that they see the same rows in
every epoch. A dataflow that comes later first has a reading of its own from the beginning; when that
has reached the shared position it joins, at a barrier. While some are behind, the shared one goes
slowly, so that they get there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar._native.timewindow import row_watermarks
from laminar.connectors.base import SourceReader, source_connector
from laminar.engine.change import END_OF_TIME, NO_WATERMARK, Change
from laminar.engine.inputs import InputOperator
from laminar.engine.operators.failed_rows import FAILED
from laminar.engine.pace import Pace, RateLimit
from laminar.engine.protocol import Cut, Partitions, PartitionState
from laminar.engine.relations import REJECTED, ROW_WATERMARK, RelationSpec
from laminar.engine.sourcerows import SourceRows, record_batch
from laminar.errors import DATA_CORRUPTED, PgError
from laminar.types import DATE, DATE_INFINITY, INT8, TIMESTAMP_INFINITY

#: rows per read: enough to amortise calls, few enough to stay in the cache and yield soon
BATCH_ROWS = 1 << 16


class Sink(Protocol):
    """Takes a reading's rows."""

    def __call__(self, change: Change) -> None: ...


@dataclass(slots=True)
class Consumer:
    """An input of a dataflow and how to feed it."""

    dataflow: int
    operator: InputOperator
    push: Sink


def event_times(column: pa.Array, oid: int) -> npt.NDArray[np.int64]:
    """Microseconds since 1970 of a date, timestamp or bigint-milliseconds column.

    Nulls and infinities say nothing about time passing: they become NO_WATERMARK.
    """
    storage = pa.int32() if oid == DATE else pa.int64()
    times = _numbers(column.view(storage))
    if oid == DATE:
        return _scaled(times, 86_400_000_000, DATE_INFINITY)
    if oid == INT8:
        return _scaled(times, 1000, END_OF_TIME // 1000)
    if len(times) and times.max() == TIMESTAMP_INFINITY:
        times = np.where(times == TIMESTAMP_INFINITY, np.int64(NO_WATERMARK), times)
    return times


def _scaled(times: npt.NDArray[np.int64], unit: int, limit: int) -> npt.NDArray[np.int64]:
    """In microseconds; NO_WATERMARK from ``limit`` on, either way."""
    known = (times < limit) & (times > -limit)
    return np.where(known, np.where(known, times, 0) * unit, np.int64(NO_WATERMARK))


def _numbers(column: pa.Array) -> npt.NDArray[np.int64]:
    """Integers as int64, nulls as NO_WATERMARK. (Arrow's fill_null would import pandas.)"""
    values = column.buffers()[1]
    dtype = np.int32 if column.type == pa.int32() else np.int64
    if values is None:
        return np.empty(0, np.int64)
    raw = np.frombuffer(values, dtype, len(column), column.offset * np.dtype(dtype).itemsize)
    found: npt.NDArray[np.int64] = raw.astype(np.int64, copy=False)
    if column.null_count:
        found = np.where(column.is_null().to_numpy(zero_copy_only=False), np.int64(NO_WATERMARK), found)
    return found


def delayed(time: int, delay: int) -> int:
    """``time`` less ``delay``, never below NO_WATERMARK."""
    return max(NO_WATERMARK, time - delay)


class Reading:
    """One reader and the inputs that it feeds."""

    def __init__(
        self, spec: RelationSpec, consumers: list[Consumer], states: dict[str, PartitionState]
    ) -> None:
        assert spec.source is not None
        self.spec = spec
        self.consumers = consumers
        self.states = states
        wanted = {a for c in consumers for a in c.operator.node.attnums}
        self._row_watermarks = ROW_WATERMARK in wanted
        #: those that want what cannot be read
        self._rejecting = [c for c in consumers if REJECTED[0] in c.operator.node.attnums]
        wanted -= {ROW_WATERMARK, *REJECTED}
        if spec.watermark and not self._times_are_told(wanted):
            wanted.add(spec.watermark[0])
        self.rows = SourceRows(spec, wanted, rejects=bool(self._rejecting))
        self.reader = self._open()
        attnums = self.rows.attnums
        position = {a: i for i, a in enumerate(attnums)} | {ROW_WATERMARK: len(attnums)}
        self._reading = [
            (c, [position[a] for a in c.operator.node.attnums]) for c in consumers if c not in self._rejecting
        ]
        self._turn = 0
        #: time and the source's watermark of the last epoch, and rows left out since the start
        self.now = 0
        self.watermark = NO_WATERMARK
        self.refused = 0
        #: of a dataflow that is behind: rows read in this epoch, and how many should be
        self.in_epoch = 0
        self.pace = Pace()
        #: where the event time is; None: nobody looks at it, the reader tells how far it has come
        self._time = position.get(spec.watermark[0]) if spec.watermark else None
        if spec.watermark:
            self._time_type = spec.types[spec.attnums.index(spec.watermark[0])].oid

    def _times_are_told(self, wanted: set[int]) -> bool:
        """Whether the watermark goes on without reading event times, which nobody asks for."""
        spec = self.spec
        assert spec.source is not None and spec.watermark is not None
        time = spec.watermark[0]
        if self._row_watermarks or spec.max_future is not None or time in wanted or time not in spec.physical:
            return False
        return source_connector(spec.source.connector).tells_times(spec.source)

    def _open(self) -> SourceReader:
        spec = self.spec
        assert spec.source is not None
        request = self.rows.request
        # nothing is known of the event times and errors of computed columns in rows that are skipped
        plain = not spec.computed and not spec.included
        if plain and len(self.consumers) == 1 and self.consumers[0].operator.node.filter is not None:
            node = self.consumers[0].operator.node
            pairs = zip(node.properties.columns, node.attnums, strict=True)
            ids = {column.id: spec.attnums.index(a) for column, a in pairs if a != ROW_WATERMARK}
            request = replace(request, filter=node.filter, filter_columns=ids)
        reader = source_connector(spec.source.connector).open(spec.source, request)
        for partition, state in self.states.items():
            reader.seek(partition, state.position)
        return reader

    def add_partition(self, partition: str, state: PartitionState) -> None:
        self.states[partition] = state
        self.reader.seek(partition, state.position)

    def step(self, most: int, shared: dict[str, PartitionState] | None = None) -> bool:
        """Read a batch of at most ``most`` rows of the next partition that has some; False: nothing now.

        ``shared``: where the shared reading is; this one, behind it, must not overtake it.
        """
        names = list(self.states)
        for i in range(len(names)):
            at = (self._turn + i) % len(names)
            ahead = None if shared is None else shared[names[at]]
            self._begin(names[at], self.watermark if ahead is None else ahead.start)
            if self._read(names[at], None if ahead is None else ahead.position or 0, most):
                self._turn = at + 1
                return True
        return False

    def _begin(self, partition: str, watermark: int) -> None:
        """A new partition's rows start at the source's watermark, which never goes back for them."""
        if self.states[partition].position is None:
            self.states[partition].begin(watermark)

    def read_to(self, partition: str, target: PartitionState) -> None:
        """Read exactly up to a position."""
        state = self.states[partition]
        wanted = target.position
        self._begin(partition, target.start)
        if wanted is not None:
            while (state.position or 0) < wanted:
                if not self._read(partition, wanted):
                    what = f'partition "{partition}" of source "{self.spec.name}" has become shorter'
                    raise PgError(DATA_CORRUPTED, what, detail=f"It was read up to position {wanted} before.")
        state.finished = state.finished or target.finished

    def _read(self, partition: str, until: int | None, most: int = BATCH_ROWS) -> bool:
        state = self.states[partition]
        if state.finished or (until is not None and (state.position or 0) >= until):
            return False
        reader = self.reader
        before = reader.bytes_read
        batch = reader.read(partition, most if until is None else min(most, self.pace.rows), until)
        if state.idle and batch is not None:
            # The source has gone on without it; its rows are judged by that.
            state.idle = False
            state.watermark = max(state.watermark, self.watermark)
        if batch is None:
            state.position = reader.position(partition)
            self._pass_over(partition, state)
            if until is None and reader.finished(partition):
                state.finished = True
                return True
            return False
        state.position = reader.position(partition)
        state.rows += batch.num_rows
        self.in_epoch += batch.num_rows
        state.bytes += reader.bytes_read - before
        batch = self.rows.complete(batch)
        self._reject(partition)
        if self._time is not None:
            batch = self._refuse(batch, self._time)
        columns = list(batch.columns)
        self._pass_over(partition, state)
        if self._time is not None:
            columns.append(self._advance(state, columns[self._time]))
        self._emit(columns, batch.num_rows)
        return True

    def _reject(self, partition: str) -> None:
        """Hand on what could not be read."""
        if not self._rejecting:
            return
        found = [*self.reader.rejected(), *self.rows.rejections.take()]
        if found:
            rows = [(r.raw, r.reason, r.sqlstate, partition, r.position) for r in found]
            columns = zip(*rows, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, FAILED, strict=True)]
            for consumer in self._rejecting:
                consumer.push(Change(pa.RecordBatch.from_arrays(arrays, schema=FAILED)))

    def _refuse(self, batch: pa.RecordBatch, time: int) -> pa.RecordBatch:
        """Leave out rows dated too far ahead of the last epoch (so that a replay leaves out the same)."""
        if self.spec.max_future is None or not batch.num_rows:
            return batch
        ahead = event_times(batch.column(time), self._time_type) > self.now + self.spec.max_future
        count = int(ahead.sum())
        if not count:
            return batch
        self.refused += count
        return batch.filter(pa.array(~ahead))

    def _pass_over(self, partition: str, state: PartitionState) -> None:
        """Move the partition's watermark past rows whose times are not there to see."""
        latest = self.reader.skipped(partition) if self.spec.watermark else None
        if latest is not None and self.spec.watermark:
            state.watermark = max(state.watermark, delayed(latest, self.spec.watermark[1]))

    def _advance(self, state: PartitionState, times: pa.Array) -> pa.Array | None:
        """Move the partition's watermark past these rows; the watermark before each row when wanted."""
        assert self.spec.watermark is not None
        delay = self.spec.watermark[1]
        if not len(times):
            return pa.array([], pa.int64())
        values = event_times(times, self._time_type)
        if not self._row_watermarks:
            state.watermark = max(state.watermark, delayed(int(values.max()), delay))
            return None
        marks, state.watermark = row_watermarks(values, state.watermark, delay)
        return pa.array(marks)

    def _emit(self, columns: list[pa.Array | None], rows: int) -> None:
        if not rows:
            return
        for consumer, positions in self._reading:
            consumer.push(Change(record_batch([columns[p] for p in positions], rows)))

    def dropped(self) -> Counter[str]:
        """Rows left out, by reason."""
        counts = Counter(self.reader.dropped)
        counts.update(self.rows.rejections.counts)
        counts["future"] += self.refused
        return counts

    def close(self) -> None:
        self.reader.close()


def check_readable(spec: RelationSpec, operator: InputOperator) -> None:
    """Open and close a reader for an input, so that what is wrong with it is the statement's error."""
    if spec.kind == "connector":
        Reading(spec, [Consumer(0, operator, lambda change: None)], {}).close()


def _reached(state: PartitionState, mark: int | None) -> bool:
    return state.finished or mark is None or (state.position is not None and state.position >= mark)


@dataclass(slots=True)
class SourceHub:
    """A connector source in one reactor."""

    spec: RelationSpec
    index: int
    partitions: Partitions = field(default_factory=lambda: Partitions({}, False))
    #: of the partitions read here, as far as the shared reading has come
    states: dict[str, PartitionState] = field(default_factory=dict)
    shared: Reading | None = None
    private: list[Reading] = field(default_factory=list)
    #: why it cannot be read any more
    error: str = ""
    #: time and the source's watermark (over all reactors) of the last epoch
    now: int = 0
    mark: int = NO_WATERMARK
    #: rows that earlier shared readings have left out
    lost: Counter[str] = field(default_factory=Counter)
    limit: RateLimit = field(default_factory=lambda: RateLimit(None))
    _turns: int = 0
    #: shared positions at the last barrier
    _marks: dict[str, int | None] = field(default_factory=dict)
    #: positions at the last barrier, where idle partitions are told apart
    _rested: dict[str, int | None] = field(default_factory=dict)

    def assign(self, partitions: Partitions, positions: dict[str, PartitionState]) -> None:
        """Take over the partitions that are this reactor's."""
        self.partitions = partitions
        mine = sum(owner == self.index for owner in partitions.owners.values())
        if self.spec.rate_limit is not None and mine:
            self.limit = RateLimit(self.spec.rate_limit * mine / len(partitions.owners))
        for name, owner in partitions.owners.items():
            if owner != self.index or name in self.states:
                continue
            self.states[name] = copy(positions.get(name, PartitionState()))
            if self.shared is not None:
                self.shared.add_partition(name, self.states[name])
            for reading in self.private:
                reading.add_partition(name, PartitionState())

    def attach(self, consumer: Consumer, from_start: bool) -> None:
        """Feed one more input: from the beginning when the source has been read before."""
        if from_start and any(state.position is not None for state in self.states.values()):
            consumer.operator.behind = True
            fresh = {name: PartitionState() for name in self.states}
            self.private.append(Reading(self.spec, [consumer], fresh))
        else:
            self._share([consumer])

    def detach(self, dataflow: int) -> None:
        """Stop feeding a dataflow."""
        for reading in [r for r in self.private if r.consumers[0].dataflow == dataflow]:
            reading.close()
            self.private.remove(reading)
        if self.shared is not None:
            left = [c for c in self.shared.consumers if c.dataflow != dataflow]
            self._unshare(self.shared)
            if left:
                self._share(left)

    def _share(self, consumers: list[Consumer]) -> None:
        if self.shared is not None:
            consumers = self.shared.consumers + consumers
            self._unshare(self.shared)
        self.shared = Reading(self.spec, consumers, self.states)
        self.shared.now, self.shared.watermark = self.now, self.mark

    def _unshare(self, shared: Reading) -> None:
        """Another reading takes over."""
        self.lost += shared.dropped()
        shared.close()
        self.shared = None

    def tick(self, now: int, watermark: int) -> None:
        """An epoch has ended."""
        for reading in self.private:
            if reading.in_epoch >= reading.pace.rows:
                reading.pace.took((now - self.now) / 1e6)
            reading.in_epoch = 0
        self.now, self.mark = now, watermark
        for reading in [*self.private, *([self.shared] if self.shared else [])]:
            reading.now, reading.watermark = now, watermark

    def step(self) -> bool:
        """Read something; False when there is nothing to read now.

        A source that cannot be read stops there, with the error for everybody to see; what was read
        before stays.
        """
        if self.error:
            return False
        self._turns += 1
        worked = False
        try:
            for reading in self.private:
                if reading.in_epoch < reading.pace.rows:
                    worked |= self._limited(reading, self.states)
            if self.shared is not None and (not worked or self._turns % 8 == 0):
                worked |= self._limited(self.shared, None)
        except PgError as error:
            self.error = error.message
            worked = True
        return worked

    def _limited(self, reading: Reading, ahead: dict[str, PartitionState] | None) -> bool:
        """Let a reading take what the rate limit allows."""
        most = self.limit.allowed(BATCH_ROWS)
        if most == 0:
            return False
        before = reading.in_epoch
        worked = reading.step(most, ahead)
        self.limit.took(reading.in_epoch - before)
        return worked

    def join(self) -> None:
        """At a barrier: readings that are less than an epoch behind go on to the shared position and join."""
        for reading in list(self.private):
            if all(_reached(state, self._marks.get(name)) for name, state in reading.states.items()):
                for name, state in self.states.items():
                    reading.read_to(name, state)
                    # it may have looked at event times that the shared one had no need of
                    state.watermark = max(state.watermark, reading.states[name].watermark)
                reading.close()
                self.private.remove(reading)
                reading.consumers[0].operator.behind = False
                self._share(reading.consumers)
        self._marks = {name: state.position for name, state in self.states.items()}

    def replay(self, targets: dict[str, PartitionState]) -> None:
        """Read exactly as far as an earlier run of this epoch did; with nobody to read for, skip."""
        for name in self.states:
            if name not in targets:
                continue
            if self.shared is None:
                self.states[name] = copy(targets[name])
            else:
                self.shared.read_to(name, targets[name])
                self.states[name].active, self.states[name].idle = targets[name].active, targets[name].idle

    @property
    def waiting(self) -> bool:
        """Whether more rows may come by themselves."""
        return self.shared is not None and not all(s.finished for s in self.states.values())

    @property
    def behind(self) -> Iterator[int]:
        """Dataflows that have not joined yet."""
        return (reading.consumers[0].dataflow for reading in self.private)

    def wake(self) -> None:
        """The source is being read from now on: what has passed before does not make a partition idle."""
        self._rested.clear()

    def rest(self, now: int) -> None:
        """At the barrier of ``now``: find out which partitions are idle. Replays have it from the record."""
        timeout = self.spec.idle_timeout
        if timeout is None:
            return
        for name, state in self.states.items():
            if self._rested.get(name, state) != state.position:
                state.active = now
            elif now - state.active >= timeout:
                state.idle = True
            self._rested[name] = state.position

    def due(self) -> int | None:
        """When (microseconds since 1970) the next partition is idle if nothing comes; None: none will be."""
        timeout = self.spec.idle_timeout
        if timeout is None or self.shared is None:
            return None
        waited_for = (s for s in self.states.values() if not s.idle and not s.finished and s.active)
        return min((s.active + timeout for s in waited_for), default=None)

    def cut(self) -> Cut:
        """What the partitions read here say of the watermark."""
        states = self.states.values()
        return Cut(
            min((s.watermark for s in states if not s.finished and not s.idle), default=None),
            max((s.watermark for s in states if s.finished), default=NO_WATERMARK),
            any(s.idle and not s.finished for s in states),
        )

    def watermark(self, cut: Cut) -> int:
        """The source's, from all reactors' partitions; it never goes back, which the caller sees to.

        The slowest partition that runs decides; while all that do are idle, none. When none runs, all that
        is known of the source has been read: more rows may come where it may get more partitions.
        """
        if cut.running is not None:
            return cut.running
        if cut.idle:
            return NO_WATERMARK  # so it stays where it is
        return END_OF_TIME if self.partitions.complete else cut.finished

    def dropped(self) -> dict[str, int]:
        """Rows lost in reading, by reason."""
        return dict(self.lost if self.shared is None else self.lost + self.shared.dropped())

    def close(self) -> None:
        for reading in [*self.private, *([self.shared] if self.shared else [])]:
            reading.close()
