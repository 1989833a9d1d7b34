from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar._native.checkpointed import Checkpointed

_Numbers = npt.NDArray[np.int64]

#: the greatest limit
MOST: int

class FirstRows(Checkpointed):
    """The first rows of every partition of an input that only grows.

    Args:
        schema: what is kept of a row.
        keys: positions of the columns that partition.
        order: positions of the columns that order, none of them a list, and whether descending, nulls last
            or then first; ties go by the row itself.
        limit, offset: ranks above offset up to limit (at most ``MOST``) are shown.
        numbered: the rank is part of what is shown.
        directory: where scratch files go; None keeps state in anonymous memory.

    Raises:
        PgError: 53100 when the disk is full, XX000 for a negative weight, XX001 for damaged entries.
    """

    def __init__(
        self,
        schema: pa.Schema,
        keys: Sequence[int],
        order: Sequence[tuple[int, bool]],
        limit: int,
        offset: int,
        numbered: bool,
        directory: Path | None,
    ) -> None: ...
    def apply(self, batch: pa.RecordBatch, weights: _Numbers | None) -> None:
        """Take in rows."""
    def next(self) -> tuple[pa.RecordBatch, _Numbers | None, _Numbers | None] | None:
        """Some of what changed in what is shown since this was last exhausted: rows, their ranks if
        numbered, weights (None: all 1). Has to be exhausted before more rows are taken in."""
    @property
    def entries(self) -> int:
        """Rows kept."""
    @property
    def state_bytes(self) -> int: ...
