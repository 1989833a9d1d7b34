from collections.abc import Container, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

CHECKPOINT_SCHEMA: pa.Schema

class Joiner:
    """Both sides of one inner equi-join in one reactor.

    Args:
        left, right: schemas of the inputs' columns.
        left_keys, right_keys: positions of the key columns, in pairs of equal storage.
        null_safe: positions in the keys where null equals null; elsewhere it matches nothing.
        left_append_only, right_append_only: that input never deletes.
        directory: where scratch files go; None keeps state in anonymous memory.

    Raises:
        PgError: 53100 when the disk is full, XX001 for damaged entries.
    """

    def __init__(
        self,
        left: pa.Schema,
        right: pa.Schema,
        left_keys: Sequence[int],
        right_keys: Sequence[int],
        null_safe: Container[int],
        left_append_only: bool,
        right_append_only: bool,
        directory: Path | None,
    ) -> None: ...
    def process(
        self, port: int, batch: pa.RecordBatch, weights: npt.NDArray[np.int64] | None
    ) -> list[tuple[pa.RecordBatch, npt.NDArray[np.int64] | None]]:
        """Take changes of the left (0) or right (1) input; returns joined rows with weights."""
    def checkpoint(self) -> Iterator[pa.RecordBatch]: ...
    def restore(self, batch: pa.RecordBatch) -> None: ...
    @property
    def entries(self) -> int: ...
    @property
    def state_bytes(self) -> int: ...
