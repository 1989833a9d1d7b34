from collections.abc import Container, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from laminar._native.checkpointed import Checkpointed

Rows = tuple[pa.RecordBatch, npt.NDArray[np.int64] | None]

class Side(NamedTuple):
    """One input.

    Args:
        schema: its columns.
        keys: positions of the key columns, in pairs of equal storage with the other side's.
        append_only: it never deletes.
        shown: which rows are emitted by themselves at the barrier: those without a match, or with one.
        count_rows: the caller tells which pairs match, and every row knows how many do.
        count_keys: every key knows how many rows it has, for the other side's ``shown``.
        keys_only: the columns are the keys, and no more than their number is kept.
        time: position of the int64 column by which rows expire; rows where it is null match nothing.
    """

    schema: pa.Schema
    keys: Sequence[int]
    append_only: bool
    shown: Literal["matched", "unmatched"] | None
    count_rows: bool
    count_keys: bool
    keys_only: bool
    time: int | None

class Joiner(Checkpointed):
    """Both sides of one join in one reactor.

    Args:
        left, right: the inputs.
        null_safe: positions in the keys where null equals null; elsewhere it matches nothing.
        directory: where scratch files go; None keeps state in anonymous memory.
        pairs: joined rows are wanted.
        padded: rows that are shown by themselves have nulls for the other side; else they are the
            left side's and have its columns only.

    Raises:
        PgError: 53100 when the disk is full, XX001 for damaged entries.
    """

    def __init__(
        self,
        left: Side,
        right: Side,
        null_safe: Container[int],
        directory: Path | None,
        *,
        pairs: bool = True,
        padded: bool = True,
    ) -> None: ...
    def begin(self, port: int, batch: pa.RecordBatch, weights: npt.NDArray[np.int64] | None) -> None:
        """Take changes of the left (0) or right (1) input; their pairs must all be fetched next."""
    def loose(self) -> Rows | None:
        """Rows of the batch that are shown because a null in their key matches nothing."""
    def next_pairs(self) -> Rows | None:
        """Some of the joined rows; None when there are no more. Weights can be 0 when rows are counted."""
    def count(self, matched: npt.NDArray[np.bool_] | None) -> None:
        """Which of the pairs last fetched match (None: all)."""
    def next_shown(self) -> Rows | None:
        """At the barrier, until it returns None: changes of the rows that are shown by themselves."""
    def expire(self, port: int, bound: int) -> None:
        """Rows of an input whose time is not after ``bound`` meet nothing any more; they are freed by and by."""
    @property
    def entries(self) -> int: ...
    @property
    def state_bytes(self) -> int: ...
