from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

OUTPUT: pa.Schema

class Sessions:
    """Rows of a key closer than the gap share a session, which ends the gap after its last row.

    A row is late when the watermark that it found has passed the end of the session that it would be
    alone, and of every session that it would join, by ``lateness``. A session is frozen from then on:
    no row joins it or takes one away.

    Args:
        gap: microseconds, positive.
        lateness: microseconds; None: nothing is ever late and no state is freed.
        closes: rows go out once, when their session is frozen, instead of with every change.
        keeps_late: late rows are kept for :meth:`take_late`.
    """

    def __init__(self, gap: int, lateness: int | None = None, closes: bool = False, keeps_late: bool = False) -> None: ...
    def process(self, batch: pa.RecordBatch, weights: npt.NDArray[np.int64] | None) -> None:
        """Take rows: key (binary), time (int64 microseconds), row (binary) and, if there is a fourth
        column, the watermark that each found; without it, that is the last barrier's."""
    def barrier(self, watermark: int) -> pa.RecordBatch:
        """End the epoch: (row, start, end, weight) as in :data:`OUTPUT`."""
    def take_late(self) -> pa.RecordBatch:
        """The rows that were late since the last call, as in :data:`OUTPUT` with the row's time for its
        start and the watermark that it found for its end."""
    def checkpoint(self) -> Iterator[pa.RecordBatch]: ...
    def restore(self, batch: pa.RecordBatch) -> None:
        """Raises PgError XX001 for entries that :meth:`checkpoint` cannot have given."""
    @property
    def late(self) -> int: ...
    @property
    def entries(self) -> int: ...
    @property
    def state_bytes(self) -> int: ...
