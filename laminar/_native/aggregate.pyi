from pathlib import Path
from typing import Protocol, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar._native.checkpointed import Checkpointed

class Spec(Protocol):
    """What :class:`Groups` needs to know about one accumulator."""

    @property
    def kind(self) -> str:
        """count, sum_int, sum_decimal, sum_float, sum_numeric, bool, fixed, var (aggregate.hpp, enum Agg)."""
    @property
    def result(self) -> str:
        """int64, decimal, double, float, and, or, same."""
    @property
    def value(self) -> int:
        """Column of the input batch, -1 for count(*)."""
    @property
    def filter(self) -> int:
        """Boolean column of the input batch, -1 for none."""
    @property
    def max(self) -> bool: ...
    @property
    def retract(self) -> bool:
        """fixed, var: keep all values, so that the extreme one can be deleted."""
    @property
    def input(self) -> pa.DataType | None: ...
    @property
    def output(self) -> pa.DataType: ...

class Slices(Protocol):
    """Windows whose rows come by slices (windows.hpp): all in microseconds.

    ``start``, ``end``: the key columns with a window's bounds, timestamps; -1: none.
    """

    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def step(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def cumulate(self) -> bool: ...

class Groups(Checkpointed):
    """Groups of one aggregation in one reactor.

    Args:
        keys: schema of the key columns.
        specs: the accumulators.
        directory: where scratch files go; None keeps state in anonymous memory.
        window: index of the key column with the window's end, -1 for none.
        window_unit: microseconds per unit of that column (1 for timestamps).
        lateness: microseconds after a window's end at which its state is freed; None: never.
        closes: a group goes out once, when its window closes.
        single: no keys, always one row.
        multiset: a group goes out with its number of rows as weight.
        corrects: a group goes out when the watermark reaches its window's end, and is corrected from then
            on until its state is freed.
        judged: late rows have been left out before; all that come count.
        slices: the windows of rows that come by slices; None: none do.

    Raises:
        PgError: 53100 when the disk is full, XX001 for damaged entries.
    """

    def __init__(
        self,
        keys: pa.Schema,
        specs: Sequence[Spec],
        directory: Path | None,
        window: int = -1,
        window_unit: int = 1,
        lateness: int | None = None,
        closes: bool = False,
        single: bool = False,
        multiset: bool = False,
        corrects: bool = False,
        judged: bool = False,
        slices: Slices | None = None,
    ) -> None: ...
    def process(
        self,
        batch: pa.RecordBatch,
        weights: npt.NDArray[np.int64] | None,
        row_watermark: int = -1,
        sliced: bool = False,
    ) -> npt.NDArray[np.bool_] | None:
        """Take rows: the key columns, then what the specs refer to. ``row_watermark`` is the int64
        column that judges lateness; -1: the watermark of the last barrier does. Returns which rows were
        late, None when none was.

        ``sliced``: the columns of the window's bounds have the start of the row's slice. Rows that are
        late for one of its windows are then returned as late and not taken: they are to come again,
        once per window.
        """
    def barrier(self, watermark: int) -> list[tuple[pa.RecordBatch, npt.NDArray[np.int64] | None]]:
        """End the epoch; returns key columns and accumulators' results with weights. ``watermark`` is that
        of the windows' end; it never moves back."""
    @property
    def watermark(self) -> int:
        """Of the last barrier."""
    @property
    def late(self) -> int: ...
    @property
    def errors(self) -> int: ...
    @property
    def entries(self) -> int: ...
    @property
    def windows(self) -> int: ...
    @property
    def state_bytes(self) -> int: ...
