"""EXPLAIN in text and JSON, ANALYZE's numbers."""

from __future__ import annotations

import json

from tests.harness.server import LaminarServer


def test_numbers_are_the_querys(laminar: LaminarServer) -> None:
    with laminar.connect() as connection:
        query = "SELECT x % 3 AS g, count(*) FROM generate_series(1, %s) x WHERE x > 10 GROUP BY 1"
        row = connection.execute(f"EXPLAIN (ANALYZE, FORMAT json) {query.replace('% 3', '%% 3')}", (100,))
        (document,) = row.fetchone() or ()
        if isinstance(document, str):
            document = json.loads(document)
        node = document[0]["Plan"]
        assert document[0]["Execution Time"] >= node["Actual Total Time"] > 0
        rows = {}
        while True:
            rows[node["Node Type"]] = node["Actual Rows"]
            if "Plans" not in node:
                break
            node = node["Plans"][0]
        assert rows["GroupBy"] == 3
        assert rows["Filter"] == 90
        assert rows["Function"] == 100
        text = [line for (line,) in connection.execute("EXPLAIN ANALYZE SELECT 1").fetchall()]
        assert "rows=1" in text[0]
        assert text[-1].startswith("Execution Time: ")


def test_lock_timeout(laminar: LaminarServer) -> None:
    with laminar.connect() as connection:
        connection.execute("SET lock_timeout = '1s'")
        assert connection.execute("SHOW lock_timeout").fetchone() == ("1s",)
        connection.execute("CREATE TABLE locked (x int PRIMARY KEY)")
        connection.execute("INSERT INTO locked VALUES (1)")
        connection.execute("DROP TABLE locked")
