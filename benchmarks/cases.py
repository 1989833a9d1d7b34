"""The throughput cases: what is created, what the answer must be, how fast it should be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from benchmarks import data
from benchmarks.measure import EVENT_COLUMNS, Source


@dataclass(frozen=True)
class Case:
    """A case at one scale.

    Args:
        target: rows per second of input, all sources together, one reactor.
        check: a query over the result and the row that it must give.
    """

    name: str
    target: float | None
    sources: list[Source]
    create: str
    check: Callable[[], tuple[str, tuple[Any, ...]]]

    @property
    def rows(self) -> int:
        return sum(s.data.rows for s in self.sources)

    def half(self, part: int) -> Case:
        """The same over one of the two files."""
        sources = [Source(s.name, s.data, s.columns, s.format, part) for s in self.sources]
        return Case(self.name, None, sources, self.create, self.check)


def cases(scale: float) -> dict[str, Case]:
    """All throughput cases by name."""
    built = [
        _filter_project(scale, "arrow", "view", 20e6),
        _filter_project(scale, "parquet", "view", 12e6),
        _filter_project(scale, "arrow", "sink", None),
        _tumble(scale),
        _group_by(scale),
        _join(scale),
    ]
    return {case.name: case for case in built}


def _events(scale: float, format_: str = "arrow") -> list[Source]:
    return [Source("e", data.events(scale), EVENT_COLUMNS, format_)]


def _filter_project(scale: float, format_: str, to: str, target: float | None) -> Case:
    """One row in ten passes; two columns are computed."""
    sources = _events(scale, format_)
    select = "SELECT k, v * 2 + 1 AS w FROM e WHERE v < 100000"

    def kept() -> pa.Table:
        table = sources[0].data.table()
        return table.filter(pc.less(table["v"], 100_000))

    if to == "view":
        create = f"CREATE MATERIALIZED VIEW r AS {select}"

        def check() -> tuple[str, tuple[Any, ...]]:
            table = kept()
            return "SELECT count(*), sum(w) FROM r", (
                table.num_rows,
                2 * pc.sum(table["v"]).as_py() + table.num_rows,
            )
    else:
        create = f"CREATE SINK r AS {select} WITH (connector = 'blackhole')"

        def check() -> tuple[str, tuple[Any, ...]]:
            return "SELECT rows FROM laminar_catalog.sinks WHERE name = 'r'", (kept().num_rows,)

    return Case(f"filter_project_{format_}_{to}", target, sources, create, check)


def _tumble(scale: float) -> Case:
    sources = _events(scale)
    create = (
        "CREATE MATERIALIZED VIEW r AS SELECT k, window_start, count(*) AS c, sum(v) AS s"
        " FROM TUMBLE(e, ts, INTERVAL '10 seconds') GROUP BY k, window_start, window_end EMIT ON WINDOW CLOSE"
    )

    def check() -> tuple[str, tuple[Any, ...]]:
        table = sources[0].data.table()
        return "SELECT sum(c), sum(s) FROM r", (table.num_rows, pc.sum(table["v"]).as_py())

    return Case("tumble_count_sum_1000", 15e6, sources, create, check)


def _group_by(scale: float) -> Case:
    sources = _events(scale)
    create = "CREATE MATERIALIZED VIEW r AS SELECT k, count(*) AS c, sum(v) AS s FROM e GROUP BY k"

    def check() -> tuple[str, tuple[Any, ...]]:
        table = sources[0].data.table()
        query = "SELECT count(*), sum(c), sum(s) FROM r"
        return query, (pc.count_distinct(table["k"]).as_py(), table.num_rows, pc.sum(table["v"]).as_py())

    return Case("group_by_1000", 10e6, sources, create, check)


def _join(scale: float) -> Case:
    names = {"l": "left", "r": "right"}
    sides = [Source(n, data.join_side(scale, name), "k bigint, w bigint") for n, name in names.items()]
    select = "SELECT l.k, l.w + r.w AS w FROM l JOIN r ON l.k = r.k"
    create = f"CREATE SINK j AS {select} WITH (connector = 'blackhole')"

    def check() -> tuple[str, tuple[Any, ...]]:
        return "SELECT rows FROM laminar_catalog.sinks WHERE name = 'j'", (sides[0].data.rows,)

    return Case("join_bigint", 2e6, sides, create, check)
