"""What flows between operators: rows with weights, and barriers.

A change is a row and a weight: +1 inserts, -1 deletes, an update is both within
one epoch (a Z-set; Budiu et al., "DBSP", VLDB 2023). Within an epoch changes may
arrive in any order, so an operator must bear a deletion that comes before its
insertion; between epochs weights are never negative in sum.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

#: no row has been seen: below every event time
NO_WATERMARK = -(1 << 63)
#: a finished source: above every event time
END_OF_TIME = (1 << 63) - 1


@dataclass(slots=True)
class Change:
    """A batch of changes.

    Args:
        batch: one column per column of the node, by position; column names carry no meaning.
        weights: int64, one per row, never 0; None when all are +1.
    """

    batch: pa.RecordBatch
    weights: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return self.batch.num_rows


@dataclass(frozen=True, slots=True)
class Barrier:
    """The end of an epoch.

    Args:
        epoch: number, increasing by one.
        now: the epoch's time, microseconds since 1970 UTC.
        checkpoint: operators hand over what changed since their last checkpoint.
        complete: the past of the dataflow's inputs has come in full at this one.
    """

    epoch: int
    now: int
    checkpoint: bool = False
    complete: bool = False


@dataclass(slots=True)
class Watermarks:
    """Watermarks of a node's columns at a barrier: column id to microseconds.

    A column that is not in it carries none. Dates and bigint milliseconds are converted.
    """

    by_column: dict[int, int] = field(default_factory=dict)

    def merge(self, other: Watermarks) -> Watermarks:
        """The minimum of both, for columns that both have (union of inputs, several reactors)."""
        both = self.by_column.keys() & other.by_column.keys()
        return Watermarks({c: min(self.by_column[c], other.by_column[c]) for c in both})
