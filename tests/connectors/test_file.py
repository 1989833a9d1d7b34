"""File sources: the same rows whatever the cuts, positions row-exact, errors that say what is wrong."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laminar import types as pg
from laminar.connectors.base import ScanRequest, SourceColumn, SourceReader, SourceSpec, source_connector
from laminar.errors import PgError
from laminar.sql.plan import BoolOp, Call, ColumnRef, Const, Expr, Function
from laminar.types import PgType, numeric

ROWS = 1000
START = dt.datetime(2026, 1, 1)
SCHEMA = pa.schema(
    [("id", pa.int64()), ("ts", pa.timestamp("us")), ("name", pa.string()), ("price", pa.float64())]
)
COLUMNS = tuple(
    SourceColumn(n, PgType(t))
    for n, t in zip(SCHEMA.names, (pg.INT8, pg.TIMESTAMP, pg.TEXT, pg.FLOAT8), strict=True)
)
FORMATS = ("parquet", "arrow", "csv", "json")


def table(rows: int = ROWS, start: int = 0) -> pa.Table:
    r = random.Random(7)
    ids = list(range(start, start + rows))
    odd = f'na"me,\n{r.random():.3f}é'
    names = [None if i % 7 == 0 else odd if i % 5 == 0 else f"n{i % 10}" for i in ids]
    prices = [None if i % 11 == 0 else r.uniform(-1e9, 1e9) for i in ids]
    times = [START + dt.timedelta(seconds=i) for i in ids]
    return pa.table([ids, times, names, prices], schema=SCHEMA)


def write(data: pa.Table, path: Path) -> Path:
    match path.suffix:
        case ".parquet":
            pq.write_table(data, path, row_group_size=100)
        case ".arrow":
            with pa.ipc.new_file(path, data.schema) as out:
                out.write_table(data, max_chunksize=130)
        case ".csv":
            quoted = [[_csv(v) for v in row.values()] for row in data.to_pylist()]
            path.write_text("".join(",".join(row) + "\n" for row in quoted))
        case ".json":
            path.write_text("".join(json.dumps(row, default=str) + "\n" for row in data.to_pylist()))
    return path


def _csv(value: object) -> str:
    return "" if value is None else '"' + str(value).replace('"', '""') + '"'


def spec(path: Path | str, columns: tuple[SourceColumn, ...] = COLUMNS, **options: str) -> SourceSpec:
    given = {"connector": "file", "path": str(path)}
    given |= {name.replace("csv_", "csv."): value for name, value in options.items()}
    return SourceSpec("file", tuple(given.items()), columns, watermark=1 if len(columns) > 1 else None)


def open_(source: SourceSpec, request: ScanRequest | None = None) -> SourceReader:
    connector = source_connector("file")
    connector.columns(source)
    return connector.open(source, request or ScanRequest(tuple(range(len(source.columns)))))


def read_all(
    reader: SourceReader, partition: str, cut: Callable[[], int] = lambda: 1 << 16
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    while (batch := reader.read(partition, cut())) is not None:
        batch.validate(full=True)
        rows += batch.to_pylist()
    assert reader.finished(partition)
    return rows


@pytest.mark.parametrize("format_", FORMATS)
def test_any_cut_gives_the_same_rows(tmp_path: Path, format_: str) -> None:
    path = write(table(), tmp_path / f"data.{format_}")
    expected = table().to_pylist()
    r = random.Random(1)
    for cut in (lambda: 1 << 16, lambda: 1, lambda: r.randint(1, 300)):
        reader = open_(spec(path))
        assert read_all(reader, str(path), cut) == expected
        assert reader.rows_read == ROWS and reader.dropped == {} and reader.bytes_read > 0


@pytest.mark.parametrize("format_", FORMATS)
def test_a_position_resumes_exactly(tmp_path: Path, format_: str) -> None:
    path = write(table(), tmp_path / f"data.{format_}")
    expected = table().to_pylist()
    r = random.Random(2)
    reader, seen = open_(spec(path)), 0
    while (batch := reader.read(str(path), r.randint(1, 200))) is not None:
        seen += batch.num_rows
        position = json.loads(json.dumps(reader.position(str(path))))
        resumed = open_(spec(path))
        resumed.seek(str(path), position)
        assert read_all(resumed, str(path)) == expected[seen:]
    assert seen == ROWS
    reader.seek(str(path), None)
    assert not reader.finished(str(path)) and len(read_all(reader, str(path))) == ROWS


@pytest.mark.parametrize("format_", FORMATS)
def test_only_wanted_columns_in_wanted_order(tmp_path: Path, format_: str) -> None:
    path = write(table(20), tmp_path / f"data.{format_}")
    rows = read_all(open_(spec(path), ScanRequest((2, 0))), str(path))
    assert rows == [{"name": row["name"], "id": row["id"]} for row in table(20).to_pylist()]
    reader = open_(spec(path), ScanRequest(()))
    batch = reader.read(str(path), 15)
    assert batch is not None and (batch.num_rows, batch.num_columns) == (15, 0)


def comparison(symbol: str, column: int, type_: int, value: object) -> Expr:
    function = Function(0, symbol, symbol, True, "i")
    kind = PgType(type_)
    return Call(function, (ColumnRef(column, kind), Const(value, kind)), PgType(pg.BOOL))


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        (comparison("int8ge", 10, pg.INT8, 850), range(800, 1000)),
        (comparison("int8lt", 10, pg.INT8, 100), range(100)),
        (comparison("int8le", 10, pg.INT8, 100), range(200)),
        (comparison("int8eq", 10, pg.INT8, 777), range(700, 800)),
        (comparison("int8gt", 10, pg.INT8, 5000), range(0)),
        (comparison("int8ne", 10, pg.INT8, 5), range(1000)),
        (comparison("int8eq", 10, pg.INT8, None), range(0)),
        (comparison("timestamp_ge", 11, pg.TIMESTAMP, START + dt.timedelta(seconds=900)), range(900, 1000)),
        (comparison("text_lt", 12, pg.TEXT, "zzz"), range(1000)),
        (
            BoolOp("and", (comparison("int8ge", 10, pg.INT8, 300), comparison("int8lt", 10, pg.INT8, 350))),
            range(300, 400),
        ),
        (
            BoolOp("or", (comparison("int8lt", 10, pg.INT8, 50), comparison("int8ge", 10, pg.INT8, 950))),
            [*range(100), *range(900, 1000)],
        ),
    ],
)
def test_row_groups_that_cannot_match_are_not_read(tmp_path: Path, filter_: Expr, expected: range) -> None:
    path = write(table(), tmp_path / "data.parquet")
    request = ScanRequest((0,), filter_, {10: 0, 11: 1, 12: 2})
    reader = open_(spec(path), request)
    assert [row["id"] for row in read_all(reader, str(path))] == list(expected)


def test_skipped_rows_tell_their_latest_time_and_count_in_positions(tmp_path: Path) -> None:
    path = write(table(), tmp_path / "data.parquet")
    reader = open_(spec(path), ScanRequest((0,), comparison("int8ge", 10, pg.INT8, 250), {10: 0}))
    first = reader.read(str(path), 10)
    assert first is not None and first.column(0)[0].as_py() == 200
    latest = START + dt.timedelta(seconds=199)
    assert reader.skipped(str(path)) == pa.scalar(latest, pa.timestamp("us")).value
    assert reader.position(str(path)) == 210
    reader.read(str(path), 10)
    assert reader.skipped(str(path)) is None


def test_glob_and_watch(tmp_path: Path) -> None:
    source = spec(tmp_path / "*.parquet", mode="watch")
    connector = source_connector("file")
    assert connector.partitions(source) == [] and not connector.bounded(source)
    paths = [write(table(10, start), tmp_path / f"{start}.parquet") for start in (0, 10)]
    write(table(1), tmp_path / ".hidden.parquet")
    assert connector.partitions(source) == [str(p) for p in paths]
    reader = open_(source)
    assert [row["id"] for p in paths for row in read_all(reader, str(p))] == list(range(20))


def test_columns_are_inferred(tmp_path: Path) -> None:
    data = pa.table({
        "a": pa.array([1], pa.int16()),
        "b": pa.array(["x"]).dictionary_encode(),
        "c": pa.array([Decimal("1.50")], pa.decimal128(9, 2)),
        "d": pa.array([[1, None]], pa.list_(pa.int32())),
        "e": pa.array([START], pa.timestamp("ms", "Europe/Paris")),
    })  # fmt: skip
    for suffix in ("parquet", "arrow"):
        path = write(data, tmp_path / f"data.{suffix}")
        columns = source_connector("file").columns(spec(path, ()))
        assert [c.type for c in columns] == [
            PgType(pg.INT2), PgType(pg.TEXT), numeric(9, 2), PgType(1007), PgType(pg.TIMESTAMPTZ)
        ]  # fmt: skip
        reader = open_(spec(path, columns))
        batch = reader.read(str(path), 10)
        assert batch is not None and batch.schema.types == [c.type.storage for c in columns]
        assert batch.column(3).to_pylist() == [[1, None]]


@pytest.mark.parametrize(
    ("kind", "declared", "works"),
    [
        (pa.int32(), PgType(pg.INT8), True),
        (pa.int64(), PgType(pg.INT4), False),
        (pa.uint32(), PgType(pg.INT4), False),
        (pa.uint32(), PgType(pg.INT8), True),
        (pa.int32(), PgType(pg.FLOAT8), True),
        (pa.int64(), PgType(pg.FLOAT8), False),
        (pa.int64(), numeric(20, 1), True),
        (pa.int64(), numeric(18, 0), False),
        (pa.float64(), PgType(pg.FLOAT4), False),
        (pa.float32(), PgType(pg.FLOAT8), True),
        (pa.string(), PgType(pg.INT8), False),
        (pa.int64(), PgType(pg.TEXT), False),
        (pa.large_string(), PgType(pg.TEXT), True),
        (pa.timestamp("us", "UTC"), PgType(pg.TIMESTAMP), False),
        (pa.timestamp("s"), PgType(pg.TIMESTAMP), True),
        (pa.list_(pa.int16()), PgType(1007), True),
        (pa.list_(pa.string()), PgType(1007), False),
        (pa.binary(16), PgType(pg.UUID), True),
        (pa.null(), PgType(pg.DATE), True),
    ],
)
def test_only_lossless_conversions(tmp_path: Path, kind: pa.DataType, declared: PgType, works: bool) -> None:
    path = write(pa.table({"a": pa.nulls(3, kind)}), tmp_path / "data.arrow")
    source = spec(path, (SourceColumn("a", declared),))
    if works:
        batch = open_(source).read(str(path), 9)
        assert batch is not None and batch.schema.types == [declared.storage] and batch.num_rows == 3
        return
    with pytest.raises(PgError, match='column "a" is of type') as error:
        open_(source)
    assert error.value.sqlstate == "42804"


def fails(source: SourceSpec) -> PgError:
    with pytest.raises(PgError) as error:
        source_connector(source.connector).columns(source)
    return error.value


def test_errors_of_the_declaration(tmp_path: Path) -> None:
    path = write(table(5), tmp_path / "data.parquet")
    assert fails(spec(path, (SourceColumn("nope", PgType(pg.INT8)),))).sqlstate == "42703"
    unknown = fails(spec(path, compresion="gzip"))
    assert unknown.sqlstate == "22023" and "Options: connector," in str(unknown.hint)
    near = fails(spec(path, formt="csv"))
    assert 'Perhaps you meant "format"' in str(near.hint)
    assert "parquet, arrow, csv, json" in str(fails(spec(path, format="xml")).hint)
    assert 'no file matches "/nowhere' in fails(spec("/nowhere/x.csv")).message
    assert "cannot tell the format" in fails(spec(tmp_path / "data.bin")).message
    text = write(table(5), tmp_path / "data.csv")
    assert "needs its columns declared" in fails(spec(text, ())).message
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 this is no footer PAR1")
    assert fails(spec(broken)).sqlstate == "58030"
    with pytest.raises(PgError, match='no source connector is named "blackhole"') as error:
        source_connector("blackhole")
    assert error.value.hint == "Source connectors: datagen, file, nexmark."


def test_a_damaged_file_is_an_error_not_a_crash(tmp_path: Path) -> None:
    path = write(table(), tmp_path / "data.arrow")
    whole = bytearray(path.read_bytes())
    r = random.Random(3)
    for _ in range(30):
        damaged = bytearray(whole)
        for _ in range(20):
            damaged[r.randrange(8, len(damaged))] = r.randrange(256)
        path.write_bytes(damaged)
        try:
            reader = open_(spec(path))
            while (batch := reader.read(str(path), 100)) is not None:
                batch.validate(full=True)
        except PgError as error:
            assert error.sqlstate in ("58030", "42703", "42804", "XX001")


def test_malformed_csv_rows_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b'id,name\n1,a\nx,b\n3\n4,"q ""d"""\n5,\xff\n,\n7,""\n')
    columns = (SourceColumn("id", PgType(pg.INT8), not_null=True), SourceColumn("name", PgType(pg.TEXT)))
    reader = open_(spec(path, columns, csv_header="true"))
    rows = read_all(reader, str(path))
    assert rows == [{"id": 1, "name": "a"}, {"id": 4, "name": 'q "d"'}, {"id": 7, "name": ""}]
    assert reader.dropped == {"malformed": 3, "not_null": 1}
    with pytest.raises(PgError, match="expected 2 fields, found 1") as error:
        read_all(open_(spec(path, columns, csv_header="true", on_error="fail")), str(path))
    assert error.value.sqlstate == "22P04"


