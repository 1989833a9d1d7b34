"""datagen and nexmark: the same rows in every run, any range by itself, splits that partition the stream."""

from __future__ import annotations

import itertools
import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laminar import types as pg
from laminar.connectors.base import ScanRequest, SourceColumn, SourceReader, SourceSpec, source_connector
from laminar.connectors.numbered import Pace
from laminar.errors import PgError
from laminar.types import PgType

DATAGEN = (
    SourceColumn("n", PgType(pg.INT8)),
    SourceColumn("ts", PgType(pg.TIMESTAMPTZ)),
    SourceColumn("k", PgType(pg.INT4)),
    SourceColumn("x", PgType(pg.FLOAT8)),
    SourceColumn("s", PgType(pg.TEXT)),
    SourceColumn("b", PgType(pg.BOOL)),
)
DATAGEN_OPTIONS = {
    "fields.n.kind": "sequence",
    "fields.k.min": "-5",
    "fields.k.max": "5",
    "fields.s.length": "30",
    "fields.x.nulls": "0.25",
}


def spec(connector: str, columns: tuple[SourceColumn, ...] = (), **options: object) -> SourceSpec:
    given = {"connector": connector, **{name: str(value) for name, value in options.items()}}
    made = SourceSpec(connector, tuple(given.items()), columns)
    return SourceSpec(connector, made.options, source_connector(connector).columns(made))


def sources(**options: object) -> list[SourceSpec]:
    tables = [{"table": t} for t in ("person", "auction", "bid")]
    return [
        spec("datagen", DATAGEN, rows=options.pop("events", 500), **DATAGEN_OPTIONS, **options),
        *(spec("nexmark", events=500, **table, **options) for table in [*tables, {}]),
    ]


def open_(source: SourceSpec) -> SourceReader:
    return source_connector(source.connector).open(source, ScanRequest(tuple(range(len(source.columns)))))


def read(reader: SourceReader, partition: str, *cuts: int) -> pa.Table:
    batches = []
    sizes = itertools.chain(cuts, itertools.repeat(1000))
    while not reader.finished(partition):
        batch = reader.read(partition, next(sizes))
        assert batch is not None
        batch.validate(full=True)
        batches.append(batch)
    return pa.Table.from_batches(batches)


def rows(table: pa.Table) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in table.to_pylist()]


@pytest.mark.parametrize("i", range(5))
@given(cuts=st.lists(st.integers(1, 200), max_size=5))
def test_cuts_and_resumption(i: int, cuts: list[int]) -> None:
    source = sources()[i]
    whole = read(open_(source), "0")
    assert read(open_(source), "0", *cuts).equals(whole)
    reader = open_(source)
    for cut in cuts:
        if not reader.finished("0"):
            reader.read("0", cut)
    resumed = open_(source)
    resumed.seek("0", reader.position("0"))
    if not reader.finished("0"):
        assert read(resumed, "0").equals(whole.slice(reader.position("0")).combine_chunks())


@pytest.mark.parametrize("i", range(5))
@pytest.mark.parametrize("splits", [2, 3, 7])
def test_splits_partition_the_stream(i: int, splits: int) -> None:
    whole = rows(read(open_(sources()[i]), "0"))
    source = sources(splits=splits)[i]
    assert source_connector(source.connector).partitions(source) == [str(k) for k in range(splits)]
    reader = open_(source)
    for k in range(splits):
        if not reader.finished(str(k)):
            assert rows(read(reader, str(k))) == whole[k::splits]
    assert reader.rows_read == len(whole)


def test_seeds_differ() -> None:
    for one, other in zip(sources(seed=1), sources(seed=2), strict=True):
        assert rows(read(open_(one), "0")) != rows(read(open_(other), "0"))


def test_datagen_values() -> None:
    table = read(open_(spec("datagen", DATAGEN, rows=20_000, **DATAGEN_OPTIONS)), "0")
    assert table["n"].to_pylist() == list(range(1, 20_001))
    steps = np.diff(table["ts"].cast(pa.int64()).to_numpy())
    assert set(steps) == {1_000_000}
    assert set(table["k"].to_pylist()) == set(range(-5, 6))
    assert 0.23 < table["x"].null_count / 20_000 < 0.27
    present = [x for x in table["x"].to_pylist() if x is not None]
    assert all(0 <= x < 1 for x in present) and 0.48 < sum(present) / len(present) < 0.52
    words = table["s"].to_pylist()
    assert len(set(words)) == 20_000 and all(re.fullmatch("[a-z0-5]{30}", w) for w in words)
    assert 0.47 < sum(table["b"].to_pylist()) / 20_000 < 0.53


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fields.k.min": "9", "fields.k.max": "5"}, "no range"),
        ({"fields.k.kind": "gauss"}, "invalid value"),
        ({"fields.b.kind": "sequence"}, "kind sequence does not make boolean"),
        ({"fields.zz.kind": "random"}, 'no option "fields.zz.kind"'),
        ({"fields.ts.step": "often"}, "invalid value"),
        ({"rows": "-1"}, "too small"),
        ({"rows": "many"}, "invalid value"),
    ],
)
def test_datagen_errors(options: dict[str, str], message: str) -> None:
    with pytest.raises(PgError, match=message) as error:
        spec("datagen", DATAGEN, **options)
    assert error.value.sqlstate == "22023"


EVENTS = 200_000


def nexmark(table: str | None) -> pa.Table:
    extra = {} if table is None else {"table": table}
    return read(open_(spec("nexmark", events=EVENTS, **extra)), "0")


