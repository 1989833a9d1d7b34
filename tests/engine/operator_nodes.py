"""Makes stream plan nodes and batches for the tests of operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from laminar.engine.change import Barrier, Change, Watermarks
from laminar.engine.compaction import newest
from laminar.engine.nodes import GroupAggregate, HashJoin, Input, Properties
from laminar.engine.operators import build
from laminar.engine.operators.base import Operator
from laminar.engine.operators.context import OperatorContext
from laminar.sql.plan import Aggregate, Column, ColumnRef, Emit, Expr, Function
from laminar.types import PgType

Rows = Sequence[tuple[tuple[Any, ...], int]]


def columns(types: Sequence[PgType], first: int = 1) -> tuple[Column, ...]:
    return tuple(Column(first + i, f"c{first + i}", t) for i, t in enumerate(types))


def source(
    types: Sequence[PgType], first: int = 1, append_only: bool = False, row_watermark: int | None = None
) -> Input:
    properties = Properties(columns(types, first), append_only=append_only, row_watermark=row_watermark)
    return Input(100 + first, 1, tuple(range(1, len(types) + 1)), properties)


def aggregate(name: str, result: PgType, *args: Expr, filter: Expr | None = None) -> Aggregate:
    return Aggregate(Function(0, name, name, False, "i"), args, result, filter=filter)


def grouping(
    below: Input, keys: Sequence[int], aggregates: Sequence[Aggregate], **options: Any
) -> GroupAggregate:
    by_id = {c.id: c for c in below.properties.columns}
    results = columns([a.type for a in aggregates], 1000)
    properties = Properties((*(by_id[k] for k in keys), *results), key=tuple(keys))
    return GroupAggregate(1, below, tuple(keys), tuple(aggregates), properties, **options)


def joining(
    left: Input, right: Input, left_keys: Sequence[int], right_keys: Sequence[int], **options: Any
) -> HashJoin:
    kind = options.get("kind", "inner")
    inputs = (left.properties,) if kind in ("semi", "anti") else (left.properties, right.properties)
    append_only = kind in ("inner", "semi") and left.properties.append_only and right.properties.append_only
    kept = tuple(c for p in inputs for c in p.columns if c.id != p.row_watermark)
    properties = Properties(kept, append_only=append_only)
    residual = options.pop("residual", None)
    return HashJoin(1, left, right, tuple(left_keys), tuple(right_keys), residual, properties, **options)


def ref(node: Input, id: int) -> ColumnRef:
    return ColumnRef(id, next(c.type for c in node.properties.columns if c.id == id))


def change(types: Sequence[PgType], rows: Rows) -> Change:
    """A change from rows with weights; weights are left out when all are 1."""
    arrays = [pa.array([r[i] for r, _ in rows], t.storage) for i, t in enumerate(types)]
    batch = pa.RecordBatch.from_arrays(arrays, names=[str(i) for i in range(len(types))])
    weights = np.array([w for _, w in rows], dtype=np.int64)
    return Change(batch, None if (weights == 1).all() else weights)


def rows_of(changes: Iterable[Change]) -> Counter[tuple[Any, ...]]:
    """What changes add up to: row to weight, zeroes left out."""
    total: Counter[tuple[Any, ...]] = Counter()
    for c in changes:
        weights = [1] * len(c) if c.weights is None else c.weights.tolist()
        assert 0 not in weights
        for row, weight in zip(
            zip(*(comparable(x) for x in c.batch.columns), strict=True), weights, strict=True
        ):
            total[row] += weight
    return Counter({row: w for row, w in total.items() if w})


def comparable(column: pa.Array) -> list[Any]:
    """Values with NaN and -0.0 told apart by their text."""
    return [
        repr(v) if isinstance(v, float) else tuple(v) if isinstance(v, list) else v
        for v in column.to_pylist()
    ]


class Run:
    """An operator with a clock."""

    def __init__(self, node: Any, restored: Iterable[pa.RecordBatch] = (), **context: Any) -> None:
        self.operator: Operator = build(node, OperatorContext(**context))
        entries_of = list(restored)
        # Both ways that state comes back: as it was written, and with its files merged.
        if entries_of and len(entries_of) % 2 == 0:
            entries_of = newest(entries_of)
        for entries in entries_of:
            self.operator.restore(entries)
        self.epoch = 0

    def step(
        self, *changes: tuple[int, Change], watermarks: Sequence[dict[int, int]] = ({}, {})
    ) -> list[Change]:
        out = [o for port, c in changes for o in self.operator.process(port, c)]
        self.epoch += 1
        more, self.watermarks = self.operator.barrier(
            Barrier(self.epoch, 0), [Watermarks(w) for w in watermarks]
        )
        return [*out, *more]

    def checkpoint(self) -> list[pa.RecordBatch]:
        return list(self.operator.checkpoint())


def emit(mode: str = "update", lateness: int | None = None) -> Emit:
    return Emit(mode, lateness=lateness)  # type: ignore[arg-type]
