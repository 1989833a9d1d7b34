"""What the engine can be told."""

from __future__ import annotations

import os
from dataclasses import dataclass, field


def default_reactors() -> int:
    """One reactor per core but one, which the server process keeps; at least one."""
    return max(1, len(os.sched_getaffinity(0)) - 1)


def default_memory() -> int:
    """Half of the machine's memory, in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


#: bytes that a process takes before it keeps any state
_PROCESS_BYTES = 160 << 20
_LEAST_STATE_BYTES = 16 << 20


def state_memory(limit: int, reactors: int) -> int:
    """Bytes of plain memory for one reactor's state when all processes together have ``limit``.

    A third of what the processes leave is for the server: new rows and queries.
    """
    left = limit - (reactors + 1) * _PROCESS_BYTES
    return max(_LEAST_STATE_BYTES, left * 2 // 3 // reactors)


def store_memory(limit: int, reactors: int) -> int:
    """Bytes of plain memory for new rows of tables and views until a checkpoint has them."""
    left = limit - (reactors + 1) * _PROCESS_BYTES
    return max(_LEAST_STATE_BYTES, left // 9)


def index_memory(limit: int, reactors: int) -> int:
    """Bytes of plain memory for the indexes of stored tables and views, which go into mapped files beyond."""
    return store_memory(limit, reactors)


def handover_bytes(state_memory: int) -> int:
    """Bytes of changed entries that a reactor holds at once on their way to a state file."""
    return min(32 << 20, max(2 << 20, state_memory // 16))


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Settings of the engine.

    Args:
        reactors: number of reactor processes.
        epoch_interval: seconds between barriers while there is data and nobody waits.
        checkpoint_interval: seconds between checkpoints while there is data.
        checkpoint_wal_bytes: WAL volume that asks for a checkpoint earlier.
        wal_segment_bytes: size of a WAL file.
        ring_bytes: capacity of each ring, a power of two.
        max_backlog_bytes: bytes on the way to one reactor beyond which commits wait.
        max_undelivered_bytes: changes on disk for a sink whose target does not take them, beyond which
            sources rest and commits wait.
        state_memory: bytes of plain memory for each reactor's state, which goes into mapped files beyond.
        store_memory: bytes of new rows of tables and views in the server's memory that ask for a checkpoint;
            with twice as many sources rest and commits wait for it.
        index_memory: bytes of plain memory for the indexes of tables and views, mapped files beyond.
        early_entries: entries by which an operator's state may grow before it hands over what changed, so
            that a checkpoint does not find a big state to collect.
        max_state_files: files of one reactor's state, one per checkpoint, beyond which they are merged.
        max_future: microseconds by which an event time may be ahead of the clock; None for any.
        pin: bind each reactor to a core.
    """

    reactors: int = field(default_factory=default_reactors)
    epoch_interval: float = 0.1
    checkpoint_interval: float = 10.0
    checkpoint_wal_bytes: int = 256 << 20
    wal_segment_bytes: int = 16 << 20
    ring_bytes: int = 4 << 20
    max_backlog_bytes: int = 64 << 20
    max_undelivered_bytes: int = 1 << 30
    state_memory: int = 1 << 30
    store_memory: int = 256 << 20
    index_memory: int = 256 << 20
    early_entries: int = 50_000
    max_state_files: int = 64
    max_future: int | None = None
    pin: bool = True
