import numpy as np
import numpy.typing as npt
import pyarrow as pa

Index = npt.NDArray[np.uint32]
Times = npt.NDArray[np.int64]

def hop(
    times: Times, valid: npt.NDArray[np.uint8] | None, step: int, size: int, offset: int, cumulate: bool
) -> tuple[Index, Times, Times]:
    """Row number, window start and window end for every window that a time lies in.

    Windows start at offset + n * step and last size; with ``cumulate`` they start at
    offset + n * size and end at every step. All in one unit. Nulls lie in none, an infinite time in
    one whose bounds are that infinity.
    """

def slices(
    times: Times, valid: npt.NDArray[np.uint8] | None, step: int, size: int, offset: int, cumulate: bool
) -> tuple[Times, npt.NDArray[np.bool_] | None]:
    """The start of every time's slice, between which no window starts or ends, and which times lie in a
    window; None: all do."""

def gather(batch: pa.RecordBatch, index: Index) -> pa.RecordBatch:
    """Rows by number, as often as named. Raises IndexError."""
