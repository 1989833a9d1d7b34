"""Ad-hoc queries against PostgreSQL, on tables with nulls, duplicates and extremes."""

# ruff: noqa: E501 - a query per line

from __future__ import annotations

from collections.abc import Iterator

import pytest

from laminar.sql.adhoc import smalljoin
from tests.harness.postgres import Postgres
from tests.sql.adhoc_database import Database

TABLES = """
CREATE TABLE a (i int, b bigint, s smallint, f float8, n numeric(12,2), u numeric, t text, d date,
                ts timestamp, v interval, o boolean, r float4);
INSERT INTO a SELECT
    CASE WHEN k % 11 = 0 THEN NULL ELSE (k * 7919) % 13 - 5 END,
    CASE k % 17 WHEN 0 THEN NULL WHEN 1 THEN 9223372036854775807 WHEN 2 THEN -9223372036854775808 ELSE k % 5 END,
    CASE WHEN k % 7 = 0 THEN NULL ELSE k % 4 END,
    CASE k % 13 WHEN 0 THEN NULL WHEN 1 THEN 'NaN' WHEN 2 THEN '-0' WHEN 3 THEN 0 WHEN 4 THEN 'Infinity'
        ELSE (k % 9) * 1.25::float8 END,
    CASE k % 9 WHEN 0 THEN NULL ELSE (k * 31 % 1000) / 7.0 END,
    CASE k % 8 WHEN 0 THEN NULL WHEN 1 THEN 1.0 WHEN 2 THEN 1.00 WHEN 3 THEN 12345678901234567890.123456789
        ELSE (k % 6)::numeric / 3 END,
    CASE k % 10 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'Z' WHEN 3 THEN 'é' ELSE 'w' || k % 4 END,
    CASE k % 6 WHEN 0 THEN NULL WHEN 1 THEN 'infinity' ELSE DATE '2024-02-27' + k % 5 END,
    CASE k % 12 WHEN 0 THEN NULL WHEN 1 THEN '-infinity' ELSE TIMESTAMP '2024-01-01' + k % 9 * interval '7 hours' END,
    CASE k % 5 WHEN 0 THEN NULL WHEN 1 THEN interval '1 month' WHEN 2 THEN interval '30 days'
        ELSE k % 3 * interval '1 day 2 hours' END,
    CASE k % 3 WHEN 0 THEN NULL WHEN 1 THEN true ELSE false END,
    CASE k % 7 WHEN 0 THEN NULL ELSE (k % 5) * 0.1 END
FROM generate_series(1, 200) k;
CREATE TABLE b (i int, b bigint, n numeric(14,3), u numeric, f float8, t varchar(5), d date, w text);
INSERT INTO b SELECT
    CASE WHEN k % 6 = 0 THEN NULL ELSE k % 9 - 3 END, CASE WHEN k % 5 = 0 THEN NULL ELSE k % 4 END,
    (k % 7) * 1.5, CASE WHEN k % 4 = 0 THEN NULL ELSE (k % 5) / 2.0 END, CASE WHEN k % 4 = 0 THEN 'NaN' ELSE (k % 3)::float8 END,
    CASE WHEN k % 5 = 0 THEN NULL ELSE 'w' || k % 6 END, DATE '2024-02-26' + k % 6, repeat('x', k % 3)
FROM generate_series(1, 40) k;
CREATE TABLE e (i int, t text);
"""


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> Iterator[Database]:
    with postgres.connect() as connection:
        connection.execute("CREATE SCHEMA adhoc; SET search_path = adhoc")
        connection.execute(TABLES)
        made = Database(connection)
        for name in ("a", "b", "e"):
            made.mirror(name)
        yield made
        connection.execute("DROP SCHEMA adhoc CASCADE")


