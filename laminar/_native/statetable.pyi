from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar._native.checkpointed import Checkpointed

def memory_budget(left: int | None = None) -> int:
    """Bytes of plain memory that state with a directory may still take before it goes to mapped files;
    with ``left``, sets it. A quarter of the machine's memory at first. Returns the value before."""

class Entries(Checkpointed):
    """What tables of all kinds do with many entries at a time."""

    def get_batch(self, keys: pa.BinaryArray) -> pa.BinaryArray:
        """Values by key, null where there is none."""
    def put_batch(self, keys: pa.BinaryArray, values: pa.BinaryArray) -> None:
        """Null values delete."""
    def delete_batch(self, keys: pa.BinaryArray) -> None: ...
    def scan(self, prefix: bytes = b"") -> Iterator[pa.RecordBatch]:
        """Entries (key, value) whose key starts so, a few megabytes at a time. Nothing may change meanwhile."""
    def snapshot(self) -> list[pa.RecordBatch]:
        """All entries as they are now: copies that later changes do not touch."""
    @property
    def allocated_bytes(self) -> int: ...

class StateTable(Entries):
    """Bytes to bytes, in no order, in a memory-mapped scratch file of ``directory`` (None: in memory).

    Grows page by page, never pausing to rehash. Keeps a list of changed entries for checkpoints.

    Raises:
        PgError: 53100 from whatever may grow the file when the disk is full, 54000 for an entry over 2 GB.
    """

    def __init__(self, directory: Path | None = None) -> None: ...
    def get(self, key: bytes) -> bytes | None: ...
    def put(self, key: bytes, value: bytes) -> None: ...
    def delete(self, key: bytes) -> bool:
        """Whether it was there."""
    def __len__(self) -> int: ...
    def clear(self) -> None:
        """Forget everything, list of changes included."""
    @property
    def state_bytes(self) -> int: ...

class FixedStateTable(Entries):
    """:class:`StateTable` for keys of 1 to 64 and values of up to 256 bytes, each of one size.

    Entries lie in the slots, so that a lookup costs one cache miss.

    Raises:
        ValueError, PgError 22023: a key or value of another size.
    """

    def __init__(self, key_size: int, value_size: int, directory: Path | None = None) -> None: ...
    def get(self, key: bytes) -> bytes | None: ...
    def put(self, key: bytes, value: bytes) -> None: ...
    def delete(self, key: bytes) -> bool: ...
    def __len__(self) -> int: ...
    def clear(self) -> None: ...
    @property
    def state_bytes(self) -> int: ...

def time_lookups(
    table: StateTable | FixedStateTable | None, keys: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.float64], int]:
    """Nanoseconds of lookups one at a time through the native interface, for benchmarks.

    The clock's own cost is in them; with None for the table it is all there is. The second value
    depends on all values found, so that no lookup is optimised away.
    """

class OrderedTable(Checkpointed):
    """A multiset of byte strings in memcmp order: key to weight. Weights may be negative; 0 is gone."""

    def __init__(self, directory: Path | None = None) -> None: ...
    def add(self, key: bytes, weight: int = 1) -> int:
        """The weight after the addition."""
    def add_batch(self, keys: pa.BinaryArray, weights: npt.NDArray[np.int64]) -> None:
        """:meth:`add` for every key."""
    def take(self, high: bytes) -> pa.RecordBatch:
        """(key, weight) of all keys below ``high``, which are gone then."""
    def get(self, key: bytes) -> int: ...
    def __len__(self) -> int: ...
    def range(
        self, low: bytes = b"", high: bytes | None = None, descending: bool = False, limit: int = ...
    ) -> pa.RecordBatch:
        """(key, weight) of up to ``limit`` keys in [low, high)."""
    @property
    def state_bytes(self) -> int: ...
