"""Functions of the session, and those that stand for syntax PostgreSQL has no function for."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from laminar.errors import PgError
from laminar.sql import evaluator, facts, resolve
from laminar.sql.evaluator import Env
from laminar.sql.plan import Call, ColumnRef, Const, Expr
from laminar.types import DATE, INT4, TIME, TIMESTAMP, PgType
from tests.harness.postgres import Postgres

#: 2024-02-29 23:30:00 UTC
NOW = 1_709_249_400_000_000
ENV = Env(
    now=NOW, user="alice", session_user="bob", database="d", search_path=("s", "public"), backend_pid=42
)
ARRAYS = [[1, 2, 3], [], None, [None, 5]]


def call(oid: int, result: PgType, *args: Expr) -> Call:
    return Call(resolve.as_function(facts.function(oid)), args, result)


def run(expr: Expr, rows: int = 1, env: Env = ENV) -> list[Any]:
    batch = pa.record_batch([pa.array((ARRAYS * rows)[:rows], pa.list_(pa.int32()))], names=["a"])
    found: list[Any] = evaluator.compile([expr], [1])(batch, env)[0].to_pylist()
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [("current_user", "alice"), ("session_user", "bob"), ("current_database", "d"), ("pg_backend_pid", 42)],
)
def test_session(name: str, expected: object) -> None:
    assert run(resolve.make_call(name, None, []), 2) == [expected, expected]


def test_current_schemas() -> None:
    schemas = resolve.make_call("current_schemas", None, [Const(True, PgType(16))])
    assert run(schemas) == [["pg_catalog", "s", "public"]]


def test_now_is_the_environments() -> None:
    (now,) = run(resolve.make_call("now", None, []))
    assert int(now.timestamp()) * 1_000_000 == NOW


def test_local_time_follows_the_zone() -> None:
    from laminar._native.textio import FormatSettings, format_text

    env = Env(now=NOW, timezone="Asia/Tokyo", settings=FormatSettings(timezone="Asia/Tokyo"))
    batch = pa.record_batch([pa.array([0])], names=["x"])
    shown = []
    for oid, type_ in ((10002, PgType(DATE)), (10003, PgType(TIMESTAMP)), (10004, PgType(TIME))):
        (column,) = evaluator.compile([call(oid, type_)], [1])(batch, env)
        shown.append(format_text(column, type_)[0].as_py())
    assert shown == ["2024-03-01", "2024-03-01 08:30:00", "08:30:00"]


def test_random_values_differ_by_row() -> None:
    assert len(set(run(resolve.make_call("random", None, []), 4))) == 4
    uuids = run(resolve.make_call("gen_random_uuid", None, []), 4)
    assert len(set(uuids)) == 4 and all(u[6] >> 4 == 4 and u[8] >> 6 == 2 for u in uuids)


def test_elements_and_slices_as_postgresql(postgres: Postgres) -> None:
    array = ColumnRef(1, PgType(1007))
    with postgres.connect() as connection:
        for low in range(-1, 5):
            for high in range(-1, 5):
                expected = connection.execute(
                    "select a[%s], a[%s:%s] from unnest(array['{1,2,3}', '{}', null, '{NULL,5}']) with "
                    "ordinality t(v, n),"
                    " lateral (select v::int[]) _(a) order by n",
                    [low, low, high],
                ).fetchall()
                i, j = (Const(v, PgType(INT4)) for v in (low, high))
                got = zip(
                    run(call(10006, PgType(INT4), array, i), 4),
                    run(call(10007, PgType(1007), array, i, j), 4),
                    strict=True,
                )
                assert list(got) == expected, (low, high)


def test_relation_names_need_a_catalog() -> None:
    name = Const("t", PgType(25))
    with pytest.raises(PgError) as caught:
        run(resolve.make_call("to_regclass", None, [name]))
    assert caught.value.sqlstate == "0A000"