SIMPLE = """
SELECT 1
SELECT
VALUES (1, 'a'), (2, NULL), (NULL, 'c')
SELECT * FROM a
SELECT i + 1, t FROM a WHERE i > 2 AND t <> 'Z'
SELECT count(*) FROM a
SELECT FROM e
SELECT 1 FROM a WHERE false
SELECT i, 10 / i FROM a WHERE i <> 0
SELECT 10 / i FROM a
SELECT CASE WHEN i <> 0 THEN 10 / i END FROM a
SELECT * FROM a ORDER BY i, b DESC, s NULLS FIRST, f, n, u, t, d, ts, v, o, r LIMIT 20 OFFSET 3 -- ordered
SELECT f FROM a ORDER BY f DESC -- ordered
SELECT v FROM a ORDER BY extract(epoch FROM v) NULLS FIRST, v -- ordered
SELECT t FROM a ORDER BY t NULLS FIRST -- ordered
SELECT u FROM a WHERE u IS NOT NULL ORDER BY u DESC, u::text LIMIT 30 -- ordered
SELECT i FROM a ORDER BY i FETCH FIRST 3 ROWS WITH TIES -- ordered
SELECT i FROM a ORDER BY i LIMIT 0 -- ordered
SELECT i FROM a ORDER BY i LIMIT -1
SELECT i FROM a ORDER BY i LIMIT NULL OFFSET 190 -- ordered
SELECT DISTINCT i FROM a
SELECT DISTINCT i, b, o FROM a
SELECT DISTINCT f FROM a
SELECT count(*) FROM (SELECT DISTINCT u FROM a) x
SELECT count(*) FROM (SELECT DISTINCT v FROM a) x
SELECT DISTINCT ON (i) i, b, s FROM a ORDER BY i, b, s -- ordered
"""

JOINS = """
SELECT a.i, a.t, b.t FROM a JOIN b ON a.i = b.i
SELECT a.i, b.b FROM a LEFT JOIN b ON a.b = b.b AND a.i < b.i
SELECT a.i, b.i FROM a RIGHT JOIN b ON a.i = b.i AND a.s = 2
SELECT a.i, b.i FROM a FULL JOIN b ON a.i = b.i
SELECT a.i, b.i FROM a FULL JOIN b ON a.i = b.i AND a.t = b.t
SELECT count(*) FROM a CROSS JOIN b
SELECT count(*) FROM a, b, e
SELECT a.f, b.f FROM a JOIN b ON a.f = b.f
SELECT a.u, b.u FROM a JOIN b ON a.u = b.u
SELECT a.n, b.n FROM a JOIN b ON a.n = b.n
SELECT a.i, b.b FROM a JOIN b ON a.i = b.b
SELECT a.s, b.b FROM a JOIN b ON a.s + 1 = b.b - 1
SELECT a.t, b.t FROM a JOIN b ON a.t = b.t
SELECT a.d, b.d FROM a LEFT JOIN b USING (d)
SELECT * FROM b NATURAL JOIN e
SELECT a.i, b.i FROM a JOIN b ON a.i < b.i WHERE a.s = 1
SELECT a.i, b.i FROM a JOIN b ON a.i IS NOT DISTINCT FROM b.i
SELECT count(*) FROM a x JOIN a y ON x.i = y.i AND x.b < y.b JOIN b ON b.i = y.s
SELECT x.v FROM a x JOIN a y ON x.v = y.v WHERE x.i = 1
SELECT a.i, 1 / b.i FROM a LEFT JOIN b ON a.i = b.i AND b.i <> 0
SELECT a.i FROM a JOIN b ON a.i = b.i AND 1 / b.i > 0
"""

