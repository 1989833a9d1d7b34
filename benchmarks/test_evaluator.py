"""Expressions of a view's linear segment: the evaluator beside DataFusion running the same projection.

The measure is one batch: its fixed cost at one row, its speed at 65,536. DataFusion is
given the plan already made and only its input swapped, as DESIGN section 4 tried it; the
evaluator does checked arithmetic, DataFusion's own + and * wrap.

    python -m pytest benchmarks/test_evaluator.py

On two shared cores of a 2.x GHz x86-64 (best of the run): ``a * 3 + b, x * x`` took 15 us at
one row and 121 us at 65,536 (540 million rows/s); DataFusion 496 us and 1,077 us. ``a + b > c``:
8 us and 68 us against 330 us and 939 us. ``upper(t)``: 7 us and 1.1 ms against 345 us and 0.9 ms.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import datafusion
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from laminar.sql import evaluator, resolve
from laminar.sql.evaluator import Env
from laminar.sql.plan import ColumnRef, Expr
from laminar.types import FLOAT8, INT8, TEXT, PgType

SIZES = [1, 65_536]
A, B = ColumnRef(1, PgType(INT8)), ColumnRef(2, PgType(INT8))
X, T = ColumnRef(3, PgType(FLOAT8)), ColumnRef(4, PgType(TEXT))
OP, NUMBER = resolve.make_operator, resolve.integer_literal


def rows(n: int) -> pa.RecordBatch:
    chooser = np.random.default_rng(7)
    texts = pa.array([f"name-{i % 97}" for i in range(n)])
    columns = [chooser.integers(0, 1 << 30, n), chooser.integers(1, 1000, n), chooser.random(n), texts]
    return pa.record_batch(columns, names=["a", "b", "x", "t"])


#: name -> (our expressions, the same in SQL)
PROJECTIONS: dict[str, tuple[list[Expr], str]] = {
    "arithmetic": ([OP("+", OP("*", A, NUMBER(3)), B), OP("*", X, X)], "a * 3 + b, x * x"),
    "comparison": ([OP(">", OP("+", A, B), NUMBER(1 << 29))], "a + b > 536870912"),
    "text": ([resolve.make_call("upper", None, [T])], "upper(t)"),
}


def one_batch(name: str, batch: pa.RecordBatch) -> Callable[[], Any]:
    evaluate = evaluator.compile(PROJECTIONS[name][0], [1, 2, 3, 4])
    env = Env()
    return lambda: evaluate(batch, env)


class Swapped(ds.InMemoryDataset):  # type: ignore[misc]
    """A dataset whose rows are the current batch."""

    current: pa.RecordBatch

    def scanner(self, **options: Any) -> Any:
        return ds.InMemoryDataset(self.current).scanner(**options)

    def get_fragments(self, filter: Any = None) -> Any:
        return ds.InMemoryDataset(self.current).get_fragments(filter)


def in_datafusion(name: str, batch: pa.RecordBatch) -> Callable[[], Any]:
    config = datafusion.SessionConfig().with_target_partitions(1)
    context = datafusion.SessionContext(config)
    source = Swapped(batch)
    source.current = batch
    context.register_dataset("rows", source)
    plan = context.sql(f"SELECT {PROJECTIONS[name][1]} FROM rows").execution_plan()
    return lambda: [b.to_pyarrow() for b in context.execute(plan, 0)]


ENGINES = {"evaluator": one_batch, "datafusion": in_datafusion}


@pytest.mark.parametrize(("name", "n", "engine"), itertools.product(PROJECTIONS, SIZES, ENGINES))
def test_projection(benchmark: Any, name: str, n: int, engine: str) -> None:
    run = ENGINES[engine](name, rows(n))
    benchmark.group = f"{name}, {n} rows"
    benchmark(run)


@pytest.mark.parametrize("n", SIZES)
def test_filter(benchmark: Any, n: int) -> None:
    batch = rows(n)
    evaluate = evaluator.compile([OP(">", B, NUMBER(500))], [1, 2, 3, 4])
    env = Env()
    benchmark.group = f"filter, {n} rows"
    benchmark(lambda: evaluator.filter_batch(batch, evaluate(batch, env)[0]))
