"""Sort keys order and equate as PostgreSQL's operators do, for every pair of values."""

from __future__ import annotations

import itertools

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from laminar.sql import resolve
from laminar.sql.kernels.sortkeys import sort_key, sort_key_storage
from tests.harness.postgres import Postgres
from tests.sql import kernel_probe

TYPES = ["float8", "float4", "numeric", "interval", "bpchar", "jsonb"]
TYPES += ["int4[]", "text[]", "numeric[]", "float8[]"]


@pytest.mark.parametrize("name", TYPES)
def test_pairs(postgres: Postgres, name: str) -> None:
    values = [v for v in kernel_probe.POOL[name] if v is not None]
    type_ = resolve.type_by_name(name)
    keys = sort_key(kernel_probe.column(name, values), type_)
    assert keys.type == sort_key_storage(type_)
    if pa.types.is_fixed_size_binary(keys.type):
        keys = keys.cast(pa.binary())
    ranks = dict(enumerate(pc.rank(keys, "ascending", tiebreaker="dense").to_pylist()))
    pairs = list(itertools.product(range(len(values)), repeat=2))
    with postgres.connect() as connection:
        rows = connection.execute(
            f"select a.v < b.v, a.v = b.v from unnest(%s::text[], %s::text[]) with ordinality p(a, b, n), "
            f"lateral (select a::{name}) a(v), lateral (select b::{name}) b(v) order by n",
            [[values[i] for i, _ in pairs], [values[j] for _, j in pairs]],
        ).fetchall()
    wrong = [
        (values[i], values[j], row)
        for (i, j), row in zip(pairs, rows, strict=True)
        if row != (ranks[i] < ranks[j], ranks[i] == ranks[j])
    ]
    assert not wrong


def test_nulls_stay_null() -> None:
    for name in TYPES:
        type_ = resolve.type_by_name(name)
        first = next(v for v in kernel_probe.POOL[name] if v is not None)
        keys = sort_key(kernel_probe.column(name, [None, first]).slice(0, 2), type_)
        assert keys.is_null().to_pylist() == [True, False]
