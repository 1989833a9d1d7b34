"""What generators share: rows are functions of their numbers, given at a rows-per-second pace.

Partition k of ``splits`` holds the rows whose number is k modulo ``splits``, so any range can be made
without what comes before it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar.connectors.base import Rejected, ScanRequest, SourceColumn, SourceSpec, bad_option
from laminar.connectors.file.convert import make_batch
from laminar.types import INT8, TEXT, PgType

#: row numbers of an endless generator stay below it, so that sums with them cannot overflow
ENDLESS: Final = 1 << 56
#: what of a row there is beside its columns: its number within its partition, and the partition's name
INCLUDES: Final[Mapping[str, PgType]] = {"offset": PgType(INT8), "partition": PgType(TEXT)}

Numbers = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint64]


def mix64(x: Bits) -> Bits:
    """The output function of SplitMix64 (Steele, Lea, Flood 2014): 64 well-mixed bits per input."""
    with np.errstate(over="ignore"):
        x = (x + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def uniform(numbers: Numbers, stream: np.uint64, bound: int) -> Numbers:
    """For each row number an integer in [0, bound), bound < 2**63; ``stream`` tells columns apart."""
    with np.errstate(over="ignore"):
        bits = mix64(numbers.view(np.uint64) * np.uint64(0xD1342543DE82EF95) + stream)
    if bound & (bound - 1) == 0:
        return (bits & np.uint64(bound - 1)).view(np.int64)
    return (bits % np.uint64(bound)).view(np.int64)


class Pace:
    """How many rows each partition may give by now, from the first time it is asked.

    Args:
        rows_per_second: over all partitions; None: no limit.
        clock: seconds, monotonic.
    """

    def __init__(self, rows_per_second: float | None, partitions: int, clock: Callable[[], float]) -> None:
        self._rate = rows_per_second / partitions if rows_per_second is not None else None
        self._clock = clock
        self._given: dict[str, tuple[float, int]] = {}

    def allowed(self, partition: str, wanted: int) -> int:
        """How many of ``wanted`` rows may go now; they count as given."""
        if self._rate is None:
            return wanted
        now = self._clock()
        since, given = self._given.get(partition, (now, 0))
        granted = max(0, min(wanted, int((now - since) * self._rate) - given + 1))
        self._given[partition] = (since, given + granted)
        return granted


def check_format(spec: SourceSpec) -> None:
    """22023 for a FORMAT clause: rows are made, not read; but UPSERT says what a primary key does."""
    if spec.format not in (None, ("plain", ""), ("upsert", "")):
        raise bad_option(
            f"connector {spec.connector} has no {' '.join(spec.format).upper()} format",
            hint="Known: FORMAT PLAIN and FORMAT UPSERT, without ENCODE.",
        )


class NumberedRows(Protocol):
    """A generator's configuration.

    Args:
        rows: how many there are in all; None: no end.
        rows_per_second: over all partitions; None: no limit.
    """

    rows: int | None
    splits: int
    rows_per_second: float | None

    def arrays(self, numbers: Numbers, wanted: Sequence[int]) -> list[pa.Array]:
        """The columns at these places for the rows of these numbers."""


class NumberedReader:
    """A position is how many of its partition's rows were read."""

    def __init__(
        self, generator: NumberedRows, columns: Sequence[SourceColumn], request: ScanRequest
    ) -> None:
        self._generator = generator
        self._columns = columns
        self._wanted = request.columns
        self._includes = request.includes
        self._next: dict[str, int] = {}
        self._pace = Pace(generator.rows_per_second, generator.splits, time.monotonic)
        self.rows_read = 0
        self.bytes_read = 0
        self.dropped: dict[str, int] = {}

    def read(self, partition: str, max_rows: int, until: int | None = None) -> pa.RecordBatch | None:
        first = self._next.get(partition, 0)
        if until is None:
            count = self._pace.allowed(partition, min(max_rows, self._end(partition) - first))
        else:
            count = min(max_rows, until - first)
        if count <= 0:
            return None
        ordinals = np.arange(first, first + count, dtype=np.int64)
        arrays = self._generator.arrays(int(partition) + self._generator.splits * ordinals, self._wanted)
        self._next[partition] = first + count
        known = {"offset": lambda: pa.array(ordinals), "partition": lambda: pa.repeat(partition, count)}
        included = [(what, known[what]()) for what in self._includes]
        batch = make_batch(self._columns, self._wanted, arrays, count, included)
        self.rows_read += count
        self.bytes_read += batch.nbytes
        return batch

    def rejected(self) -> list[Rejected]:
        return []

    def _end(self, partition: str) -> int:
        """How many rows the partition has in all."""
        rows, splits = self._generator.rows, self._generator.splits
        return ENDLESS if rows is None else (rows - int(partition) + splits - 1) // splits

    def skipped(self, partition: str) -> int | None:
        return None

    def position(self, partition: str) -> int:
        return self._next.get(partition, 0)

    def seek(self, partition: str, position: int | None) -> None:
        self._next[partition] = position or 0

    def finished(self, partition: str) -> bool:
        return self._next.get(partition, 0) >= self._end(partition)

    def close(self) -> None:
        pass
