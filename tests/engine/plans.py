"""Small relations and dataflows for tests of the engine."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from laminar.engine.change import Change
from laminar.engine.nodes import Exchange, GroupAggregate, Input, Materialize, Properties
from laminar.engine.relations import DataflowSpec, RelationSpec
from laminar.sql.plan import Aggregate, Column, ColumnRef, Function
from laminar.types import INT8, NUMERIC, TEXT, TIMESTAMP, PgType

BIGINT, STRING, TIME, NUMBER = PgType(INT8), PgType(TEXT), PgType(TIMESTAMP), PgType(NUMERIC)


def table(oid: int = 100, key: tuple[int, ...] | None = None, watermark: int | None = None) -> RelationSpec:
    """(k bigint, v text, ts timestamp)."""
    return RelationSpec(
        oid,
        f"t{oid}",
        "table",
        (1, 2, 3),
        (BIGINT, STRING, TIME),
        key,
        None if watermark is None else (3, watermark),
    )


def rows(
    keys: list[int], values: list[str], weights: list[int] | None = None, times: list[int] | None = None
) -> Change:
    """Rows of ``table``."""

    batch = pa.record_batch(
        [
            pa.array(keys, pa.int64()),
            pa.array(values, pa.string()),
            pa.array(times if times is not None else [0] * len(keys), pa.int64()).cast(pa.timestamp("us")),
        ],
        names=["k", "v", "ts"],
    )
    return Change(batch, None if weights is None else np.array(weights, np.int64))


def copy_view(
    oid: int, of: RelationSpec, attnums: tuple[int, ...] = (1, 2)
) -> tuple[RelationSpec, DataflowSpec]:
    """A view with some columns of another relation; whole rows are its key."""
    types = [of.stored_types[of.stored_attnums.index(a)] for a in attnums]
    columns = tuple(Column(i + 1, f"c{i}", t) for i, t in enumerate(types))
    properties = Properties(columns)
    root = Materialize(2, Input(1, of.oid, attnums, properties), oid, properties)
    view = RelationSpec(oid, f"v{oid}", "view", tuple(range(1, len(columns) + 1)), tuple(types), ())
    return view, DataflowSpec(oid, root, (of.oid,))


def grouped_view(oid: int, of: RelationSpec, group: PgType = STRING) -> tuple[RelationSpec, DataflowSpec]:
    """SELECT v, count(*), max(k) FROM of GROUP BY v."""
    key, value = Column(1, "k", BIGINT), Column(2, "v", group)
    below = Properties((key, value), append_only=of.append_only)
    source = Input(1, of.oid, (1, 2), below)
    exchange = Exchange(2, source, (2,), below)
    count, largest = Column(3, "count", BIGINT), Column(4, "max", BIGINT)
    aggregates = (
        Aggregate(Function(2803, "count", "count", False, "i"), (), BIGINT),
        Aggregate(Function(2115, "max", "max", True, "i"), (ColumnRef(1, BIGINT),), BIGINT),
    )
    properties = Properties((value, count, largest), key=(2,))
    grouped = GroupAggregate(3, exchange, (2,), aggregates, properties)
    view = RelationSpec(oid, f"v{oid}", "view", (1, 2, 3), (group, BIGINT, BIGINT), (0,))
    return view, DataflowSpec(oid, Materialize(4, grouped, oid, properties), (of.oid,))
