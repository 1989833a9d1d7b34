"""A small server that commits one transaction after another until it is killed.

Transaction i inserts row (i, value of i) and deletes row i - 10. Prints "ack i" when transaction i is
durable and "saw i" when readers see it.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from laminar import logging
from laminar.engine.config import EngineConfig
from laminar.engine.coordinator import Coordinator
from tests.engine.plans import grouped_view, rows, table

TABLE = table(key=(0,))
VIEW, FLOW = grouped_view(200, TABLE)
CONFIG = {"wal_segment_bytes": 1 << 18, "ring_bytes": 1 << 16, "checkpoint_interval": 0.1, "early_entries": 3}


def value(i: int) -> str:
    return "abcdefg"[i * i % 7]


async def serve(path: Path, reactors: int, first: int) -> None:
    coordinator = Coordinator(path, EngineConfig(reactors=reactors, **CONFIG))
    await coordinator.start([TABLE, VIEW], [FLOW])
    i = first
    while True:
        keys, weights = [i], [1]
        if i >= 10:
            keys, weights = [i, i - 10], [1, -1]
        change = rows(keys, [value(k) for k in keys], weights)
        epoch = await coordinator.commit([(100, change)])
        print(f"ack {i}", flush=True)
        if i % 3 == 0:
            await coordinator.wait_published(epoch)
            print(f"saw {i}", flush=True)
        i += 1


if __name__ == "__main__":
    logging.configure("info", "json")  # to stderr
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
