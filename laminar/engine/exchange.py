"""Exchange: rows go to the reactor that owns their key.

Output equals input; only where a row is changes. Rows for this reactor pass straight through,
others are sent at once. At the barrier the reactor tells every peer that it has sent all, waits
for all peers to say the same, and takes the minimum of everybody's watermarks. With one reactor
nothing of that happens.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from laminar.engine.change import Barrier, Change, Watermarks
from laminar.engine.nodes import Exchange
from laminar.engine.operators import partition

if TYPE_CHECKING:
    from laminar.engine.dataflow import Host


class ExchangeOperator:
    """One reactor's side of an exchange."""

    def __init__(self, dataflow: int, node: Exchange, host: Host) -> None:
        self.dataflow = dataflow
        self.node = node
        self.host = host
        ids = [column.id for column in node.input.properties.columns]
        self.keys = [ids.index(key) for key in node.keys]
        self.rows_in = 0
        self.rows_sent = 0

    def process(self, port: int, change: Change) -> list[Change]:
        host = self.host
        self.rows_in += len(change)
        if host.count == 1:
            return [change]
        if not self.keys:
            if host.index == 0:
                return [change]
            self.rows_sent += len(change)
            host.send(0, self.dataflow, self.node.id, change)
            return []
        mine: list[Change] = []
        for owner, part in enumerate(partition(change, self.keys, host.count)):
            if part is None:
                continue
            if owner == host.index:
                mine.append(part)
            else:
                self.rows_sent += len(part)
                host.send(owner, self.dataflow, self.node.id, part)
        return mine

    def barrier(self, barrier: Barrier, inputs: list[Watermarks]) -> tuple[list[Change], Watermarks]:
        if self.host.count == 1:
            return [], inputs[0]
        return [], self.host.align(self.dataflow, self.node.id, inputs[0])

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        return iter(())

    def restore(self, entries: pa.RecordBatch) -> None:
        raise AssertionError("an exchange has no state")

    def stats(self) -> dict[str, int]:
        return {"rows_in": self.rows_in, "rows_out": self.rows_in, "rows_sent": self.rows_sent}

    def close(self) -> None:
        pass
