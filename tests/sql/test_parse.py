# ruff: noqa: E501
"""The grammar against PostgreSQL's answers (data/syntax.json, recorded by data/record.py), and Laminar's own."""

import json
from pathlib import Path

import pytest

from laminar.errors import PgError
from laminar.sql import statements as s
from laminar.sql.parse import parse, split, split_offsets

RECORDED = json.loads((Path(__file__).parent / "data" / "syntax.json").read_text())
#: Laminar means something by these that PostgreSQL doesn't know
OURS = {"DESCRIBE"}
#: keywords that are operators too are no labels without AS here
KNOWN_GAPS = {"SELECT a AND FROM t"}


def cases():
    for sql, expected in RECORDED:
        if sql not in OURS:
            marks = [pytest.mark.xfail(strict=True)] if sql in KNOWN_GAPS else []
            yield pytest.param(sql, expected, id=sql, marks=marks)


@pytest.mark.parametrize(("sql", "expected"), list(cases()))
def test_syntax_as_postgresql(sql, expected):
    """Rejected with the same SQLSTATE, position and message; accepted where it accepts."""
    try:
        parse(sql)
    except PgError as error:
        got = [error.sqlstate, error.position, error.message]
        assert got[0] == "0A000" or got == expected
    else:
        assert expected is None


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        (
            "CREATE SOURCE s (a int, ts timestamptz, b int AS (a + 1), PRIMARY KEY (a), WATERMARK FOR ts AS ts - INTERVAL '5 s', "
            "INCLUDE offset AS o) WITH (connector = 'kafka', scan.startup.mode = 'earliest') FORMAT DEBEZIUM ENCODE JSON",
            s.CreateSource,
        ),
        ("CREATE SOURCE s FROM KAFKA (topic = 'x') FORMAT JSON", s.CreateSource),
        ("CREATE TABLE t (a int PRIMARY KEY) APPEND ONLY ON CONFLICT DO UPDATE IF NOT NULL", s.CreateTable),
        ("CREATE STREAM x AS SELECT 1 EMIT CHANGES", s.CreateStream),
        ("CREATE SINK k FROM v WITH (connector = 'blackhole')", s.CreateSink),
        ("CREATE SINK k INTO t FROM v", s.CreateSink),
        (
            "CREATE SINK k AS SELECT a FROM t EMIT ON UPDATE WITH (connector = 'file') FORMAT PLAIN ENCODE CSV",
            s.CreateSink,
        ),
        (
            "CREATE LOOKUP TABLE d (k bigint, PRIMARY KEY (k)) WITH (connector = 'redis', cache.ttl = '1s')",
            s.CreateLookupTable,
        ),
        ("SUBSCRIBE TO v WITH (snapshot = false) AS OF EPOCH 12 WHERE a > 1", s.Subscribe),
        ("SUBSCRIBE (SELECT 1)", s.Subscribe),
        ("COPY (SUBSCRIBE v) TO STDOUT WITH (FORMAT csv)", s.Copy),
        ("DECLARE c CURSOR FOR SUBSCRIBE v", s.Declare),
        ("FETCH 100 FROM c WITH (timeout = '1s')", s.Fetch),
        ("ALTER MATERIALIZED VIEW v PAUSE", s.Alter),
        ("EXPLAIN CREATE MATERIALIZED VIEW v AS SELECT 1", s.Explain),
        ("SHOW CREATE MATERIALIZED VIEW v", s.ShowCreate),
        ("SHOW SOURCES", s.Show),
        ("FLUSH", s.Flush),
        ("DESCRIBE v", s.Describe),
        ("SELECT emit, watermark, source FROM sink emit", s.Query),
        ("SELECT a FROM x ASOF LEFT JOIN y MATCH_CONDITION (x.t >= y.t) ON x.k = y.k", s.Query),
        ("SELECT a FROM x JOIN y FOR SYSTEM_TIME AS OF PROCTIME() ON x.k = y.k", s.Query),
        (
            "SELECT a FROM x TEMPORAL PROBE JOIN y ON (k) TIMESTAMPS (x.t, y.t) RANGE FROM 0s TO 30s STEP 5s AS p",
            s.Query,
        ),
        (
            "SELECT * FROM HOP((SELECT 1), ts, INTERVAL '1 s', INTERVAL '2 s') w, SESSION(t, ts, INTERVAL '1 s' PARTITION BY k)",
            s.Query,
        ),
    ],
)
def test_streaming_statements(sql, kind):
    assert isinstance(parse(sql), kind)


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("", None),
        ("EMIT ON UPDATE", "update"),
        ("EMIT CHANGES", "update"),
        ("EMIT AFTER WATERMARK", "watermark"),
        ("EMIT ON WATERMARK", "watermark"),
        ("EMIT ON WINDOW CLOSE", "close"),
        ("EMIT FINAL", "final"),
        ("EMIT EVERY INTERVAL '5 seconds'", "every"),
        ("EMIT PERIODICALLY INTERVAL '5 seconds'", "every"),
    ],
)
def test_emit(text, mode):
    sql = f"CREATE MATERIALIZED VIEW v AS SELECT a FROM t {text} ALLOW LATENESS INTERVAL '1 minute' LATE DATA TO l"
    view = parse(sql)
    assert view.emit.mode == mode
    assert view.query_text == "SELECT a FROM t"
    assert view.emit.late_table.name == "l"
    assert not mode or sql[view.emit.pos - 1 :].startswith("EMIT")


