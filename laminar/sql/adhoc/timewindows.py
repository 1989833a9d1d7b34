"""TUMBLE, HOP, CUMULATE and SESSION over rows at rest, as views have them (SQL.md, Windows)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar.engine import nodes
from laminar.engine.change import Change
from laminar.engine.operators.context import OperatorContext
from laminar.engine.operators.hop import HopOperator
from laminar.engine.operators.windowing import microseconds
from laminar.errors import not_supported
from laminar.sql import plan as logical
from laminar.sql.adhoc import batches
from laminar.sql.adhoc.calls import compiled
from laminar.sql.adhoc.setops import number_rows
from laminar.sql.evaluator import Env
from laminar.sql.plan import ColumnRef, Test
from laminar.sql.sortkeys import sort_key
from laminar.sql.stream.timewindow import span_microseconds, tumble_bounds


def tumble(node: logical.TimeWindow) -> logical.Project:
    """A TUMBLE as a projection of the rows that have a time."""
    bounds = tumble_bounds(node)
    inputs = tuple(ColumnRef(c.id, c.type) for c in node.input.columns)
    timed = logical.Filter(node.input, Test(node.time, "null", negated=True))
    return logical.Project(timed, (*inputs, *bounds), node.columns)


def hop(node: logical.TimeWindow, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """HOP and CUMULATE through the views' own operator."""
    spans = [span_microseconds(span) for span in node.spans]
    if None in spans:
        raise not_supported(
            f"{node.kind.upper()} windows cannot be measured in months",
            hint="Use days or smaller units, or TUMBLE.",
            position=node.position or None,
        )
    step, size = (s or 0 for s in spans)
    kind: Literal["hop", "cumulate"] = "hop" if node.kind == "hop" else "cumulate"
    below = nodes.Input(0, 0, (), nodes.Properties(node.input.columns))
    stream = nodes.Hop(1, below, node.time, kind, step, size, node.offset, nodes.Properties(node.columns))
    operator = HopOperator(stream, OperatorContext())
    for batch in rows:
        for change in operator.process(0, Change(batch)):
            yield batches.make(change.batch.columns, change.batch.num_rows)


def session(node: logical.TimeWindow, rows: pa.RecordBatch, env: Env) -> pa.RecordBatch:
    """Rows of a key closer than the gap share a window, which ends the gap after its last row."""
    gap = span_microseconds(node.spans[0])
    if gap is None:
        raise not_supported("SESSION gaps cannot be measured in months", position=node.position or None)
    ids = [c.id for c in node.input.columns]
    rows = rows.filter(rows.column(ids.index(node.time.id)).is_valid())
    keys = (
        compiled(tuple(sort_key(k) for k in node.partition_by), ids)(rows, env) if node.partition_by else []
    )
    groups, _ = number_rows(keys, rows.num_rows)
    times = np.asarray(microseconds(rows.column(ids.index(node.time.id)))[0])
    order = np.lexsort((times, groups))
    time, group = times[order], groups[order]
    opens = np.ones(len(order), dtype=bool)
    over = _after(time, gap)
    opens[1:] = (group[1:] != group[:-1]) | ((time[1:] >= over[:-1]) & (time[1:] != time[:-1]))
    number = np.cumsum(opens) - 1
    firsts = np.flatnonzero(opens)
    lasts = np.append(firsts[1:], len(order)) - 1 if len(firsts) else firsts
    starts, ends = np.empty(len(order), np.int64), np.empty(len(order), np.int64)
    starts[order] = time[firsts][number]
    ends[order] = over[lasts][number]
    bounds = [
        pa.array(bound).cast(pa.timestamp("us")).cast(c.type.storage)
        for bound, c in zip((starts, ends), node.added, strict=True)
    ]
    return batches.make([*rows.columns, *bounds], rows.num_rows)


def _after(times: npt.NDArray[np.int64], gap: int) -> npt.NDArray[np.int64]:
    """Each time plus the gap; infinities stay."""
    limits = np.iinfo(np.int64)
    return np.where((times == limits.max) | (times == limits.min), times, times + gap)
