"""The sink ``postgres`` against a real PostgreSQL: the contract, types, refusals."""

from __future__ import annotations

import itertools
from typing import Any

import pyarrow as pa
import pytest

from laminar import types as pg
from laminar._native.textio import parse_text
from laminar.connectors.base import SinkBatch, SinkSpec, SourceColumn, sink_connector
from laminar.errors import PgError
from laminar.types import PgType
from tests.connectors.sink_kit import COLUMNS, Kit, check_contract
from tests.harness.postgres import Postgres

SINK: Any = sink_connector("postgres")
UUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
_numbers = itertools.count()


def spec(postgres: Postgres, columns: tuple[SourceColumn, ...] = COLUMNS, **options: str) -> SinkSpec:
    given = {
        "connector": "postgres",
        "host": "127.0.0.1",
        "port": str(postgres.port),
        "user": "postgres",
        "dbname": "postgres",
        **options,
    }
    append = options.get("mode") == "append"
    name = f"s{next(_numbers)}"
    return SinkSpec(name, "postgres", tuple(sorted(given.items())), columns, (0,), append_only=append)


@pytest.mark.parametrize("mode", ["upsert", "append"])
def test_contract(postgres: Postgres, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    with postgres.connect() as db:

        def make() -> Kit:
            table = f"t_{mode}_{next(_numbers)}"
            key = "PRIMARY KEY" if mode == "upsert" else ""
            db.execute(f"CREATE TABLE {table} (k bigint {key}, v text)")
            visible = lambda: db.execute(f"SELECT k, v FROM {table}").fetchall()  # noqa: E731
            return Kit(SINK, spec(postgres, table=table, mode=mode), visible, updates=mode == "upsert")

        check_contract(make, monkeypatch)


def test_types(postgres: Postgres) -> None:
    values = {
        "numeric": (pg.NUMERIC, ["1.50", "NaN", None]),
        "timestamptz": (pg.TIMESTAMPTZ, ["2026-01-01 12:00+00", "infinity", None]),
        "timestamp": (pg.TIMESTAMP, ["0044-03-15 BC", "294000-01-01", None]),
        "date": (pg.DATE, ["2026-01-01", "-infinity", None]),
        "interval": (pg.INTERVAL, ["1 year -3 days 02:00:00.5", "0", None]),
        "boolean": (pg.BOOL, ["t", "f", None]),
        "float8": (pg.FLOAT8, ["0.1", "-Infinity", None]),
        "text": (pg.TEXT, ['"quoted",\n\\', "", None]),
        "bytea": (pg.BYTEA, ["\\x00ff", "", None]),
        "uuid": (
            pg.UUID,
            [UUID, None, UUID[::-1].replace("-", "")],
        ),
        "jsonb": (pg.JSONB, ['{"a": [1, null]}', "null", None]),
        "text[]": (1009, ['{a,"b,c",NULL}', "{}", None]),
    }
    columns = [SourceColumn("id", PgType(pg.INT4))]
    columns += [SourceColumn(f"c{i}", PgType(oid)) for i, (oid, _) in enumerate(values.values())]
    arrays = [pa.array([1, 2, 3], pa.int32())]
    arrays += [parse_text(pa.array(texts), PgType(oid)) for oid, texts in values.values()]
    batch = pa.RecordBatch.from_arrays(arrays, [c.name for c in columns])
    with postgres.connect() as db:
        declared = ", ".join(f"c{i} {name}" for i, name in enumerate(values))
        db.execute(f"CREATE TABLE sink_types (id int PRIMARY KEY, {declared})")
        target = SINK.target(spec(postgres, tuple(columns), table="sink_types"))
        target.deliver(1, lambda: iter([SinkBatch(1, batch)]))
        target.close()
        for i, (name, (_, texts)) in enumerate(values.items()):
            wanted = [db.execute(f"SELECT %s::{name}::text", (text,)).fetchone()[0] for text in texts]  # type: ignore[index]
            found = [row[0] for row in db.execute(f"SELECT c{i}::text FROM sink_types ORDER BY id")]
            assert found == wanted, name


def test_what_is_wrong_with_the_target(postgres: Postgres) -> None:
    with postgres.connect() as db:
        db.execute("CREATE TABLE sink_bare (k bigint, v text)")
    for options, code in [
        ({"table": "nowhere"}, "42P01"),
        ({"table": "pg_class"}, "42703"),
        ({"table": "sink_bare"}, "42P10"),
        ({"table": "sink_bare", "port": "1"}, "08006"),
    ]:
        with pytest.raises(PgError) as caught:
            SINK.target(spec(postgres, **options))
        assert caught.value.sqlstate == code, options


def test_refusals(postgres: Postgres) -> None:
    for options, text in [
        ({"table": "t", "mode": "append", "primary_key": "k"}, "is for mode"),
        ({"table": "t", "primary_key": "w"}, 'column "w"'),
        ({}, 'needs option "table"'),
        ({"table": "t", "mode": "replace"}, "invalid value"),
    ]:
        with pytest.raises(PgError, match=text) as caught:
            SINK.check(spec(postgres, **options))
        assert caught.value.sqlstate == "22023"
