"""Sort keys order and equate as PostgreSQL's operators do, for every pair of values."""

from __future__ import annotations

import itertools
import random

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from laminar.sql import resolve
from laminar.sql.kernels.sortkeys import sort_key, sort_key_storage
from laminar.types import INTERVAL, PgType
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


def test_intervals_are_ordered_by_their_exact_length() -> None:
    r = random.Random(1)

    def part(bits: int) -> int:
        return r.choice([r.randint(-(1 << bits), (1 << bits) - 1), r.randint(-3, 3)])

    drawn = [(part(31), part(31), part(63)) for _ in range(2000)]
    stored = [
        b"".join(p.to_bytes(n, "little", signed=True) for p, n in zip(d, (4, 4, 8), strict=True))
        for d in drawn
    ]
    keys = sort_key(pa.array(stored, pa.binary(16)), PgType(INTERVAL)).to_pylist()
    for (months, days, micros), key in zip(drawn, keys, strict=True):
        length = (months * 30 + days) * 86_400_000_000 + micros
        assert key == (length + (1 << 127)).to_bytes(16, "big")
