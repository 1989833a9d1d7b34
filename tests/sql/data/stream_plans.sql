-- Views over the schema of test_stream.py; their plans are in stream_plans.txt.
SELECT id, v * 2 AS w FROM t WHERE v > 10;
SELECT k, count(*) AS n, sum(v) AS s FROM t GROUP BY k HAVING count(*) > 1;
SELECT count(*), max(v) FROM t;
SELECT DISTINCT k FROM t;
SELECT f, count(*) AS n FROM t GROUP BY f;
SELECT t.id, u.name FROM t JOIN u ON t.k = u.k AND t.v < u.w;
SELECT a.id, b.id AS other FROM t a JOIN t b ON a.v + 1 = b.v;
SELECT k, count(*) AS n FROM (SELECT k, v FROM t WHERE v > 0) x GROUP BY k;
SELECT n, count(*) AS groups FROM (SELECT k, count(*) AS n FROM t GROUP BY k) x GROUP BY n;
SELECT k, window_start, window_end, count(*) AS n FROM TUMBLE(s, at, INTERVAL '1 minute') GROUP BY k, window_start, window_end EMIT ON WINDOW CLOSE;
SELECT k, window_start, sum(v) AS s FROM TUMBLE(s, at, INTERVAL '1 minute') WHERE v > 0 GROUP BY k, window_start EMIT ON WINDOW CLOSE ALLOW LATENESS INTERVAL '10 seconds';
SELECT window_end, count(*) AS n FROM HOP(s, at, INTERVAL '10 seconds', INTERVAL '1 minute') GROUP BY window_start, window_end EMIT ON WINDOW CLOSE;
SELECT k, TUMBLE_START(at, INTERVAL '1 hour') AS hour, avg(v) AS a FROM s GROUP BY k, TUMBLE(at, INTERVAL '1 hour');
SELECT at, count(*) AS n FROM s GROUP BY at EMIT ON WINDOW CLOSE;
SELECT k, window_start FROM TUMBLE(s, at, INTERVAL '1 minute') WHERE v = 7 EMIT ON WINDOW CLOSE;
SELECT window_end, max(n) AS busiest FROM (SELECT k, window_end, count(*) AS n FROM TUMBLE(s, at, INTERVAL '1 minute') GROUP BY k, window_start, window_end) x GROUP BY window_end EMIT ON WINDOW CLOSE;
SELECT t.id, u.name FROM t LEFT JOIN u ON t.k = u.k AND t.v < u.w;
SELECT t.id, u.name FROM t FULL JOIN u ON t.k = u.k;
SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k);
SELECT id FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.k = t.k AND u.w > t.v);
SELECT id FROM t WHERE k NOT IN (SELECT k FROM u);
SELECT t.id, u.name FROM t JOIN u ON t.v < u.w;
SELECT a.k, a.v, b.v AS w FROM s a JOIN s b ON a.k = b.k AND b.at BETWEEN a.at - INTERVAL '1 minute' AND a.at + INTERVAL '10 seconds';
SELECT a.k, a.v FROM s a WHERE NOT EXISTS (SELECT 1 FROM s b WHERE a.k = b.k AND b.at >= a.at AND b.at < a.at + INTERVAL '1 minute');
SELECT a.window_end, a.n, b.m FROM (SELECT window_end, count(*) AS n FROM TUMBLE(s, at, INTERVAL '1 minute') GROUP BY window_start, window_end) a JOIN (SELECT window_end, max(v) AS m FROM TUMBLE(s, at, INTERVAL '1 minute') GROUP BY window_start, window_end) b ON a.window_end = b.window_end EMIT ON WINDOW CLOSE;
SELECT id, k FROM t ORDER BY v DESC, id LIMIT 3 OFFSET 1;
SELECT k, id FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY v NULLS FIRST) AS rn FROM t) x WHERE rn <= 2;
SELECT k, rn FROM (SELECT *, rank() OVER (PARTITION BY f ORDER BY v) AS rn FROM t) x WHERE rn = 2 AND id > 3;
SELECT DISTINCT ON (k) k, v FROM t ORDER BY k, v DESC;
SELECT id, lag(v) OVER (PARTITION BY k ORDER BY id) AS a, sum(v + 1) OVER (PARTITION BY f) AS b, count(*) OVER (PARTITION BY k) AS c FROM t;
SELECT k, array_agg(v + 1 ORDER BY id) AS a, count(DISTINCT v) AS n, sum(v ORDER BY id) AS s FROM t GROUP BY k;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY f) AS p FROM t;
SELECT k, window_end, string_agg(k, ',') AS a FROM TUMBLE(s, at, INTERVAL '1 minute') GROUP BY k, window_start, window_end EMIT ON WINDOW CLOSE;
SELECT k, n FROM (SELECT *, row_number() OVER (PARTITION BY window_end ORDER BY n DESC) AS rn FROM (SELECT k, window_end, count(*) AS n FROM TUMBLE(s, at, INTERVAL '1 minute') GROUP BY k, window_start, window_end) y) x WHERE rn = 1 EMIT ON WINDOW CLOSE ALLOW LATENESS INTERVAL '10 seconds';
SELECT k, v, rn FROM (SELECT *, row_number() OVER (PARTITION BY window_start ORDER BY v DESC) AS rn FROM TUMBLE(s, at, INTERVAL '1 minute')) x WHERE rn <= 3 EMIT ON WINDOW CLOSE;
-- set operations, constants and set-returning functions
SELECT id, v FROM t UNION ALL SELECT 1, 2;
SELECT k, f FROM t EXCEPT ALL SELECT k, 1.5 FROM u;
SELECT k FROM t INTERSECT SELECT k FROM u;
SELECT window_start, count(*) FROM TUMBLE((SELECT k, at FROM s UNION ALL SELECT k, at FROM s), at, INTERVAL '1 minute') GROUP BY window_start EMIT ON WINDOW CLOSE;
SELECT x, o FROM generate_series(1, 5) WITH ORDINALITY AS a (x, o);
SELECT id, unnest(ARRAY[v, id]), generate_series(1, 3) FROM t;
SELECT k, v, count(*), grouping(k) FROM t GROUP BY ROLLUP (k, v);
SELECT k, count(DISTINCT f) AS a, sum(DISTINCT f) FILTER (WHERE v > 1) AS b, count(*) AS n, max(v) AS m FROM t GROUP BY k;
SELECT count(DISTINCT k) AS a, count(*) AS n FROM t;
SELECT window_end, count(DISTINCT k) AS a FROM TUMBLE(s, at, INTERVAL '1 minute') GROUP BY window_start, window_end EMIT ON WINDOW CLOSE ALLOW LATENESS INTERVAL '10 seconds';
SELECT a.k, b.v FROM s a ASOF LEFT JOIN s b MATCH_CONDITION (b.at <= a.at) ON a.k = b.k;
SELECT k, count(DISTINCT v) AS a, count(DISTINCT f) FILTER (WHERE v > 1) AS b, avg(v) AS c, count(DISTINCT k) AS d FROM t GROUP BY k;

-- lookup tables
SELECT t.id, d.name FROM t JOIN d ON t.k = d.k AND d.w > t.v WHERE d.name <> '';
SELECT s.k, d.name FROM d RIGHT JOIN s ON d.k = s.k;
SELECT window_end, d.name, count(*) AS n FROM TUMBLE(s, at, INTERVAL '1 hour') JOIN d USING (k) GROUP BY window_end, d.name EMIT ON WINDOW CLOSE;
SELECT id FROM t WHERE NOT EXISTS (SELECT FROM d WHERE d.k = t.k);

-- processing time
SELECT window_end, k, count(*) AS n FROM TUMBLE((SELECT k, PROCTIME() AS p FROM s), p, INTERVAL '1 minute') GROUP BY window_end, k EMIT ON WINDOW CLOSE;
SELECT k, PROCTIME() AS p FROM s WHERE PROCTIME() > at;
