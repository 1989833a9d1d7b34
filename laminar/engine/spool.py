"""A sink's changes between two checkpoints, in files of the reactor that computed them.

The files are the sink's pre-commit: a checkpoint's manifest names them, and from then on the server
delivers them; files that no manifest names were never promised and are removed. Layout: as state
files, each block with the changes of one epoch (in place of the node).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from laminar import failpoints
from laminar.connectors.base import SinkBatch
from laminar.engine.change import Change
from laminar.engine.protocol import SpoolReport
from laminar.engine.statefile import END, MAGIC, block, read_states

#: bytes held in memory before they go to the file
_HELD_BYTES = 4 << 20
_WEIGHT = "laminar_diff"


class SpoolFile:
    """A file that grows; what does not fit on a full disk stays in memory until it does."""

    def __init__(self, folder: Path, sink: int) -> None:
        self.path = folder / f"{sink}-{secrets.token_hex(8)}.spool"
        self.sink = sink
        self.rows = 0
        self._end = 0
        self._held: list[tuple[int, pa.RecordBatch]] = []
        #: of changes in memory
        self.held_bytes = 0

    def add(self, epoch: int, batch: pa.RecordBatch) -> None:
        """Take changes of an epoch; writes when many have gathered."""
        self._held.append((epoch, batch))
        self.held_bytes += batch.nbytes
        self.rows += batch.num_rows
        if self.held_bytes > _HELD_BYTES:
            try:
                self._write(b"")
            except OSError:
                return  # the checkpoint tries again, and says so

    def finish(self) -> SpoolReport:
        """Make the file whole and durable; OSError when that fails, then it can be tried again."""
        self._write(END)
        with self.path.open("rb+") as file:
            file.truncate(self._end)
            failpoints.reach("spool: written")
            os.fsync(file.fileno())
        return SpoolReport(self.sink, self.path.name, self._end, self.rows)

    def _write(self, last: bytes) -> None:
        """Write what is held, after the last byte that was written in full."""
        with self.path.open("rb+" if self._end else "wb") as file:
            file.seek(self._end)
            if not self._end:
                file.write(MAGIC)
            for epoch, batch in self._held:
                file.writelines(block(self.sink, epoch, [batch]))
            end = file.tell()
            file.write(last)
            file.flush()
            self._end = end + (len(last) if last else 0)
        self._held, self.held_bytes = [], 0

    def discard(self) -> None:
        """The changes are not wanted."""
        self._held = []
        self.path.unlink(missing_ok=True)


class Spooler:
    """Spools one sink's changes in one reactor."""

    def __init__(self, folder: Path, sink: int, columns: int) -> None:
        self.folder = folder
        self.sink = sink
        self.columns = columns
        self._file: SpoolFile | None = None
        self._epoch: list[Change] = []

    def write(self, change: Change) -> None:
        """Take changes of the epoch that is open."""
        self._epoch.append(change)

    def barrier(self, epoch: int) -> None:
        """The epoch's changes are all there."""
        for change in self._epoch:
            if self._file is None:
                self._file = SpoolFile(self.folder, self.sink)
            self._file.add(epoch, self._tagged(change))
        self._epoch = []

    def _tagged(self, change: Change) -> pa.RecordBatch:
        weights = change.weights
        if weights is None:
            weights = np.ones(len(change), np.int64)
        arrays = [*change.batch.columns[: self.columns], pa.array(weights)]
        return pa.RecordBatch.from_arrays(arrays, [*(str(i) for i in range(self.columns)), _WEIGHT])

    @property
    def refused(self) -> int:
        """Bytes that stay in memory because the disk did not take them."""
        return self._file.held_bytes if self._file and self._file.held_bytes > _HELD_BYTES else 0

    def rotate(self) -> SpoolFile | None:
        """The file with everything up to the last barrier, if there is anything; a new one begins."""
        found, self._file = self._file, None
        return found

    def close(self) -> None:
        """Forget what no checkpoint has."""
        if self._file is not None:
            self._file.discard()


def read_spool(path: Path) -> Iterator[SinkBatch]:
    """A spool's changes in order; XX001 when the file is damaged."""
    for _, epoch, batch in read_states(path):
        weights = batch.column(batch.num_columns - 1).to_numpy()
        rows = batch.select(range(batch.num_columns - 1))
        yield SinkBatch(epoch, rows, None if (weights == 1).all() else weights)
