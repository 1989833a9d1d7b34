from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar._native.checkpointed import Checkpointed

#: schema, positions of the keys, of the time, and of what settles ties
Side = tuple[pa.Schema, Sequence[int], int | None, Sequence[int]]

class AsofJoiner(Checkpointed):
    """Both sides of one ASOF join in one reactor.

    Args:
        left, right: the inputs; keys and times in pairs of equal storage, ordered by their bytes' value.
        directory: where scratch files go; None keeps state in anonymous memory.
        forward: a left row's match is the next right row of its key in time, else the last one.
        inclusive: a right row of the same time counts. Of several at one time the last by ties is meant,
            or the first when looking forward.
        nearest: before or after, whichever is less far; of two equally near ones the earlier. Times are integers.
        padded: left rows without a match come out with nulls.
        once: left rows are matched with the right side as it is at the epoch's end, and forgotten.
        versions: with ``once``. Right rows are versions: one that is taken back counts until its key's next
            one, or, without one, until the time in the column that right batches have behind the others
            (of the type of ``time``). Versions from before that time are late.
    """

    def __init__(
        self,
        left: Side,
        right: Side,
        directory: Path | None,
        *,
        forward: bool,
        inclusive: bool,
        padded: bool,
        nearest: bool = False,
        once: bool = False,
        versions: bool = False,
    ) -> None: ...
    def process(self, port: int, batch: pa.RecordBatch, weights: npt.NDArray[np.int64] | None) -> None:
        """Take changes of the left (0) or right (1) input."""
    def end_epoch(self, bound: bytes | None = None) -> None:
        """The epoch's changes are complete; what comes of them is fetched next.

        With ``bound`` no further left rows will come from before that time (in comparable form).
        """
    def next_rows(self) -> tuple[pa.RecordBatch, npt.NDArray[np.int64] | None] | None:
        """Some of the epoch's rows with weights; None when there are no more."""
    @property
    def late(self) -> int:
        """How many versions were late."""
    @property
    def entries(self) -> int: ...
    @property
    def state_bytes(self) -> int: ...
