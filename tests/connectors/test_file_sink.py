"""The sink ``file``: the contract, formats, partitions, refusals."""

from __future__ import annotations

import csv
import itertools
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from laminar import failpoints
from laminar import types as pg
from laminar.connectors.base import SinkBatch, SinkSpec, SourceColumn, sink_connector
from laminar.errors import PgError
from laminar.types import PgType
from tests.connectors.sink_kit import COLUMNS, Kit, check_contract

SINK: Any = sink_connector("file")


def spec(folder: Path, columns: tuple[SourceColumn, ...] = COLUMNS, **options: str) -> SinkSpec:
    given = {"connector": "file", "path": str(folder), **options}
    return SinkSpec("s1", "file", tuple(sorted(given.items())), columns, append_only=True)


def parquet(folder: Path, **kind: Any) -> list[tuple[Any, ...]]:
    table = ds.dataset(str(folder), format="parquet", exclude_invalid_files=False, **kind).to_table()
    return [tuple(row.values()) for row in table.to_pylist()]


def read_csv(folder: Path) -> list[tuple[Any, ...]]:
    found = []
    for path in folder.glob("*.csv"):
        with path.open(newline="") as file:
            found += [(int(k), v) for k, v in csv.reader(file)]
    return found


def read_json(folder: Path) -> list[tuple[Any, ...]]:
    lines = (line for path in folder.glob("*.json") for line in path.read_text().split("\n") if line)
    return [tuple(json.loads(line).values()) for line in lines]


@pytest.mark.parametrize(("form", "read"), [("parquet", parquet), ("csv", read_csv), ("json", read_json)])
def test_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, read: Any) -> None:
    numbers = itertools.count()

    def make() -> Kit:
        folder = tmp_path / str(next(numbers))
        return Kit(SINK, spec(folder, format=form), lambda: read(folder), updates=False)

    check_contract(make, monkeypatch)


def test_files_taken_away_do_not_come_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(name: str) -> None:
        if name == "file sink: one renamed":
            raise RuntimeError

    batch = pa.record_batch([pa.array([1, 2]), pa.array(["x", "y"])], ["0", "1"])
    partitioned = spec(tmp_path, partition_by="k")
    with monkeypatch.context() as patch:
        patch.setattr(failpoints, "reach", crash)
        with pytest.raises(RuntimeError):
            SINK.target(partitioned).deliver(1, lambda: iter([SinkBatch(1, batch)]))
    (taken,) = (p for p in tmp_path.glob("k=*/*.parquet"))
    taken.unlink()
    SINK.target(partitioned).deliver(1, lambda: iter([SinkBatch(1, batch)]))
    (left,) = (p for p in tmp_path.glob("k=*/*.parquet"))
    assert left.parent != taken.parent


def test_partitions_and_types(tmp_path: Path) -> None:
    kinds = [pg.TEXT, pg.NUMERIC, pg.TIMESTAMPTZ, pg.DATE, pg.INTERVAL, pg.BOOL, pg.FLOAT8]
    names = ["t", "n", "at", "d", "i", "b", "f"]
    columns = tuple(SourceColumn(n, PgType(o)) for n, o in zip(names, kinds, strict=True))
    from laminar._native.textio import parse_text

    values = {
        "t": ["a/b", None, "a/b"],
        "n": ["1.50", "NaN", None],
        "at": ["2026-01-01 12:00+00", None, "2026-01-02 00:00+00"],
        "d": ["2026-01-01", "1999-12-31", None],
        "i": ["1 day 02:00:00", None, "1 mon"],
        "b": ["t", "f", None],
        "f": ["1.5", "NaN", "-Infinity"],
    }
    arrays = [parse_text(pa.array(values[c.name]), c.type) for c in columns]
    batch = pa.RecordBatch.from_arrays(arrays, names)
    target = SINK.target(spec(tmp_path, columns, partition_by="t"))
    target.deliver(5, lambda: iter([SinkBatch(1, batch)]))
    found = parquet(tmp_path, partitioning="hive")
    assert sorted(found, key=repr)[0] == (
        "1.50",
        datetime.fromisoformat("2026-01-01T12:00:00+00:00"),
        datetime(2026, 1, 1).date(),
        "1 day 02:00:00",
        True,
        1.5,
        "a/b",
    )
    assert sorted(row[-1] or "" for row in found) == ["", "a/b", "a/b"]


def test_diff_envelope(tmp_path: Path) -> None:
    import numpy as np

    batch = pa.record_batch([pa.array([1, 2]), pa.array(["x", "y"])], ["0", "1"])
    target = SINK.target(spec(tmp_path, envelope="diff"))
    target.deliver(5, lambda: iter([SinkBatch(3, batch, np.array([-1, 1]))]))
    assert sorted(parquet(tmp_path)) == [(3, -1, 1, "x"), (3, 1, 2, "y")]


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        ({"partition_by": "w"}, "22023", 'column "w"'),
        ({"partition_by": "k,v"}, "22023", "leaves no column"),
        ({"format": "avro"}, "22023", "invalid value"),
        ({"colour": "red"}, "22023", 'no option "colour"'),
    ],
)
def test_refusals(tmp_path: Path, options: dict[str, str], code: str, text: str) -> None:
    with pytest.raises(PgError, match=text) as caught:
        SINK.check(spec(tmp_path, **options))
    assert caught.value.sqlstate == code


def test_retractions_need_an_envelope(tmp_path: Path) -> None:
    given = (("connector", "file"), ("path", str(tmp_path)))
    with pytest.raises(PgError, match="cannot take back") as caught:
        SINK.check(SinkSpec("s", "file", given, COLUMNS, key=(0,)))
    assert caught.value.sqlstate == "0A000"