@pytest.mark.parametrize(
    ("sql", "position"),
    [
        ("CREATE MATERIALIZED VIEW v AS SELECT 1 EMIT ON", 47),
        ("CREATE MATERIALIZED VIEW v AS SELECT 1 EMIT ON UPDATE EMIT FINAL", 55),
        ("CREATE SOURCE s (WATERMARK ts,)", 31),
        ("SUBSCRIBE", 10),
        ("SELECT 30s", 8),
    ],
)
def test_streaming_syntax_errors(sql, position):
    with pytest.raises(PgError) as caught:
        parse(sql)
    assert (caught.value.sqlstate, caught.value.position) == ("42601", position)


def test_literal_rows_take_the_fast_path_and_agree_with_the_parser():
    sql = "INSERT INTO s.t (a, \"B\") VALUES (1, 'it''s'), (-2.5e3 , NULL),\n(3,true) ON CONFLICT DO NOTHING RETURNING a;"
    insert = parse(sql)
    assert insert.source.columns == [("1", "-2.5e3", "3"), ("'it''s'", "NULL", "true")]
    assert insert.columns == [("a", 18), ("B", 21)]
    assert insert.on_conflict.action == "nothing"
    assert len(insert.returning) == 1


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (1), (1 + 1)",
        "INSERT INTO t VALUES (1), (DEFAULT)",
        "INSERT INTO t VALUES (1, 2), (3)",
        "INSERT INTO t VALUES (E'\\n')",
        "INSERT INTO t VALUES ('a'\n'b')",
        "INSERT INTO t VALUES (1)/* c */, (2)",
        "INSERT INTO t VALUES ('a' 'b')",
        "INSERT INTO t VALUES (1a)",
        "INSERT INTO t VALUES (1),",
        "INSERT INTO select VALUES (1)",
        "INSERT INTO t VALUES (- 1)",
    ],
)
def test_what_is_no_plain_literal_takes_the_parser(sql):
    try:
        insert = parse(sql)
    except PgError as error:
        assert error.sqlstate == "42601"
    else:
        assert not isinstance(insert.source, s.LiteralRows)


def test_split():
    script = "select 1; select ';' ; -- a;b\n select $$;$$;; /* ; */ select \"a;b\"; "
    assert split(script) == ["select 1", "select ';' ", "select $$;$$", 'select "a;b"']
    for offset, text in split_offsets(script):
        assert script[offset : offset + len(text)] == text
    assert split(" ;; -- nothing\n") == []
    with pytest.raises(PgError, match="unterminated"):
        split("select 1; select 'a")


def test_deep_nesting_is_an_error_not_a_crash():
    with pytest.raises(PgError) as caught:
        parse("SELECT " + "(" * 5000 + "1" + ")" * 5000)
    assert caught.value.sqlstate == "54001"
