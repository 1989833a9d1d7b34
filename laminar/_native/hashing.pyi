from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Weights = npt.NDArray[np.int64] | None

def hash_columns(batch: pa.RecordBatch, columns: Sequence[int]) -> npt.NDArray[np.uint64]:
    """One hash per row over the columns given by position.

    Stable over processes and versions: checkpoints and exchanges rely on it. Nulls hash alike.
    """

def shards(batch: pa.RecordBatch, columns: Sequence[int], n: int) -> npt.NDArray[np.uint32]:
    """The shard, 0 to n - 1, that each row belongs to."""

def partition(
    batch: pa.RecordBatch, weights: Weights, columns: Sequence[int], n: int
) -> list[tuple[pa.RecordBatch, Weights] | None]:
    """Rows by shard, in their order; None for a shard without rows."""