def test_nexmark_mix() -> None:
    kinds = Counter(nexmark(None)["event_type"].to_pylist())
    assert kinds == {0: EVENTS // 50, 1: EVENTS // 50 * 3, 2: EVENTS // 50 * 46}
    assert [nexmark(t).num_rows for t in ("person", "auction", "bid")] == [kinds[0], kinds[1], kinds[2]]


def test_nexmark_combined_stream_is_its_tables() -> None:
    both = nexmark(None)
    for code, table in enumerate(("person", "auction", "bid")):
        part = both.filter(pa.compute.equal(both["event_type"], code))
        own = nexmark(table)
        for name in own.column_names:
            combined = name if name == "date_time" else f"{table}_{name}"
            assert part[combined].combine_chunks().equals(own[name].combine_chunks()), name
    absent = both.filter(pa.compute.not_equal(both["event_type"], 2))
    assert absent["bid_price"].null_count == absent["bid_url"].null_count == absent.num_rows


def test_nexmark_event_time_rate() -> None:
    times = nexmark(None)["date_time"].cast(pa.int64()).to_numpy()
    assert (np.diff(times) >= 0).all() and (times % 1000 == 0).all()
    assert times[-1] - times[0] == (EVENTS - 1) * 100 // 1000 * 1000


def test_nexmark_ids_refer_to_what_exists() -> None:
    """Ids count up from 1000; a bid's auction and bidder are of its time, at most 10 ahead."""
    people, auctions, bids = (nexmark(t) for t in ("person", "auction", "bid"))
    assert people["id"].to_pylist() == list(range(1000, 1000 + people.num_rows))
    assert auctions["id"].to_pylist() == list(range(1000, 1000 + auctions.num_rows))
    event = np.arange(bids.num_rows) // 46 * 50 + 4 + np.arange(bids.num_rows) % 46
    newest_person, newest_auction = 1000 + event // 50, 1000 + event // 50 * 3 + 2
    auction, bidder = bids["auction"].to_numpy(), bids["bidder"].to_numpy()
    assert (auction <= newest_auction + 10).all() and (auction >= newest_auction - 200).all()
    assert (bidder <= newest_person + 10).all() and (bidder >= newest_person - 1100).all()


def test_nexmark_hot_ratios() -> None:
    bids, auctions = nexmark("bid"), nexmark("auction")
    event = np.arange(bids.num_rows) // 46 * 50 + 4 + np.arange(bids.num_rows) % 46
    late = event > EVENTS // 2
    hot_auction = 1000 + (event // 50 * 3 + 2) // 100 * 100
    assert 0.49 < (bids["auction"].to_numpy() == hot_auction)[late].mean() < 0.53
    hot_bidder = 1001 + event // 50 // 100 * 100
    assert 0.74 < (bids["bidder"].to_numpy() == hot_bidder)[late].mean() < 0.77
    number = np.arange(auctions.num_rows)
    hot_seller = 1000 + number // 3 // 100 * 100
    assert 0.73 < (auctions["seller"].to_numpy() == hot_seller)[number > 5000].mean() < 0.78
    channels = Counter(bids["channel"].to_pylist())
    hot = sum(channels[c] for c in ("Google", "Facebook", "Baidu", "Apple")) / bids.num_rows
    assert 0.49 < hot < 0.51


def test_nexmark_shapes() -> None:
    people, auctions, bids = (nexmark(t) for t in ("person", "auction", "bid"))
    assert all(re.fullmatch(r"\d{4} \d{4} \d{4} \d{4}", c) for c in people["credit_card"].to_pylist()[:500])
    assert all(re.fullmatch(r"[a-z ]+@[a-z ]+\.com", c) for c in people["email_address"].to_pylist()[:500])
    price = bids["price"].to_numpy()
    assert price.min() >= 100 and price.max() <= 100_000_000
    assert 0.3 < (np.log10(price / 100) < 2).mean() < 0.37
    assert (auctions["reserve"].to_numpy() > auctions["initial_bid"].to_numpy()).all()
    assert set(auctions["category"].to_pylist()) == {10, 11, 12, 13, 14}
    life = auctions["expires"].cast(pa.int64()).to_numpy() - auctions["date_time"].cast(pa.int64()).to_numpy()
    assert (life > 0).all() and 150_000 < life.mean() < 185_000
    address = r"https://www\.nexmark\.com/([a-z_]+/){3}item\.htm\?query=1(&channel_id=\d+)?"
    for channel, url in list(zip(bids["channel"].to_pylist(), bids["url"].to_pylist(), strict=True))[:500]:
        assert re.fullmatch(address, url)
        assert "channel_id" not in url or channel.startswith("channel-")
    assert 60 < pa.compute.mean(pa.compute.binary_length(bids["extra"])).as_py() < 76


def test_nexmark_columns_are_checked() -> None:
    with pytest.raises(PgError) as error:
        spec("nexmark", (SourceColumn("prize", PgType(pg.INT8)),), table="bid")
    assert error.value.sqlstate == "42703" and "price" in str(error.value.hint)
    with pytest.raises(PgError, match='column "price" is of type text but Nexmark\'s bid has bigint'):
        spec("nexmark", (SourceColumn("price", PgType(pg.TEXT)),), table="bid")


def test_pace() -> None:
    now = 0.0
    pace = Pace(100, 1, lambda: now)
    assert pace.allowed("0", 50) == 1
    now = 0.5
    assert pace.allowed("0", 20) == 20 and pace.allowed("0", 1000) == 30 and pace.allowed("0", 1000) == 0
    assert Pace(None, 1, lambda: now).allowed("0", 7) == 7
