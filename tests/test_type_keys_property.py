"""Every type as a key: groups, joins, sets and partitions by it, with two reactors, against PostgreSQL.

Values are few and often equal without being the same (1.0 and 1.00, 1 month and 30 days, empty ranges), so
that keys meet whose storage differs. Changes are random and seeded.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.harness.postgres import Postgres
from tests.harness.server import LaminarServer
from tests.test_views_property import apply, content

TYPES = [
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')",
    "CREATE TYPE pair AS (a numeric, b text, m mood)",
    "CREATE DOMAIN few AS numeric CHECK (VALUE < 100)",
]
#: type -> values as literals
VALUES = {
    "mood": ["sad", "ok", "happy"],
    "mood[]": ["{sad,ok}", "{sad}", "{}", "{happy,NULL}"],
    "pair": ["(1,x,ok)", "(1.0,x,ok)", "(,,)", "(1.00,,sad)", "(2,x,)"],
    "pair[]": ['{"(1,x,ok)"}', '{"(1.0,x,ok)",NULL}', '{"(1.000,x,ok)",NULL}', "{}"],
    "few": ["1", "1.0", "-0.0", "0", "7"],
    "int4range": ["[1,5)", "(0,4]", "empty", "[3,3)", "(,)", "[2,)"],
    "int8range": ["[1,5)", "(0,4]", "empty", "(,9223372036854775806]"],
    "numrange": ["[1,5)", "[1.0,5.00)", "empty", "(1,1)", "(,3]", "[1,5]"],
    "tsrange": [
        "[2026-01-01,2026-01-02)",
        "[2026-01-01 00:00,2026-01-02 00:00)",
        "empty",
        "(,infinity]",
        "(,)",
    ],
    "tstzrange": ["[2026-01-01 00:00+00,)", "[2026-01-01 02:00+02,)", "empty"],
    "daterange": ["[2026-01-01,2026-01-05]", "[2026-01-01,2026-01-06)", "empty", "(,infinity)"],
    "int4range[]": ['{"[1,5)",empty}', '{"(0,4]",empty}', "{}", "{NULL}"],
    "numeric": ["1", "1.0", "1.000", "NaN", "0", "-0.00", "Infinity"],
    "char(5)": ["a", "a  ", "", "b"],
    "interval": ["1 month", "30 days", "720 hours", "-1 day", "-24 hours"],
    "float8": ["0", "-0", "NaN", "1.5", "Infinity"],
    "jsonb": ['{"a":1,"b":2}', '{"b":2,"a":1.0}', '{"a":1.00,"b":2}', "[1,2]", "[1.0,2]", "null"],
    "timestamptz": ["2026-01-01 00:00+00", "2026-01-01 01:00+01", "infinity"],
    "numeric[]": ["{1,2}", "{1.0,2.00}", "{NULL}", "{}"],
    "bytea": ["\\x00", "\\x", "\\x0001"],
    "uuid": ["00000000-0000-0000-0000-000000000001", "{00000000000000000000000000000001}"],
    "time": ["00:00", "24:00", "12:30:00.5"],
    "oid": ["0", "4294967295", "17"],
}
VIEWS = {
    "grouped": "SELECT count(*) AS n, sum(id) AS s, min(id) AS low FROM t GROUP BY {k}",
    "joined": "SELECT x.id AS a, y.id AS b FROM t x JOIN u y ON x.{k} = y.{k}",
    "padded": "SELECT x.id AS a, y.id AS b FROM t x LEFT JOIN u y ON x.{k} = y.{k}",
    "null_safe": "SELECT x.id AS a, y.id AS b FROM t x JOIN u y ON x.{k} IS NOT DISTINCT FROM y.{k}",
    "distinct": "SELECT count(*) AS n FROM (SELECT DISTINCT {k} FROM t) d",
    "counted": "SELECT count(DISTINCT {k}) AS n FROM t",
    "without": "SELECT count(*) AS n FROM (SELECT {k} FROM t EXCEPT SELECT {k} FROM u) d",
    "both": "SELECT count(*) AS n FROM (SELECT {k} FROM t INTERSECT ALL SELECT {k} FROM u) d",
    "within": "SELECT id FROM t WHERE {k} IN (SELECT {k} FROM u)",
    "outside": "SELECT id FROM t WHERE {k} NOT IN (SELECT {k} FROM u WHERE {k} IS NOT NULL)",
    "ranked": "SELECT id, dense_rank() OVER (ORDER BY {k}) AS r FROM t",
    "parts": "SELECT id, row_number() OVER (PARTITION BY {k} ORDER BY id) AS r FROM t",
    "first": "SELECT id FROM t ORDER BY {k} DESC, id LIMIT 2",
}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Any:
    server = LaminarServer(tmp_path_factory.mktemp("keys"), "--reactors", "2").start()
    yield server
    server.kill()


def views_of(r: random.Random) -> dict[tuple[str, str], str]:
    """Every type in two kinds of views."""
    chosen = {}
    for i, _ in enumerate(VALUES):
        for kind in r.sample(sorted(VIEWS), 2):
            chosen[f"k{i}", kind] = VIEWS[kind].format(k=f"k{i}")
    return chosen


def statement(r: random.Random) -> str:
    table, key = r.choice("tu"), r.randint(1, 10)
    names = [f"k{i}" for i in range(len(VALUES))]
    drawn = ["NULL" if r.random() < 0.15 else "'" + r.choice(v) + "'" for v in VALUES.values()]
    match r.random():
        case x if x < 0.65:
            return f"INSERT INTO {table} VALUES ({key}, {', '.join(drawn)}) ON CONFLICT DO NOTHING"
        case x if x < 0.8:
            sets = ", ".join(f"{n} = {d}" for n, d in zip(names, drawn, strict=True) if r.random() < 0.3)
            return f"UPDATE {table} SET {sets or 'k0 = k0'} WHERE id % 3 = {key % 3}"
        case x if x < 0.97:
            return f"DELETE FROM {table} WHERE id = {key}"
        case _:
            return f"DELETE FROM {table}"


@pytest.mark.parametrize("seed", range(1))
def test_types_as_keys(seed: int, postgres: Postgres, two: LaminarServer) -> None:
    r = random.Random(seed)
    queries, log = views_of(r), []
    columns = ", ".join(f"k{i} {type_}" for i, type_ in enumerate(VALUES))
    with postgres.connect() as pg, two.connect() as own:
        for connection in (pg, own):
            connection.execute("DROP SCHEMA IF EXISTS keys CASCADE")
            connection.execute("CREATE SCHEMA keys")
            connection.execute("SET search_path = keys")
            for sql in (*TYPES, *(f"CREATE TABLE {t} (id int PRIMARY KEY, {columns})" for t in "tu")):
                connection.execute(sql)
        for step in range(6):
            if step == 0:
                for (key, kind), query in queries.items():
                    own.execute(f"CREATE MATERIALIZED VIEW {key}_{kind} AS {query}")
            for sql in [statement(r) for _ in range(6)]:
                log.append(sql)
                assert apply(own, sql) == apply(pg, sql), log[-4:]
            for (key, kind), query in queries.items():
                got, expected = content(own, f"SELECT * FROM {key}_{kind}"), content(pg, query)
                type_ = list(VALUES)[int(key[1:])]
                assert got == expected, (type_, query, got - expected, expected - got, log)
        own.execute("DROP SCHEMA keys CASCADE")
