"""The runner of SQL test files can fail: a wrong value, type, order, error or count is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.postgres import Postgres
from tests.harness.sqllogic import Failed, Protocol, Runner, parse

GOOD = """# good
statement ok
CREATE TABLE t (a int, b text)

copy ok
COPY t FROM STDIN (FORMAT csv)
----
2,x
1,

query int4 text
SELECT a, b FROM t ORDER BY a
----
1	NULL
2	x

query IT rowsort
SELECT a, b FROM t ORDER BY a DESC
----
1	NULL
2	x

query int4 text
SELECT a, b FROM t ORDER BY a
----
1
NULL
2
x

query text
SELECT E'a\\tb\\nc' UNION ALL SELECT ''
----
a\\tb\\nc
(empty)

query int4
SELECT a FROM t WHERE false
----

statement error 22012 division by zero
SELECT 1 / 0

statement error 42703 @8 column "zz" does not exist
SELECT zz FROM t

copy error 22P02 invalid input syntax
COPY t FROM STDIN
----
x	y

skipif postgres
statement ok
THIS IS NO SQL

onlyif laminar
statement ok
NOR IS THIS

statement ok
BEGIN

statement ok
INSERT INTO t VALUES (3)

connection two
query int8
SELECT count(*) FROM t
----
2

connection
statement ok
COMMIT
"""


@pytest.fixture(params=["simple", "extended"])
def protocol(request: pytest.FixtureRequest) -> Protocol:
    return request.param


def run(text: str, tmp_path: Path, postgres: Postgres, protocol: Protocol) -> None:
    path = tmp_path / "case.test"
    path.write_text(text)
    Runner(postgres.dsn, protocol, "postgres").run_file(parse(path))


def test_a_good_file_passes(tmp_path: Path, postgres: Postgres, protocol: Protocol) -> None:
    run(GOOD, tmp_path, postgres, protocol)
    run(GOOD, tmp_path, postgres, protocol)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("query int4\nSELECT 1\n----\n2\n", "expected\n2\ngot\n1"),
        ("query int8\nSELECT 1\n----\n1\n", "types are int4, not int8"),
        ("query T\nSELECT 1\n----\n1\n", "types are int4, not T"),
        ("query int4\nSELECT 1\n----\n1\n1\n", "expected"),
        ("query int4\nSELECT 1 WHERE false\n----\n1\n", "expected"),
        ("query int4\nVALUES (2), (1)\n----\n1\n2\n", "expected"),
        ("query text\nSELECT ''\n----\nNULL\n", "expected"),
        ("query int4\nSELECT 1 / 0\n----\n1\n", "failed with 22012"),
        ("statement ok\nSELECT 1 / 0\n", "failed with 22012"),
        ("statement error\nSELECT 1\n", "succeeded"),
        ("statement error 22003\nSELECT 1 / 0\n", "SQLSTATE is 22012"),
        ("statement error 22012 overflow\nSELECT 1 / 0\n", "message is"),
        ("statement error 42703 @1\nSELECT zz\n", "position is 8"),
    ],
)
def test_what_is_wrong_fails(
    text: str, complaint: str, tmp_path: Path, postgres: Postgres, protocol: Protocol
) -> None:
    with pytest.raises(Failed, match=complaint):
        run(text, tmp_path, postgres, protocol)


BROKEN = ["SELECT 1\n", "statement\nSELECT 1\n", "statement maybe\nSELECT 1\n", "query int4\n"]


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_no_record_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "case.test"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"case\.test:1"):
        parse(path)


def test_writing_back_keeps_the_text(tmp_path: Path) -> None:
    path = tmp_path / "case.test"
    path.write_text(GOOD)
    assert parse(path).render() == GOOD
