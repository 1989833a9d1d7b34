"""The contract of sinks, as tests: every connector that delivers runs through it.

Give ``check_contract`` the connector, a spec and a way to read back what is visible outside.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from laminar import failpoints
from laminar.connectors.base import DeliveringSink, SinkBatch, SinkSpec, SourceColumn
from laminar.types import INT8, TEXT, PgType

Row = tuple[Any, ...]
COLUMNS = (SourceColumn("k", PgType(INT8)), SourceColumn("v", PgType(TEXT)))


class Interrupted(Exception):
    """What a crash is in these tests."""


@dataclass
class Kit:
    """A connector under test.

    Args:
        sink: it.
        spec: a sink with COLUMNS, a target of its own.
        visible: what readers of the target see, as rows of COLUMNS.
        updates: whether the sink takes deletions; then k is the key.
    """

    sink: DeliveringSink
    spec: SinkSpec
    visible: Callable[[], list[Row]]
    updates: bool


def batches(delivery: list[tuple[int, list[tuple[int, str, int]]]]) -> Iterator[SinkBatch]:
    """(epoch, [(k, v, weight)]) as a sink gets them."""
    for epoch, rows in delivery:
        arrays = [pa.array([r[0] for r in rows], pa.int64()), pa.array([r[1] for r in rows], pa.string())]
        weights = np.array([r[2] for r in rows], np.int64)
        batch = pa.RecordBatch.from_arrays(arrays, ["0", "1"])
        yield SinkBatch(epoch, batch, None if (weights == 1).all() else weights)


def deliveries(updates: bool, seed: int) -> list[list[tuple[int, list[tuple[int, str, int]]]]]:
    """Random ones: insertions, and with ``updates`` updates and deletions of what is there."""
    chance = random.Random(seed)
    live: dict[int, str] = {}
    found, key = [], 0
    for number in range(6):
        delivery = []
        for epoch in range(3):
            rows: list[tuple[int, str, int]] = []
            for _ in range(chance.randrange(0, 8)):
                key += 1
                live[key] = chance.choice(["a", 'b"', "c,\n", "", "é\\.", "\\."])
                rows.append((key, live[key], 1))
            for old in chance.sample(sorted(live), min(len(live), 3)) if updates else []:
                rows.append((old, live.pop(old), -1))
                if chance.random() < 0.6:
                    live[old] = f"new {number}.{epoch}"
                    rows.append((old, live[old], 1))
            chance.shuffle(rows)
            if rows:
                delivery.append((number * 10 + epoch, rows))
        found.append(delivery)
    return found


def expected(done: list[list[tuple[int, list[tuple[int, str, int]]]]]) -> list[Row]:
    total: Counter[Row] = Counter()
    for delivery in done:
        for _, rows in delivery:
            for k, v, weight in rows:
                total[k, v] += weight
    return sorted(total.elements())


def check_contract(make: Callable[[], Kit], monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that the contract says, each with a fresh target."""
    _delivers_once(make())
    _interrupted_source_leaves_nothing(make())
    points = _interrupted_anywhere(make, monkeypatch)
    assert points, "the connector reaches no failpoint"


def _delivers_once(kit: Kit) -> None:
    done = []
    for number, delivery in enumerate(deliveries(kit.updates, 1), 1):
        for _ in range(2):
            target = kit.sink.target(kit.spec)
            for _ in range(2):
                target.deliver(number * 10, lambda delivery=delivery: batches(delivery))
                assert target.delivered() == number * 10
            target.close()
        done.append(delivery)
        assert sorted(kit.visible()) == expected(done)


def _interrupted_source_leaves_nothing(kit: Kit) -> None:
    first, second, *_ = deliveries(kit.updates, 2)
    target = kit.sink.target(kit.spec)
    assert target.delivered() == 0
    target.deliver(1, lambda: batches(first))

    def broken() -> Iterator[SinkBatch]:
        yield from batches(second)
        raise Interrupted

    with pytest.raises(Interrupted):
        target.deliver(2, broken)
    target.close()
    assert kit.sink.target(kit.spec).delivered() == 1
    assert sorted(kit.visible()) == expected([first])
    target = kit.sink.target(kit.spec)
    target.deliver(2, lambda: batches(second))
    target.close()
    assert sorted(kit.visible()) == expected([first, second])


def _interrupted_anywhere(make: Callable[[], Kit], monkeypatch: pytest.MonkeyPatch) -> int:
    """A crash at the n-th failpoint, for all n; returns how many there are."""
    n = 0
    while True:
        n += 1
        kit = make()
        first, second, third, *_ = deliveries(kit.updates, 3)
        target = kit.sink.target(kit.spec)
        target.deliver(1, lambda first=first: batches(first))
        left = n

        def reach(name: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Interrupted(name)

        with monkeypatch.context() as patch:
            patch.setattr(failpoints, "reach", reach)
            with suppress(Interrupted):
                target.deliver(2, lambda second=second: batches(second))
        target.close()
        target = kit.sink.target(kit.spec)
        target.deliver(2, lambda second=second: batches(second))
        target.deliver(3, lambda third=third: batches(third))
        target.close()
        assert sorted(kit.visible()) == expected([first, second, third]), f"interrupted at failpoint {n}"
        if left > 0:
            return n - 1