AGGREGATES = """
SELECT i, count(*), count(b), sum(i), sum(s), min(t), max(t) FROM a GROUP BY i
SELECT sum(b), avg(b), min(b), max(b) FROM a WHERE b < 9223372036854775807 AND b > -9223372036854775808
SELECT sum(b), avg(b) FROM a
SELECT t, sum(n), avg(n), min(n), max(n) FROM a GROUP BY t
SELECT t, sum(u), avg(u) FROM a GROUP BY t
SELECT o, min(u), max(u) FROM a WHERE u > 2 GROUP BY o
SELECT o, sum(f), avg(f), min(f), max(f) FROM a GROUP BY o
SELECT o, sum(f), avg(f), stddev(f), variance(f), var_pop(f), stddev_pop(f) FROM a WHERE f < 100 GROUP BY o
SELECT o, sum(r), avg(r), max(r) FROM a GROUP BY o
SELECT s, min(d), max(d), min(ts), max(ts), count(DISTINCT d) FROM a GROUP BY s
SELECT o, sum(v), avg(v), min(v), max(v) FROM a GROUP BY o
SELECT bool_and(o), bool_or(o), every(o) FROM a GROUP BY i
SELECT s, bit_and(i), bit_or(i), bit_xor(s) FROM a GROUP BY s
SELECT count(*), sum(i), avg(i), min(t) FROM e
SELECT i, count(*) FROM e GROUP BY i
SELECT count(DISTINCT i), count(DISTINCT f), sum(DISTINCT s), count(DISTINCT u) FROM a
SELECT o, count(*) FILTER (WHERE i > 0), sum(i) FILTER (WHERE t = 'Z') FROM a GROUP BY o
SELECT string_agg(t, ',' ORDER BY t, i), array_agg(s ORDER BY s NULLS FIRST) FROM a GROUP BY o
SELECT string_agg(DISTINCT t, '-' ORDER BY t DESC) FROM a
SELECT array_agg(DISTINCT i) FROM a
SELECT array_agg(i) FROM e
SELECT s, avg(i), avg(s), stddev(i), variance(b % 100) FROM a GROUP BY s
SELECT s, stddev_samp(n), var_pop(n), stddev_pop(u) FROM a WHERE u < 100 GROUP BY s
SELECT i, count(*) FROM a GROUP BY i HAVING count(*) > 14
SELECT i % 3, count(*), max(i % 3) FROM a GROUP BY i % 3 ORDER BY 1 -- ordered
SELECT f, count(*) FROM a GROUP BY f
SELECT count(*) FROM a GROUP BY v
SELECT count(*), sum(s) FROM a GROUP BY u
SELECT i, o, count(*), grouping(i, o) FROM a GROUP BY ROLLUP (i, o)
SELECT i, o, count(*), grouping(i), grouping(o) FROM a GROUP BY CUBE (i, o)
SELECT i, o, sum(s) FROM a GROUP BY GROUPING SETS ((i), (o), ())
SELECT i, sum(s) FROM e GROUP BY GROUPING SETS ((i), ())
SELECT corr(f, i), covar_pop(f, i), covar_samp(f, i), regr_slope(f, i), regr_intercept(f, i), regr_r2(f, i) FROM a WHERE f < 100
SELECT regr_count(f, i), regr_avgx(f, i), regr_avgy(f, i), regr_sxx(f, i), regr_syy(f, i), regr_sxy(f, i) FROM a WHERE f < 100
SELECT s, percentile_cont(0.3) WITHIN GROUP (ORDER BY f), percentile_disc(0.5) WITHIN GROUP (ORDER BY t) FROM a WHERE f < 9 GROUP BY s
SELECT o, mode() WITHIN GROUP (ORDER BY i) FROM a GROUP BY o
SELECT percentile_disc(1.5) WITHIN GROUP (ORDER BY i) FROM a
SELECT max(i) + sum(s), o FROM a GROUP BY o
SELECT sum(b + 9223372036854775806) FROM a WHERE b = 4
"""

SETS = """
SELECT i FROM a UNION SELECT i FROM b
SELECT i FROM a UNION ALL SELECT b FROM b
SELECT i, o FROM a INTERSECT SELECT i, i > 0 FROM b
SELECT i FROM a INTERSECT ALL SELECT i FROM b
SELECT i FROM a EXCEPT SELECT i FROM b
SELECT i FROM a EXCEPT ALL SELECT i FROM b
SELECT f FROM a EXCEPT SELECT f FROM b
SELECT count(*) FROM (SELECT u FROM a UNION SELECT u FROM b) x
SELECT i FROM a UNION SELECT i FROM b ORDER BY i DESC NULLS LAST LIMIT 4 -- ordered
(SELECT i FROM a ORDER BY i LIMIT 2) UNION ALL SELECT i FROM e
"""

WINDOWS = """
SELECT i, row_number() OVER (ORDER BY i, b, s, f, n, t), rank() OVER (ORDER BY i), dense_rank() OVER (ORDER BY i) FROM a
SELECT i, s, percent_rank() OVER (PARTITION BY s ORDER BY i), cume_dist() OVER (PARTITION BY s ORDER BY i) FROM a
SELECT i, sum(i) OVER (PARTITION BY s ORDER BY i), count(*) OVER (PARTITION BY s), min(i) OVER (ORDER BY s) FROM a
SELECT i, avg(i) OVER (PARTITION BY s ORDER BY i ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM a
SELECT f, sum(f) OVER (PARTITION BY o ORDER BY i RANGE BETWEEN 2 PRECEDING AND 1 FOLLOWING) FROM a WHERE f < 100
SELECT d, count(*) OVER (ORDER BY d RANGE BETWEEN interval '1 day' PRECEDING AND CURRENT ROW) FROM a
SELECT ts, count(*) OVER (ORDER BY ts DESC RANGE BETWEEN interval '7 hours' PRECEDING AND interval '14 hours' FOLLOWING) FROM a
SELECT n, count(*) OVER (ORDER BY n RANGE BETWEEN 10.5 PRECEDING AND 3 FOLLOWING) FROM a
SELECT f, count(*) OVER (ORDER BY f RANGE BETWEEN 1.5 PRECEDING AND 1 FOLLOWING) FROM a
SELECT i, count(*) OVER (ORDER BY i GROUPS BETWEEN 1 PRECEDING AND 2 FOLLOWING EXCLUDE TIES) FROM a
SELECT i, sum(s) OVER (ORDER BY i RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE GROUP) FROM a
SELECT i, first_value(i) OVER w, last_value(i) OVER w, nth_value(i, 2) OVER w FROM a WINDOW w AS (PARTITION BY s ORDER BY i)
SELECT i, s, lag(i) OVER w, lead(i, 2) OVER w, lag(i, 1, -100) OVER w FROM b x(i, s) WINDOW w AS (PARTITION BY s ORDER BY i)
SELECT i, ntile(4) OVER (ORDER BY i) FROM a
SELECT i, ntile(0) OVER (ORDER BY i) FROM a
SELECT o, sum(count(*)) OVER (ORDER BY o) FROM a GROUP BY o
SELECT i, count(*) FILTER (WHERE s = 1) OVER (PARTITION BY o ORDER BY i) FROM a
SELECT s, string_agg(t, ',') OVER (PARTITION BY s, t) FROM a
SELECT u, sum(n) OVER (PARTITION BY o ORDER BY n) FROM a
SELECT row_number() OVER () > 0 FROM a
"""

