"""The Nexmark benchmark's auction house: persons, auctions and bids in the mix 1 : 3 : 46.

Follows the generator that Apache Beam and nexmark-flink share: hot ratios 2 / 4 / 4 for auctions,
sellers and bidders, 100 auctions in flight, 1,000 active people, their field shapes and average event
sizes (200, 500 and 100 bytes), 10,000 events per second of event time. Event n is a function of the seed
and n alone; partition k of ``splits`` has the events (or the table's rows) whose number is k modulo
``splits``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar import types as pg
from laminar._native.nexmark import Generator
from laminar.connectors.base import (
    ScanRequest,
    SourceColumn,
    SourceReader,
    SourceSpec,
    bad_option,
    check_columns,
)
from laminar.connectors.numbered import INCLUDES, NumberedReader, Numbers, check_format
from laminar.connectors.options import SOURCE_OPTIONS, Option, parse_options
from laminar.types import PgType

OPTIONS: Final[Mapping[str, Option]] = {
    **SOURCE_OPTIONS,
    "table": Option("choice", choices=("person", "auction", "bid")),
    "events": Option("int", minimum=0),
    "events_per_second": Option("float", 10_000.0, minimum=0.001),
    "rows_per_second": Option("float", minimum=0.001),
    "base_time": Option(default="2015-07-15 00:00:00"),
    "seed": Option("int", 0, minimum=0),
    "splits": Option("int", 1, minimum=1),
}
_INT8, _TEXT, _TIME = PgType(pg.INT8), PgType(pg.TEXT), PgType(pg.TIMESTAMP)
#: table -> column -> (type, what nexmark.hpp calls it)
_TABLES: Final[dict[str, dict[str, tuple[PgType, int]]]] = {
    "person": {
        "id": (_INT8, 0), "name": (_TEXT, 16), "email_address": (_TEXT, 17), "credit_card": (_TEXT, 18),
        "city": (_TEXT, 19), "state": (_TEXT, 20), "date_time": (_TIME, 1), "extra": (_TEXT, 21),
    },
    "auction": {
        "id": (_INT8, 0), "item_name": (_TEXT, 22), "description": (_TEXT, 23), "initial_bid": (_INT8, 2),
        "reserve": (_INT8, 3), "date_time": (_TIME, 1), "expires": (_TIME, 4), "seller": (_INT8, 5),
        "category": (_INT8, 6), "extra": (_TEXT, 24),
    },
    "bid": {
        "auction": (_INT8, 7), "bidder": (_INT8, 8), "price": (_INT8, 9), "channel": (_TEXT, 25),
        "url": (_TEXT, 26), "date_time": (_TIME, 1), "extra": (_TEXT, 27),
    },
}  # fmt: skip
_KINDS: Final = ("person", "auction", "bid")
#: events of each kind in 50, and the first one's place among them
_SHARE: Final = {"person": (1, 0), "auction": (3, 1), "bid": (46, 4)}
_ROUND: Final = 50


def table_columns(table: str | None) -> tuple[SourceColumn, ...]:
    """All columns of a table; without one, of the combined stream: ``event_type`` (0 person, 1 auction,
    2 bid), ``date_time``, then each table's as ``person_id``, …, null for events of another kind."""
    if table is not None:
        return tuple(SourceColumn(name, kind) for name, (kind, _) in _TABLES[table].items())
    both = [SourceColumn("event_type", PgType(pg.INT4)), SourceColumn("date_time", _TIME)]
    for owner in _KINDS:
        both += [
            SourceColumn(f"{owner}_{name}", kind)
            for name, (kind, _) in _TABLES[owner].items()
            if name != "date_time"
        ]
    return tuple(both)


class Config:
    """The options, read."""

    def __init__(self, spec: SourceSpec) -> None:
        check_format(spec)
        values = parse_options(spec.options, OPTIONS, "connector nexmark")
        try:
            base = int(np.datetime64(values["base_time"], "us").astype(np.int64))
        except ValueError:
            raise bad_option(f'invalid value for option "base_time": "{values["base_time"]}"') from None
        self.generator = Generator(values["seed"], base, values["events_per_second"])
        self.table: str | None = values["table"]
        self.splits: int = values["splits"]
        self.rows_per_second: float | None = values["rows_per_second"]
        events: int | None = values["events"]
        self.rows = None if events is None else self._rows_in(events)
        self._names = [column.name for column in spec.columns]

    def arrays(self, numbers: Numbers, wanted: Sequence[int]) -> list[pa.Array]:
        """The columns at these places for the table's rows of these numbers."""
        events = self.events(numbers)
        return [self.column(self._names[i], events) for i in wanted]

    def _rows_in(self, events: int) -> int:
        """Rows of the table among the first ``events`` events."""
        if self.table is None:
            return events
        share, first = _SHARE[self.table]
        return events // _ROUND * share + min(max(events % _ROUND - first, 0), share)

    def events(self, rows: Numbers) -> Numbers:
        """Event numbers of the table's rows."""
        if self.table is None:
            return rows
        share, first = _SHARE[self.table]
        return rows // share * _ROUND + first + rows % share

    def column(self, name: str, events: Numbers) -> pa.Array:
        """One column's values for these events."""
        if self.table is not None:
            kind, what = _TABLES[self.table][name]
            return self._values(events, -1, what, kind, None)
        if name == "date_time":
            return self._values(events, -1, 1, _TIME, None)
        place = events % _ROUND
        kinds = np.where(place < 1, 0, np.where(place < 4, 1, 2))
        if name == "event_type":
            return pa.array(kinds.astype(np.int32))
        owner, _, field = name.partition("_")
        kind, what = _TABLES[owner][field]
        only = _KINDS.index(owner)
        return self._values(events, only, what, kind, kinds == only)

    def _values(
        self, events: Numbers, only: int, what: int, kind: PgType, present: npt.NDArray[np.bool_] | None
    ) -> pa.Array:
        valid = None
        if present is not None:
            valid = pa.py_buffer(np.packbits(present, bitorder="little"))
        if kind is _TEXT:
            ends, data = self.generator.texts(events, only, what)
            buffers = [valid, pa.py_buffer(ends), pa.py_buffer(data)]
        else:
            buffers = [valid, pa.py_buffer(self.generator.numbers(events, only, what))]
        return pa.Array.from_buffers(kind.storage, len(events), buffers)


class Nexmark:
    options: Mapping[str, Option] = OPTIONS
    includes = INCLUDES

    def columns(self, spec: SourceSpec) -> tuple[SourceColumn, ...]:
        config = Config(spec)
        every = table_columns(config.table)
        what = f"Nexmark's {config.table}" if config.table else "Nexmark's combined stream"
        check_columns(spec.columns, every, what)
        return spec.columns or every

    def partitions(self, spec: SourceSpec) -> list[str]:
        return [str(k) for k in range(Config(spec).splits)]

    def bounded(self, spec: SourceSpec) -> bool:
        return Config(spec).rows is not None

    def tells_times(self, spec: SourceSpec) -> bool:
        return False

    def open(self, spec: SourceSpec, request: ScanRequest) -> SourceReader:
        return NumberedReader(Config(spec), spec.columns, request)


SOURCE = Nexmark()
