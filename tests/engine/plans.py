"""Small relations and dataflows for tests of the engine."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from laminar.engine.change import Change
from laminar.engine.nodes import Input, Materialize, Properties
from laminar.engine.relations import DataflowSpec, RelationSpec
from laminar.sql.plan import Column
from laminar.types import INT8, TEXT, TIMESTAMP, PgType

BIGINT, STRING, TIME = PgType(INT8), PgType(TEXT), PgType(TIMESTAMP)


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
