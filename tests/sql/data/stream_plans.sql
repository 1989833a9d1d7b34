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
