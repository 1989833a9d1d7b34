"""Reads of some rows through a secondary index instead of a scan.

As for reads by the key (pointread.py) the plan stays as it is and runs over a snapshot of the rows
in question.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from laminar.engine.serving import Snapshot
from laminar.engine.serving.ordered import ORDERED, ColumnIndex, integers
from laminar.sql import plan as logical
from laminar.sql.adhoc import batches
from laminar.sql.adhoc.calls import compiled
from laminar.sql.adhoc.pointread import constant, equalities, filtered_scan, key_value
from laminar.sql.evaluator import Env
from laminar.sql.expressions import conjuncts
from laminar.sql.plan import Call, ColumnRef, Expr, Plan

#: relation oid -> its indexes
Indexes = Callable[[int], Sequence[ColumnIndex]]
#: rows up to which an index is made ready on the event loop's thread
AT_ONCE: Final = 4096
#: comparisons within a type, or between integers
_COMPARES: Final = re.compile(r"(?:int\d+|oid|date_|timestamp_|timestamptz_)(lt|le|gt|ge)")
_MIRRORED: Final = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}


@dataclass(frozen=True, slots=True)
class Lookup:
    """What an index is to be asked: values of all its columns, or bounds of the first."""

    relation: int
    index: ColumnIndex
    snapshot: Snapshot
    values: tuple[pa.Array | None, ...] | None
    bounds: tuple[int | None, int | None] = (None, None)

    @property
    def missing(self) -> int:
        """Rows that are not in the index yet."""
        return self.index.missing(self.snapshot, self.values is None)

    def prepare(self) -> None:
        """Put them in."""
        self.index.prepare(self.snapshot, self.values is None)

    def rows(self) -> Snapshot:
        """The candidates."""
        if self.values is None:
            return self.index.within(self.snapshot, *self.bounds)
        values = [value for value in self.values if value is not None]
        if len(values) < len(self.values):
            return Snapshot(self.snapshot.layout, ())
        return self.index.equal(self.snapshot, values)


def lookup(
    plan: Plan, indexes: Indexes, sources: Callable[[int, tuple[int, ...]], Snapshot], env: Env
) -> Lookup | None:
    """How a plan without joins reads few rows of its relation; None when no index fits."""
    found = filtered_scan(plan)
    if found is None:
        return None
    scan, condition = found
    candidates = indexes(scan.relation)
    if not candidates:
        return None
    equal = equalities(scan, condition)
    for index in candidates:
        keys = [equal.get(attnum) for attnum in index.attnums]
        if any(key is None for key in keys):
            continue
        values = tuple(key_value(k, t, env) for k, t in zip(keys, index.types, strict=True) if k is not None)
        return Lookup(scan.relation, index, sources(scan.relation, scan.attnums), values)
    for index in candidates:
        if index.types[0].oid in ORDERED:
            bounds = _bounds(scan, condition, index.attnums[0], env)
            if bounds != (None, None):
                snapshot = sources(scan.relation, scan.attnums)
                return Lookup(scan.relation, index, snapshot, None, bounds)
    return None


def _bounds(scan: logical.Scan, condition: Expr, attnum: int, env: Env) -> tuple[int | None, int | None]:
    """The least and greatest value that the conditions leave the column."""
    column = next((c for c, a in zip(scan.columns, scan.attnums, strict=True) if a == attnum), None)
    low: int | None = None
    high: int | None = None
    for part in conjuncts(condition):
        if not isinstance(part, Call) or len(part.args) != 2:
            continue
        compares = _COMPARES.fullmatch(part.function.symbol)
        if compares is None or column is None:
            continue
        operator, (left, right) = compares[1], part.args
        if isinstance(right, ColumnRef) and not isinstance(left, ColumnRef):
            left, right, operator = right, left, _MIRRORED[operator]
        if not isinstance(left, ColumnRef) or left.id != column.id or not constant(right):
            continue
        value = compiled((right,), ())(batches.make([], 1), env)[0]
        if value.null_count:
            continue
        number = int(integers(value)[0])
        if operator in ("gt", "ge"):
            low = number if low is None else max(low, number)
        else:
            high = number if high is None else min(high, number)
    return low, high