SETS_OF_ROWS = """
SELECT * FROM generate_series(1, 5)
SELECT * FROM generate_series(5, 1, -2) x
SELECT * FROM generate_series(1, 0)
SELECT * FROM generate_series(1, 5, 0)
SELECT * FROM generate_series(timestamp '2024-01-31', timestamp '2024-06-01', interval '1 month') n
SELECT * FROM generate_series(date '2024-01-31', date '2024-02-03', interval '12 hours') n
SELECT * FROM unnest(array[1, 2, NULL]) WITH ORDINALITY x(v, n)
SELECT generate_series(1, 3), generate_series(1, 2)
SELECT i, generate_series(1, i) FROM b
SELECT * FROM b, generate_series(1, 2) g WHERE g = b.i
SELECT unnest(array_agg(i ORDER BY i)) FROM b
SELECT sum(x) FROM generate_series(1, 100000) x
"""

SUBQUERIES = """
SELECT i FROM a WHERE i IN (SELECT i FROM b)
SELECT i FROM a WHERE i NOT IN (SELECT i FROM b WHERE i IS NOT NULL)
SELECT i FROM a WHERE i NOT IN (SELECT i FROM b)
SELECT i FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.i = a.i AND b.b > a.s)
SELECT i FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.i = a.i)
SELECT i, (SELECT max(b.b) FROM b WHERE b.i = a.i) FROM a
SELECT i, (SELECT count(*) FROM b WHERE b.i < a.i) FROM a
SELECT (SELECT t FROM a)
SELECT (SELECT t FROM e)
SELECT i FROM a WHERE b > ALL (SELECT b FROM b WHERE b.i = a.i)
SELECT i FROM a WHERE b = ANY (SELECT b FROM b)
SELECT a.i, x.m FROM a, LATERAL (SELECT max(b.b) AS m FROM b WHERE b.i <= a.i) x
SELECT a.i, x.b FROM a LEFT JOIN LATERAL (SELECT b.b FROM b WHERE b.i = a.i ORDER BY b.b LIMIT 1) x ON true
WITH x AS (SELECT i, count(*) c FROM a GROUP BY i) SELECT x.i, y.c FROM x JOIN x y ON x.i = y.i + 1
SELECT i IN (SELECT i FROM b), count(*) FROM a GROUP BY 1
SELECT i, array(SELECT b.b FROM b WHERE b.i = a.i ORDER BY b.b) FROM a WHERE a.s = 1
SELECT * FROM (SELECT i, sum(s) AS q FROM a GROUP BY i) x WHERE q > (SELECT avg(s) FROM a)
"""


def queries(text: str) -> list[str]:
    return [line for line in text.strip().splitlines() if line]


@pytest.mark.parametrize(
    "sql",
    queries(SIMPLE + JOINS + AGGREGATES + SETS + WINDOWS + SETS_OF_ROWS + SUBQUERIES),
)
def test_query(database: Database, sql: str) -> None:
    database.check(sql)


@pytest.mark.parametrize("sql", queries(JOINS + SUBQUERIES))
@pytest.mark.parametrize("limit", ["MOST_ROWS", "MOST_PAIRS"])
def test_joins_of_many_rows(
    database: Database, sql: str, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a low limit, few rows are joined as many are: a part of the query's joins, or all."""
    monkeypatch.setattr(smalljoin, limit, 60)
    database.check(sql)


def test_numeric_series(database: Database) -> None:
    database.check("SELECT * FROM generate_series(1.5, 3.25, 0.5) n")
