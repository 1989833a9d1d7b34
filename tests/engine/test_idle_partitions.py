"""watermark.idle_timeout: partitions from which nothing comes do not hold a source's watermark back."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from laminar.connectors.base import SourceColumn, SourceSpec
from laminar.engine import sources
from laminar.engine.change import NO_WATERMARK, Change
from laminar.engine.inputs import InputOperator
from laminar.engine.nodes import Input, Properties
from laminar.engine.protocol import Cut, Partitions, PartitionState
from laminar.engine.relations import ROW_WATERMARK, RelationSpec
from laminar.engine.sources import Consumer, SourceHub
from laminar.sql.plan import Column
from laminar.types import INT8, PgType
from tests.engine.plans import TIME


class Feed:
    """A connector and its reader: event times that tests put into partitions."""

    def __init__(self) -> None:
        self.times: dict[str, list[int]] = {"a": [], "b": []}
        self.at: dict[str, int] = {}
        self.rows_read = self.bytes_read = 0
        self.dropped: dict[str, int] = {}

    def open(self, spec: Any, request: Any) -> Feed:
        other = Feed()
        other.times = self.times
        return other

    def read(self, partition: str, max_rows: int, until: int | None = None) -> pa.RecordBatch | None:
        start = self.at.get(partition, 0)
        found = self.times[partition][start:until]
        if not found:
            return None
        self.at[partition] = start + len(found)
        return pa.record_batch([pa.array(np.array(found)).view(pa.timestamp("us"))], ["ts"])

    def skipped(self, partition: str) -> None: ...

    def position(self, partition: str) -> int:
        return self.at.get(partition, 0)

    def seek(self, partition: str, position: int | None) -> None:
        self.at[partition] = position or 0

    def finished(self, partition: str) -> bool:
        return False

    def close(self) -> None: ...


class Source:
    """A hub with one input, the marks that its rows found, and the source's watermark."""

    def __init__(self, timeout: int | None) -> None:
        spec = SourceSpec("feed", (), (SourceColumn("ts", TIME),), 0)
        relation = RelationSpec(
            1, "feed", "connector", (1,), (TIME,), (), (1, 0), True, source=spec, idle_timeout=timeout
        )
        columns = (Column(1, "ts", TIME), Column(2, "mark", PgType(INT8)))
        node = Input(1, 1, (1, ROW_WATERMARK), Properties(columns, row_watermark=2))
        self.marks: list[int] = []
        self.hub = SourceHub(relation, 0)
        self.hub.assign(Partitions({"a": 0, "b": 0}, False), {})
        self.hub.attach(Consumer(9, InputOperator(node, dict), self.take), False)
        self.watermark = NO_WATERMARK
        self.record: list[tuple[int, dict[str, PartitionState]]] = []

    def take(self, change: Change) -> None:
        self.marks += change.batch.column(1).to_pylist()

    def barrier(self, now: int, replay: dict[str, PartitionState] | None = None) -> int:
        if replay is not None:
            self.hub.replay(replay)
        else:
            while self.hub.step():
                pass
            assert not self.hub.error
            self.hub.join()
            self.hub.rest(now)
        self.watermark = max(self.watermark, self.hub.watermark(self.hub.cut()))
        self.record.append((now, {name: copy(state) for name, state in self.hub.states.items()}))
        self.hub.tick(now, self.watermark)
        return self.watermark


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> Feed:
    made = Feed()
    monkeypatch.setattr(sources, "source_connector", lambda name: made)
    return made


def test_idle_partition(feed: Feed) -> None:
    source = Source(timeout=50)
    feed.times |= {"a": [10], "b": [5]}
    assert source.barrier(1000) == 5
    assert source.hub.due() == 1050
    feed.times["a"].append(20)
    assert source.barrier(1049) == 5
    assert source.barrier(1050) == 20  # b is idle
    assert source.hub.due() == 1099
    assert source.barrier(1099) == 20  # both are: the watermark stays
    assert source.hub.due() is None
    feed.times["a"].append(30)
    assert source.barrier(1200) == 30
    source.marks.clear()
    feed.times["b"] += [6, 40, 41]
    assert source.barrier(1210) == 30
    assert source.marks == [30, 30, 40]  # judged by how far the source had come without it
    assert source.hub.due() == 1250

    again = Source(timeout=50)
    for now, states in source.record:
        again.barrier(now, states)
    assert again.record == source.record
    assert again.watermark == source.watermark


def test_never_idle_without_timeout(feed: Feed) -> None:
    source = Source(timeout=None)
    feed.times |= {"a": [10], "b": [5]}
    source.barrier(1000)
    feed.times["a"].append(20)
    assert source.barrier(10**15) == 5
    assert source.hub.due() is None


def test_time_that_passes_while_nobody_reads(feed: Feed) -> None:
    source = Source(timeout=50)
    feed.times |= {"a": [10], "b": [5]}
    source.barrier(1000)
    source.hub.wake()
    feed.times["a"].append(20)
    assert source.barrier(9000) == 5
    feed.times["a"].append(21)
    assert source.barrier(9050) == 21


def test_cuts_of_several_reactors(feed: Feed) -> None:
    """All partitions of one reactor being idle does not hold back those of another."""
    both = Cut(None, NO_WATERMARK, True).merge(Cut(7))
    assert Source(50).hub.watermark(both) == 7
    assert Source(50).hub.watermark(Cut(None, 9, True)) == NO_WATERMARK
