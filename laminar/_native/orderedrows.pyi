from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_Numbers = npt.NDArray[np.int64]

class OrderedRows:
    """A multiset of rows, in order within partitions; partition, order and row are byte strings.

    Args:
        directory: where scratch files go; None keeps state in anonymous memory.
        listed: keep partitions in order for :meth:`due`.

    Raises:
        PgError: 53100 when the disk is full, 54000 for a result over 2 GB, XX001 for damaged entries.
    """

    def __init__(self, directory: Path | None = None, listed: bool = False) -> None: ...
    def apply(
        self,
        partitions: pa.BinaryArray,
        orders: pa.BinaryArray,
        rows: pa.BinaryArray,
        weights: npt.NDArray[np.int64] | None,
    ) -> None:
        """Add weights to entries; one that reaches 0 is gone. Orders compare by memcmp, then rows."""
    def fetch(
        self,
        partitions: pa.BinaryArray,
        limit: int = -1,
        rank: Literal["row_number", "rank", "dense_rank"] = "row_number",
    ) -> tuple[_Numbers, _Numbers, _Numbers, pa.BinaryArray]:
        """Entries of the partitions, in order: position in ``partitions``, number of the peer group within
        its partition (from 0), weight, row.

        With a limit only those whose rank (from 1) it does not exceed; of an entry that row_number
        splits, the weight within.
        """
    def trim(
        self, partitions: pa.BinaryArray, limit: int, rank: Literal["row_number", "rank", "dense_rank"]
    ) -> None:
        """Remove the entries that :meth:`fetch` leaves out."""
    def free(self, partitions: pa.BinaryArray) -> None:
        """Remove all entries of the partitions."""
    def due(self, low: bytes, high: bytes) -> pa.BinaryArray:
        """The partitions from ``low`` to below ``high``, in order."""
    def checkpoint(self) -> Iterator[pa.RecordBatch]: ...
    def restore(self, entries: pa.RecordBatch) -> None: ...
    @property
    def entries(self) -> int: ...
    @property
    def state_bytes(self) -> int: ...
