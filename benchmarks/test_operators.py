"""The operators alone, one core: rows per second of processor time, 64K rows to a batch.

    python -m pytest benchmarks/test_operators.py -s

Processor time, so that a busy machine does not blur it; end-to-end figures are in RESULTS.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from laminar.engine.change import Change
from laminar.types import FLOAT8, INT8, NUMERIC, TEXT, TIMESTAMP, PgType
from tests.engine.operator_nodes import Run, aggregate, emit, grouping, joining, ref, source

LONG, STRING, FLOAT, TIME = PgType(INT8), PgType(TEXT), PgType(FLOAT8), PgType(TIMESTAMP)
WIDE = PgType(NUMERIC, -1, (38, 0))
BATCH = 65_536
random = np.random.default_rng(1)


def batch(*columns: Any) -> Change:
    arrays = [c if isinstance(c, pa.Array) else pa.array(c) for c in columns]
    return Change(pa.RecordBatch.from_arrays(arrays, names=[str(i) for i in range(len(arrays))]))


def rate(
    run: Run, batches: list[Any], per_epoch: int = 46, watermark: Callable[[int], Any] = lambda _: {}
) -> float:
    """Million rows per second; a barrier every ``per_epoch`` batches, as every 100 ms at 30 M rows/s."""
    rows = 0
    started = time.process_time()
    for epoch, first in enumerate(range(0, len(batches), per_epoch)):
        part = batches[first : first + per_epoch]
        rows += sum(len(c) for _, c in part)
        run.step(*part, watermarks=[watermark(epoch), {}])
    return rows / (time.process_time() - started) / 1e6


def report(name: str, million: float, target: float | None) -> None:
    goal = "" if target is None else f" (target {target:g})"
    print(f"{name:58} {million:7.1f} M rows/s{goal}")
    assert million > (target or 0) / 20, "far off: something is broken"


@pytest.mark.parametrize(("keys", "target"), [(1000, 25), (100_000, None), (2_000_000, None)])
def test_running_group_by(keys: int, target: float | None) -> None:
    below = source([LONG, LONG], append_only=True)
    wanted = [aggregate("count", LONG), aggregate("sum", WIDE, ref(below, 2))]
    one = [(0, batch(random.integers(0, keys, BATCH), random.integers(0, 10**6, BATCH))) for _ in range(32)]
    run = Run(grouping(below, [1], wanted))
    rate(run, one)
    report(f"GROUP BY bigint, {keys} keys: count, sum", rate(run, one * 5), target)


def test_running_group_by_text() -> None:
    below = source([STRING, LONG], append_only=True)
    names = pa.array([f"customer number {i}" for i in range(1000)])
    one = [
        (0, batch(names.take(pa.array(random.integers(0, 1000, BATCH))), random.integers(0, 9, BATCH)))
        for _ in range(16)
    ]
    wanted = [aggregate("count", LONG), aggregate("sum", WIDE, ref(below, 2))]
    report("GROUP BY text, 1000 keys: count, sum", rate(Run(grouping(below, [1], wanted)), one * 8), None)


@pytest.mark.parametrize(("keys", "target"), [(1000, 30), (100_000, 15)])
def test_tumble_on_window_close(keys: int, target: float) -> None:
    types = [TIME, LONG, LONG, LONG]
    below = source(types, append_only=True, row_watermark=4)
    wanted = [aggregate("count", LONG), aggregate("sum", WIDE, ref(below, 3))]
    node = grouping(below, [1, 2], wanted, window_end=1, emit=emit("close"), closes=True)
    batches = []
    for n in range(160):
        stamps = (n * BATCH + np.arange(BATCH)) * 10
        ends = (stamps // 10_000_000 + 1) * 10_000_000
        batches.append(
            (
                0,
                batch(
                    pa.array(ends).cast(TIME.storage),
                    random.integers(0, keys, BATCH),
                    random.integers(0, 10**6, BATCH),
                    stamps,
                ),
            )
        )
    found = rate(Run(node), batches, watermark=lambda epoch: {1: (epoch + 1) * 46 * BATCH * 10})
    report(f"TUMBLE 10 s ON WINDOW CLOSE, {keys} keys: count, sum", found, target)


def test_extremes_over_deletions() -> None:
    below = source([LONG, LONG])
    wanted = [aggregate("min", LONG, ref(below, 2)), aggregate("max", LONG, ref(below, 2))]
    inserts = [batch(random.integers(0, 1000, BATCH), random.integers(0, 10**6, BATCH)) for _ in range(8)]
    deletes = [Change(c.batch, np.full(BATCH, -1, np.int64)) for c in inserts]
    run = Run(grouping(below, [1], wanted))
    report("min, max over deletions", rate(run, [(0, c) for c in inserts + deletes], per_epoch=4), None)


def test_float_sum() -> None:
    below = source([LONG, FLOAT], append_only=True)
    one = [(0, batch(random.integers(0, 1000, BATCH), random.normal(size=BATCH))) for _ in range(16)]
    run = Run(grouping(below, [1], [aggregate("sum", FLOAT, ref(below, 2))]))
    report("GROUP BY bigint, 1000 keys: exact float sum", rate(run, one * 8), None)


@pytest.mark.parametrize("append_only", [True, False])
def test_join_on_bigint(append_only: bool) -> None:
    """Two streams of 2 M rows each; every row finds one partner."""
    left, right = (
        source([LONG, LONG], append_only=append_only),
        source([LONG, LONG], 11, append_only=append_only),
    )
    keys = [random.permutation(2_097_152) for _ in range(2)]
    batches = []
    for first in range(0, 2_097_152, BATCH):
        for port in (0, 1):
            batches.append((port, batch(keys[port][first : first + BATCH], np.arange(first, first + BATCH))))
    name = f"inner join on bigint, {'append-only' if append_only else 'retracting'}"
    report(name, rate(Run(joining(left, right, [1], [11])), batches), 4 if append_only else None)
