"""Rates of the wire's codecs: ``pytest benchmarks/test_wire.py``; one core, no network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from laminar import types as t
from laminar._native.copyparse import CopyParser, gather
from laminar._native.pgcodec import CopyEncoder, Encoder, RowEncoder
from laminar._native.textio import FormatSettings
from laminar.pgwire.backend import CopyOptions
from laminar.types import PgType

ROWS = 1_000_000
CHUNK = 256 * 1024
NAMES = ["id", "amount", "price", "name"]
TYPES = [PgType(t.INT4), PgType(t.INT8), PgType(t.FLOAT8), PgType(t.TEXT)]
SETTINGS = FormatSettings()
OPTIONS = {
    "text": CopyOptions(),
    "csv": CopyOptions(format="csv", delimiter=",", null=""),
    "binary": CopyOptions(format="binary"),
}

Benchmark = Callable[..., Any]


@pytest.fixture(scope="module")
def batch() -> pa.RecordBatch:
    rng = np.random.default_rng(1)
    columns = [
        pa.array(np.arange(ROWS), pa.int32()),
        pa.array(rng.integers(0, 10**12, ROWS)),
        pa.array(rng.random(ROWS)),
        pa.array([f"name {i % 1000}" for i in range(ROWS)]),
    ]
    return pa.RecordBatch.from_arrays(columns, names=NAMES)


def encode(encoder: Encoder, batch: pa.RecordBatch) -> list[bytes]:
    encoder.load(batch)
    chunks = []
    while encoder.remaining:
        chunks.append(encoder.encode(0, CHUNK)[0])
    return chunks


def report(benchmark: Any, size: int) -> None:
    if benchmark.stats is not None:
        seconds = benchmark.stats.stats.median
        benchmark.extra_info["million rows/s"] = round(ROWS / seconds / 1e6, 2)
        benchmark.extra_info["MB/s"] = round(size / seconds / 1e6, 1)


@pytest.mark.parametrize("code", [0, 1], ids=["text", "binary"])
def test_data_rows(benchmark: Benchmark, batch: pa.RecordBatch, code: int) -> None:
    chunks = benchmark(lambda: encode(RowEncoder(TYPES, [code] * 4, SETTINGS), batch))
    report(benchmark, sum(map(len, chunks)))


@pytest.mark.parametrize("name", list(OPTIONS))
def test_copy_out(benchmark: Benchmark, batch: pa.RecordBatch, name: str) -> None:
    chunks = benchmark(lambda: encode(CopyEncoder(TYPES, NAMES, OPTIONS[name], SETTINGS), batch))
    report(benchmark, sum(map(len, chunks)))


def parse(chunks: list[bytes], options: CopyOptions) -> list[pa.RecordBatch]:
    parser = CopyParser("t", NAMES, TYPES, options, SETTINGS)
    batches = []
    for chunk in chunks:
        parser.feed(chunk)
        while True:
            used_up = parser.parse(65_536, 512 * 1024)
            if parser.ready >= 65_536:
                batches.append(parser.take())
            if used_up:
                break
    parser.parse(1 << 40, 1 << 40, last=True)
    return [*batches, parser.take()]


@pytest.mark.parametrize("name", list(OPTIONS))
def test_copy_in(benchmark: Benchmark, batch: pa.RecordBatch, name: str) -> None:
    encoder = CopyEncoder(TYPES, NAMES, OPTIONS[name], SETTINGS)
    encoder.begin()
    chunks = [gather(bytearray(chunk), 1 << 30)[0] for chunk in encode(encoder, batch)]
    batches = benchmark(lambda: parse(chunks, OPTIONS[name]))
    assert pa.Table.from_batches(batches).equals(pa.Table.from_batches([batch]))
    report(benchmark, sum(map(len, chunks)))