def test_json_falls_back_to_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    columns = (
        SourceColumn("n", PgType(pg.NUMERIC)),
        SourceColumn("t", PgType(pg.TEXT)),
        SourceColumn("a", PgType(1009)),
        SourceColumn("j", PgType(pg.JSON)),
    )
    path.write_text(
        '{"n": 1.50, "t": 12, "a": ["x,", null, "\\"", 3], "j": {"k": [1.0, "é"]}}\n'
        "{broken\n[1]\n\n"
        '{"n": NaN}\n'
        '{"t": "plain", "extra": true}\n'
    )
    reader = open_(spec(path, columns))
    rows = read_all(reader, str(path))
    assert reader.dropped == {"malformed": 3}
    assert rows[0]["t"] == "12" and rows[0]["a"] == ["x,", None, '"', "3"]
    assert rows[0]["j"] == '{"k":[1.0,"é"]}'
    assert rows[1] == {"n": None, "t": "plain", "a": None, "j": None}


def test_event_times_are_told_without_reading_their_column(tmp_path: Path) -> None:
    """With each row group's last row comes the latest time in it, also when the reading starts inside."""
    path = write(table(), tmp_path / "data.parquet")
    assert source_connector("file").tells_times(spec(path))
    reader = open_(spec(path), ScanRequest((0,)))
    told = []
    while reader.read(str(path), 60) is not None:
        latest = reader.skipped(str(path))
        if latest is not None:
            told.append((reader.position(str(path)), latest))
    assert told == [
        (end, pa.scalar(START + dt.timedelta(seconds=end - 1), pa.timestamp("us")).value)
        for end in range(100, 1001, 100)
    ]
    reader.seek(str(path), 950)
    assert reader.read(str(path), 100) is not None
    assert reader.skipped(str(path)) == told[-1][1]


def test_infinite_event_times_tell_nothing(tmp_path: Path) -> None:
    times = pa.array([0, (1 << 63) - 1, 5, 6], pa.int64()).cast(pa.timestamp("us"))
    data = pa.table({"id": pa.array([1, 2, 3, 4], pa.int64()), "ts": times})
    path = tmp_path / "data.parquet"
    pq.write_table(data, path, row_group_size=2)
    columns = (SourceColumn("id", PgType(pg.INT8)), SourceColumn("ts", PgType(pg.TIMESTAMP)))
    reader = open_(
        SourceSpec("file", (("connector", "file"), ("path", str(path))), columns, 1), ScanRequest((0,))
    )
    told = []
    while reader.read(str(path), 2) is not None:
        told.append(reader.skipped(str(path)))
    assert told == [None, 6]
